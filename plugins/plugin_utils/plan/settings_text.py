# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings as the text of a program's own configuration file."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

#: uWSGI's own names.
INI_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
LINE_BREAK = re.compile(r"[\r\n\0]")


def python_settings(settings: Any) -> str:
    """A dict as Python assignments, such as Gunicorn's configuration file."""
    if not isinstance(settings, Mapping):
        kind = type(settings).__name__
        raise AnsibleFilterError(f"python_settings: settings are a dict, found {kind}")
    for name in settings:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise AnsibleFilterError(f"python_settings: {name!r} is not the name of a setting")
    return "".join(f"{name} = {_plain(value)!r}\n" for name, value in settings.items())


def unit_settings(settings: Any) -> str:
    """A dict as lines of a systemd unit: yes and no for booleans, a list repeats the setting."""
    if not isinstance(settings, Mapping):
        kind = type(settings).__name__
        raise AnsibleFilterError(f"unit_settings: settings are a dict, found {kind}")
    lines = []
    for name, value in settings.items():
        if not isinstance(name, str) or not name.isalnum():
            raise AnsibleFilterError(f"unit_settings: {name!r} is not the name of a setting")
        for item in value if isinstance(value, list) else [value]:
            one = ("yes" if item else "no") if isinstance(item, bool) else item
            if "\n" in str(one):
                raise AnsibleFilterError(f"unit_settings: {name} has a line break in its value")
            if one is not None:
                lines.append(f"{name}={one}\n")
    return "".join(lines)


def ini_settings(settings: Any) -> str:
    """A dict as uWSGI's settings: true and false for booleans, a list repeats the setting.

    A value of null is left out. ``%`` is doubled, for alone it would begin one of uWSGI's own
    variables.
    """
    if not isinstance(settings, Mapping):
        kind = type(settings).__name__
        raise AnsibleFilterError(f"ini_settings: settings are a dict, found {kind}")
    lines = []
    for name, value in settings.items():
        if not isinstance(name, str) or not INI_NAME.fullmatch(name):
            raise AnsibleFilterError(f"ini_settings: {name!r} is not the name of a setting")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping | list):
                raise AnsibleFilterError(f"ini_settings: {name} has a value that is no text")
            one = json.dumps(item) if isinstance(item, bool) else str(item)
            if LINE_BREAK.search(one):
                raise AnsibleFilterError(f"ini_settings: {name} has a line break in its value")
            if item is not None:
                lines.append(f"{name} = {one.replace('%', '%%')}\n")
    return "".join(lines)


def _plain(value: Any) -> Any:
    """Without the marks that Ansible puts on text it has templated."""
    return json.loads(json.dumps(value))
