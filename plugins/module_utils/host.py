# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules do alike on a host: files and links replaced in one step, work done alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where what need not outlive a reboot is kept.
RUN = Path("/run")


class BusyError(Exception):
    """Somebody else is at it."""


def private(path: str, flags: int) -> int:
    """Opener for files that are nobody else's before they get their owner."""
    return os.open(path, flags, 0o600)


def write(path: Path, text: str, mode: int, gid: int = 0) -> None:
    """Replace a file of root's in one step, readable to nobody else in between."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with open(draft, "xb", opener=private) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    if gid:
        os.chown(draft, 0, gid)
    os.chmod(draft, mode)
    draft.rename(path)


def link(path: Path, target: str) -> None:
    """Replace a link in one step."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.rename(path)


@contextmanager
def alone(name: str, work: str, *, wait: bool = False) -> Iterator[None]:
    """One build, say, of an app at a time; the kernel lets go for one that was killed.

    BusyError when another is under way, unless ``wait``.
    """
    path = RUN / f"flaskops-{name}.{work}"
    with open(path, "w", encoding="utf-8", opener=private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            raise BusyError(f"a {work} of {name} is under way ({path} is locked)") from None
        yield
