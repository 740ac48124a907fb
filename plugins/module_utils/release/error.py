# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a release was not built."""

from __future__ import annotations


class ReleaseError(Exception):
    """The release could not be built; nothing that runs was touched."""
