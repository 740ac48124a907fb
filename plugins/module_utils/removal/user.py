# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system user of an app."""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.removal.paths import RemoveError, plain

#: Users below are the system's, login.defs(5) UID_MIN.
FIRST_PERSON = 1000


class User:
    """The system user that an app runs as, named by whoever removes the app."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home

    def is_own(self) -> bool:
        """Whether the user is the app's: a system user whose home is the app's."""
        try:
            entry = pwd.getpwnam(self.name)
        except KeyError:
            return False
        at_home = os.path.normpath(entry.pw_dir) == os.path.normpath(self.home)
        return at_home and 0 < entry.pw_uid < FIRST_PERSON

    def is_shared(self, folder: Path, units: list[str]) -> bool:
        """Whether a unit file of the folder, none of these, names the user."""
        others = [path for path in folder.glob("*.service") if path.name not in units]
        wanted = re.compile(rf"^User={re.escape(self.name)}$", re.MULTILINE)
        return any(
            wanted.search(path.read_text("utf-8", errors="replace"))
            for path in others
            if plain(path)
        )

    def remove(self) -> None:
        """Remove the user, and its group when nobody else has it."""
        gid = pwd.getpwnam(self.name).pw_gid
        run("userdel", self.name)
        with suppress(KeyError):  # userdel takes it along, by the distribution's default
            group = grp.getgrnam(self.name)
            others = [entry for entry in pwd.getpwall() if entry.pw_gid == gid]
            if group.gr_gid == gid and not group.gr_mem and not others:
                run("groupdel", self.name)


def run(*command: str) -> None:
    """Run a command; RemoveError with what it complained about."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RemoveError(f"{' '.join(command)}: {done.stderr.strip()}")
