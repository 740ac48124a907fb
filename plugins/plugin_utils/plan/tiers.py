# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of one host over all its tiers: every problem at once, and what the topology decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import (
    app_tier,
    cache_tier,
    web_tier,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import (
    OptionProblems,
    defaults,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import TIERS
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import Tier, View

PLANS: Mapping[str, Callable[[View], Tier]] = {
    "cache": cache_tier.plan,
    "app": app_tier.plan,
    "web": web_tier.plan,
}


@dataclass
class HostPlan:
    """What follows from the inventory for one host.

    ``options`` are options of roles that the topology decides, as final values: what people say
    stands. ``roles`` are the roles of each tier, ``packages`` what all of them need. ``asks_app``
    is a URL of the app on another host that this one must be let in to ask.
    """

    tiers: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    asks_app: str = ""


def plan_host(view: View, tiers: Sequence[str] = TIERS) -> HostPlan:
    """Plan the tiers that a host is in, or some of them."""
    host = HostPlan(tiers=[tier for tier in view.site.tiers_of(view.host) if tier in tiers])
    planned: dict[str, Plan] = {}
    for name in host.tiers:
        try:
            tier = PLANS[name](view)
        except OptionProblems as error:
            tier = Tier(problems=error.problems)
        host.options |= tier.options
        host.roles[name] = tier.roles
        host.problems += tier.problems
        host.hints += tier.hints
        host.asks_app = host.asks_app or tier.asks_app
        # The tags of the run may leave a role out.
        planned |= {
            role: plan_role_of(host, role, view) for role in tier.roles if view.includes(role)
        }
    for plan in planned.values():
        host.problems += plan.problems
        host.hints += plan.hints
    host.problems = list(dict.fromkeys(host.problems))
    share_packages(host, planned)
    return host


def plan_role_of(host: HostPlan, role: str, view: View) -> Plan:
    """The plan of a role on a host, with the options that the topology decides."""
    values = {**defaults(role), **view.variables, **host.options}
    return plan_role(role, values, view.template, view.controller)


def share_packages(host: HostPlan, planned: Mapping[str, Plan]) -> None:
    """Let the first role that installs anything install for all, in one transaction."""
    everything = [name for plan in planned.values() for name in plan.packages]
    host.packages = list(dict.fromkeys(everything))
    for role in (role for roles in host.roles.values() for role in roles):
        host.options[f"{role}_with_packages"] = []
    for role, plan in planned.items():
        if plan.packages:
            host.options[f"{role}_with_packages"] = host.packages
            return
