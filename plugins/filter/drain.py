# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module drain found on a web server, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.flaskops.stack.plugins.module_utils.drain.upstream import host_of


def drain_lines(
    sites: Mapping[str, Mapping[str, Sequence[str]]], addresses: Mapping[str, str]
) -> list[str]:
    """One line a site and server: the site, the host by its name in the inventory, its state."""
    names = {address: host for host, address in addresses.items()}
    found = [
        (site, host_of(server), state)
        for site, states in sites.items()
        for state, servers in states.items()
        for server in servers
    ]
    return [f"{site} {names.get(address, address)} {state}" for site, address, state in found]


class FilterModule:
    """Filters of flaskops.stack for playbooks/drain.yml."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Filters by name."""
        return {"drain_lines": drain_lines}
