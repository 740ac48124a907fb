# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which distribution packages a host lacks: a look of milliseconds, without the package manager."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

#: The argument spec of a module's option ``packages``.
PACKAGES_OPTION: dict[str, Any] = {"type": "list", "elements": "str", "default": []}


def missing(names: Sequence[str]) -> list[str]:
    """Those of some packages that are not installed; all where dpkg cannot be asked."""
    if not names:
        return []
    here = installed(names)
    return [name for name in names if name not in here]


def installed(names: Iterable[str]) -> set[str]:
    """Those of some packages that are installed as a whole."""
    try:
        answer = subprocess.run(
            ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,  # it ends with 1 when it knows one of them not
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return set()
    lines = (line.split(" ", 1) for line in answer.splitlines())
    return {words[0] for words in lines if words[-1] == "installed"}
