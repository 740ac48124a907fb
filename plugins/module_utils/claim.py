# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a run may speak for an app: by what the host knows of it, not by the run's variables."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.app_state import APPS, AppFile
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


class ClaimError(Exception):
    """A run has another app in mind than the one that is there."""


def claim(
    name: str, home: Path, user: str, systemd: Systemd, *, role: str, apps: Path = APPS
) -> None:
    """ClaimError unless this is how the app of that name lives on this host.

    One that is not there yet may have any home and user, but not the name of another service.
    ``role`` is the one whose options they are.
    """
    state = AppFile(name, apps).read()
    if state is None:
        found = foreign_unit(name, systemd)
        if found:
            raise ClaimError(f"{role}_name: found {name!r}; {found} is not of an app")
        return
    if not (Path(state.home) / "live").exists():
        return
    for what, given, known in (("home", str(home), state.home), ("user", user, state.user)):
        if given and given != known:
            raise ClaimError(
                f"{role}_{what}: found {given!r}; {name} is live with {known!r}, which stays for as"
                " long as it is on the host. Nothing was changed"
            )


def foreign_unit(name: str, systemd: Systemd) -> str:
    """A unit of that name that the distribution or an administrator has; nothing for none."""
    for unit in (f"{name}.service", f"{name}.socket"):
        ours = systemd.units / unit
        shipped = [folder / unit for folder in systemd.shipped]
        found = [path for path in shipped if path.exists()] + [ours] * ours.is_symlink()
        if found:
            return str(found[0])
    return ""
