# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit files of an app, by what the switch has written down of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.app_state import AppState
from ansible_collections.flaskops.stack.plugins.module_utils.removal.paths import discard, plain
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


class Units:
    """Units of one app; none where nothing is written down."""

    def __init__(self, name: str, state: AppState | None, systemd: Systemd) -> None:
        self.name = name
        self.state = state
        self.systemd = systemd

    def found(self) -> list[str]:
        """Unit files of the app that are there, the handle last."""
        units = self.state.all_units if self.state else []
        return [unit for unit in units if plain(self.systemd.units / unit)]

    def around(self, units: list[str]) -> list[Path]:
        """Links that enable units, and what an administrator has added to them."""
        folder = self.systemd.units
        inside = folder / f"{self.name}.service.wants"
        links = [
            path
            for kind in ("wants", "requires")
            for path in sorted(folder.glob(f"*.{kind}/*"))
            if path.is_symlink()
            and (path.name in units or (path.parent == inside and self._is_own(path.name)))
        ]
        bases = {template(unit) for unit in units} | set(units)
        drop_ins = [folder / f"{base}.d" for base in sorted(bases)]
        return links + [path for path in drop_ins if path.is_dir()]

    def _is_own(self, unit: str) -> bool:
        """Whether a unit is named like one of a generation of the app."""
        base, at, _ = unit.partition("@")
        return bool(at) and (base == self.name or base.startswith(f"{self.name}."))

    def remove(self, units: list[str], around: list[Path]) -> None:
        """Stop and remove them. SystemdError says what did not stop."""
        self.stop(units)
        for path in around:
            discard(path)
        with suppress(OSError):  # it is not there, or holds what is not ours
            (self.systemd.units / f"{self.name}.service.wants").rmdir()
        for unit in units:
            discard(self.systemd.units / unit)
        if units or around:
            self.systemd.must("daemon-reload")

    def stop(self, units: list[str]) -> None:
        """Sockets and timers first, or they would start again what is stopped."""
        first = [unit for unit in units if not unit.endswith(".service")]
        for some in (first, [unit for unit in units if unit not in first]):
            if some:
                self.systemd.must("stop", *some)
        # A transient timer, which would stop what is not there any more.
        self.systemd.call("stop", f"flaskops-{self.name}-lease.timer")
        for unit in units:
            self.systemd.call("reset-failed", unit)


def template(unit: str) -> str:
    """The unit that instances are made of: shop@.service for shop@7.service."""
    base, at, instance = unit.partition("@")
    return f"{base}@.{instance.rpartition('.')[2]}" if at else unit
