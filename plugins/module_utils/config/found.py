# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands at a path before it is changed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.config.wanted import Wanted


@dataclass(frozen=True)
class Found:
    """What stands at a path now; ``kind`` is file, link, absent or other."""

    kind: str
    content: bytes = b""
    mode: int = 0
    uid: int = -1
    gid: int = -1
    target: str = ""
    mtime: float = 0.0

    def matches(self, wanted: Wanted) -> bool:
        return (
            self.kind == "file"
            and self.content == wanted.content
            and self.mode == wanted.mode
            and wanted.uid in (None, self.uid)
            and wanted.gid in (None, self.gid)
        )


def look_at(path: str) -> Found:
    """What stands at ``path``. Raises ConfigError for what is neither a file nor a link."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Found("absent")
    if stat.S_ISLNK(status.st_mode):
        return Found("link", target=os.readlink(path))
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is neither a file nor a link; it is left alone")
    return Found(
        "file",
        Path(path).read_bytes(),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        mtime=status.st_mtime,
    )
