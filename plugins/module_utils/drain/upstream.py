# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers in the file of a site, in use or drained."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

#: A server of an upstream as the role writes it, with the mark it keeps.
MARK = " down; # drained"
SERVER = re.compile(rf"^( *server )(\S+)(.*?)({MARK}|;)$", re.MULTILINE)


class DrainError(Exception):
    """It cannot be done; nothing was changed."""


def host_of(server: str) -> str:
    """The address of a server, without its port and brackets."""
    return re.sub(r":\d+$", "", server).strip("[]")


def servers(text: str) -> dict[str, list[str]]:
    """The servers of a site's file that are in use and those that are drained."""
    found: dict[str, list[str]] = {"active": [], "drained": []}
    for _, server, _, end in SERVER.findall(text):
        found["drained" if end == MARK else "active"].append(server)
    return found


def marked(text: str, addresses: Collection[str], state: str) -> str:
    """The site's file with the servers of these hosts drained, or in use again."""
    end = MARK if state == "drained" else ";"

    def mark(line: re.Match[str]) -> str:
        return f"{line[1]}{line[2]}{line[3]}{end}" if host_of(line[2]) in addresses else line[0]

    return SERVER.sub(mark, text)


def plan(texts: dict[Path, str], addresses: Collection[str], state: str) -> dict[Path, str]:
    """The files to write; DrainError when a site is left without a server, or none has the host."""
    known = {host_of(name) for text in texts.values() for _, name, *_ in SERVER.findall(text)}
    for address in addresses:
        if address not in known:
            raise DrainError(
                f"addresses: found {address}; the servers are {', '.join(sorted(known)) or 'none'}"
            )
    after = {path: marked(text, addresses, state) for path, text in texts.items()}
    for path, text in after.items():
        if text != texts[path] and not servers(text)["active"]:
            raise DrainError(f"{path.stem}: no server would be left; nothing was changed")
    return {path: text for path, text in after.items() if text != texts[path]}
