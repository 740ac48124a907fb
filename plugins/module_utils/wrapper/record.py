# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the switch recorded of a generation, in the generation's directory."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

SETTINGS_FILE = "generation.json"
#: The least that is logged, by Python's name for it, unless the app says otherwise itself.
LOG_LEVEL = "FLASKOPS_LOG_LEVEL"
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


def set_log_level() -> None:
    """What the app logs, before it says so itself."""
    if os.environ.get(LOG_LEVEL):
        logging.getLogger().setLevel(os.environ[LOG_LEVEL].upper())
