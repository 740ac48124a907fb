# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links, written and removed as one: all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.config.found import Found
from ansible_collections.flaskops.stack.plugins.module_utils.config.wanted import Wanted

DIRECTORY_MODE = 0o755
#: Called with a path and the path whose security context it is to have.
Label = Callable[[str, str], None]


@dataclass
class Writer:
    """Writes and removes files and can take all of it back.

    ``label`` gives a file or directory the security context of the path that it is for.
    """

    label: Label
    undo: list[tuple[str, Found]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def write(self, wanted: Wanted, found: Found) -> None:
        self._make_parents(os.path.dirname(wanted.path))
        self.undo.append((wanted.path, found))
        uid = found.uid if wanted.uid is None else wanted.uid
        gid = found.gid if wanted.gid is None else wanted.gid
        self._replace(wanted.path, wanted.content, wanted.mode, uid, gid)

    def remove(self, path: str, found: Found) -> None:
        self.undo.append((path, found))
        os.unlink(path)

    def take_back(self) -> list[str]:
        """Restore what was there; returns the paths that could not be restored."""
        lost = []
        for path, found in reversed(self.undo):
            restored = False
            with suppress(OSError):
                self._restore(path, found)
                restored = True
            if not restored:
                lost.append(path)
        for directory in reversed(self.made):
            with suppress(OSError):
                os.rmdir(directory)
        return lost

    def _restore(self, path: str, found: Found) -> None:
        if found.kind == "absent":
            with suppress(FileNotFoundError):
                os.unlink(path)
        elif found.kind == "link":
            files.link(Path(path), found.target)
        else:
            self._replace(path, found.content, found.mode, found.uid, found.gid)

    def _make_parents(self, directory: str) -> None:
        missing = []
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            os.mkdir(path)
            self.made.append(path)
            os.chmod(path, DIRECTORY_MODE)  # whatever the umask is
            self.label(path, path)

    def _replace(self, path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
        files.write(
            *(Path(path), content, mode),
            uid=uid,
            gid=gid,
            label=lambda draft: self.label(draft, path),
        )


def write_all(
    writer: Writer, changes: list[tuple[Wanted, Found]], removals: list[tuple[str, Found]]
) -> None:
    """Write and remove, all or nothing. Raises ConfigError."""
    path = ""
    try:
        for new, old in changes:
            path = new.path
            writer.write(new, old)
        for path, old in removals:
            writer.remove(path, old)
    except OSError as error:
        lost = writer.take_back()
        after = f"these could not be put back: {', '.join(lost)}" if lost else "nothing was changed"
        raise ConfigError(f"cannot write {path}: {error.strerror}; {after}") from error
