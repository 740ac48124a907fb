# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an app has on its host, and the way it goes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import host
from ansible_collections.flaskops.stack.plugins.module_utils import lock as locks
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import APPS, AppFile
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.lock import DeployLock
from ansible_collections.flaskops.stack.plugins.module_utils.removal.home import Home
from ansible_collections.flaskops.stack.plugins.module_utils.removal.paths import (
    RemoveError,
    discard,
)
from ansible_collections.flaskops.stack.plugins.module_utils.removal.units import Units
from ansible_collections.flaskops.stack.plugins.module_utils.removal.user import User
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

LOCKS = ("switch", "build")
#: What else a deploy leaves in /run.
NOTES = ("lease", "deploy")


@dataclass
class Plan:
    """What there is to remove, in the order it goes."""

    units: list[str] = field(default_factory=list)
    around: list[Path] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    home: bool = False
    run: list[Path] = field(default_factory=list)
    file: bool = False
    user: bool = False

    def __bool__(self) -> bool:
        return bool(self.units or self.around or self.home or self.run or self.user or self.file)


class App:
    """What an app has on its host."""

    def __init__(
        self,
        name: str,
        home: Path,
        user: str,
        systemd: Systemd,
        *,
        keep_data: bool = False,
        run: Path = Path("/run"),
        mounts: Path = Path("/proc/self/mountinfo"),
        apps: Path = APPS,
        root: Path = Path("/"),
    ) -> None:
        self.name = name
        self.home = Home(home, mounts, keep_data=keep_data)
        self.file = AppFile(name, apps)
        self.state = self.file.read()
        self.units = Units(name, self.state, systemd)
        self.user = User(user, home)
        self.keep_data = keep_data
        self.run = run
        self.root = root

    def plan(self) -> Plan:
        """Everything that is to go; RemoveError when the home is not an app's."""
        entries = self.home.entries()
        self._refuse_unknown()
        units = self.units.found()
        own = not self.keep_data and self.user.is_own()
        return Plan(
            units=units,
            around=self.units.around(units),
            entries=entries,
            home=self.home.goes(entries),
            run=self.run_files(units if units or entries else None),
            file=self.file.path.exists(),
            user=own and not self.user.is_shared(self.units.systemd.units, units),
        )

    def _refuse_unknown(self) -> None:
        """Without what the switch has written down, nobody knows which units are the app's."""
        home = self.home.path
        if self.state is None and Generations(home).numbers():
            raise RemoveError(
                f"{self.file.path} is missing, so its units are not known: run site.yml first"
            )
        if self.state is not None and Path(self.state.home) != home:
            raise RemoveError(
                f"home: found {home}; {self.name} lives in {self.state.home}; it is left alone"
            )

    def told(self, plan: Plan) -> list[str]:
        """A plan for people."""
        held, home = ", ".join(sorted(plan.entries)), self.home.path
        place = f"{held} in {home}" if self.keep_data else f"directory {home}"
        if held and not self.keep_data:
            place += f" with {held}"
        return [
            *(f"unit {name}" for name in plan.units),
            *(str(path) for path in plan.around),
            *[place] * plan.home,
            *(str(path) for path in plan.run),
            *[f"user {self.user.name}"] * plan.user,
            *[str(self.file.path)] * plan.file,
        ]

    def run_files(self, units: list[str] | None) -> list[Path]:
        """Locks, and the directory of the sockets when nothing of another program is in it."""
        found = [self.run / f"flaskops-{self.name}.{kind}" for kind in LOCKS + NOTES]
        sockets = self.run / self.name
        there = units is not None and sockets.is_dir() and not sockets.is_symlink()
        if there and all(self._is_own_socket(path) for path in sockets.iterdir()):
            found.append(sockets)
        return [path for path in found if path.exists()]

    def _is_own_socket(self, path: Path) -> bool:
        """Whether a socket in the app's directory is the public one or a generation's own."""
        if self.state is not None and self.state.bind == f"unix:{path}":
            return True
        return path.suffix == ".sock" and (path.stem == "http" or path.stem.startswith("probe-"))

    def remove(self, plan: Plan) -> None:
        """Do what the plan says; RemoveError or SystemdError says what stood in the way."""
        self.units.remove(plan.units, plan.around)
        if plan.home:
            self.home.remove(plan.entries)
        if plan.user:
            self.user.remove()
        for path in plan.run:
            discard(path)
        if plan.file:
            self.file.remove()
        host.remove(self.root, self.file.folder.parent)


@contextmanager
def alone(name: str, minutes: int) -> Iterator[None]:
    """No deploy, switch or build of the app meanwhile; BusyError or LockedError when one is."""
    deploy, run = DeployLock(name), secrets.token_hex(8)
    with ExitStack() as stack:
        for lock in LOCKS:
            stack.enter_context(locks.alone(name, lock))
        deploy.take(run, "a removal", minutes, [])
        stack.callback(deploy.free, run)
        yield


def take_away(app: App, lock_minutes: int, *, check_mode: bool) -> list[str]:
    """Remove an app; what was removed, or would be in check mode.

    RemoveError, SystemdError, BusyError or LockedError says what stood in the way.
    """
    plan = app.plan()
    idle = check_mode or not plan
    with nullcontext() if idle else alone(app.name, lock_minutes):
        if not idle:
            app.remove(app.plan())  # the locks are files of the app too
    return app.told(plan) if plan else []
