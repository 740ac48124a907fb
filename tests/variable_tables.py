#!/usr/bin/env python3
"""Write the tables of variables in the roles' READMEs and docs/environment.md, from the specs.

`variable_tables.py` writes them; with `--check` it writes nothing, names the pages whose tables are
stale, and ends with 1. The text of a page outside the two marks is written by hand.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.flaskops.stack.plugins.plugin_utils import options  # noqa: E402
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import (  # noqa: E402
    spec,
)

Option = options.Option

ENVIRONMENT = ROOT / "docs" / "environment.md"
BEGIN = "<!-- made from the argument specs by `make docs` -->\n"
END = "<!-- end -->\n"
#: Ansible's markup for code, a value or an option in a description.
MARKUP = re.compile(r"\b[CVO]\(([^)]*)\)")
#: What may be the name of a variable, unless it is marked as code already.
NAME = re.compile(r"(?<![`\w])[a-z]+(?:_[a-z]+)+(?![`\w])")


class MarkError(Exception):
    """A page does not have both marks, once each and in order."""


def table(found: Iterable[Option], *, capitals: bool = False) -> str:
    """Return a table of variables; in capitals, as the environment has them."""
    text = "| variable | type | default | is |\n| --- | --- | --- | --- |\n"
    for option in found:
        name = option.variable if capitals else option.name
        default = "required" if option.required else shown(option.default, typed=capitals)
        cells = [f"`{name}`", option.kind, default, described(option)]
        text += f"| {' | '.join(escaped(cell) for cell in cells)} |\n"
    return text


def escaped(cell: str) -> str:
    """Return a text that a cell of a table can hold."""
    return cell.replace("|", "\\|")


def described(option: Option) -> str:
    """Return what a variable is, with its choices and the keys of its items."""
    text = NAME.sub(quoted, MARKUP.sub(r"`\1`", option.description.strip()))
    if option.choices:
        choices = [f"`{choice}`" if choice else "empty" for choice in option.choices]
        text += f" One of {', '.join(choices)}."
    for key in option.keys:
        text += f"<br>`{key.name}`{of_key(key)}: {described(key)}"
    return text


def quoted(found: re.Match[str]) -> str:
    """Return a name, as code where it is a variable's."""
    return f"`{found[0]}`" if found[0].upper() in known() else found[0]


@functools.cache
def known() -> dict[str, Option]:
    """Return every variable there is."""
    return options.load()


def of_key(key: Option) -> str:
    """Return whether an item must have a key, or the key's default where it has one."""
    if key.required:
        return ", required"
    return "" if key.default is None else f", {shown(key.default, typed=False)}"


def shown(default: Any, *, typed: bool) -> str:
    """Return a default; typed, as a text in the environment, else as YAML."""
    if default is None or default == "" or (typed and default in ([], {})):
        return "empty"
    if isinstance(default, str):
        text = default
    elif typed and isinstance(default, list) and all(isinstance(item, str) for item in default):
        text = ",".join(default)
    else:
        text = json.dumps(default)
        text = text if typed else text.replace('"', "")
    return f"`{text}`"


def environment() -> str:
    """Return one table for the playbooks and for each role, with the names of the environment."""
    text = ""
    for role, members in groupby(known().values(), key=lambda option: option.role):
        text += f"\n### {role or 'Playbooks'}\n\n{table(members, capitals=True)}"
    return f"{text}\n"


def of_role(role: str) -> str:
    """Return the table of one role."""
    own = {name: one for name, one in spec(role).items() if name.startswith(f"{role}_")}
    return table(options.role_option(role, name, one) for name, one in own.items())


def pages() -> dict[Path, str]:
    """Return every page with its tables by its path."""
    roles = sorted(path.parents[1].name for path in options.ROLES.glob("*/meta/argument_specs.yml"))
    found = {ROOT / "roles" / role / "README.md": of_role(role) for role in roles}
    return {ENVIRONMENT: environment(), **found}


def with_tables(text: str, tables: str) -> str:
    """Return a page's text with its tables made anew; MarkError where the marks are not there."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise MarkError(f"needs the lines {BEGIN.strip()} and {END.strip()} once each")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{tables}{END}{after}"


def stale(found: dict[Path, str]) -> dict[Path, str]:
    """Return the new text of each page that is not as the specs have it."""
    new = {}
    for path, tables in found.items():
        text = path.read_text(encoding="utf-8")
        try:
            made = with_tables(text, tables)
        except MarkError as error:
            raise MarkError(f"{path}: {error}") from None
        if made != text:
            new[path] = made
    return new


def main(argv: Sequence[str]) -> int:
    """Write or check the tables; return 1 when a check finds a stale page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing, name stale pages")
    check = parser.parse_args(argv).check
    new = stale(pages())
    for path, text in new.items():
        print(f"{path.relative_to(ROOT)}: {'stale, run `make docs`' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return 1 if check and new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
