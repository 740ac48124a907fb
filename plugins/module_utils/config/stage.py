# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a directory in which changes are tried."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.config.wanted import Wanted

DIRECTORY_MODE = 0o755


@dataclass(frozen=True)
class Stage:
    """A copy of ``tree`` at ``copy`` in which changes can be tried."""

    tree: str
    copy: str
    privileged: bool

    def fill(self) -> None:
        """Copy the tree; a link into the tree points into the copy, any other where it did."""
        os.mkdir(self.copy, DIRECTORY_MODE)
        for directory, subdirectories, names in os.walk(self.tree):
            for name in subdirectories + names:
                source = os.path.join(directory, name)
                if os.path.islink(source):
                    pointed = os.path.normpath(os.path.join(directory, os.readlink(source)))
                    target = self._copied(pointed) if self.holds(pointed) else pointed
                    os.symlink(target, self._copied(source))
                elif os.path.isdir(source):
                    os.mkdir(self._copied(source))
                    shutil.copystat(source, self._copied(source))
                elif os.path.isfile(source):
                    shutil.copy2(source, self._copied(source))
                else:
                    continue
                self._keep_owner(source)
        if os.path.isdir(self.tree):
            shutil.copystat(self.tree, self.copy)
            self._keep_owner(self.tree)

    def holds(self, path: str) -> bool:
        """Whether ``path`` lies in the tree."""
        return path.startswith(self.tree + "/")

    def write(self, new: Wanted) -> None:
        """Put a file into the copy. Raises ConfigError when that would leave the copy."""
        here = self._changeable(new.path)
        os.makedirs(os.path.dirname(here), exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(here)
        with open(os.open(here, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(new.content)
            if self.privileged:
                keep = files.KEEP
                uid, gid = (keep if one is None else one for one in (new.uid, new.gid))
                os.fchown(stream.fileno(), uid, gid)
            os.fchmod(stream.fileno(), new.mode)

    def remove(self, path: str) -> None:
        """Take a file out of the copy. Raises ConfigError when that would leave the copy."""
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._changeable(path))

    def _copied(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.copy, os.path.relpath(path, self.tree)))

    def _changeable(self, path: str) -> str:
        here = self._copied(path)
        real = os.path.realpath(os.path.dirname(here))
        if real != self.copy and not real.startswith(self.copy + "/"):
            raise ConfigError(
                f"{path}: its directory is a link out of {self.tree}, so no copy can be checked"
            )
        return here

    def _keep_owner(self, source: str) -> None:
        if self.privileged:
            status = os.lstat(source)
            os.chown(self._copied(source), status.st_uid, status.st_gid, follow_symlinks=False)
