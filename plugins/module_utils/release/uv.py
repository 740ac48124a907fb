# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""uv, the program that fills a virtualenv by default."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError

#: For all apps of the host, out of their reach; one directory a version.
ROOT = Path("/opt/uv")
#: Where Debian's python3-pip-whl has a pip that needs no installing.
WHEELS = Path("/usr/share/python-wheels")


def program(commands: Commands, version: str) -> str:
    """The uv of the wanted version, installed from PyPI where it is not there yet."""
    home = ROOT / version
    if not (home / "bin/uv").exists():
        draft = home.with_name(f".{home.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        pips = sorted(WHEELS.glob("pip-*.whl"))
        if not pips:
            raise ReleaseError(f"{WHEELS}: no pip there; Debian's python3-pip-whl brings it")
        pip = ("/usr/bin/python3", "-I", str(pips[-1] / "pip"), "install", "--quiet")
        options = ("--only-binary=:all:", "--no-cache-dir", "--target", str(draft))
        commands.run_as_root(*pip, *options, f"uv=={version}")
        draft.rename(home)
    return str(home / "bin/uv")


class Uv:
    """Makes and fills one virtualenv."""

    def __init__(self, commands: Commands, version: str) -> None:
        self.commands = commands
        self.program = program(commands, version)
        #: The command that adds requirements.
        self.add = (self.program, "pip", "install", "--python", str(commands.place.venv))

    def create(self) -> None:
        """Make the virtualenv."""
        options = ("venv", "--quiet", "--allow-existing", "--python", self.commands.python)
        self.commands.run(self.program, *options, str(self.commands.place.venv))

    def sync(self) -> None:
        """Install what uv.lock says."""
        self.commands.run(self.program, "sync", "--locked", "--no-dev", "--no-editable")
