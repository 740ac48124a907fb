"""The user of an app."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.account import (
    is_as_asked,
    user_entry,
)


def test_a_user_is_as_asked(home: Path) -> None:
    entry = pwd.getpwuid(os.getuid())
    assert is_as_asked(user_entry(entry.pw_name), {})
    assert is_as_asked(entry, {"home": entry.pw_dir, "shell": None})
    assert not is_as_asked(entry, {"home": "/nowhere", "shell": entry.pw_shell})
    assert not is_as_asked(user_entry("no-such-user"), {})
