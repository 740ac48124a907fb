# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in their order, and what is said of the one that failed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.commands.unit import Unit, shell
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

#: Lines of a failed command in the error: one screen.
OUTPUT_LINES = 40
#: What a program says that writes where it may not, into the code as a rule.
REFUSED = ("Read-only file system", "Permission denied")
SEALED = (
    "The code of a release is sealed: what writes into it, compiled translations or collected "
    "static files, belongs into flask_app_build_commands."
)
UNDER_WAY = ("activating", "active", "deactivating")


class CommandError(Exception):
    """One of the commands did not succeed."""


@dataclass(frozen=True)
class Command:
    """A command line for a shell, and what people call it by."""

    name: str
    command: str


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
            raise CommandError(told(one, why, lines))


def told(failed: Command, why: str, lines: Sequence[str]) -> str:
    """What is said of a command that failed: which it was, and the end of its output."""
    command = [f"  {line}" for line in failed.command.splitlines()]
    output = [f"  | {line}" for line in lines[-OUTPUT_LINES:]]
    hint = [SEALED] if any(sign in line for sign in REFUSED for line in lines) else []
    return "\n".join([f"{failed.name} {why}, so nothing was switched:", *command, *output, *hint])
