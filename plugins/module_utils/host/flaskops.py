# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``flaskops`` of a host: an app's own commands, its log and its units.

The switch writes this file to /usr/local/bin/flaskops. It runs with the host's Python, 3.9 or
newer, and imports the standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

USAGE = """\
usage: flaskops                     the apps of this host
       flaskops APP run COMMAND...  run a command as the app: its code, environment and sandbox
       flaskops APP logs [-f] ...   its log; what follows goes to journalctl
       flaskops APP status          its units
"""
APPS = Path("/etc/flaskops/apps")
UNITS = Path("/etc/systemd/system")
#: Settings of a generation's unit that say how its server runs, not what it may do.
OF_THE_SERVER = {
    "Type",
    "NotifyAccess",
    "NonBlocking",
    "Sockets",
    "SyslogIdentifier",
    "ExecStart",
    "KillMode",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "Restart",
    "RestartSec",
    "OOMPolicy",
}
VERBS = ("run", "logs", "status")


class UsageError(Exception):
    """What was typed cannot be done; the text says why."""


def apps(folder: Path = APPS) -> list[str]:
    """Names of the apps of this host."""
    return sorted(path.parent.name for path in folder.glob("*/app.json"))


def home_of(name: str, folder: Path = APPS) -> Path:
    """The directory of an app; UsageError."""
    try:
        return Path(json.loads((folder / name / "app.json").read_text("utf-8"))["home"])
    except PermissionError:
        raise UsageError(f"only root may do that: sudo flaskops {name} ...") from None
    except (OSError, ValueError, KeyError):
        there = ", ".join(apps(folder)) or "none"
        raise UsageError(f"found no app {name!r}; on this host there are: {there}") from None


def live_of(home: Path) -> int:
    """Number of the live generation; UsageError."""
    link = home / "live"
    number = os.path.basename(os.readlink(link)) if link.is_symlink() else ""
    if not number.isdigit():
        raise UsageError(f"nothing is live in {home}: deploy first")
    return int(number)


def settings(unit: str, number: int) -> Iterator[str]:
    """What the unit of a generation says of its environment and its sandbox."""
    section = ""
    for line in unit.splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text
        name, is_set, value = text.partition("=")
        if section != "[Service]" or not is_set or text.startswith("#") or name in OF_THE_SERVER:
            continue
        yield f"{name}={value.replace('%i', str(number))}"


def run_words(
    name: str, home: Path, number: int, command: Sequence[str], *, terminal: bool
) -> list[str]:
    """The words that run a command as the app; UsageError.

    systemd puts the environment's values in the place of ``$NAME``; ``$$`` is a ``$`` to it.
    """
    path = UNITS / f"{name}@{number}.service"
    try:
        unit = path.read_text("utf-8")
        record = json.loads((home / "generations" / str(number) / "generation.json").read_text())
    except PermissionError:
        raise UsageError(f"only root may do that: sudo flaskops {name} run ...") from None
    except OSError as error:
        raise UsageError(f"{error}: run site.yml") from None
    words = ["systemd-run", "--quiet", "--collect", "--wait", "--pty" if terminal else "--pipe"]
    words += [f"--property={one}" for one in settings(unit, number)]
    if record.get("entrypoint"):
        words.append(f"--setenv=FLASK_APP={record['entrypoint']}")
    return [*words, "--", "/usr/bin/env", *(word.replace("$", "$$") for word in command)]


def words_of(given: Sequence[str], *, terminal: bool) -> list[str]:
    """The command that what was typed stands for; UsageError."""
    if len(given) < 2 or given[1] not in VERBS:
        raise UsageError(USAGE.rstrip())
    name, verb, *rest = given
    home = home_of(name)
    if verb == "logs":
        return ["journalctl", f"--unit={name}@*", f"--unit={name}.*", f"--unit={name}", *rest]
    number = live_of(home)
    if verb == "status":
        patterns = (f"{name}.socket", f"{name}@{number}.service", f"{name}.*@{number}.*")
        return ["systemctl", "list-units", "--all", "--no-pager", "--legend=no", *patterns]
    if not rest:
        raise UsageError(f"flaskops {name} run: found no command, such as flask shell")
    return run_words(name, home, number, rest, terminal=terminal)


def main(given: Sequence[str]) -> NoReturn:
    """Become the command that was asked for."""
    if not given:
        print("\n".join(apps()))
        sys.exit(0)
    try:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        words = words_of(given, terminal=terminal)
    except UsageError as error:
        print(f"{error}", file=sys.stderr)
        sys.exit(0 if given[0] in ("-h", "--help") else 2)
    os.execvp(words[0], words)


if __name__ == "__main__":
    main(sys.argv[1:])
