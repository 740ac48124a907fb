# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an app signs with the SECRET_KEY that it was given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

GIVEN = ("SECRET_KEY", "FLASK_SECRET_KEY")


def has_own_key(app: Any) -> bool:
    """Whether it has another one, such as a word in its code that everybody may read there."""
    given = {os.environ[name] for name in GIVEN if name in os.environ}
    config = getattr(app, "config", None)
    key = config.get("SECRET_KEY") if isinstance(config, Mapping) else None
    if not given or not key:
        return False
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    return text not in given
