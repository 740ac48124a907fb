# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site: which hosts there are, in which tiers, and where they reach one another.

It is read once a run, for all hosts; everything about one host follows from it by look-ups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

TIERS = ("cache", "app", "web")
IP_ADDRESS = re.compile(r"[0-9]+([.][0-9]+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:]+")
OWN_ADDRESS = re.compile(r"127[.].*|::1")
#: Seconds after which a host that hears no more stops a generation that was only started, and those
#: that each host adds: with many hosts all take longer.
LEASE, LEASE_OF_A_HOST = 900, 60
#: Of the first cache host, what the app of other hosts has to know.
CACHE_OPTIONS = (
    "redis_port",
    "redis_password",
    "redis_acl_users",
    "redis_maxmemory_policy",
    "memcached_port",
)
#: Of the first app host, what cache hosts check against.
APP_OPTIONS = (
    "flask_app_env",
    "flask_app_env_files",
    "flask_app_env_names",
    "flask_app_env_from_environment",
    "flask_app_env_spoken",
)


@dataclass(frozen=True)
class Site:
    """All hosts of the inventory, as one host's plan needs them.

    ``addresses`` is where the other hosts reach a host: ``private_address``, ``ansible_host`` or
    its name. ``binds`` holds what people themselves say of where app hosts listen. ``cache_given``
    and ``app_given`` are options of the first cache host and the first app host, where they are
    given.
    """

    grouped: bool
    cache_hosts: Sequence[str]
    app_hosts: Sequence[str]
    web_hosts: Sequence[str]
    addresses: Mapping[str, str]
    binds: Sequence[str] = ()
    cache_given: Mapping[str, Any] = field(default_factory=dict)
    app_given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether every web host asks every app host over TCP.

        Whoever says where the app listens connects these two tiers by hand.
        """
        both = set(self.app_hosts) | set(self.web_hosts)
        tiers = bool(self.app_hosts) and bool(self.web_hosts)
        return self.grouped and tiers and len(both) > 1 and not self.binds

    @property
    def phase(self) -> str:
        """How a host of the app switches: with others it waits for all of them to have started."""
        return "start" if len(self.app_hosts) > 1 else "whole"

    @property
    def lease(self) -> int:
        """Seconds for which a generation that was only started waits for the other hosts."""
        return LEASE + LEASE_OF_A_HOST * len(self.app_hosts)

    def tiers_of(self, host: str) -> list[str]:
        """The tiers that a host is in."""
        hosts = {"cache": self.cache_hosts, "app": self.app_hosts, "web": self.web_hosts}
        return [tier for tier in TIERS if host in hosts[tier]]

    def unreachable(self, hosts: Iterable[str]) -> list[str]:
        """Hosts that others cannot reach at the address there is, each as ADDRESS for HOST."""
        return [
            f"{self.addresses[host]} for {host}"
            for host in hosts
            if not IP_ADDRESS.fullmatch(self.addresses[host])
            or OWN_ADDRESS.fullmatch(self.addresses[host])
        ]

    def cache_host_of(self, host: str) -> str:
        """The host whose cache a host's app uses: its own where there is one, else the first."""
        if host in self.cache_hosts:
            return host
        return self.cache_hosts[0] if self.cache_hosts else ""

    def cache_clients_of(self, host: str) -> list[str]:
        """App hosts elsewhere that ask a cache host: all of them ask the first one."""
        if not self.cache_hosts or host != self.cache_hosts[0]:
            return []
        return sorted(set(self.app_hosts) - set(self.cache_hosts))

    def sockets(self, port: int) -> dict[str, str]:
        """Where each app host listens, as address:port; an IPv6 address is in brackets."""
        return {host: f"{netloc(self.addresses[host])}:{port}" for host in self.app_hosts}

    def as_data(self) -> dict[str, Any]:
        """The site as plain data, for the result of a task."""
        return asdict(self) | {"phase": self.phase, "lease": self.lease}


def netloc(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address


def read_site(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> Site:
    """The site that an inventory describes.

    In an inventory without any of the groups cache, app and web every host has all tiers.
    """
    everyone = list(groups["all"])
    grouped = any(tier in groups for tier in TIERS)
    cache, app, web = (list(groups.get(tier, [])) if grouped else everyone for tier in TIERS)
    return Site(
        grouped=grouped,
        cache_hosts=cache,
        app_hosts=app,
        web_hosts=web,
        addresses={host: address_of(host, hostvars[host]) for host in everyone},
        binds=[bind for host in app if (bind := hostvars[host].get("wsgi_bind"))],
        cache_given=given(hostvars, cache, CACHE_OPTIONS),
        app_given=given(hostvars, app, APP_OPTIONS),
    )


def address_of(host: str, variables: Mapping[str, Any]) -> str:
    """Where the other hosts reach a host."""
    return str(variables.get("private_address") or variables.get("ansible_host") or host)


def given(
    hostvars: Mapping[str, Mapping[str, Any]], hosts: Sequence[str], names: Iterable[str]
) -> dict[str, Any]:
    """What inventory and command line say of the first of some hosts."""
    if not hosts:
        return {}
    variables = hostvars[hosts[0]]
    return {name: variables[name] for name in names if name in variables}
