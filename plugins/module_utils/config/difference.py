# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes, as people read it."""

from __future__ import annotations

import difflib

from ansible_collections.flaskops.stack.plugins.module_utils.config.found import Found
from ansible_collections.flaskops.stack.plugins.module_utils.config.wanted import Wanted

HIDDEN = "(secret)"


def difference(found: Found, wanted: Wanted) -> str:
    """A unified diff with the change of mode and owner, without the text of a secret."""
    head = f"--- {wanted.path}\n+++ {wanted.path}\n"
    body = ""
    if found.kind == "link":
        body += f"-link to {found.target}\n"
    if found.kind == "file" and found.mode != wanted.mode:
        body += f"-mode {found.mode:04o}\n+mode {wanted.mode:04o}\n"
    for name, old, new in (("uid", found.uid, wanted.uid), ("gid", found.gid, wanted.gid)):
        if found.kind == "file" and new not in (None, old):
            body += f"-{name} {old}\n+{name} {new}\n"
    if wanted.secret:
        return head + body + (HIDDEN + "\n" if found.content != wanted.content else "")
    lines = difflib.unified_diff(
        found.content.decode("utf-8", "replace").splitlines(),
        wanted.content.decode("utf-8", "replace").splitlines(),
        lineterm="",
    )
    return head + body + "".join(f"{line}\n" for line in list(lines)[2:])
