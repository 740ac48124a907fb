# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the app is told of its cache: REDIS_URL and the settings of Flask-Caching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.cache_settings import (
    memcached_environment,
    redis_environment,
    redis_login_problem,
)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "memcached_environment": memcached_environment,
            "redis_environment": redis_environment,
            "redis_login_problem": redis_login_problem,
        }
