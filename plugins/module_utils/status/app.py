# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One app of a host."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.app_state import APPS, AppFile
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.processes import Processes
from ansible_collections.flaskops.stack.plugins.module_utils.status import release
from ansible_collections.flaskops.stack.plugins.module_utils.status.probe import Probe
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import health

PROPERTIES = (
    "ActiveState",
    "SubState",
    "MainPID",
    "NRestarts",
    "MemoryCurrent",
    "ActiveEnterTimestampMonotonic",
)
#: What systemd shows for a number that it does not count.
NOT_COUNTED = ("", "[not set]", str(2**64 - 1))
#: States that come with a problem.
WORTH_A_WORD = ("broken", "failed", "stopped")
#: States of a background process or a timer that is as it should be.
RUNS = ("active", "activating", "reloading", "deactivating")
#: Bytes free on the disk below which it is worth a word.
LITTLE_DISK = 512 * 1024**2


class App:
    """One app of the host."""

    def __init__(
        self, name: str, home: Path, systemd: Systemd, timeout: int, apps: Path = APPS
    ) -> None:
        self.name = name
        self.home = home
        self.systemd = systemd
        self.generations = Generations(home)
        self.live = self.generations.live()
        self.unit = f"{name}@{self.live}"
        self.folder = self.generations.path(self.live)
        self.written = AppFile(name, apps)
        self.app = self.written.read()
        self.probe = Probe(name, self.generations, systemd, timeout, self.app)
        self.problems: list[str] = []

    def look(self) -> dict[str, Any]:
        """Everything about it."""
        shown = self.systemd.properties(f"{self.unit}.service", *PROPERTIES) if self.live else {}
        up = shown.get("ActiveState") == "active"
        answered, problem = self.probe.ask() if up else ("", "")
        state = self.state(shown, problem)
        server = self.app.server if self.app and self.live else ""
        pid = number(shown.get("MainPID")) if up else 0
        processes = Processes()
        running = self.systemd.instances(self.name)
        others = sorted(running.keys() - {self.live})
        for one in others:
            self.problems.append(
                f"{self.name} has generation {one} too, {running[one]}: a switch is under way, or "
                "did not end and the next deploy retires it"
            )
        companions = self.companions() if up else []
        if state == "serving" and any(one["state"] in WORTH_A_WORD for one in companions):
            state = "degraded"
        if self.probe.own_key:
            self.problems.append(f"{self.name} {health.OWN_KEY_NOTE}")
        if self.live and self.app is None:
            self.problems.append(
                f"{self.name} has no {self.written.path}, so its processes, timers and server are "
                "not known: run site.yml"
            )
        free = self.disk_free()
        if free < LITTLE_DISK:
            self.problems.append(
                f"{self.name} has {free // 1024**2} MB of disk left: df -h {self.home}"
            )
        return {
            "name": self.name,
            "home": str(self.home),
            "state": state,
            "problems": self.problems,
            "generation": self.live,
            **self.release(self.live),
            "server": server,
            "server_version": release.server_version(self.folder, server),
            "answered_release": answered,
            "workers": len(processes.children(pid)),
            "uptime": uptime(shown) if up else 0,
            "restarts": number(shown.get("NRestarts")),
            "memory": self.memory(shown, processes, pid) if up else 0,
            "deployed": self.deployed(),
            "rollback": self.rollback(),
            "others": others,
            "companions": companions,
            "disk_free": free,
        }

    def state(self, shown: dict[str, str], problem: str) -> str:
        """The state in one word; what is wrong goes to the problems."""
        name, live_link = self.name, self.generations.live_link
        active, sub = shown.get("ActiveState"), shown.get("SubState")
        crashed = sub == "auto-restart" or number(shown.get("NRestarts")) > 0
        if not self.live:
            state = "broken" if live_link.is_symlink() else "not deployed"
            problem = f"{live_link} leads nowhere: deploy it"
        elif active == "active":
            if not problem and not self.systemd.active(f"{name}.socket"):
                problem = f"{name}.socket is not open: systemctl restart {name}"
            problem = problem or self.probe.unreached()
            state = "broken" if problem else "serving"
        elif active == "inactive":
            state, problem = "stopped", f"systemctl start {name}"
        elif active == "deactivating":
            state = "stopping"
        elif active == "activating" and not crashed:
            state = "starting"
        else:
            state, problem = "failed", f"journalctl -u {self.unit}"
        if state in WORTH_A_WORD:
            self.problems.append(f"{name} is {state}: {problem}")
        return state

    def companions(self) -> list[dict[str, str]]:
        """Background processes and timers of the live generation, each with its state.

        The command of a timer shows when it has failed.
        """
        units = self.app.companions(self.live) if self.app else []
        timed = {unit.replace(".timer", ".service") for unit in units if unit.endswith(".timer")}
        found = []
        for unit in sorted(units):
            shown = self.systemd.properties(unit, "ActiveState", "SubState")
            active, sub = shown.get("ActiveState", ""), shown.get("SubState", "")
            stem = unit.removesuffix(".service")
            if active == "failed" or sub == "auto-restart":
                state = "failed"
            elif active in RUNS or unit in timed:
                state = active
            else:
                state = "stopped"
            if state in WORTH_A_WORD:
                self.problems.append(f"{stem} of {self.name} is {state}: journalctl -u {stem}")
            elif unit in timed:
                continue
            found.append({"unit": stem, "state": state})
        return found

    def release(self, generation: int) -> dict[str, str]:
        """Release, revision and source of a generation; nothing is known of 0."""
        return release.release(self.generations.path(generation) if generation else None)

    def memory(self, shown: dict[str, str], processes: Processes, pid: int) -> int:
        """Bytes as systemd counts them, or as the processes do where it does not."""
        counted = shown.get("MemoryCurrent", "")
        return processes.memory(pid) if counted in NOT_COUNTED else number(counted)

    def deployed(self) -> str:
        """When the live generation went live."""
        if not self.live:
            return ""
        since = os.lstat(self.generations.live_link).st_mtime
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))

    def rollback(self) -> dict[str, Any] | None:
        """What a rollback would go to."""
        target = self.generations.rollback_target()
        if not self.live or not target:
            return None
        told = self.release(target)
        return {"generation": target, "release": told["release"], "revision": told["revision"]}

    def disk_free(self) -> int:
        """Bytes free where the app lives, or would."""
        path = self.home
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free


def number(text: str | None) -> int:
    """A number that systemd shows, 0 when it shows none."""
    return int(text) if text and text.isdigit() else 0


def uptime(shown: dict[str, str]) -> int:
    """Seconds since a unit came up."""
    since = number(shown.get("ActiveEnterTimestampMonotonic")) / 1_000_000
    return max(int(time.clock_gettime(time.CLOCK_MONOTONIC) - since), 0)
