# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a release: its revision, and a digest of how it is built."""

from __future__ import annotations

import re

REVISION_LENGTH = 12
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.]")
#: Of git the host finds the revision out; in check mode it may not be able to.
UNKNOWN = "unknown"


def release_id(revision: str, recipe: str) -> str:
    """The name of the release of a revision; ``recipe`` is a digest of how it is built."""
    return f"{NOT_IN_NAMES.sub('_', (revision or UNKNOWN)[:REVISION_LENGTH])}-{recipe}"
