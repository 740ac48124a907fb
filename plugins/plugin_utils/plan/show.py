# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as people and programs may see it: without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import spec

HIDDEN = "(secret)"
#: User and password in a URL.
LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
#: Options that a plan decides for the playbooks alone, which nobody gives.
INTERNAL = re.compile(r".*_(with_packages|phase|lease|lock)")
GAP = "  "


def public(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Tiers, roles, options and packages of a host without passwords, keys and logins in URLs."""
    roles = [role for roles in plan["roles"].values() for role in roles]
    secrets = {name for role in roles for name in secret_names(spec(role))}
    options = {
        name: HIDDEN if name in secrets and value else without_logins(value)
        for name, value in plan["options"].items()
        if not INTERNAL.fullmatch(name)
    }
    return {
        "tiers": plan["tiers"],
        "roles": plan["roles"],
        "options": options,
        "packages": sorted(plan["packages"]),
        "hints": list(plan["hints"]),
    }


def secret_names(options: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """The options that a spec marks as secret."""
    return (name for name, option in options.items() if option.get("no_log"))


def without_logins(value: Any) -> Any:
    """A value in which no URL names a user or a password."""
    if isinstance(value, str):
        return LOGIN.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {name: without_logins(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_logins(one) for one in value]
    return value


def lines(plans: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The public plans of some hosts as text: a line for the host, one for each thing below it."""
    told: list[str] = []
    for host, plan in plans.items():
        rows = {tier: " ".join(roles) or "-" for tier, roles in plan["roles"].items()}
        for name, value in plan["options"].items():
            if isinstance(value, Mapping):
                rows |= {f"{name}.{key}": text(one) for key, one in value.items()}
            else:
                rows[name] = text(value)
        rows["packages"] = " ".join(plan["packages"]) or "-"
        rows |= {f"hint {number}": hint for number, hint in enumerate(plan["hints"], 1)}
        width = max(map(len, rows))
        told.append(f"{host}: {', '.join(plan['tiers'])}")
        told += [f"{GAP}{name:<{width}}{GAP}{value}" for name, value in rows.items()]
    return told


def text(value: Any) -> str:
    """A value on one line; text without quotes."""
    if isinstance(value, str):
        return value or '""'
    return json.dumps(value, ensure_ascii=False)
