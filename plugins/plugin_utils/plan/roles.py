# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of each role, by the role's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import (
    flask_app,
    memcached,
    redis,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import (
    OptionProblems,
    Template,
    read,
    spec,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan

Planner = Callable[[Mapping[str, Any], Controller], Plan]

PLANNERS: Mapping[str, Planner] = {
    "flask_app": flask_app.plan,
    "memcached": memcached.plan,
    "redis": redis.plan,
}


def plan_role(
    role: str, variables: Mapping[str, Any], template: Template, controller: Controller
) -> Plan:
    """The plan of one role from the variables of a host; ValueError for a role without a plan."""
    if role not in PLANNERS:
        raise ValueError(f"role: found {role!r}; allowed are {', '.join(sorted(PLANNERS))}")
    try:
        options = read(spec(role), variables, template)
    except OptionProblems as error:
        return Plan(problems=error.problems)
    plan = PLANNERS[role](options, controller)
    if plan.packages:
        others = options.get(f"{role}_with_packages", [])
        plan.packages = list(dict.fromkeys([*plan.packages, *others]))
    return plan
