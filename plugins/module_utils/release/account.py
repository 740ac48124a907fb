# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system user of an app."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Owner:
    """A user and its group, by their numbers."""

    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> Owner:
        """The user of that name; KeyError when there is none."""
        entry = pwd.getpwnam(name)
        return cls(entry.pw_uid, entry.pw_gid)


def user_entry(name: str) -> pwd.struct_passwd | None:
    """The account of a user, None where there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def is_as_asked(entry: pwd.struct_passwd | None, account: Mapping[str, str | None]) -> bool:
    """Whether a user is there with its home and its shell."""
    if entry is None:
        return False
    found = {"home": entry.pw_dir, "shell": entry.pw_shell}
    return all(found[name] == value for name, value in account.items() if value)
