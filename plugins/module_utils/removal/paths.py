# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that may be files, links or directories, or gone."""

from __future__ import annotations

import shutil
from pathlib import Path


class RemoveError(Exception):
    """The app cannot be taken away."""


def plain(path: Path) -> bool:
    """A file that is no link: a link is a masked unit, or leads to one of a package."""
    return path.is_file() and not path.is_symlink()


def discard(path: Path) -> None:
    """Remove a file, a link or a whole directory, whatever of it is still there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
