# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program is asked whether it accepts the new files, before any is written."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.config.command import (
    PATH,
    account,
    run,
)
from ansible_collections.flaskops.stack.plugins.module_utils.config.difference import HIDDEN
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.config.stage import Stage
from ansible_collections.flaskops.stack.plugins.module_utils.config.wanted import Wanted


def has_check(argv: list[str] | None, *, check_mode: bool) -> bool:
    """Whether there is a program to ask; in check mode it may not be installed yet."""
    if not argv:
        return False
    return not check_mode or shutil.which(argv[0], path=PATH) is not None


def verify(params: dict[str, Any], wanted: list[Wanted], absent: list[str]) -> str:
    """What the check printed about the changes. Raises ConfigError when it refuses."""
    argv: list[str] = params["check"]
    privileged = os.geteuid() == 0
    tree: str | None = params["tree"] and os.path.normpath(params["tree"])
    user: str | None = params["check_user"] if privileged else None
    top = tempfile.mkdtemp(prefix="flaskops-")
    try:
        top = os.path.realpath(top)
        scratch = os.path.join(top, "scratch")
        os.mkdir(scratch, 0o700)
        values = {"{scratch}": scratch}
        if tree:
            values["{tree}"] = os.path.join(top, "tree")
            stage = Stage(tree, values["{tree}"], privileged)
            stage.fill()
            for path in filter(stage.holds, absent):
                stage.remove(path)
            for new in wanted:
                if stage.holds(new.path):
                    stage.write(new)
        if any("{port}" in word for word in argv):
            values["{port}"] = str(free_port())
        if user is not None:
            for directory in (top, scratch):
                os.chown(directory, account(user).pw_uid, account(user).pw_gid)
        words = list(argv)
        for placeholder, value in values.items():
            words = [word.replace(placeholder, value) for word in words]
        accepted, output = run(words, params["check_ready"], params["check_timeout"], user)
        if tree:
            output = output.replace(values["{tree}"], tree)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    output = without_secrets(output, [new.content for new in wanted if new.secret])
    if not accepted:
        name = os.path.basename(argv[0])
        raise ConfigError(
            f"{name} refuses the new configuration; nothing was changed. It says:\n{output}"
        )
    return output


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def without_secrets(text: str, secrets: list[bytes]) -> str:
    """``text`` without the lines of secret files; programs like to quote what they refuse."""
    for content in secrets:
        for line in map(str.strip, content.decode("utf-8", "replace").splitlines()):
            if line and not line.startswith("#"):
                text = text.replace(line, HIDDEN)
    return text
