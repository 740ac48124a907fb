# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``packages`` of the modules that look before they act."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of module_utils.packages.PACKAGES_OPTION."""

    DOCUMENTATION = r"""
options:
  packages:
    description:
      - Distribution packages that must be installed. When one is missing, nothing else is done, and
        RV(missing_packages) names it.
    type: list
    elements: str
    default: []
"""
