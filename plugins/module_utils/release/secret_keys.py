# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The app's SECRET_KEY, made once and kept on the host for root alone, and earlier ones.

The first line of the file signs. The others are accepted: a time in Unix seconds behind a key says
when it was retired.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.environment import from_file
from ansible_collections.flaskops.stack.plugins.module_utils.secret_key import LENGTH

DIGEST_LENGTH = 16
SECONDS_A_DAY = 86400


class SecretKeys:
    """The file with the keys of one app."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "secret_key"

    @property
    def exists(self) -> bool:
        """Whether there is a key."""
        return self.path.is_file()

    def make(self) -> None:
        """Make a key."""
        files.write(self.path, secrets.token_urlsafe(LENGTH) + "\n", 0o600)

    def digest(self) -> str:
        """A digest by which hosts know whether they have the same keys; empty without a file."""
        if not self.exists:
            return ""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:DIGEST_LENGTH]

    def settings(self, days: int) -> dict[str, str]:
        """What Flask is told: the key that signs, and those that are accepted for so many days."""
        key, *others = self.path.read_text("utf-8").splitlines()
        oldest = time.time() - days * SECONDS_A_DAY
        signs = self._signs_now()
        accepted = []
        for other, _, retired in (line.partition(" ") for line in others):
            recent = retired and (int(retired) > oldest or other == signs)
            if not retired or (days and recent):
                accepted.append(other)
        keys = {"SECRET_KEY": key}
        if accepted:
            keys["SECRET_KEY_FALLBACKS"] = json.dumps(accepted)
        return keys

    def _signs_now(self) -> str | None:
        """The key of the live generation.

        After a switch that failed, or a rollback, it is accepted however long ago it was to retire.
        """
        live = self.home / "live" / "env"
        if not live.is_file():
            return None
        return from_file(live.read_bytes().decode()).get("SECRET_KEY")
