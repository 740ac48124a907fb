#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take an app away from a host: its units, its files, its user."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remove
short_description: Take an app away from a host
description:
  - Stops, disables and removes every unit of the app, then its directory, what it left in C(/run)
    and its user, in one remote call.
  - A unit belongs to the app when it is named like it and says so; C(shop-api.service) of another
    app is not touched by the removal of C(shop), whatever its name.
  - The user goes when it is a system user whose home is the app's, with its group.
  - What a killed run has left, the next one removes.
  - The journal, packages and what apps share, such as C(/opt/uv), stay.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  name:
    description: Name of the app.
    type: str
    required: true
  home:
    description:
      - Directory of the app. It is refused when it is one of the system's, or holds other things
        than an app's.
    type: path
    required: true
  user:
    description: System user that the app runs as.
    type: str
    required: true
  keep_data:
    description:
      - Keep C(shared) and C(secret_key), and the user, for a user that is made anew could not be
        sure to own the files again.
    type: bool
    default: false
  lock_minutes:
    description: How long the deploy lock of a run counts that was killed, 0 to go on at once.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Take the shop away, but not its uploads
  flaskops.stack.remove:
    name: shop
    home: /srv/shop
    user: shop
    keep_data: true
"""

RETURN = r"""
removed:
  description: What was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [unit shop.service, unit shop.socket, unit shop@7.service, directory /srv/shop, user shop]
