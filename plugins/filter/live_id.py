# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One name for what is live on all hosts of an app, to which the pages that Nginx keeps belong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

LENGTH = 12


def live_id(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """Name what a run made live on the hosts of an app, or found to be, by its ``wsgi_switch``.

    Empty in a run that did not look at any of them.
    """
    switches = {host: hostvars[host].get("wsgi_switch") or {} for host in hosts}
    live = {
        host: [switch.get("generation", ""), switch.get("release", "")]
        for host, switch in switches.items()
    }
    if not any(any(names) for names in live.values()):
        return ""
    return hashlib.sha256(json.dumps(live, sort_keys=True).encode()).hexdigest()[:LENGTH]


class FilterModule:
    """Filters of flaskops.stack."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"live_id": live_id}
