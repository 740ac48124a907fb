"""What workers share."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import finder, workers

from wrapped import app_file


def test_reason_stands_on_one_line_and_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    app_file("app.py", "import no_such_module\n")
    for _ in range(2):
        with pytest.raises(Exception, match="no_such_module") as failed:
            finder.find_app("")
        workers.report(failed.value)
    said = capsys.readouterr().err.splitlines()
    reasons = [line for line in said if line.startswith(workers.REASONS)]
    assert len(reasons) == 1
    assert reasons[0] == said[-1]
    assert reasons[0].endswith("ModuleNotFoundError: No module named 'no_such_module'")


def test_systemd_is_told_when_the_last_worker_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        ready = workers.Readiness(3)
        assert "NOTIFY_SOCKET" not in __import__("os").environ  # Gunicorn must not speak too early
        assert not ready.worker_passed(1)
        assert not ready.worker_passed(1)  # the same worker twice is one worker
        assert not ready.worker_passed(3)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        assert ready.worker_passed(4)  # in the place of worker 2, which died
        assert systemd.recv(100).startswith(b"READY=1")
