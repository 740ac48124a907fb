# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules that work on an app."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of module_utils.app_name.APP_OPTIONS."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the app, up to 31 small letters, digits and hyphens, a letter first.
    type: str
    required: true
  home:
    description: Directory of the app.
    type: path
    required: true
  user:
    description: System user, and group, of the app.
    type: str
    required: true
"""
