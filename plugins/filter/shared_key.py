# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of a run have found out together, of the SECRET_KEY that they share above all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.shared_key import (
    any_served,
    key_offers,
    keys_differ,
)


class FilterModule:
    """Filters of flaskops.stack for the role flask_app."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"any_served": any_served, "key_offers": key_offers, "keys_differ": keys_differ}
