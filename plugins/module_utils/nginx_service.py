# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nginx of a host: whether it runs, what it says of its files, and that it reads them again."""

from __future__ import annotations

import subprocess

from ansible_collections.flaskops.stack.plugins.module_utils.processes import Processes
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, SystemdError

#: With its path, because the PATH that `su` leaves has no sbin.
PROGRAM = "/usr/sbin/nginx"
UNIT = "nginx.service"
CHECK = (PROGRAM, "-t", "-q")
#: Lines of nginx's complaint that are told.
LINES = 6


class NginxError(Exception):
    """What nginx complained about, in one line."""


class Nginx:
    """The web server of this host."""

    def __init__(self, systemd: Systemd) -> None:
        self.systemd = systemd

    def running(self) -> bool:
        """Whether it runs, also while it reads its files again."""
        return self.systemd.unit(UNIT).since is not None

    def check(self) -> None:
        """Ask it about the files that are there; NginxError when it refuses them."""
        done = subprocess.run(CHECK, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()[-LINES:]
            said = " ".join(map(str.strip, lines)) or f"exit {done.returncode}"
            raise NginxError(f"{' '.join(CHECK)}: {said}")

    def reload(self) -> None:
        """Have it read its files; NginxError when it does not."""
        try:
            self.systemd.must("reload", UNIT)
        except SystemdError as error:
            raise NginxError(str(error)) from error

    def workers(self) -> set[int]:
        """Its processes that serve; those from before a reload too, until they end."""
        master = self.systemd.properties(UNIT, "MainPID").get("MainPID", "0")
        return set(Processes().children(int(master)))
