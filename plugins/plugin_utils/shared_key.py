# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of a run have found out about the SECRET_KEY that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: Where the role flask_app has the results of its modules release and secret_key.
RELEASE, KEY = "__flask_app_release", "__flask_app_key"


def found(hostvars: Mapping[str, Any], hosts: Iterable[str], result: str, name: str) -> list[Any]:
    """A value of a task's result on all hosts that have it.

    A host whose task failed has none, and takes no part.
    """
    results = [hostvars[host][result] for host in hosts if result in hostvars[host]]
    return [one[name] for one in results if name in one]


def keys_differ(hostvars: Mapping[str, Any], hosts: Iterable[str]) -> bool:
    """Whether the hosts have to agree on one key first: one has none, or another one."""
    digests = set(found(hostvars, hosts, RELEASE, "key_digest"))
    return len(digests) > 1 or "" in digests


def any_served(hostvars: Mapping[str, Any], hosts: Iterable[str]) -> str:
    """Whether the app has served on any of its hosts: yes, no, or unknown where one is missing."""
    told = [found(hostvars, [host], RELEASE, "served") for host in hosts]
    if any(True in one for one in told):
        return "yes"
    return "no" if all(told) else "unknown"


def key_offers(
    hostvars: Mapping[str, Any], hosts: Iterable[str], elsewhere: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What all hosts offer, those that the run leaves out too; each offer once."""
    offers = [*found(hostvars, hosts, KEY, "offer"), *(one["offer"] for one in elsewhere)]
    return [offer for number, offer in enumerate(offers) if offer not in offers[:number]]
