# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of templates and playbooks for lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.text import as_list


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"as_list": as_list}
