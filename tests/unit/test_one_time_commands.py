"""Commands that run once for a release: their unit, their order, and what is said of a failure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.commands.run import (
    OUTPUT_LINES,
    Command,
    CommandError,
    run_all,
    run_due,
)
from ansible_collections.flaskops.stack.plugins.module_utils.commands.unit import Unit
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

RELEASE = Path("/srv/shop/releases/r1")
MARKER = RELEASE / "commands-1"
UNIT = Unit("shop", Path("/srv/shop"), "shop", RELEASE, "services/shop", "shop:create('a b')")
FIRST = Command("flask_app_migrate_command", "flask db upgrade")
SECOND = Command("command 1 of flask_app_release_commands", "echo $HOME\nfalse")


class FakeSystemd(Systemd):
    """Remembers what is run; commands end as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.state = "inactive"
        self.ends: list[tuple[int, list[str]]] = []
        self.ran: list[tuple[list[str], list[str]]] = []

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        assert unit == "flaskops-shop-commands.service"
        return {"ActiveState": self.state}

    def run(
        self,
        unit: str,
        properties: Iterable[str],
        environment: Mapping[str, str],
        words: Sequence[str],
    ) -> tuple[int, list[str]]:
        assert unit == "flaskops-shop-commands.service"
        assert environment["FLASK_APP"] == "shop:create('a b')"
        assert environment["PATH"].startswith(f"{RELEASE}/venv/bin:")
        self.ran.append((list(properties), list(words)))
        return self.ends.pop(0) if self.ends else (0, [])


@pytest.fixture
def systemd() -> FakeSystemd:
    return FakeSystemd()


def test_each_runs_fenced_in_as_the_apps_user(systemd: FakeSystemd) -> None:
    run_all(UNIT, [FIRST, SECOND], MARKER, 60, systemd)
    (first, words), (second, others) = systemd.ran
    assert words == ["/bin/sh", "-ec", "flask db upgrade"]
    assert {
        "Type=oneshot",
        "TimeoutStartSec=60",
        "User=shop",
        "WorkingDirectory=/srv/shop/releases/r1/code/services/shop",
        "EnvironmentFile=/srv/shop/next/env",
        "ProtectSystem=strict",
        "ReadWritePaths=/srv/shop/shared",
    } <= set(first)
    assert others[-1] == "echo $$HOME\nfalse", "no value of the environment in the command line"
    touch = f"ExecStartPost=+/usr/bin/touch {MARKER}"
    assert (touch in first, touch in second) == (False, True), "only when all have succeeded"


def test_the_one_that_failed_is_named_with_its_exit_code_and_last_lines(
    systemd: FakeSystemd,
) -> None:
    systemd.ends = [(0, ["fine"]), (7, [f"line {number}" for number in range(100)])]
    with pytest.raises(CommandError) as failed:
        run_all(UNIT, [FIRST, SECOND, FIRST], MARKER, 60, systemd)
    head, *lines = str(failed.value).splitlines()
    assert head == (
        "command 1 of flask_app_release_commands ended with 7, so nothing was switched:"
    )
    assert lines == ["  echo $HOME", "  false"]
    assert (len(failed.value.log), failed.value.log[-1]) == (OUTPUT_LINES, "line 99")
    assert len(systemd.ran) == 2, "the third was not run"


@pytest.mark.parametrize(
    ("line", "hinted"),
    [
        ("OSError: [Errno 30] Read-only file system: 'messages.mo'", True),
        ("PermissionError: [Errno 13] Permission denied: 'static/a.css'", True),
        ("no such table: user", False),
    ],
)
def test_a_command_that_writes_into_the_code_is_told_where_it_belongs(
    systemd: FakeSystemd, line: str, *, hinted: bool
) -> None:
    systemd.ends = [(1, [line, "failed"])]
    with pytest.raises(CommandError) as failed:
        run_all(UNIT, [FIRST], MARKER, 60, systemd)
    assert ("flask_app_build_commands" in str(failed.value).splitlines()[-1]) is hinted


def test_all_of_them_have_the_time_together(
    systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 40.5, 61.0, 61.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    systemd.ends = [(0, []), (1, [])]
    with pytest.raises(CommandError, match="release_commands did not end within 60 s, so nothing"):
        run_all(UNIT, [FIRST, SECOND], MARKER, 60, systemd)
    assert "TimeoutStartSec=20" in systemd.ran[1][0]


def test_what_an_earlier_run_has_left_running_is_not_joined(systemd: FakeSystemd) -> None:
    systemd.state = "activating"
    with pytest.raises(CommandError, match="commands of an earlier run are still running"):
        run_all(UNIT, [FIRST], MARKER, 60, systemd)
    assert systemd.ran == []


INIT = Command("command 1 of flask_app_first_commands", "flask init-db", first=True)


def ran(systemd: FakeSystemd) -> list[str]:
    return [words[-1] for _, words in systemd.ran]


@pytest.mark.parametrize(
    ("served", "done", "expected"),
    [
        ("no", False, ["flask init-db", "flask db upgrade"]),
        ("no", True, ["flask db upgrade"]),
        ("yes", False, ["flask db upgrade"]),
        ("unknown", True, ["flask db upgrade"]),
    ],
)
def test_first_commands_run_once_in_the_life_of_an_app(
    systemd: FakeSystemd, tmp_path: Path, served: str, *, done: bool, expected: list[str]
) -> None:
    unit = replace(UNIT, home=tmp_path)
    if done:
        (tmp_path / "first_commands_done").touch()
    names = run_due(unit, [INIT, FIRST], tmp_path / "marker", 60, systemd, served)
    assert ran(systemd) == expected
    assert names == [one.name for one in (INIT, FIRST) if one.command in expected]


def test_nobody_guesses_whether_an_app_has_served(systemd: FakeSystemd, tmp_path: Path) -> None:
    unit = replace(UNIT, home=tmp_path)
    with pytest.raises(CommandError, match="flask_app_first_commands: not all hosts"):
        run_due(unit, [INIT, FIRST], tmp_path / "marker", 60, systemd, "unknown")
    assert systemd.ran == []


def test_first_commands_alone_mark_the_release_too(systemd: FakeSystemd, tmp_path: Path) -> None:
    unit = replace(UNIT, home=tmp_path)
    run_due(unit, [INIT], tmp_path / "marker", 60, systemd, "yes")
    assert (systemd.ran, (tmp_path / "marker").exists()) == ([], True)
