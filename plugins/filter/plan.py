# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan as text for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.show import lines


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"plan_lines": lines}
