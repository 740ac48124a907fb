"""What a generation that did not start seems to lack."""

from __future__ import annotations

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.generation.hints import hint


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("[WARNING] Worker (pid:12) was sent SIGSYS!", "wsgi_unit_config: the sandbox has ended"),
        ("DAMN ! worker 1 (pid: 9) died, killed by signal 31 :( trying", "wsgi_unit_config: the"),
        ("Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", "gunicorn_workers"),
        ("MemoryError", "gunicorn_workers"),
        ("[CRITICAL] WORKER TIMEOUT (pid:7)", "gunicorn_timeout"),
        ("Worker (pid:7) was sent SIGSEGV!", "wsgi_unit_config: native code"),
        ("killed by signal 11 :( trying respawn", "wsgi_unit_config: native code"),
        ("OSError: [Errno 30] Read-only file system: '/opt/a'", "flask_app_shared_paths"),
        ("PermissionError: [Errno 13] Permission denied: '/srv/a/b'", "flask_app_shared_paths"),
        ("OSError: [Errno 97] Address family not supported by protocol", "wsgi_unit_config"),
        ("PermissionError: [Errno 1] Operation not permitted", "wsgi_unit_config"),
        ("The app cannot be loaded: NoAppException: Could not locate", "flask_app_entrypoint"),
        (
            "ModuleNotFoundError: No module named 'psycopg2'",
            "flask_app_extra_packages: the virtualenv has no psycopg2;",
        ),
        ("Worker (pid:7) was sent SIGTERM!", ""),
        ("KeyError: 'DATABASE'", ""),
    ],
)
def test_the_setting_is_named(line: str, advice: str) -> None:
    found = hint(["Traceback (most recent call last):", line, "Shutting down"])
    assert found.startswith(advice)
    assert bool(found) == bool(advice)
