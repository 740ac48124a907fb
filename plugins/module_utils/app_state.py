# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows of an app, as data: ``/etc/flaskops/apps/NAME/app.json``.

The switch writes it, for root alone to change; status and remove read it. Which generation is live,
the link ``live`` in the app's home says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import files

#: One directory an app.
APPS = Path("/etc/flaskops/apps")
FILE = "app.json"


@dataclass(frozen=True)
class Facts:
    """How the live generation of an app runs."""

    user: str
    #: The program that serves it, ``gunicorn`` or ``uwsgi``.
    server: str
    #: What the server speaks on its sockets.
    protocol: str
    #: Where the public socket listens, ``unix:/path`` or ``address:port``.
    bind: str
    #: Path, host and scheme of its health check.
    health: dict[str, str]


@dataclass(frozen=True)
class AppState(Facts):
    """One app of a host."""

    name: str
    home: str
    #: Generations that stay on the disk.
    keep: int
    #: The unit files that all generations share.
    units: list[str]
    #: Those of each generation, by its number.
    generations: dict[str, list[str]]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> AppState:
        """The app that a file describes; KeyError when it does not."""
        return cls(**{field.name: given[field.name] for field in fields(cls)})

    @property
    def facts(self) -> Facts:
        """What holds for the live generation."""
        return Facts(**{field.name: getattr(self, field.name) for field in fields(Facts)})

    @property
    def all_units(self) -> list[str]:
        """Every unit file, the shared ones last."""
        own = sorted(self.generations.items(), key=lambda one: int(one[0]))
        return [unit for _, units in own for unit in units] + self.units

    def companions(self, number: int) -> list[str]:
        """Units of the processes and timers of a generation."""
        units = self.generations.get(str(number), [])
        return [unit for unit in units if unit.startswith(f"{self.name}.")]


class AppFile:
    """The file of one app."""

    def __init__(self, name: str, apps: Path = APPS) -> None:
        self.folder = apps / name
        self.path = self.folder / FILE

    def read(self) -> AppState | None:
        """What it says; None when there is none, or none that can be read."""
        try:
            return AppState.read(json.loads(self.path.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, state: AppState) -> bool:
        """Write it where it says something else; whether it did."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        text = json.dumps(asdict(state), indent=2, sort_keys=True) + "\n"
        return files.update(self.path, text, 0o644)

    def remove(self) -> None:
        """Remove it, with its directory."""
        self.path.unlink(missing_ok=True)
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):  # it is not there, or holds something else
                folder.rmdir()


def every(apps: Path = APPS) -> list[AppState]:
    """The apps of this host, by their names."""
    names = sorted(entry.name for entry in apps.iterdir()) if apps.is_dir() else []
    found = (AppFile(name, apps).read() for name in names)
    return [state for state in found if state is not None]
