# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private ssh key that git reads a source with: a file on the controller, or its text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller

IS_TEXT = re.compile(r"\s*-----BEGIN [A-Z ]*PRIVATE KEY")
IN_FILE = "PRIVATE KEY-----"
#: What may be a path, and is shown: a key that is taken for a path must not be.
PATH = re.compile(r"[A-Za-z0-9_.~/-]{1,100}")


@dataclass(frozen=True)
class DeployKey:
    """A key; ``text`` is empty where there is none, ``shown`` is what messages may say of it."""

    given: bool = False
    text: str = ""
    shown: str = ""


def read_key(given: str, controller: Controller) -> DeployKey:
    """The key that ``flask_app_deploy_key`` gives."""
    if not given:
        return DeployKey()
    if IS_TEXT.match(given):
        return DeployKey(given=True, text=given)
    shown = rules.shown(given) if PATH.fullmatch(given) else "text that is neither"
    try:
        text = controller.read(given)
    except (OSError, ValueError):
        text = ""
    return DeployKey(given=True, text=text if IN_FILE in text else "", shown=shown)
