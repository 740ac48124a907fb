# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to do for a certificate when nginx answers, by what the hosts said of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def certificate_work(
    plan: Mapping[str, Any], hostvars: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Whether this host has it issued or fetches it from the issuer now, and whom it knows.

    A call on the host that would find nothing to do is left out. ``needed`` says before the issuer
    has answered whether this host has anything to do: when the issuer acts, the others fetch.
    """
    host, issuer = plan["host"], plan["issuer"]
    results = {name: result_of(hostvars, name, "certificate_result") for name in plan["hosts"]}
    mine, introduced = results.get(host, {}), introduced_to(host, results)
    known = mine.get("known_certificates") or {}
    ready = plan["acme"] and "settled" in mine
    acts = issuer_acts(issuer, results)
    issued = result_of(hostvars, issuer, "certificate_issued")
    issues = ready and plan["issues"] and acts
    may_fetch = ready and not plan["issues"] and not issued.get("failed", False)
    news = introduced.get(issuer, "") not in {"", known.get(issuer, "")}
    unsettled = not mine.get("settled", False)
    return {
        "host_certificates": introduced,
        "issues": issues,
        "fetches": may_fetch and (unsettled or issued.get("changed", False) or news),
        "needed": issues or (may_fetch and (unsettled or acts or news)),
    }


def introduced_to(host: str, results: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What the other hosts of this run are known by."""
    return {
        name: result["host_certificate"]
        for name, result in results.items()
        if name != host and result.get("host_certificate")
    }


def issuer_acts(issuer: str, results: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the issuer has something to issue, or a host to make known."""
    mine = results.get(issuer, {})
    known = mine.get("known_certificates") or {}
    new = {**known, **introduced_to(issuer, results)} != known
    return "settled" in mine and (new or not mine["settled"])


def result_of(hostvars: Mapping[str, Mapping[str, Any]], host: str, name: str) -> Mapping[str, Any]:
    """What a task of this run returned on a host; nothing where it did not run."""
    found: Mapping[str, Any] = hostvars[host].get(name) or {} if host in hostvars else {}
    return found


class FilterModule:
    """Filters of flaskops.stack for certificates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"certificate_work": certificate_work}
