# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The setting that a generation which did not start seems to lack, by what its log says."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: How Gunicorn and uWSGI say that a signal has ended a worker.
KILLED = r"was sent {name}!|killed by signal {number} :\("
#: What stands in the log, and what helps; the first that is found is told.
SIGNS = (
    (
        KILLED.format(name="SIGSYS", number="31"),
        "wsgi_unit_config: the sandbox has ended a worker for a system call; SystemCallFilter"
        " there names those that are allowed",
    ),
    (
        KILLED.format(name="SIGKILL", number="9") + r"|\bMemoryError\b",
        "gunicorn_workers, uwsgi_processes: a worker was killed, most likely because memory is"
        " short; fewer workers, a host with more, or MemoryMax in wsgi_unit_config where you set"
        " that",
    ),
    (
        r"WORKER TIMEOUT",
        "gunicorn_timeout: a worker took longer to load the app; raise it, or load less at import",
    ),
    (
        KILLED.format(name="SIG(?:SEGV|BUS|ILL|ABRT)", number="(?:4|6|7|11)"),
        "wsgi_unit_config: native code of a package has crashed; when it compiles at run time,"
        " MemoryDenyWriteExecute: false there allows that",
    ),
    (
        r"\[Errno 30\] Read-only file system|\[Errno 13\] Permission denied: '/(?:srv|var|opt)/",
        "flask_app_shared_paths: the app may write there, below its home, and in /tmp; for another"
        " place set ReadWritePaths in wsgi_unit_config",
    ),
    (
        r"\[Errno 97\] Address family not supported",
        "wsgi_unit_config: the sandbox has refused a kind of socket; RestrictAddressFamilies there"
        " names those that are allowed",
    ),
    (
        r"\[Errno 1\] Operation not permitted",
        "wsgi_unit_config: the sandbox has refused a system call; SystemCallFilter there names"
        " those that are allowed",
    ),
    (
        r"(?:ModuleNotFoundError: )?No module named '(?P<module>[\w.]+)'",
        "flask_app_extra_packages: the virtualenv has no {module}; add it to the app's own"
        " requirements, or here. When it is the app itself: flask_app_entrypoint,"
        " flask_app_subdirectory",
    ),
    (
        r"NoAppException|Could not (?:import|locate)|Failed to find (?:Flask|attribute)",
        "flask_app_entrypoint: it names the app, as module:name or module:factory()",
    ),
)


def hint(log: Iterable[str]) -> str:
    """What to set; empty when nobody can tell."""
    text = "\n".join(log)
    for sign, advice in SIGNS:
        found = re.search(sign, text)
        if found:
            return advice.format(**found.groupdict())
    return ""
