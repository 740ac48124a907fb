# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a build, run as the app's user and never as root with the app's files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.as_user import as_user
from ansible_collections.flaskops.stack.plugins.module_utils.hidden import masked
from ansible_collections.flaskops.stack.plugins.module_utils.release.account import Owner
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.hints import hint, python_hint
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place
from ansible_collections.flaskops.stack.plugins.module_utils.release.unpack import ArchiveError

#: Lines of a failed command in the error: with what Ansible says around them, one screen.
OUTPUT_LINES = 20
#: Values at least this long are kept out of messages.
SECRET_LENGTH = 8
PIP_ENVIRONMENT = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
PATH = "/usr/local/bin:/usr/bin:/bin"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Commands:
    """Runs commands for one release."""

    def __init__(self, place: Place, owner: Owner, python: str, given: Mapping[str, str]) -> None:
        self.place = place
        self.owner = owner
        self.python = python
        #: What people give the build, such as the address of a package index.
        self.given = given

    def run(self, *command: str) -> str:
        """Run a command as the app's user, in its code; ReleaseError shows the output's end."""
        return self._execute(command, self.place.app, self._environment(), self.owner)

    def run_as_root(self, *command: str) -> str:
        """Run a command where nothing of the app's can come in its way."""
        environment = {"PATH": ROOT_PATH, "HOME": "/root", "LANG": "C.UTF-8", **PIP_ENVIRONMENT}
        return self._execute(command, Path("/"), {**environment, **self.given}, Owner(0, 0))

    def _environment(self) -> dict[str, str]:
        """What the app's own commands get: everything they write is the app's."""
        venv, cache = self.place.venv, self.place.cache
        return {
            "PATH": f"{venv}/bin:{PATH}",
            "HOME": str(cache),
            "LANG": "C.UTF-8",
            "VIRTUAL_ENV": str(venv),
            **PIP_ENVIRONMENT,
            "PIP_CACHE_DIR": str(cache / "pip"),
            "UV_CACHE_DIR": str(cache / "uv"),
            "UV_COMPILE_BYTECODE": "1",
            "UV_LINK_MODE": "copy",
            "UV_NO_PROGRESS": "1",
            "UV_PROJECT_ENVIRONMENT": str(venv),
            "UV_PYTHON": self.python,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_SYSTEM_CERTS": "1",
            **self.given,
        }

    def _execute(
        self, command: tuple[str, ...], folder: Path, environment: dict[str, str], owner: Owner
    ) -> str:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                user=owner.uid,
                group=owner.gid,
                extra_groups=[],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                umask=0o022,
            )
        except OSError as error:
            raise ReleaseError(f"{command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            text = f"`{' '.join(command)}` ended with {done.returncode}"
            told = "\n".join(filter(None, (text, hint(done.stdout), python_hint(done.stdout))))
            log = self._without_secrets(done.stdout).splitlines()[-OUTPUT_LINES:]
            raise ReleaseError(self._without_secrets(told), log)
        return done.stdout

    def _without_secrets(self, text: str) -> str:
        """A text without what people gave: an index's address can hold a password."""
        return masked(text, (one for one in self.given.values() if len(one) >= SECRET_LENGTH))

    def as_user(self, action: Callable[[], None], said: str) -> None:
        """Do something on files as the app's user, so that no link leads root astray."""
        reason = as_user(self.owner.uid, self.owner.gid, action, ArchiveError)
        if reason:
            raise ReleaseError(f"{said}: {reason}")
