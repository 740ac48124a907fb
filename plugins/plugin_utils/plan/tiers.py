# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of one host over all its tiers: every problem at once, and what the topology decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import cache_tier
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import (
    OptionProblems,
    defaults,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import Tier, View

PLANS: Mapping[str, Callable[[View], Tier]] = {
    "cache": cache_tier.plan,
}


@dataclass
class HostPlan:
    """What follows from the inventory for one host.

    ``options`` are options of roles that the topology decides, as final values: what people say
    stands. ``roles`` are the roles of each tier, ``packages`` what all of them need.
    """

    tiers: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def plan_host(view: View) -> HostPlan:
    """Plan every tier of a host."""
    host = HostPlan(tiers=view.site.tiers_of(view.host))
    for name in host.tiers:
        if name not in PLANS:
            continue
        try:
            tier = PLANS[name](view)
        except OptionProblems as error:
            tier = Tier(problems=error.problems)
        host.options |= tier.options
        host.roles[name] = tier.roles
        host.problems += tier.problems
        for role in tier.roles:
            plan_into(host, role, view)
    host.problems = list(dict.fromkeys(host.problems))
    return host


def plan_into(host: HostPlan, role: str, view: View) -> None:
    """Add a role's packages and problems, unless the tags of the run leave the role out."""
    if not view.includes(role):
        return
    values = {**defaults(role), **view.variables, **host.options}
    planned = plan_role(role, values, view.template, view.controller)
    host.problems += planned.problems
    host.packages += [name for name in planned.packages if name not in host.packages]
