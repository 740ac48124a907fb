# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The .flaskenv and .env that an app ships for Flask to read."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import dotenv

NAMES = (".flaskenv", ".env")


def upwards(app: Path, code: Path) -> list[Path]:
    """The app's directory and those it lies in, up to the top of the code."""
    return [app, *(folder for folder in app.parents if folder.is_relative_to(code))]


def dotenv_files(app: Path, code: Path) -> list[Path]:
    """The files that Flask reads: it looks upwards for each."""
    found = []
    for name in NAMES:
        paths = (folder / name for folder in upwards(app, code))
        found += [path for path in paths if path.is_file()][:1]
    return found


def names_set(app: Path, code: Path) -> set[str]:
    """The names of environment variables that these files set."""
    found: set[str] = set()
    for path in dotenv_files(app, code):
        found |= dotenv.names(path.read_text("utf-8", errors="replace"))
    return found
