# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of each role, by the role's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import (
    certificate,
    flask_app,
    gunicorn,
    memcached,
    nginx,
    redis,
    uwsgi,
    wsgi,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import (
    OptionProblems,
    Template,
    defaults,
    read,
    spec,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.renamed import (
    renamed_problems,
    slip_problems,
)

Planner = Callable[[Mapping[str, Any], Controller], Plan]

PLANNERS: Mapping[str, Planner] = {
    "certificate": certificate.plan,
    "flask_app": flask_app.plan,
    "gunicorn": gunicorn.plan,
    "memcached": memcached.plan,
    "nginx": nginx.plan,
    "redis": redis.plan,
    "uwsgi": uwsgi.plan,
    "wsgi": wsgi.plan,
}
#: A role that includes another, whose options are planned with its own.
BASES: Mapping[str, str] = {"gunicorn": "wsgi", "uwsgi": "wsgi"}


def plan_role(
    role: str, variables: Mapping[str, Any], template: Template, controller: Controller
) -> Plan:
    """The plan of one role from the variables of a host; ValueError for a role without a plan.

    The problems of a role that includes another are those of both.
    """
    if role not in PLANNERS:
        raise ValueError(f"role: found {role!r}; allowed are {', '.join(sorted(PLANNERS))}")
    if role not in BASES:
        return plan_alone(role, variables, template, controller)
    base = BASES[role]
    values = {**defaults(base), **variables}
    plan = plan_alone(role, values, template, controller)
    handed = {f"{base}_server_command": plan.data.get("command", role)}
    below = plan_alone(base, values | handed, template, controller)
    plan.problems = list(dict.fromkeys([*below.problems, *plan.problems]))
    return plan


def plan_alone(
    role: str, variables: Mapping[str, Any], template: Template, controller: Controller
) -> Plan:
    """The plan of one role without the role that it includes."""
    renamed = renamed_problems(variables, spec(role)) + slip_problems(role, variables, spec(role))
    try:
        options = read(spec(role), variables, template)
    except OptionProblems as error:
        return Plan(problems=renamed + error.problems)
    plan = PLANNERS[role](options, controller)
    plan.problems = renamed + plan.problems
    if plan.packages:
        others = options.get(f"{role}_with_packages") or []
        plan.packages = list(dict.fromkeys([*plan.packages, *others]))
    return plan
