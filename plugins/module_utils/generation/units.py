# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit files of one app: its handle, its public socket and those of each generation."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.claim import foreign_unit
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


def probe_path(name: str, number: int) -> Path:
    """The socket that one generation alone answers on."""
    return Path(f"/run/{name}/probe-{number}.sock")


class Units:
    """What systemd has of one app."""

    def __init__(self, name: str, systemd: Systemd) -> None:
        self.name = name
        self.systemd = systemd
        self.handle = f"{name}.service"
        self.socket = f"{name}.socket"
        #: The units that all generations share.
        self.shared = [self.socket, self.handle]
        self.wants = systemd.units / f"{name}.service.wants"

    # names ---------------------------------------------------------------------------------------

    def service(self, number: int) -> str:
        """The server of a generation."""
        return f"{self.name}@{number}.service"

    def probe(self, number: int) -> str:
        """The socket that asks a generation alone."""
        return f"{self.name}@{number}.socket"

    def probe_path(self, number: int) -> Path:
        """Where that socket is."""
        return probe_path(self.name, number)

    def of(self, number: int) -> list[str]:
        """All units of a generation, those of its processes and timers as they are on the disk."""
        return [self.service(number), self.probe(number), *self.companions(number)]

    def companions(self, number: int) -> list[str]:
        """Processes and timers of a generation, as they are on the disk."""
        found = [*self.systemd.units.glob(f"{self.name}.*@{number}.service")]
        found += self.systemd.units.glob(f"{self.name}.*@{number}.timer")
        return sorted(path.name for path in found)

    def timers(self, number: int) -> list[str]:
        """Timers of a generation."""
        return [unit for unit in self.companions(number) if unit.endswith(".timer")]

    def processes(self, number: int) -> list[str]:
        """What runs all the time: a timer's command is no process."""
        found, timers = self.companions(number), self.timers(number)
        jobs = {f"{unit.removesuffix('.timer')}.service" for unit in timers}
        return [unit for unit in found if unit not in jobs.union(timers)]

    # files ---------------------------------------------------------------------------------------

    def read(self, unit: str) -> str | None:
        """Text of a unit, None when there is none."""
        path = self.systemd.units / unit
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def write(self, unit: str, text: str) -> bool:
        """Write a unit where it has another text; whether it had."""
        return files.update(self.systemd.units / unit, text, 0o644)

    def write_probe(self, number: int) -> None:
        """Write the socket that asks a generation alone."""
        text = (
            "# Written by flaskops.stack: the way to ask this generation alone.\n"
            f"[Unit]\nDescription={self.name}: generation {number} alone\n"
            f"StopPropagatedFrom={self.service(number)}\n\n"
            f"[Socket]\nListenStream={self.probe_path(number)}\n"
            "SocketUser=root\nSocketGroup=root\nSocketMode=0600\nRemoveOnStop=true\n"
        )
        self.write(self.probe(number), text)

    def remove(self, *units: str) -> None:
        """Remove the files of units."""
        for unit in units:
            (self.systemd.units / unit).unlink(missing_ok=True)

    # what comes back after a reboot --------------------------------------------------------------

    def enabled(self) -> list[int]:
        """Generations that are enabled."""
        if not self.wants.is_dir():
            return []
        cut = len(self.name) + 1
        names = (entry.name[cut : -len(".service")] for entry in self.wants.iterdir())
        return sorted(int(name) for name in names if name.isdigit())

    def enable(self, number: int) -> None:
        """Let a generation come back after a reboot."""
        self.wants.mkdir(mode=0o755, exist_ok=True)
        for unit in (self.service(number), *self.processes(number), *self.timers(number)):
            link = self.wants / unit
            if not link.is_symlink():
                link.symlink_to(self.systemd.units / unit)

    def disable(self, number: int) -> None:
        """Let a generation not come back after a reboot."""
        for unit in (self.service(number), *self.companions(number)):
            (self.wants / unit).unlink(missing_ok=True)

    # state ---------------------------------------------------------------------------------------

    def open(self) -> bool:
        """Whether the public socket listens."""
        return self.systemd.active(self.socket)

    def reachable(self) -> bool:
        """Whether the app is started, as people start it, and listens."""
        return self.open() and self.systemd.active(self.handle)

    def complete(self, number: int) -> bool:
        """Whether all processes and timers of a generation are up."""
        units = [*self.processes(number), *self.timers(number)]
        return all(self.systemd.active(unit) for unit in units)

    def refuse_foreign(self) -> None:
        """Stop an app that is named like a service of the system, before it takes its place."""
        found = foreign_unit(self.name, self.systemd)
        if found:
            raise SwitchError(f"name: {self.name!r} is taken, {found} is not of this app")