"""

import grp
import os
import pwd
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import lock as locks
from ansible_collections.flaskops.stack.plugins.module_utils.lock import (
    BusyError,
    DeployLock,
    LockedError,
)
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, SystemdError

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
#: What stays when the app's data is kept.
DATA = ("shared", "secret_key")
#: An app's home holds one of these, unless only its data is left. They go last, so that what a
#: killed run has left is known again.
OWN = ("releases", "generations")
#: No app lives at the top, right below /var or in a directory of the system.
NO_HOME = re.compile(
    r"/|/[^/]+|/var/[^/]+|/(bin|boot|dev|etc|lib\w*|proc|root|run|sbin|sys|usr)/.+"
)
#: Users below are the system's, login.defs(5) UID_MIN.
FIRST_PERSON = 1000
LOCKS = ("switch", "build")
#: What else a deploy leaves in /run.
NOTES = ("lease", "deploy")


class RemoveError(Exception):
    """The app cannot be taken away."""


@dataclass
class Plan:
    """What there is to remove, in the order it goes."""

    units: list[str] = field(default_factory=list)
    around: list[Path] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    home: bool = False
    run: list[Path] = field(default_factory=list)
    user: bool = False

    def __bool__(self) -> bool:
        return bool(self.units or self.around or self.home or self.run or self.user)


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
    ) -> None:
        self.name = name
        self.home = home
        self.user = user
        self.systemd = systemd
        self.keep_data = keep_data
        self.run = run
        self.mounts = mounts

    # what there is -------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Everything that is to go; RemoveError when the home is not an app's."""
        entries = self._entries()
        units = self._units()
        stays = self.keep_data or os.path.ismount(self.home)
        return Plan(
            units=units,
            around=self._around(units),
            entries=entries,
            home=bool(entries) or (self.home.is_dir() and not stays),
            run=self._run_files(units if units or entries else None),
            user=not self.keep_data and self._has_user() and not self._shares_user(units),
        )

    def told(self, plan: Plan) -> list[str]:
        """A plan for people."""
        held = ", ".join(sorted(plan.entries))
        place = f"{held} in {self.home}" if self.keep_data else f"directory {self.home}"
        if held and not self.keep_data:
            place += f" with {held}"
        return [
            *(f"unit {name}" for name in plan.units),
            *(str(path) for path in plan.around),
            *[place] * plan.home,
            *(str(path) for path in plan.run),
            *[f"user {self.user}"] * plan.user,
        ]

    def _entries(self) -> list[str]:
        """What goes of the home, in the order it goes."""
        for path in (os.path.normpath(self.home), os.path.realpath(self.home)):
            if NO_HOME.fullmatch(path):
                raise RemoveError(f"home: {path} is a directory of the system; it is left alone")
        if not os.path.lexists(self.home):
            return []
        if not self.home.is_dir():
            raise RemoveError(f"home: {self.home} is not a directory; it is left alone")
        found = {entry.name for entry in self.home.iterdir()}
        if found.isdisjoint(OWN) and not found <= set(DATA):
            raise RemoveError(
                f"home: {self.home} has neither {' nor '.join(OWN)}, so it is not an app's; it is "
                "left alone"
            )
        going = found - set(DATA) if self.keep_data else found
        self._refuse_mounts(going)
        return sorted(going, key=lambda name: (name in OWN, name))

    def _refuse_mounts(self, going: set[str]) -> None:
        """What is mounted inside would be emptied."""
        below = os.path.realpath(self.home) + os.sep
        for line in self.mounts.read_text("utf-8", errors="replace").splitlines():
            point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4])
            if point.startswith(below) and point[len(below) :].split(os.sep)[0] in going:
                raise RemoveError(f"home: {point} is mounted there; unmount it first")

    def _units(self) -> list[str]:
        """Unit files of the app, the handle last: it is what the others are known by."""
        name = re.escape(self.name)
        home = re.escape(str(self.home))
        says: dict[str, tuple[str, ...]] = {
            rf"{name}@\d+\.service": (rf"EnvironmentFile=-?{home}/generations/%i/env",),
            rf"{name}@\d+\.socket": (rf"ListenStream=/run/{name}/probe-\d+\.sock",),
            # A process or a timed command beside the server.
            rf"{name}\.[a-z0-9-]+@\d+\.service": (
                rf"PartOf={name}\.service",
                rf"EnvironmentFile=-?{home}/generations/%i/env",
            ),
            rf"{name}\.socket": (rf"Description={name}: public socket.*",),
            rf"{name}\.service": (rf"Requires={name}\.socket", r"ExecStart=/bin/true"),
        }
        found = []
        files = [path for path in sorted(self.systemd.units.glob(f"{self.name}*")) if plain(path)]
        for pattern, lines in says.items():
            for path in files:
                if re.fullmatch(pattern, path.name):
                    text = path.read_text("utf-8", errors="replace")
                    if all(re.search(f"^{line}$", text, re.MULTILINE) for line in lines):
                        found.append(path.name)
        timers = {f"{unit[: -len('.service')]}.timer" for unit in found}
        return [path.name for path in files if path.name in timers] + found

    def _around(self, units: list[str]) -> list[Path]:
        """Links that enable units, and what an administrator has added to them."""
        folder = self.systemd.units
        own = re.compile(rf"{re.escape(self.name)}(\.[a-z0-9-]+)?@\d+\.(service|socket|timer)")
        inside = folder / f"{self.name}.service.wants"
        links = [
            path
            for kind in ("wants", "requires")
            for path in sorted(folder.glob(f"*.{kind}/*"))
            if path.is_symlink()
            and (path.name in units or (path.parent == inside and own.fullmatch(path.name)))
        ]
        bases = {re.sub(r"@\d+\.", "@.", unit) for unit in units} | set(units)
        drop_ins = [folder / f"{base}.d" for base in sorted(bases)]
        return links + [path for path in drop_ins if path.is_dir()]

    def _run_files(self, units: list[str] | None) -> list[Path]:
        """Locks, and the directory of the sockets when nothing of another program is in it."""
        found = [self.run / f"flaskops-{self.name}.{kind}" for kind in LOCKS + NOTES]
        sockets = self.run / self.name
        if units is not None and sockets.is_dir() and not sockets.is_symlink():
            ours = [rf"{re.escape(str(sockets))}/(http|probe-\d+)\.sock"]
            if f"{self.name}.socket" in units:
                text = (self.systemd.units / f"{self.name}.socket").read_text("utf-8")
                ours += map(re.escape, re.findall(r"^ListenStream=(/.+)$", text, re.MULTILINE))
            if all(re.fullmatch("|".join(ours), str(entry)) for entry in sockets.iterdir()):
                found.append(sockets)
        return [path for path in found if path.exists()]

    def _has_user(self) -> bool:
        """Whether the user is the app's: a system user whose home is the app's."""
        try:
            entry = pwd.getpwnam(self.user)
        except KeyError:
            return False
        at_home = os.path.normpath(entry.pw_dir) == os.path.normpath(self.home)
        return at_home and 0 < entry.pw_uid < FIRST_PERSON

    def _shares_user(self, units: list[str]) -> bool:
        """Whether a unit that stays runs as the app's user."""
        others = [path for path in self.systemd.units.glob("*.service") if path.name not in units]
        wanted = re.compile(rf"^User={re.escape(self.user)}$", re.MULTILINE)
        return any(
            wanted.search(path.read_text("utf-8", errors="replace"))
            for path in others
            if plain(path)
        )

    # and away with it ----------------------------------------------------------------------------

    def remove(self, plan: Plan) -> None:
        """Do what the plan says; RemoveError says what stood in the way."""
        self._stop(plan.units)
        for path in plan.around:
            discard(path)
        with suppress(OSError):  # it is not there, or holds what is not ours
            (self.systemd.units / f"{self.name}.service.wants").rmdir()
        for unit in plan.units:
            discard(self.systemd.units / unit)
        if plan.units or plan.around:
            self.systemd.must("daemon-reload")
        for name in plan.entries:
            discard(self.home / name)
        if plan.home and not self.keep_data:
            if self.home.is_symlink():
                self.home.unlink()
            elif not os.path.ismount(self.home):
                self.home.rmdir()
        if plan.user:
            self._remove_user()
        for path in plan.run:
            discard(path)

    def _stop(self, units: list[str]) -> None:
        """Sockets and timers first, or they would start again what is stopped."""
        first = [unit for unit in units if not unit.endswith(".service")]
        for some in (first, [unit for unit in units if unit not in first]):
            if some:
                self.systemd.must("stop", *some)
        # A transient timer, which would stop what is not there any more.
        self.systemd.call("stop", f"flaskops-{self.name}-lease.timer")
        for unit in units:
            self.systemd.call("reset-failed", unit)

    def _remove_user(self) -> None:
        gid = pwd.getpwnam(self.user).pw_gid
        self._run("userdel", self.user)
        with suppress(KeyError):  # userdel takes it along, by the distribution's default
            group = grp.getgrnam(self.user)
            others = [entry for entry in pwd.getpwall() if entry.pw_gid == gid]
            if group.gr_gid == gid and not group.gr_mem and not others:
                self._run("groupdel", self.user)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RemoveError(f"{' '.join(command)}: {done.stderr.strip()}")


def plain(path: Path) -> bool:
    """A file that is no link: a link is a masked unit, or leads to one of a package."""
    return path.is_file() and not path.is_symlink()


def discard(path: Path) -> None:
    """Remove a file, a link or a whole directory, whatever of it is still there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "keep_data": {"type": "bool", "default": False},
            "lock_minutes": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not NAME.fullmatch(params["name"]):
        module.fail_json(
            msg=f"name: found {params['name']!r}; allowed are up to 31 small letters, digits and "
            "hyphens, a letter first"
        )
    app = App(
        params["name"],
        Path(params["home"]),
        params["user"],
        Systemd(),
        keep_data=params["keep_data"],
    )
    try:
        plan = app.plan()
        told = app.told(plan)
        idle = module.check_mode or not plan
        with nullcontext() if idle else alone(params["name"], params["lock_minutes"]):
            if not idle:
                app.remove(app.plan())  # the locks are files of the app too
    except (RemoveError, SystemdError, BusyError, LockedError) as error:
        module.fail_json(msg=f"{params['name']} was not removed. {error}")
    text = "".join(f"-{line}\n" for line in told)
    module.exit_json(changed=bool(plan), removed=told, diff={"prepared": text})


if __name__ == "__main__":
    main()
