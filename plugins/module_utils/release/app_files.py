# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that people give an app, beside its release until a generation takes them over.

A generation sees its own at their places below shared/, where its unit mounts them: so that the one
before and the one after each have theirs, also while both run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import files

FOLDER = "files"


def read(folder: Path) -> dict[str, str]:
    """The files below a folder, relative path to text; none where there is no folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def mounts(folder: str, paths: list[str], shared: str) -> list[str]:
    """How systemd shows files of a folder below shared/, as values of BindReadOnlyPaths=."""
    return [f"{folder}/{path}:{shared}/{path}" for path in paths]


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
