# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of an app, and what stands around them."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.removal.paths import discard, plain
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


class Units:
    """Unit files that are named like an app and say so."""

    def __init__(self, name: str, home: Path, systemd: Systemd) -> None:
        self.name = name
        self.home = home
        self.systemd = systemd

    def found(self) -> list[str]:
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

    def around(self, units: list[str]) -> list[Path]:
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

    def listens(self) -> list[str]:
        """Paths that the public socket listens on."""
        text = (self.systemd.units / f"{self.name}.socket").read_text("utf-8")
        return re.findall(r"^ListenStream=(/.+)$", text, re.MULTILINE)

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
