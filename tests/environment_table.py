#!/usr/bin/env python3
"""Write the tables of docs/environment.md from the roles' argument specs.

The text around them, outside the two marks, is written by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.flaskops.stack.plugins.plugin_utils import options  # noqa: E402

PAGE = ROOT / "docs" / "environment.md"
BEGIN = "<!-- from the argument specs, by tests/environment_table.py -->\n"
END = "<!-- end -->\n"


def tables(found: Iterable[options.Option]) -> str:
    """Return one table for the playbooks and for each role."""
    text = ""
    for role, members in groupby(found, key=lambda option: option.role):
        text += f"\n### {role or 'Playbooks'}\n\n"
        text += "| variable | type | default | is |\n| --- | --- | --- | --- |\n"
        text += "".join(f"| {' | '.join(map(cell, row(option)))} |\n" for option in members)
    return text + "\n"


def row(option: options.Option) -> tuple[str, str, str, str]:
    """Return an option's cells."""
    default = "required" if option.required else shown(option.default)
    is_ = option.description
    if option.choices:
        is_ += f" One of {', '.join(f'`{choice}`' for choice in option.choices)}."
    return f"`{option.variable}`", option.kind, default, is_


def shown(default: Any) -> str:
    """Return a default as it can be typed."""
    if isinstance(default, list) and all(isinstance(item, str) for item in default):
        default = ",".join(default)
    elif not isinstance(default, str):
        default = "" if default in (None, {}, []) else json.dumps(default)
    return f"`{default}`" if default else "empty"


def cell(text: str) -> str:
    """Return a text that a table can hold."""
    return text.replace("|", "\\|")


def page(text: str) -> str:
    """Return the page with its tables made anew."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + tables(options.load().values()) + END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
