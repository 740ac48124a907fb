# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of how a release is built, the second part of its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.source import Source

DIGEST_LENGTH = 8
#: Options of which each makes another release of the same revision.
RECIPE = (
    "python",
    "installer",
    "extra_packages",
    "server_package",
    "shared_paths",
    "static",
)


def recipe_digest(options: Mapping[str, Any], source: Source) -> str:
    """A digest of how a release is built."""
    recipe = {name: options[f"flask_app_{name}"] for name in RECIPE}
    # Only where they are given: a release without them keeps its name.
    more = {
        "subdirectory": options["flask_app_subdirectory"],
        "requirement": source.requirement,
        "requirements": options["flask_app_requirements"],
        "build_commands": options["flask_app_build_commands"],
    }
    recipe |= {name: value for name, value in more.items() if value}
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
