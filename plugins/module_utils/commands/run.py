# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in their order, and what is said of the one that failed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.app_files import FOLDER, Shown
from ansible_collections.flaskops.stack.plugins.module_utils.commands.unit import Unit, shell
from ansible_collections.flaskops.stack.plugins.module_utils.hidden import hide
from ansible_collections.flaskops.stack.plugins.module_utils.release.store import FIRST_DONE
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

#: Lines of a failed command in the error: with what Ansible says around them, one screen.
OUTPUT_LINES = 20
#: What a program says that writes where it may not, into the code as a rule.
REFUSED = ("Read-only file system", "Permission denied")
SEALED = (
    "The code of a release is sealed: what writes into it, compiled translations or collected "
    "static files, belongs into flask_app_build_commands."
)
UNDER_WAY = ("activating", "active", "deactivating")


class CommandError(Exception):
    """One of the commands did not succeed; ``log`` is the end of what it has said."""

    def __init__(self, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.log = list(log)


@dataclass(frozen=True)
class Command:
    """A command line for a shell, and what people call it by.

    One that is ``first`` runs once in the life of an app, before it has ever served.
    """

    name: str
    command: str
    first: bool = False


def run_all(
    unit: Unit, commands: Sequence[Command], marker: Path, seconds: int, systemd: Systemd
) -> None:
    """Run the commands one after the other, within so many seconds.

    CommandError says which failed; those after it are not run. The last one leaves the marker, so
    that it is there even when nobody waits for the end.
    """
    if systemd.properties(unit.unit, "ActiveState").get("ActiveState") in UNDER_WAY:
        raise CommandError(
            f"the commands of an earlier run are still running: systemctl status {unit.unit}"
        )
    with next_files(unit):
        run_each(unit, commands, marker, seconds, systemd)


def run_due(
    unit: Unit,
    commands: Sequence[Command],
    marker: Path,
    seconds: int,
    systemd: Systemd,
    served: str,
) -> list[str]:
    """Run those commands of a release that are due; their names, CommandError.

    ``served`` says whether the app has served on any of its hosts: yes, no or unknown.
    """
    done = unit.home / FIRST_DONE
    first = [one for one in commands if one.first and served != "yes" and not done.exists()]
    if first and served == "unknown":
        raise CommandError(
            "flask_app_first_commands: not all hosts of the app take part in this run, or in this"
            " batch of it, so nobody knows whether it has served; its first release is for all"
        )
    rest = [one for one in commands if not one.first]
    if first:
        run_all(unit, first, done, seconds, systemd)
    if rest:
        run_all(unit, rest, marker, seconds, systemd)
    else:
        marker.touch()
    return [one.name for one in [*first, *rest]]


@contextmanager
def next_files(unit: Unit) -> Iterator[None]:
    """Have the commands find the files of the app as the new release is to have them.

    When they fail, what is live finds its own again.
    """
    shown = Shown(unit.home)
    problem = shown.lead(unit.home / "next" / FOLDER, unit.user)
    if problem:
        raise CommandError(f"flask_app_files: {problem}")
    try:
        yield
    except CommandError:
        shown.lead((unit.home / "live").resolve() / FOLDER, unit.user)
        raise


def run_each(
    unit: Unit, commands: Sequence[Command], marker: Path, seconds: int, systemd: Systemd
) -> None:
    """Run them; CommandError."""
    started = time.monotonic()
    for number, one in enumerate(commands, 1):
        left = math.ceil(started + seconds - time.monotonic())
        if left <= 0:
            raise CommandError(f"{one.name} was not run: {seconds} s for all commands are over")
        last = marker if number == len(commands) else None
        properties = unit.properties(left, last)
        code, lines = systemd.run(unit.unit, properties, unit.environment, shell(one.command))
        if code != 0:
            over = time.monotonic() - started >= seconds
            why = f"did not end within {seconds} s" if over else f"ended with {code}"
            raise CommandError(told(one, why, lines), hide(unit.home, lines[-OUTPUT_LINES:]))


def told(failed: Command, why: str, lines: Sequence[str]) -> str:
    """What is said of a command that failed: which it was, and what may help."""
    command = [f"  {line}" for line in failed.command.splitlines()]
    hint = [SEALED] if any(sign in line for sign in REFUSED for line in lines) else []
    return "\n".join([f"{failed.name} {why}, so nothing was switched:", *command, *hint])
