# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that nginx keeps, by its access log."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

#: Where nginx says what it did, how much of its end is read, and what it says of a kept page.
ACCESS_LOG = Path("/var/log/nginx/access.log")
READ_OF_LOG = 2 * 1024**2  # bytes
KEPT = ("HIT", "STALE", "UPDATING", "REVALIDATED")
LOGGED = re.compile(rb'"site":"([^"]+)".*?"cache":"([A-Z]+)"')


def pages(log: Path = ACCESS_LOG) -> list[dict[str, Any]]:
    """How many of the latest requests were answered with a kept page, by site."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - READ_OF_LOG, 0))
            found = LOGGED.findall(file.read())
    except OSError:  # no nginx here
        return []
    asked = Counter(site.decode() for site, _ in found)
    kept = Counter(site.decode() for site, cache in found if cache.decode() in KEPT)
    return [{"site": one, "asked": asked[one], "kept": kept[one]} for one in sorted(asked)]
