# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the switch recorded of a generation, in the generation's directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SETTINGS_FILE = "generation.json"
#: This file says that the generation has passed the gate once.
PROVED_FILE = "proved"


def own_directory() -> Path:
    """The generation that this package was copied into."""
    return Path(__file__).resolve().parent.parent


def settings(directory: Path | None = None) -> dict[str, Any]:
    """The record of a generation, of this one by default; OSError or ValueError when unreadable."""
    path = (directory or own_directory()) / SETTINGS_FILE
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
