# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links on a host, replaced in one step: who reads sees the old one or the new one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: An owner that stays as it is.
KEEP = -1


def private(path: str, flags: int) -> int:
    """An opener for files that only root may read until they get their owner and mode."""
    return os.open(path, flags, 0o600)


def write(
    path: Path,
    content: str | bytes,
    mode: int,
    *,
    uid: int = KEEP,
    gid: int = KEEP,
    label: Callable[[str], None] = lambda _: None,
) -> None:
    """Replace a file in one step. Its content is nobody else's before owner and mode are set.

    ``label`` gets the path of the draft, to set what else belongs to the file, such as a security
    context. OSError when the directory is not there or the file cannot be written; the old file
    stays then. The draft that a killed run has left is overwritten.
    """
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        with open(draft, "xb", opener=private) as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if (uid, gid) != (KEEP, KEEP):
                os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        label(str(draft))
        draft.rename(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def same(path: Path, content: str | bytes, mode: int) -> bool:
    """Whether a file has this content and mode."""
    wanted = content.encode() if isinstance(content, str) else content
    try:
        return path.read_bytes() == wanted and stat.S_IMODE(path.stat().st_mode) == mode
    except OSError:
        return False


def update(path: Path, content: str | bytes, mode: int) -> bool:
    """Write a file where its content or its mode is another one; whether it was."""
    if same(path, content, mode):
        return False
    write(path, content, mode)
    return True


def link(path: Path, target: str) -> None:
    """Replace a link in one step."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.rename(path)
