# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pip, the other program that fills a virtualenv."""

from __future__ import annotations

from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.manifest import LOCK


class Pip:
    """Makes and fills one virtualenv."""

    def __init__(self, commands: Commands, manifest: str) -> None:
        if manifest == LOCK:
            raise ReleaseError("flask_app_installer: found pip, but a uv.lock needs uv")
        self.commands = commands
        python = str(commands.place.venv / "bin/python")
        #: The command that adds requirements.
        self.add = (python, "-m", "pip", "install", "--quiet")

    def create(self) -> None:
        """Make the virtualenv."""
        self.commands.run(self.commands.python, "-m", "venv", str(self.commands.place.venv))
