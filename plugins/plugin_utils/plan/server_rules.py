# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that hold for the options of every WSGI server's role."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules

#: What an error begins with: the form that it comes from.
FORM = re.compile(r"^\w+_settings: ")
NO_LIMIT: Mapping[str, int] = MappingProxyType({})


def number_problems(
    options: Mapping[str, Any], least: Mapping[str, int], most: Mapping[str, int] = NO_LIMIT
) -> list[str]:
    """Numbers that are below their least or above their most."""
    low = [text for name in least for text in rules.at_least(name, options[name], least[name])]
    return low + [text for name in most for text in rules.up_to(name, options[name], most[name])]


def own_problems(name: str, given: Mapping[str, Any], own: Collection[str]) -> list[str]:
    """Settings in the server's own names that its role decides."""
    if not (taken := sorted(set(own) & set(given))):
        return []
    return [
        f"{name}: found {', '.join(taken)}; the role decides these, some by a variable of its own"
        " such as wsgi_bind"
    ]


def written(
    name: str, form: Callable[[Any], str], settings: Mapping[str, Any], problems: list[str]
) -> str:
    """Settings of an option in a program's form; what that does not hold adds to the problems."""
    try:
        return form(settings)
    except AnsibleFilterError as error:
        problems.append(f"{name}: {FORM.sub('', str(error))}")
        return ""
