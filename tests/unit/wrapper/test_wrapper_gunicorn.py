"""What Gunicorn's log leaves out."""

from __future__ import annotations

import datetime as dt
import sys
import types
from typing import Any

import gunicorn.config
import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import gunicorn_server
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import build_application
from gunicorn.glogging import Logger

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
    environ = sys.modules["plain"].seen[0]
    assert gunicorn_server.worth_logging(f"{status} X", environ) is logged


@pytest.mark.parametrize(("status", "logged"), [("200", False), ("404", False), ("500", True)])
def test_what_failed_can_be_all_that_is_logged(status: str, *, logged: bool) -> None:
    assert gunicorn_server.has_failed(f"{status} X", {}) is logged


def test_of_other_requests_not_even_the_fields_of_a_line_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Logger, "access", Logger.access)
    # As Gunicorn reads its configuration again when it is reloaded.
    gunicorn_server.log_only(gunicorn_server.worth_logging)
    gunicorn_server.log_only(gunicorn_server.has_failed)
    config = gunicorn.config.Config()
    config.set("accesslog", "-")
    config.set("access_log_format", "%(m)s %(s)s")
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "SERVER_PROTOCOL": "HTTP/1.1"}
    environ["flaskops.path"] = "/"
    made: list[object] = []

    def counted(log: Any, *told: Any) -> None:
        Logger.access(log, *told)
        made.append("counted")

    def fields(log: Any, *told: Any) -> Any:
        made.append("fields")
        return Logger.atoms(log, *told)

    # A logger as somebody may choose one.
    log = type("Counting", (Logger,), {"access": counted, "atoms": fields})(config)
    for status in ("200 OK", "500 X"):
        response = types.SimpleNamespace(status=status, sent=0, headers=[])
        log.access(response, types.SimpleNamespace(headers=[]), environ, dt.timedelta(seconds=1))
    assert made == ["counted", "fields", "counted"]
    assert capsys.readouterr().out == "GET 500\n"
