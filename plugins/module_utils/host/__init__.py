# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that a host has for its apps, and where it is kept."""

from __future__ import annotations

import inspect
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.host import flaskops

COMMAND = "usr/local/bin/flaskops"
COMPLETION = "etc/bash_completion.d/flaskops"
COMPLETE = """\
# What can be typed after flaskops; written with it.
_flaskops() {
    local word=${COMP_WORDS[COMP_CWORD]}
    case $COMP_CWORD in
        1) COMPREPLY=($(compgen -W "$(flaskops 2>/dev/null)" -- "$word")) ;;
        2) COMPREPLY=($(compgen -W "run logs status" -- "$word")) ;;
    esac
}
complete -F _flaskops flaskops
"""


def texts() -> dict[str, tuple[str, int]]:
    """Each file below the root with its text and mode."""
    command = f"#!/usr/bin/python3\n{inspect.getsource(flaskops)}"
    return {COMMAND: (command, 0o755), COMPLETION: (COMPLETE, 0o644)}


def install(root: Path, *, check_mode: bool) -> bool:
    """Have the command on a host; whether anything was to do."""
    wrong = {
        root / name: (text, mode)
        for name, (text, mode) in texts().items()
        if not files.same(root / name, text, mode)
    }
    for path, (text, mode) in {} if check_mode else wrong.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, text, mode)
    return bool(wrong)


def remove(root: Path, apps: Path) -> None:
    """Take it away with the last app of a host."""
    if not list(apps.glob("*/app.json")):
        for name in texts():
            (root / name).unlink(missing_ok=True)
