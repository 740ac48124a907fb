# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages that nginx keeps belong to.

A part of their key is where a link leads. With another target no page of before is found, without a
reload, which would cut connections; what is still on its way is kept under the old one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

#: Nginx, which is not root, follows the link.
MODE = 0o755
LINK, DRAFT, NOTHING_LIVE = "current", "draft", "none"


def target_of(folder: Path) -> str:
    """Where the link leads now; nothing where there is none."""
    try:
        return (folder / LINK).readlink().name
    except OSError:
        return ""


def belong(folder: Path, live: str, *, purge: bool, check_mode: bool) -> bool:
    """Let the pages belong to what is live, anew with ``purge``; whether that is a change.

    Without ``live``, which a run says that has looked at the apps, it stays what it was.
    """
    now = target_of(folder)
    wanted = live or now.rpartition(".")[0] or NOTHING_LIVE
    if now.rpartition(".")[0] == wanted and not purge:
        return False
    if not check_mode:
        lead(folder, wanted)
    return True


def lead(folder: Path, live: str) -> None:
    """Point the link to a directory that never was: after a rollback, pages of then are old."""
    for path in (folder.parent, folder):
        path.mkdir(exist_ok=True)
        path.chmod(MODE)
    target = folder / f"{live}.{time.time_ns()}"
    target.mkdir()
    target.chmod(MODE)
    draft = folder / DRAFT
    draft.unlink(missing_ok=True)
    draft.symlink_to(target.name)
    draft.rename(folder / LINK)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink() and path != target:
            with suppress(OSError):  # somebody else put something there
                path.rmdir()
