# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transient unit that one of these commands runs in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/bin:/usr/bin:/bin"
#: What fences a command in as the WSGI server is.
SANDBOX = ("NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectSystem=strict", "ProtectHome=yes")


@dataclass(frozen=True)
class Unit:
    """Who runs a command, and where: the app's user, in the code of a release."""

    name: str
    home: Path
    user: str
    release: Path
    subdirectory: str = ""
    entrypoint: str = ""

    @property
    def unit(self) -> str:
        """A fixed name: what a killed run has left running is not started a second time."""
        return f"flaskops-{self.name}-commands.service"

    @property
    def environment(self) -> dict[str, str]:
        """What comes to the app's environment, which is in a file."""
        found = {"HOME": str(self.home), "PATH": f"{self.release}/venv/bin:{PATH}"}
        # Without an entry point the app's own .flaskenv has a say.
        return found | ({"FLASK_APP": self.entrypoint} if self.entrypoint else {})

    def properties(self, seconds: int, marker: Path | None) -> Iterator[str]:
        """Its settings. ``marker`` is a file that is made when the command has succeeded.

        The environment's values come from the file and are in no command line.
        """
        yield "Type=oneshot"
        yield f"TimeoutStartSec={seconds}"
        yield f"User={self.user}"
        yield f"WorkingDirectory={self.release / 'code' / self.subdirectory}"
        yield f"EnvironmentFile={self.home}/next/env"
        yield from SANDBOX
        yield f"ReadWritePaths={self.home}/shared"
        yield "UMask=0027"
        if marker:
            yield f"ExecStartPost=+/usr/bin/touch {marker}"


def shell(command: str) -> list[str]:
    """The words of a command for a shell, as systemd takes them.

    systemd would put the environment's values in the place of ``$NAME``, for all to see in the
    command line; ``$$`` is a ``$`` to it.
    """
    return ["/bin/sh", "-ec", command.replace("$", "$$")]
