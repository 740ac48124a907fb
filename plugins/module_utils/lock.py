# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks of an app on a host: one build or switch at a time, one run of a playbook at a time."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ansible_collections.flaskops.stack.plugins.module_utils import files

#: Where what need not outlive a reboot is kept.
RUN = Path("/run")
SECONDS = 60
#: Seconds between two attempts to take a lock that another process has.
PAUSE = 0.1
#: The argument spec of a module's option ``lock``.
LOCK_OPTIONS = {
    "run": {"type": "str", "required": True},
    "who": {"type": "str", "required": True},
    "minutes": {"type": "int", "default": 10},
    "alive": {"type": "list", "elements": "str", "default": []},
}
HELD = {"run", "who", "since"}


class BusyError(Exception):
    """Another process does this work for the app."""


class LockedError(Exception):
    """Another run deploys the app."""


@contextmanager
def alone(name: str, work: str, *, wait: float = 0) -> Iterator[None]:
    """Let one process do this work for an app at a time; the kernel frees the lock of a dead one.

    BusyError when another is still under way after ``wait`` seconds; with ``math.inf`` never.
    """
    path = RUN / f"flaskops-{name}.{work}"
    end = time.monotonic() + wait
    with open(path, "w", encoding="utf-8", opener=files.private) as file:
        while not taken(file):
            if time.monotonic() >= end:
                raise BusyError(f"a {work} of {name} is under way ({path} is locked)")
            time.sleep(PAUSE)
        yield


def taken(file: IO[str]) -> bool:
    """Whether the lock of a file could be taken."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def dead(held: str, run: str, alive: list[str]) -> bool:
    """Whether a run is known to be over; of another machine's runs nothing is known."""
    machine = run.rsplit("/", 2)[0] + "/"
    return held.startswith(machine) and held != run and held not in alive


class DeployLock:
    """A file that says which run deploys an app; it counts for so many minutes since its last use.

    A run that was killed therefore leaves it behind for that long at most. Who changes it must hold
    the lock of the build or the switch.
    """

    def __init__(self, name: str, folder: Path = RUN) -> None:
        self.name = name
        self.path = folder / f"flaskops-{name}.deploy"

    def take(self, run: str, who: str, minutes: int, alive: list[str]) -> None:
        """Take or renew it for a run; LockedError says who has it, since when and until when.

        ``alive`` are the runs on the same machine: one of that machine's that is not among them is
        dead, and its lock counts no more.
        """
        since = time.time()
        held = self._held()
        if held is not None and not dead(held["run"], run, alive):
            left = self.path.stat().st_mtime + minutes * SECONDS - since
            if held["run"] != run and left > 0:
                clock = time.strftime("%H:%M:%S UTC", time.gmtime(held["since"]))
                raise LockedError(
                    f"{held['who']} has been deploying {self.name} since {clock}. Should that run "
                    f"be dead, its lock ends in {int(left // SECONDS) + 1} min; "
                    "-e flask_app_lock_minutes=0 goes on at once"
                )
            if held["run"] == run:
                since = held["since"]
        text = json.dumps({"run": run, "who": who, "since": since})
        files.write(self.path, text, 0o600)

    def free(self, run: str) -> None:
        """Let go of it, if it is this run's."""
        held = self._held()
        if held is not None and held["run"] == run:
            self.path.unlink(missing_ok=True)

    def _held(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.keys() >= HELD else None
