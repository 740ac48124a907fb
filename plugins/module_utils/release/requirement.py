# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of distributions, in the normal form of PEP 503."""

from __future__ import annotations

import re
from pathlib import Path

REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def requirement_name(requirement: str) -> str:
    """The distribution that a requirement asks for; empty when it names none."""
    found = REQUIREMENT.match(requirement)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def distribution(info: Path) -> str:
    """The distribution that a .dist-info directory describes, in the same form."""
    return requirement_name(info.name.partition("-")[0])
