# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of an app, and what of it is to go."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.removal.paths import (
    RemoveError,
    discard,
)

#: What stays when the app's data is kept.
DATA = ("shared", "secret_key")
#: An app's home holds one of these, unless only its data is left. They go last, so that what a
#: killed run has left is known again.
OWN = ("releases", "generations")
#: No app lives at the top, right below /var or in a directory of the system.
NO_HOME = re.compile(
    r"/|/[^/]+|/var/[^/]+|/(bin|boot|dev|etc|lib\w*|proc|root|run|sbin|sys|usr)/.+"
)


class Home:
    """The directory of an app."""

    def __init__(self, path: Path, mounts: Path, *, keep_data: bool) -> None:
        self.path = path
        self.mounts = mounts
        self.keep_data = keep_data

    def goes(self, entries: list[str]) -> bool:
        """Whether anything of it is to go."""
        stays = self.keep_data or os.path.ismount(self.path)
        return bool(entries) or (self.path.is_dir() and not stays)

    def entries(self) -> list[str]:
        """What goes of the home, in the order it goes."""
        for path in (os.path.normpath(self.path), os.path.realpath(self.path)):
            if NO_HOME.fullmatch(path):
                raise RemoveError(f"home: {path} is a directory of the system; it is left alone")
        if not os.path.lexists(self.path):
            return []
        if not self.path.is_dir():
            raise RemoveError(f"home: {self.path} is not a directory; it is left alone")
        found = {entry.name for entry in self.path.iterdir()}
        if found.isdisjoint(OWN) and not found <= set(DATA):
            raise RemoveError(
                f"home: {self.path} has neither {' nor '.join(OWN)}, so it is not an app's; it is "
                "left alone"
            )
        going = found - set(DATA) if self.keep_data else found
        self._refuse_mounts(going)
        return sorted(going, key=lambda name: (name in OWN, name))

    def _refuse_mounts(self, going: set[str]) -> None:
        """What is mounted inside would be emptied."""
        below = os.path.realpath(self.path) + os.sep
        for line in self.mounts.read_text("utf-8", errors="replace").splitlines():
            point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4])
            if point.startswith(below) and point[len(below) :].split(os.sep)[0] in going:
                raise RemoveError(f"home: {point} is mounted there; unmount it first")

    def remove(self, entries: list[str]) -> None:
        """Remove these, and the directory itself unless data stays or it is mounted."""
        for name in entries:
            discard(self.path / name)
        if self.keep_data:
            return
        if self.path.is_symlink():
            self.path.unlink()
        elif not os.path.ismount(self.path):
            self.path.rmdir()
