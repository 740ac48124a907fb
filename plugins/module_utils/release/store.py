# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of an app on the disk, and the directories around them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.release.account import Owner
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place

#: This file in the home says that the commands of an app's first release have run.
FIRST_DONE = "first_commands_done"


class Store:
    """All releases of one app."""

    def __init__(self, home: Path, *, check_mode: bool) -> None:
        self.home = home
        self.check_mode = check_mode
        self.changed = False
        #: Names of releases that were removed.
        self.removed: list[str] = []

    def live(self) -> str:
        """Release of the live generation; ReleaseError when there is none."""
        link = self.home / "live" / "release"
        if not link.is_symlink():
            raise ReleaseError(f"{self.home}: nothing is live there yet")
        return os.path.basename(os.readlink(link))

    def served(self) -> bool:
        """Whether the app has served on this host, or has run its first commands for that."""
        generations = (self.home / "generations").glob("*/served")
        return (self.home / FIRST_DONE).exists() or any(generations)

    def existing(self) -> list[Place]:
        """All of them, complete or not."""
        root = self.home / "releases"
        names = sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []
        return [Place(self.home, name) for name in names]

    def record(self, place: Place) -> dict[str, Any]:
        """What release.json says."""
        loaded: dict[str, Any] = json.loads(place.marker.read_text("utf-8"))
        return loaded

    # directories ---------------------------------------------------------------------------------

    def lay_out(self, owner: Owner, shared_paths: Sequence[str]) -> None:
        """Make the directories around the releases as they should be."""
        for path, mode, uid, gid in self._layout(owner, shared_paths):
            self._directory(path, mode, uid, gid)

    def _layout(
        self, owner: Owner, shared_paths: Sequence[str]
    ) -> Iterator[tuple[Path, int, int, int]]:
        yield self.home, 0o755, 0, 0
        yield self.home / "releases", 0o755, 0, 0
        yield self.home / "generations", 0o755, 0, 0
        yield self.home / "next", 0o750, 0, owner.gid
        yield self.home / "shared", 0o755, 0, 0
        for name in shared_paths:
            yield self.home / "shared" / name, 0o750, owner.uid, owner.gid

    def _directory(self, path: Path, mode: int, uid: int, gid: int) -> None:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)
            self.changed = True
        now = path.stat()
        if (now.st_uid, now.st_gid) != (uid, gid):
            os.chown(path, uid, gid)
            self.changed = True
        if now.st_mode & 0o7777 != mode:
            os.chmod(path, mode)
            self.changed = True

    def begin(self, place: Place, owner: Owner) -> None:
        """Make a release ready to be filled."""
        place.path.mkdir(mode=0o750)
        os.chown(place.path, 0, owner.gid)
        place.code.mkdir(mode=0o755)
        place.upload.mkdir(mode=0o700)

    # removal -------------------------------------------------------------------------------------

    def remove_incomplete(self, begun: Place) -> None:
        """Remove what killed runs have left; the one that ``begun`` is only begins anew."""
        for release in self.existing():
            if not release.complete:
                self.remove(release, told=release.id != begun.id)

    def remove(self, release: Place, *, told: bool = True) -> None:
        """Remove a release."""
        self.changed = True
        if told:
            self.removed.append(release.id)
        if not self.check_mode:
            shutil.rmtree(release.path, ignore_errors=True)

    def in_use(self) -> set[str]:
        """Names of the releases that generations run."""
        links = (self.home / "generations").glob("*/release")
        return {os.path.basename(os.readlink(link)) for link in links if link.is_symlink()}

    def surplus(self, new: Place, keep: int) -> list[Place]:
        """The oldest complete releases that no generation runs: too many, with the new one."""
        used = self.in_use()
        others = [one for one in self.existing() if one.id != new.id and one.complete]
        others.sort(key=lambda one: one.marker.stat().st_mtime)
        surplus = len(others) + 1 - keep
        return [one for one in others if one.id not in used][: max(surplus, 0)]
