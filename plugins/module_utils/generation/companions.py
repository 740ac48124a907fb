# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Companion units of a generation: background processes and timers of the same release.

They run exactly as the server does, with its user, environment, directory and sandbox, and differ
in their command only; so their units are made from the server's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.environment import unit_word

#: Says nothing about anything but the server.
OF_THE_SERVER = re.compile(
    r"(Type|NotifyAccess|Sockets|Exec\w+|Kill\w+|SendSIG\w+|Timeout\w+|Restart\w*|Description)="
)
COMPOUND = re.compile(r"[;&|()`]|^\s*(exec\s|\w+=|[!{]\s)")
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class CompanionError(ValueError):
    """A process or timer that no unit can be made for."""


def companions(
    app: str, server: str, processes: Iterable[dict[str, Any]], timers: Iterable[dict[str, Any]]
) -> dict[str, str]:
    """Name and text of the units; ``@.`` in a name is where the generation's number goes.

    ``server`` is the text of the server's unit. CompanionError for a name that no unit can have,
    or that two have.
    """
    found: dict[str, str] = {}
    for process in processes:
        name, count = checked(process["name"]), process["count"]
        for number in range(1, count + 1):
            one = f"{name}-{number}" if count > 1 else name
            text = unit(server, f"{app}: {one}, generation %i", service(process))
            add(found, f"{app}.{one}@.service", text)
    for timer in timers:
        name = checked(timer["name"])
        text = unit(server, f"{app}: {name}, generation %i", job(timer))
        add(found, f"{app}.{name}@.service", text)
        add(found, f"{app}.{name}@.timer", schedule(app, name, timer))
    return found


def add(found: dict[str, str], name: str, text: str) -> None:
    """Add a unit; CompanionError when there is one of that name."""
    if name in found:
        raise CompanionError(f"{name}: two processes or timers have this name")
    found[name] = text


def checked(name: str) -> str:
    """A name that a unit can have."""
    if not NAME.fullmatch(name):
        raise CompanionError(
            f"name of a process or timer: found {name!r}; allowed are small letters, digits and "
            "hyphens, a letter first"
        )
    return name


def unit(server: str, description: str, own: list[str]) -> str:
    """The server's unit with another description and another command."""
    lines = []
    for line in server.splitlines():
        if OF_THE_SERVER.match(line):
            continue
        lines.append(line)
        if line == "[Unit]":
            lines.append(f"Description={description}")
        elif line == "[Service]":
            lines += own
    return "\n".join(lines) + "\n"


def command(text: str) -> str:
    """A command line for a shell, as ExecStart= takes it."""
    if "\n" in text:
        raise CompanionError("command of a process or timer: allowed is one line")
    # A signal is for the program; where there is more than one, the shell has to stay.
    start = "" if COMPOUND.search(text) else "exec "
    return f"/bin/sh -c {unit_word(start + text)}"


def service(process: dict[str, Any]) -> list[str]:
    """What a process that runs all the time adds; TERM asks it to finish its work."""
    return [
        "Type=exec",
        f"ExecStart={command(process['command'])}",
        "KillMode=mixed",
        f"TimeoutStopSec={process['stop_timeout']}",
        "Restart=always",
        "RestartSec=1",
    ]


def job(timer: dict[str, Any]) -> list[str]:
    """What a command that a timer starts adds."""
    return [
        "Type=oneshot",
        f"ExecStart={command(timer['command'])}",
        f"TimeoutStartSec={timer['timeout']}",
    ]


def schedule(app: str, name: str, timer: dict[str, Any]) -> str:
    """The timer itself."""
    return (
        f"# Written by flaskops.stack.\n[Unit]\nDescription={app}: when {name} runs\n"
        f"PartOf={app}.service\nAfter={app}.service\n\n"
        f"[Timer]\nOnCalendar={timer['schedule']}\nPersistent=false\nAccuracySec=1s\n"
    )
