# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that hold for the options of every WSGI server's role."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules


def number_problems(options: Mapping[str, Any], least: Mapping[str, int]) -> list[str]:
    """Numbers that are below their least."""
    return [text for name in least for text in rules.at_least(name, options[name], least[name])]


def own_problems(name: str, given: Mapping[str, Any], own: Collection[str]) -> list[str]:
    """Settings in the server's own names that its role decides."""
    if not (taken := sorted(set(own) & set(given))):
        return []
    return [
        f"{name}: found {', '.join(taken)}; the role decides these, some by a variable of its own"
        " such as wsgi_bind"
    ]


def written(form: Callable[[Any], str], settings: Mapping[str, Any], problems: list[str]) -> str:
    """Settings in a program's own form; what the form does not hold adds to the problems."""
    try:
        return form(settings)
    except AnsibleFilterError as error:
        problems.append(str(error))
        return ""
