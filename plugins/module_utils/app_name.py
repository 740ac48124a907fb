# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names an app can have: its user, its directory and its units are called so."""

from __future__ import annotations

import re
from typing import Any

APP_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
ALLOWED = "up to 31 small letters, digits and hyphens, a letter first"
#: The argument spec of the options that the modules for an app have in common.
APP_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
}


def name_problem(option: str, name: str) -> str:
    """What is wrong with the name that an option holds; empty when nothing is."""
    if APP_NAME.fullmatch(name):
        return ""
    return f"{option}: found {name!r}; allowed are {ALLOWED}"
