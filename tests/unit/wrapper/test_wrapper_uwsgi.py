"""A worker of uWSGI."""

from __future__ import annotations

import json
import socket
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import (
    launch,
    record,
    uwsgi_server,
    workers,
)

from wrapped import FLASK, app_file, ask, generation


class FakeUwsgi(types.ModuleType):
    """The module that uWSGI gives its workers."""

    def __init__(self, number: int, processes: int, opt: dict[bytes, Any]) -> None:
        super().__init__("uwsgi")
        self.number, self.numproc, self.opt = number, processes, opt
        self.logged: dict[str, str] = {}
        self.log_lines = 0

    def worker_id(self) -> int:
        return self.number

    def set_logvar(self, name: str, value: str) -> None:
        self.logged[name] = value

    def log_this_request(self) -> None:
        self.log_lines += 1


def uwsgi_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **health: Any) -> FakeUwsgi:
    """A generation of an app, and a worker of uWSGI that is the only one."""
    app_file("app.py", FLASK.format(name="app", say="hello"))
    folder = generation(tmp_path, **health)
    told = json.loads((folder / record.SETTINGS_FILE).read_text())
    told |= {"entrypoint": "", "token": "t", "release": "r", "protocol": "http"}
    monkeypatch.setattr(record, "settings", lambda directory=None: told)
    monkeypatch.setattr(sys, "executable", sys.executable)
    fake = FakeUwsgi(1, 1, {b"set-placeholder": [b"x=y", uwsgi_server.WE_LOG.encode()]})
    monkeypatch.setitem(sys.modules, "uwsgi", fake)
    return fake


def test_a_worker_of_uwsgi_tells_systemd_and_logs_no_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = uwsgi_worker(monkeypatch, tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv(launch.NOTIFY_SOCKET, str(tmp_path / "notify"))
        app = uwsgi_server.for_uwsgi()
        assert systemd.recv(100).startswith(b"READY=1")
    assert sys.executable == str(Path(sys.prefix) / "bin" / "python")
    assert ask(app, QUERY_STRING="secret=1")[2] == b"hello"
    assert fake.logged == {"path": "/"}
    assert fake.log_lines == 1
    ask(app, "/healthz")
    ask(app, HTTP_X_FLASKOPS_TOKEN="t")
    assert fake.log_lines == 1, "what only looks whether the app is well"
    fake.opt = {}  # who sets up the log without the role
    ask(uwsgi_server.for_uwsgi())
    assert fake.log_lines == 1


def test_a_worker_of_uwsgi_that_fails_ends_with_the_code_that_ends_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uwsgi_worker(monkeypatch, tmp_path, status=[200], path="/none")
    with pytest.raises(SystemExit) as ended:
        uwsgi_server.for_uwsgi()
    assert ended.value.code == 22
    assert capsys.readouterr().err.startswith("Health check failed: GET /none ")


def test_a_worker_of_uwsgi_waits_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uwsgi_worker(monkeypatch, tmp_path).numproc = 2
    looks = []

    def look(_: float) -> None:
        looks.append(1)
        workers._shared[2] = len(looks) == 3  # the other one passes

    monkeypatch.setattr(time, "sleep", look)
    uwsgi_server.for_uwsgi()
    assert len(looks) == 3


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 4),
        ({b"cheaper": b"2"}, 2),
        ({"cheaper": "2", "cheaper-initial": "3"}, 3),
        ({"cheaper": "9"}, 4),
    ],
)
def test_a_cheap_uwsgi_starts_with_fewer_workers(options: dict[Any, Any], count: int) -> None:
    assert uwsgi_server._first_workers(4, options) == count
