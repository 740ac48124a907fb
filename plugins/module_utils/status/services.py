# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that the roles set up besides the apps."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


def services(systemd: Systemd) -> Iterator[str]:
    """What is wrong with the programs that the roles set up; most have a drop-in of ours."""
    changed = (path.parent.name[:-2] for path in systemd.units.glob("*.service.d/flaskops.conf"))
    own = (path.name for path in systemd.units.glob("flaskops-tls*.service"))
    for unit in sorted([*changed, *own]):
        shown = systemd.properties(unit, "ActiveState", "Type")
        state = shown.get("ActiveState")
        resting = ("inactive", "activating") if shown.get("Type") == "oneshot" else ()
        if state not in ("active", "reloading", *resting):
            yield f"{unit} is {state}: journalctl -u {unit}"
