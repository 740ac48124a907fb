# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nginx of this host is built of, and lines of its files that are for some builds only."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from ansible_collections.flaskops.stack.plugins.module_utils.nginx_service import PROGRAM

Version = tuple[int, ...]

#: Where nothing is known yet: what is newest in Debian 13.
NEWEST: Mapping[str, Version] = {"nginx": (1, 26), "openssl": (3, 5)}
PATTERNS = {"nginx": r"nginx/([0-9.]+)", "openssl": r"OpenSSL ([0-9.]+)"}
#: The end of a line that is for some builds only, such as ``#? nginx >= 1.25.1``.
NOTE = re.compile(r"\s*#\? (?P<program>nginx|openssl) (?P<sign>>=|<) (?P<version>[0-9.]+)$")


def version(text: str) -> Version:
    """1.25.1 as numbers."""
    return tuple(int(part) for part in text.strip(".").split("."))


def versions_in(told: str) -> dict[str, Version]:
    """The versions that ``nginx -V`` tells; of OpenSSL the one that runs, which it names last."""
    found = {name: re.findall(pattern, told) for name, pattern in PATTERNS.items()}
    return {**NEWEST, **{name: version(texts[-1]) for name, texts in found.items() if texts}}


def ask() -> dict[str, Version]:
    """The versions of this host; the newest there are while nginx is not installed."""
    try:
        done = subprocess.run([PROGRAM, "-V"], capture_output=True, text=True, check=False)
    except OSError:
        return dict(NEWEST)
    return versions_in(done.stderr)


def for_build(text: str, versions: Mapping[str, Version]) -> str:
    """A file's text for one build: lines for other builds are left out, and so is the note."""
    lines = []
    for line in text.splitlines(keepends=True):
        note = NOTE.search(line.rstrip("\n"))
        if note is None:
            lines.append(line)
            continue
        newer = versions[note["program"]] >= version(note["version"])
        if newer == (note["sign"] == ">="):
            lines.append(line[: note.start()] + "\n")
    return "".join(lines)
