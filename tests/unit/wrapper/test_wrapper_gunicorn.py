"""What Gunicorn's log leaves out."""

from __future__ import annotations

import datetime as dt
import logging
import logging.handlers
import sys
import types

import gunicorn.config
import gunicorn.glogging
import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import gunicorn_server
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import build_application

from wrapped import HEALTH, app_file, ask, recorded


@pytest.mark.parametrize(
    ("path", "extra", "status", "logged"),
    [
        ("/healthz", {}, 200, False),
        ("/healthz", {"QUERY_STRING": "probe"}, 302, False),
        ("/healthz", {}, 503, True),
        ("/healthz", {"REQUEST_METHOD": "POST"}, 200, True),
        ("/deep", {}, 200, True),
        ("/", {}, 200, True),
        ("/", {"HTTP_X_FLASKOPS_TOKEN": "t"}, 200, False),
        ("/", {"HTTP_X_FLASKOPS_TOKEN": "forged"}, 200, True),
        ("/healthz/more", {}, 200, True),
    ],
)
def test_gunicorn_logs_health_checks_when_they_fail(
    path: str, extra: dict[str, str], status: int, *, logged: bool
) -> None:
    app_file(
        "plain.py",
        "def serve(environ, start_response):\n"
        "    seen.append(environ)\n    start_response('200 OK', [])\n    return []\n"
        "seen = []\n",
    )
    health = HEALTH | {"more": [{"path": "/deep?all"}, {"path": "/"}]}
    ask(build_application(recorded("plain:serve", health=health)), path, **extra)
    environ = sys.modules["plain"].seen[0] | {"RAW_URI": path, "SERVER_PROTOCOL": "HTTP/1.1"}
    # As Gunicorn's Logger.access does it.
    log, handler = logging.getLogger("test.access"), logging.handlers.BufferingHandler(9)
    log.addFilter(gunicorn_server.worth_logging)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    cfg = gunicorn.config.Config()
    response = types.SimpleNamespace(status=f"{status} X", sent=0, headers=[])
    request = types.SimpleNamespace(headers=[])
    took = dt.timedelta(seconds=1)
    atoms = gunicorn.glogging.Logger(cfg).atoms(response, request, environ, took)
    log.info("%(s)s", gunicorn.glogging.SafeAtoms(atoms))
    assert len(handler.buffer) == logged


@pytest.mark.parametrize(("status", "logged"), [("200", False), ("404", False), ("500", True)])
def test_what_failed_can_be_all_that_is_logged(status: str, *, logged: bool) -> None:
    line = logging.makeLogRecord({"args": {"s": status}})
    assert gunicorn_server.has_failed(line) is logged
