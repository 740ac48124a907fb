# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate as certbot keeps it."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.pair import Pair

LETSENCRYPT = Path("/etc/letsencrypt")
SERVER = re.compile(r"^server = (.*)$", re.MULTILINE)
THRESHOLD = re.compile(r"^#?\s*renew_before_expiry\s*=.*\n", re.MULTILINE)


class Lineage:
    """What certbot has of a certificate, under its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def renewal(self) -> Path:
        """Certbot's own file about it."""
        return LETSENCRYPT / "renewal" / f"{self.name}.conf"

    def pair(self) -> Pair | None:
        """The certificate, None when certbot has none."""
        place = LETSENCRYPT / "live" / self.name
        try:
            chain, key = (place / "fullchain.pem"), (place / "privkey.pem")
            return Pair(chain.read_bytes(), key.read_bytes(), "acme")
        except OSError:
            return None

    def server(self) -> str:
        """The directory URL of the server that it came from; empty when certbot does not say."""
        found = SERVER.search(self.renewal.read_text("utf-8"))
        return found[1].strip() if found else ""

    def renew_before(self, hours: int) -> bool:
        """Tell certbot when to renew: its own 30 days do not suit every lifetime."""
        line = f"renew_before_expiry = {hours} hours\n"
        text = self.renewal.read_text("utf-8")
        if line in text:
            return False
        files.write(self.renewal, line + THRESHOLD.sub("", text), 0o644)
        return True
