# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that people give an app, such as its configuration, which belong to a generation.

They lie in ``files/`` of the generation, root's and readable for the app; below shared/ the app
finds links to those of the generation that was started last.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.as_user import as_user

FOLDER = "files"
#: What a file is called that was in the place of a link.
BEFORE = "{}.before-flaskops"


def names(folder: Path) -> list[str]:
    """The relative paths of the files below a folder; none where there is no folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def read(folder: Path) -> dict[str, str]:
    """Those files, relative path to text."""
    return {name: (folder / name).read_bytes().decode() for name in names(folder)}


def replace(folder: Path, wanted: Mapping[str, str], gid: int) -> None:
    """Have these files in a folder and no other, readable for root and a group."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    for name, text in wanted.items():
        path = draft / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.write(path, text, 0o640, gid=gid)
    shutil.rmtree(folder, ignore_errors=True)
    if wanted:
        os.rename(draft, folder)


class Shown:
    """The links below shared/ of an app."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.shared = home / "shared"

    def folders(self) -> Iterator[Path]:
        """Where files of an app may lie: with its generations, and for the next one."""
        yield from (self.home / "generations").glob(f"*/{FOLDER}")
        yield self.home / "next" / FOLDER

    def wrong(self, folder: Path) -> dict[str, str]:
        """Paths below shared/ and where they should lead for the files of a folder.

        What leads to files of another folder, and is not in this one, should lead nowhere: an empty
        text. What is right is left out.
        """
        wanted = {name: str(folder / name) for name in names(folder)}
        known = {name for other in self.folders() for name in names(other)}
        for name in known - wanted.keys():
            if self._leads(name).startswith((f"{self.home}/generations/", f"{self.home}/next/")):
                wanted[name] = ""
        return {name: to for name, to in wanted.items() if not to or self._leads(name) != to}

    def _leads(self, name: str) -> str:
        path = self.shared / name
        return os.readlink(path) if path.is_symlink() else ""

    def lead(self, folder: Path, user: str) -> str:
        """Have all of them lead to a folder's files; why that is not possible, or nothing."""
        wrong = self.wrong(folder)
        if not wrong:
            return ""
        entry = pwd.getpwnam(user)

        def change() -> None:
            os.umask(0o027)
            for name, to in wrong.items():
                path = self.shared / name
                if not to:
                    path.unlink()
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists() and not path.is_symlink():
                    path.rename(path.with_name(BEFORE.format(path.name)))
                files.link(path, to)

        return as_user(entry.pw_uid, entry.pw_gid, change)
