# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that outlive releases: links in the code to what is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from functools import partial

from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.trees import seed

#: Flask's own folder for what is not code.
INSTANCE = "instance"


def link_shared(commands: Commands, names: Sequence[str], packages: Iterable[str]) -> None:
    """Make links of paths in the code; what the source ships is only ever added to what is kept.

    ``packages`` are the import packages that are the app.
    """
    place = commands.place
    for name in names:
        keep, path = place.shared / name, place.app / name
        if not place.contains(path.parent):
            raise ReleaseError(f"flask_app_shared_paths: {name} leads out of the source")
        if path.is_dir() and not path.is_symlink():
            commands.as_user(partial(seed, path, keep), f"copy {path}")
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(keep)
    if INSTANCE in names:
        # Flask looks for the instance folder of an installed package in the virtualenv.
        for package in packages:
            link = place.venv / "var" / f"{package}-{INSTANCE}"
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(place.shared / INSTANCE)
