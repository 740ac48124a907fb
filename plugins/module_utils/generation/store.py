# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generations of one app on the disk."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.record import (
    PROVED_FILE,
    SETTINGS_FILE,
    settings,
)

#: This file says that a generation has been live.
SERVED_FILE = "served"


class Generations:
    """The generations of one app on the disk."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "generations"
        self.live_link = home / "live"
        self.previous_link = home / "previous"

    def path(self, number: int) -> Path:
        return self.root / str(number)

    def numbers(self) -> list[int]:
        """Complete generations, oldest first."""
        if not self.root.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.root.iterdir()
            if entry.name.isdigit() and readable(entry)
        )

    def record(self, number: int) -> dict[str, Any]:
        return settings(self.path(number))

    def proved(self, number: int) -> bool:
        return (self.path(number) / PROVED_FILE).exists()

    def served(self, number: int) -> bool:
        """Whether it was live at some time."""
        return (self.path(number) / SERVED_FILE).exists()

    def whole(self, number: int) -> bool:
        """Whether a generation has served and could serve again."""
        return self.served(number) and (self.path(number) / "release").is_dir()

    def live(self) -> int:
        """Number of the live generation, 0 when there is none."""
        return self._linked(self.live_link)

    def previous(self) -> int:
        """Number of the generation that was live before, 0 when there is none."""
        return self._linked(self.previous_link)

    def _linked(self, link: Path) -> int:
        if not link.is_symlink():
            return 0
        name = os.path.basename(os.readlink(link))
        return int(name) if name.isdigit() and int(name) in self.numbers() else 0

    def rollback_target(self) -> int:
        """The generation a rollback goes to, 0 when there is none.

        The one that was live before, else the newest other one that has served.
        """
        live, previous = self.live(), self.previous()
        good = [number for number in self.numbers() if number != live and self.whole(number)]
        return previous if previous in good else max(good, default=0)

    def create(
        self, release: Path, group: int, record: dict[str, Any], texts: dict[str, str]
    ) -> int:
        """Write a new generation; it appears under its number only when it is whole.

        Its files are for root and the group only; ``record`` says what it is.
        """
        number = max(self.numbers(), default=0) + 1
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = self.root / f".{number}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o755)
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = {"generation": number, "release": release.name, "created": created, **record}
        texts = {**texts, SETTINGS_FILE: json.dumps(told, indent=2) + "\n"}
        for name, text in texts.items():
            (draft / name).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            files.write(draft / name, text, 0o640, gid=group)
        (draft / "release").symlink_to(release)
        os.chmod(draft, 0o755)
        shutil.rmtree(self.path(number), ignore_errors=True)
        draft.rename(self.path(number))
        return number

    def prove(self, number: int) -> None:
        """From now on it starts without being asked for its health, and can be gone back to."""
        for name in (PROVED_FILE, SERVED_FILE):
            (self.path(number) / name).touch(mode=0o644)

    def doubt(self, number: int) -> None:
        """Let a generation prove itself again before it serves."""
        (self.path(number) / PROVED_FILE).unlink(missing_ok=True)

    def make_live(self, number: int) -> None:
        """The commit point: one rename."""
        files.link(self.live_link, f"generations/{number}")

    def remember(self, number: int) -> None:
        """The generation that a rollback goes back to."""
        files.link(self.previous_link, f"generations/{number}")

    def remove(self, number: int) -> None:
        shutil.rmtree(self.path(number), ignore_errors=True)


def readable(generation: Path) -> bool:
    """Whether the record of a generation is there and whole."""
    try:
        return "digest" in settings(generation)
    except (OSError, ValueError):
        return False
