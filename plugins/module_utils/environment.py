# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An app's environment in its forms, and the quoting of systemd, each written once.

Controller and module exchange it as JSON, systemd reads it as a file of ``NAME="value"`` lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What systemd unescapes between double quotes, systemd.exec(5) EnvironmentFile=.
SPECIAL = re.compile(r'(["\\`$])')
LINE = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"$', re.MULTILINE | re.DOTALL)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class EnvironmentFormatError(ValueError):
    """A name or a value that no process can have. The message never holds a value."""


def checked_name(name: Any) -> str:
    """The name itself; EnvironmentFormatError for one that no process could use."""
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise EnvironmentFormatError(
        f"environment variable {name!r}: a name has letters, digits and underscores, and no digit"
        " first"
    )


def text_of(name: str, value: Any) -> str:
    """A value as the text that a process finds: JSON for booleans, numbers, lists and dicts."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if "\0" in text:
        raise EnvironmentFormatError(f"environment variable {name}: a value cannot hold a NUL byte")
    return text


def texts(environment: Mapping[Any, Any]) -> dict[str, str]:
    """Every value as text, sorted by name, without those of None; EnvironmentFormatError."""
    found = {}
    for name in sorted(environment, key=str):
        checked = checked_name(name)
        if environment[name] is not None:
            found[checked] = text_of(checked, environment[name])
    return found


def from_json(text: str) -> dict[str, str]:
    """The environment that a module got from the controller; no text is an empty one."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise EnvironmentFormatError("an environment is an object in JSON (value not shown)")
    return texts(found)


def to_file(environment: Mapping[str, str]) -> str:
    """Lines for systemd's ``EnvironmentFile=``, in the order given, every value byte for byte."""
    return "".join(f'{name}="{quoted(value)}"\n' for name, value in environment.items())


def from_file(text: str) -> dict[str, str]:
    """Names and values of the lines that ``to_file`` writes."""
    return {name: ESCAPED.sub(r"\1", value) for name, value in LINE.findall(text)}


def quoted(value: str) -> str:
    """A value as it stands between the double quotes of an environment file."""
    return SPECIAL.sub(r"\\\1", value)


def unit_word(word: str) -> str:
    """A word of a command line in a unit, systemd.service(5) COMMAND LINES, kept as it is."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("%", "%%").replace("$", "$$") + '"'
