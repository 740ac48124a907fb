# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why configuration files were not written."""

from __future__ import annotations


class ConfigError(Exception):
    """What the user is told; nothing on the host has changed when it is raised."""
