"""What systemd says of a unit, and what follows from it."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import (
    Systemd,
    SystemdError,
    Unit,
)


def asked(monkeypatch: pytest.MonkeyPatch, **properties: str) -> Unit:
    """The state of a unit of which systemd shows this."""
    shown = "".join(f"{name}={value}\n" for name, value in properties.items())

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, stdout=shown)

    monkeypatch.setattr(subprocess, "run", run)
    return Systemd().unit("nginx.service")


def active_since(seconds: float) -> dict[str, str]:
    """What systemd shows of a unit that was started so many seconds ago."""
    started = str(int((time.monotonic() - seconds) * 1e6))
    return {"ActiveState": "active", "StateChangeTimestampMonotonic": started}


def test_a_unit_is_older_than_what_was_written_since_it_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = asked(monkeypatch, **active_since(60), ReloadResult="success")
    now = time.time()
    assert found.older_than([now - 30])
    assert not found.older_than([now - 90])
    assert not found.older_than([now + 90]), "a clock that was wrong"


def test_after_a_reload_that_failed_it_is_older_than_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = asked(monkeypatch, **active_since(60), ReloadResult="exit-code")
    assert found.older_than([time.time() - 90])
    found = asked(monkeypatch, ActiveState="inactive", ReloadResult="exit-code")
    assert not found.older_than([time.time() - 90]), "it reads everything when it starts"


@pytest.mark.parametrize(
    ("state", "reload", "settled"),
    [("enabled", "no", True), ("disabled", "no", False), ("enabled", "yes", False)],
)
def test_a_settled_unit_needs_nothing(
    monkeypatch: pytest.MonkeyPatch, state: str, reload: str, *, settled: bool
) -> None:
    shown = {**active_since(60), "UnitFileState": state, "NeedDaemonReload": reload}
    assert asked(monkeypatch, **shown).settled is settled


def test_a_call_that_fails_says_what_was_called_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 5, stderr="Unit shop.socket not loaded.\n")

    monkeypatch.setattr(subprocess, "run", run)
    said = "^systemctl start shop.socket: Unit shop.socket not loaded.$"
    with pytest.raises(SystemdError, match=said):
        Systemd().must("start", "shop.socket")


def test_a_host_without_systemd_has_no_units(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("systemctl")

    monkeypatch.setattr(subprocess, "run", run)
    assert Systemd().unit("nginx.service") == Unit()
