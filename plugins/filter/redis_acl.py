# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of Redis: what cannot be, and the file that Redis reads them from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.redis_users import (
    redis_acl,
    redis_user_problems,
)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"redis_acl": redis_acl, "redis_user_problems": redis_user_problems}
