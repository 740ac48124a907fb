# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a release: what people give, what only the host knows, and defaults."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.flaskops.stack.plugins.module_utils.environment import to_file

#: Flask takes settings from environment variables with this prefix.
PREFIX = "FLASK_"
KEY = "SECRET_KEY"


def bare(name: str) -> str:
    """The name of a setting, without the prefix that Flask takes it from the environment by."""
    return name.removeprefix(PREFIX)


def takes_our_key(given: Mapping[str, str], own: set[str]) -> bool:
    """Whether nobody else sets the SECRET_KEY; ``own`` are the names that the app's files set."""
    return KEY not in {bare(name) for name in {*given, *own}}


def environment_text(
    given: Mapping[str, str],
    facts: Mapping[str, str],
    defaults: Mapping[str, str],
    keys: Mapping[str, str],
    own: set[str],
) -> str:
    """The file that systemd reads. Defaults and keys count where nobody else has set them."""
    taken = {bare(name) for name in {*given, *own}}
    # Flask reads one spelling, and an app's own configuration the other.
    spelled = {name: value for n, value in keys.items() for name in (PREFIX + n, n)}
    offered = {**defaults, **spelled}
    free = {name: value for name, value in offered.items() if bare(name) not in taken}
    return to_file({**given, **facts, **free})
