# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of files: walked without following links, handed over, sealed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place


def tree(root: Path) -> Iterator[str]:
    """Every path below and including ``root``, links not followed."""
    yield str(root)
    for folder, folders, names_of_files in os.walk(root):
        for name in (*folders, *names_of_files):
            yield os.path.join(folder, name)


def give(root: Path, uid: int, gid: int) -> None:
    """Make a tree somebody's."""
    for path in tree(root):
        os.lchown(path, uid, gid)


def seed(source: Path, target: Path) -> None:
    """Copy what the target does not have yet."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        place = target / entry.name
        if entry.is_dir() and not entry.is_symlink():
            seed(entry, place)
        elif not os.path.lexists(place):
            shutil.copy2(entry, place, follow_symlinks=False)


def remove_git(code: Path) -> None:
    """Remove what git keeps for itself, submodules' links included."""
    for path in [path for path in tree(code) if os.path.basename(path) == ".git"]:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def seal(place: Place, gid: int) -> None:
    """Root owns the release; the app reads it, the web server reads ``public`` only."""
    parts = ((place.code, gid, 0o027), (place.venv, gid, 0o027), (place.public, 0, 0o022))
    for root, group, cut in parts:
        for path in tree(root) if root.exists() else ():
            os.lchown(path, 0, group)
            if not os.path.islink(path):
                mode = os.stat(path).st_mode & 0o7777
                wanted = mode | 0o040 | (0o010 if mode & 0o100 else 0)
                if root == place.public:
                    wanted |= 0o005 if mode & 0o100 else 0o004
                os.chmod(path, wanted & ~cut & ~0o6000)
