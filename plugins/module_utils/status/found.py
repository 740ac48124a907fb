# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The apps that a host has."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.app_name import APP_NAME
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import APPS, every


def find_apps(root: Path, name: str, apps: Path = APPS) -> dict[str, Path]:
    """Name and home of the apps of this host, or of the one that is asked for.

    Below ``root`` also those that nothing was written down of, because no switch has succeeded.
    """
    found = {
        entry.name: entry
        for entry in (sorted(root.iterdir()) if root.is_dir() else [])
        if APP_NAME.fullmatch(entry.name) and (entry / "generations").is_dir()
    }
    found |= {state.name: Path(state.home) for state in every(apps)}
    if name:
        return {name: found.get(name, root / name)}
    return dict(sorted(found.items()))
