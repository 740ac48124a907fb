# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files as they shall be."""

from __future__ import annotations

import glob
import grp
import os
import pwd
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError


@dataclass(frozen=True)
class Wanted:
    """One file as it shall be. An id of None leaves owner or group as it is."""

    path: str
    content: bytes
    mode: int
    uid: int | None
    gid: int | None
    secret: bool


def read_wanted(files: list[dict[str, Any]], *, check_mode: bool) -> list[Wanted]:
    """The files as asked for. Raises ConfigError for a bad path, mode, owner or group.

    A package or role that has not run yet creates owners, so in check mode a missing one is fine.
    """

    def number(kind: str, path: str, name: str | None) -> int | None:
        if name is None:
            return None
        try:
            return pwd.getpwnam(name).pw_uid if kind == "owner" else grp.getgrnam(name).gr_gid
        except KeyError:
            if check_mode:
                return None
            raise ConfigError(f"{path}: {kind} {name!r} does not exist on this host") from None

    wanted = []
    for entry in files:
        path = entry["path"]
        try:
            mode = int(entry["mode"], 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o7777:
            raise ConfigError(f"{path}: mode must be octal such as '0644', got {entry['mode']!r}")
        wanted.append(
            Wanted(
                path,
                entry["content"].encode("utf-8", "surrogateescape"),
                mode,
                number("owner", path, entry["owner"]),
                number("group", path, entry["group"]),
                entry["secret"],
            )
        )
    return wanted


def check_paths(paths: list[str]) -> None:
    """Raises ConfigError for a relative path and for one that is named twice."""
    seen = set()
    for path in paths:
        if not os.path.isabs(path):
            raise ConfigError(f"a path must be absolute, got {path!r}")
        if path in seen:
            raise ConfigError(f"{path} is named twice in files and absent")
        seen.add(path)


def existing(paths: list[str], kept: set[str]) -> list[str]:
    """What paths with wildcards stand for, without what is to be there; others as they are."""
    found: list[str] = []
    for path in paths:
        meant = sorted(set(glob.glob(path)) - kept) if glob.has_magic(path) else [path]
        found += (one for one in meant if one not in found)
    return found
