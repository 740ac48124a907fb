# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate and a key that were given can serve a site, before any host has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def certificate_problem(fullchain: str, key: str, domains: Sequence[str] = ()) -> str:
    """What is wrong with a certificate, its key and its names, without a word of the key."""
    # Here, because Ansible loads this file for each task that uses any filter of the collection.
    from ansible_collections.flaskops.stack.plugins.plugin_utils import certificate

    return certificate.certificate_problem(fullchain, key, domains)


class FilterModule:
    """Filters of flaskops.stack for certificates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"certificate_problem": certificate_problem}
