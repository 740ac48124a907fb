# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The apps that a host has."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.app_name import APP_NAME
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

GENERATION_UNIT = re.compile(rf"({APP_NAME.pattern})@[0-9]+\.service")
#: The line of a generation's unit that says where the app's home is.
ENVIRONMENT_LINE = re.compile(r"^EnvironmentFile=-?(/.+)/generations/%i/env$", re.MULTILINE)


def find_apps(root: Path, systemd: Systemd, name: str) -> dict[str, Path]:
    """Name and home of the apps of this host, or of the one that is asked for."""
    found = {
        entry.name: entry
        for entry in (sorted(root.iterdir()) if root.is_dir() else [])
        if APP_NAME.fullmatch(entry.name) and (entry / "generations").is_dir()
    }
    for unit in sorted(systemd.units.glob("*@*.service")):
        named = GENERATION_UNIT.fullmatch(unit.name)
        if not named or unit.is_symlink() or not unit.is_file():
            continue
        home = ENVIRONMENT_LINE.search(unit.read_text("utf-8", errors="replace"))
        if home:
            found[named[1]] = Path(home[1])
    if name:
        return {name: found.get(name, root / name)}
    return dict(sorted(found.items()))
