# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an app's source is: the one text that people write, told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.source import read_source


def app_source(source: str, checksum: str = "") -> dict[str, Any]:
    """What ``flask_app_source`` names."""
    return asdict(read_source(str(source), str(checksum)))


class FilterModule:
    """Filter flaskops.stack.app_source."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"app_source": app_source}
