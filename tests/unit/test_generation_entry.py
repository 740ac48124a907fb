"""What the module switch does around a switch: locks, and the error that people read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import lock as locks
from ansible_collections.flaskops.stack.plugins.module_utils.generation import entry
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.lock import DeployLock
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

ALIVE = ["desk/1/run-1/x", "desk/1/run-2/x"]
RUN = {"run": ALIVE[0], "who": "alice@desk", "minutes": 10, "alive": ALIVE}


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locks, "RUN", tmp_path)
    monkeypatch.setattr(DeployLock.__init__, "__defaults__", (tmp_path,))
    return tmp_path


def perform(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    phase: str,
    happens: dict[str, Any] | Exception,
    lock: dict[str, Any] | None = None,
    *,
    check_mode: bool = False,
) -> entry.Outcome:
    """Perform a phase in which this happens."""

    def act(*_: Any, **__: Any) -> dict[str, Any]:
        if isinstance(happens, Exception):
            raise happens
        return happens

    monkeypatch.setattr(entry, "act", act)
    given = {"name": "shop", "home": str(tmp_path / "shop"), "keep": 3, "phase": phase}
    systemd = Systemd(tmp_path / "units")
    return entry.perform({**given, "lock": lock}, systemd, check_mode=check_mode)


@pytest.mark.parametrize(
    ("phase", "happens", "held"),
    [
        ("whole", {"pending": False}, False),
        ("whole", SwitchError("no"), False),
        ("start", {"pending": True}, True),
        ("start", {"pending": False}, False),
        ("start", SwitchError("no"), True),  # the run withdraws on all hosts first
        ("finish", {"pending": False}, False),
        ("finish", SwitchError("no"), False),
        ("withdraw", {"pending": False}, False),
    ],
)
def test_the_deploy_lock_is_held_until_the_switch_is_over(
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    happens: Any,
    *,
    held: bool,
) -> None:
    perform(monkeypatch, run_folder, phase, happens, RUN)
    assert (run_folder / "flaskops-shop.deploy").exists() is held


def test_a_look_takes_no_lock(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    perform(monkeypatch, run_folder, "whole", {"pending": False}, RUN, check_mode=True)
    assert list(run_folder.iterdir()) == []


def test_another_run_is_not_disturbed(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DeployLock("shop", run_folder).take(ALIVE[1], "bob@desk", 10, ALIVE)
    happens = {"pending": False}
    started = perform(monkeypatch, run_folder, "start", happens, RUN)
    assert started.problem.startswith("bob@desk has been deploying shop since ")
    withdrawn = perform(monkeypatch, run_folder, "withdraw", happens, RUN)
    assert (withdrawn.problem, withdrawn.result["changed"]) == ("", False)
    assert (run_folder / "flaskops-shop.deploy").exists()


def test_an_error_says_what_serves_and_shows_the_log(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happens = SwitchError("Generation 1 did not start", ["Traceback", "ImportError: x"])
    outcome = perform(monkeypatch, run_folder, "whole", happens)
    assert outcome.problem == (
        "Generation 1 did not start. There was no earlier generation: the app is not running."
    )
    assert outcome.result["log"] == "Traceback\nImportError: x"


def test_an_error_says_why_and_what_helps(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "The app cannot be loaded: ModuleNotFoundError: No module named 'pandas'"
    outcome = perform(monkeypatch, run_folder, "whole", SwitchError("It did not start", ["a", why]))
    _, *lines = outcome.problem.splitlines()
    assert lines[0] == why
    assert lines[1].startswith("flask_app_extra_packages: the virtualenv has no pandas")


def test_two_switches_at_a_time_are_one_too_many(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "PATIENCE", 0)
    with locks.alone("shop", "switch"):
        outcome = perform(monkeypatch, run_folder, "whole", {"pending": False})
    assert outcome.problem.startswith("Not switched: a switch of shop is under way")
