# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to do for a certificate when nginx answers, by what the hosts said of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def certificate_work(
    plan: Mapping[str, Any], hostvars: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Whether this host has it issued or takes it from the issuer now, and whom it knows.

    A call on the host that would find nothing to do is left out.
    """
    host, issuer = plan["host"], plan["issuer"]
    results = {name: result_of(hostvars, name, "certificate_result") for name in plan["hosts"]}
    introduced = {
        name: result["host_certificate"]
        for name, result in results.items()
        if name != host and result.get("host_certificate")
    }
    mine = results.get(host, {})
    known = mine.get("known_certificates") or {}
    ready = plan["acme"] and "settled" in mine
    unsettled = not mine.get("settled", False)
    issued = result_of(hostvars, issuer, "certificate_issued")
    news = introduced.get(issuer, "") not in {"", known.get(issuer, "")}
    return {
        "host_certificates": introduced,
        "issues": ready and plan["issues"] and (unsettled or {**known, **introduced} != known),
        "fetches": ready
        and not plan["issues"]
        and not issued.get("failed", False)
        and (unsettled or issued.get("changed", False) or news),
    }


def result_of(hostvars: Mapping[str, Mapping[str, Any]], host: str, name: str) -> Mapping[str, Any]:
    """What a task of this run returned on a host; nothing where it did not run."""
    found: Mapping[str, Any] = hostvars[host].get(name) or {} if host in hostvars else {}
    return found


class FilterModule:
    """Filters of flaskops.stack for certificates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"certificate_work": certificate_work}
