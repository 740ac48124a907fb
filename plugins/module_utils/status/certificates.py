# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that visitors are shown."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import TlsError
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.site import Site, every


def certificates(name: str) -> list[dict[str, Any]]:
    """Those that are kept on the host, or the one of that name."""
    return [
        certificate(site)
        for site in every()
        if name in ("", site.name) and not site.settings.get("retired")
    ]


def certificate(site: Site) -> dict[str, Any]:
    """What a site's visitors are shown."""
    live = site.live()
    told: dict[str, Any] = {"name": site.name, "source": live.source if live else "lost"}
    told |= {"days_left": -1, "names": [], "issuer": bool(site.settings.get("issuer", True))}
    with suppress(TlsError):
        if live is not None:
            facts = live.facts()
            told |= {"days_left": facts.days_left, "names": sorted(facts.names)}
    return told
