# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd as the modules ask it: every call of systemctl and journalctl is made here."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds for a call; starting a generation takes as long as its app needs to load.
TIMEOUT = 900
#: Lines of a unit's log that are read.
LOG_LINES = 500
SHOWN = (
    "ActiveState",
    "StateChangeTimestampMonotonic",
    "NeedDaemonReload",
    "ReloadResult",
    "UnitFileState",
)


class SystemdError(Exception):
    """What systemctl complained about."""


@dataclass(frozen=True)
class Unit:
    """A systemd unit: since when it is active (seconds since the epoch), None when it is not."""

    since: float | None = None
    enabled: bool = False
    reload_needed: bool = False
    reload_failed: bool = False

    def older_than(self, times: Iterable[float]) -> bool:
        """Whether one of these times is after its last start or reload; the future says nothing.

        After a reload that failed it is older than everything.
        """
        if self.since is None:
            return False
        now = time.time()
        return self.reload_failed or any(self.since < one <= now for one in times)

    @property
    def settled(self) -> bool:
        """Nothing is left to do for who wants it started and enabled."""
        return self.since is not None and self.enabled and not self.reload_needed


class Systemd:
    """The systemd of this host."""

    #: Where packages put their units.
    shipped: tuple[Path, ...] = (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))

    def __init__(self, units: Path = Path("/etc/systemd/system")) -> None:
        self.units = units

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def call(self, verb: str, *units: str) -> str:
        """Run ``systemctl verb``; an empty string, or what systemctl complained about."""
        done = self._run("systemctl", verb, *units)
        return "" if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")

    def must(self, verb: str, *units: str) -> None:
        """Run ``systemctl verb``; SystemdError when it fails."""
        problem = self.call(verb, *units)
        if problem:
            raise SystemdError(f"{' '.join(['systemctl', verb, *units])}: {problem}")

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit as systemd shows them; none where systemd cannot be asked."""
        try:
            shown = self._run("systemctl", "show", f"--property={','.join(names)}", "--", unit)
        except (OSError, subprocess.SubprocessError):  # a host without systemd, or with a sick one
            return {}
        return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)

    def unit(self, name: str) -> Unit:
        """The state of a unit; an empty Unit when systemd knows none of that name."""
        shown = self.properties(name, *SHOWN)
        since = None
        if shown.get("ActiveState") in ("active", "reloading"):
            elapsed = time.monotonic() - int(shown["StateChangeTimestampMonotonic"]) / 1e6
            since = time.time() - elapsed
        return Unit(
            since=since,
            enabled=shown.get("UnitFileState") == "enabled",
            reload_needed=shown.get("NeedDaemonReload") == "yes",
            reload_failed=shown.get("ReloadResult", "success") != "success",
        )

    def active(self, unit: str) -> bool:
        """Whether the unit is up."""
        return self.properties(unit, "ActiveState").get("ActiveState") == "active"

    def instances(self, name: str) -> dict[int, str]:
        """Numbers of ``name@<n>.service`` that systemd does not call inactive, with their state."""
        done = self._run(
            "systemctl", "list-units", "--all", "--plain", "--no-legend", f"{name}@*.service"
        )
        found = {}
        for line in done.stdout.splitlines():
            unit, _load, active, *_rest = line.split()
            number = unit[len(name) + 1 : -len(".service")]
            if number.isdigit() and active != "inactive":
                found[int(number)] = active
        return found

    def later(self, name: str, seconds: int, *units: str) -> None:
        """Stop units after a time, unless the timer of that name is stopped before."""
        timer = (f"--unit={name}", f"--on-active={seconds}", "--timer-property=AccuracySec=1s")
        self._run("systemd-run", "--quiet", "--collect", *timer, "systemctl", "stop", *units)

    def run(
        self,
        unit: str,
        properties: Iterable[str],
        environment: Mapping[str, str],
        words: Sequence[str],
    ) -> tuple[int, list[str]]:
        """Run a command as a unit until it ends: its exit code, and the lines that it has printed.

        How long it may take is one of the properties. What is in ``environment`` anybody can read.
        """
        options = [f"--unit={unit}", *(f"--property={one}" for one in properties)]
        # Word for word; a property would be taken apart at spaces and quotes.
        options += [f"--setenv={name}={value}" for name, value in environment.items()]
        done = subprocess.run(
            ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", *options, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    def calendar_problem(self, schedule: str) -> str:
        """What systemd says of an OnCalendar= that it does not understand, else nothing."""
        done = self._run("systemd-analyze", "calendar", "--", schedule)
        return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()

    def log(self, unit: str, since: float) -> list[str]:
        """The last log lines of a unit, its own and systemd's, since a Unix time."""
        self._run("journalctl", "--sync")
        done = self._run(
            "journalctl",
            "--no-pager",
            "--quiet",
            "--output=cat",
            f"--unit={unit}",
            f"--since=@{int(since)}",
            f"--lines={LOG_LINES}",
        )
        return done.stdout.splitlines()
