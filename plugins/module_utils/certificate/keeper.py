# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a certificate on a host between two runs: a program, its settings, units."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.certificate import shipped, units
from ansible_collections.flaskops.stack.plugins.module_utils.certificate import site as sites
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import run
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.lineage import Lineage
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.site import Site
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


class Keeper:
    """The files and units on the host, written where they differ. In check mode nothing is done."""

    def __init__(self, site: Site, systemd: Systemd, *, dry: bool) -> None:
        self.site = site
        self.lineage = Lineage(site.name)
        self.systemd = systemd
        self.dry = dry
        self.changed = False

    def file(self, path: Path, text: str, mode: int = 0o644) -> bool:
        """Have a file; whether it was another before."""
        different = not files.same(path, text, mode)
        if different and not self.dry:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            files.write(path, text, mode)
        self.changed |= different
        return different

    def program(self) -> None:
        """Have the program that runs between two runs."""
        for path, text in shipped.texts().items():
            self.file(path, text, 0o755 if path == shipped.PROGRAM else 0o644)

    def settings(self, settings: dict[str, Any]) -> None:
        """Have the settings that the program reads."""
        self.file(self.site.home / "settings.json", json.dumps(settings, indent=1), 0o600)

    def units(self, *, acme: bool, issues: bool) -> None:
        """Have the units, enabled and where they are timers started."""
        wanted = {units.ENSURE_UNIT: units.ENSURE}
        enabled = [units.ENSURE_UNIT]
        if acme and issues:
            wanted[units.CERTBOT_DROPIN] = units.CERTBOT
            enabled.append(units.CERTBOT_TIMER)
        elif acme:
            wanted |= {units.FETCH_UNIT: units.FETCH, units.FETCH_TIMER_UNIT: units.FETCH_TIMER}
            enabled.append(units.FETCH_TIMER_UNIT)
        self.stop(acme=acme, issues=issues)
        written = [self.file(self.systemd.units / name, text) for name, text in wanted.items()]
        if any(written) and not self.dry:
            self.systemd.must("daemon-reload")
        for unit in enabled:
            self.enable(unit)

    def stop(self, *, acme: bool, issues: bool) -> None:
        """Stop what keeps a certificate of another source, or what another host does now."""
        if self.lineage.renewal.is_file() and not (acme and issues) and shutil.which("certbot"):
            self.changed = True
            if not self.dry:
                self.delete_lineage()
        fetching = [one for one in sites.every() if not one.settings.get("issuer", True)]
        timer = self.systemd.units / units.FETCH_TIMER_UNIT
        if timer.is_file() and not fetching and (not acme or issues):
            self.changed = True
            if not self.dry:
                self.systemd.must("disable", "--now", units.FETCH_TIMER_UNIT)
                for name in (units.FETCH_UNIT, units.FETCH_TIMER_UNIT):
                    (self.systemd.units / name).unlink()

    def delete_lineage(self) -> None:
        """Have certbot forget the certificate, which stays where the web server reads it."""
        run(["certbot", "delete", "--non-interactive", "--cert-name", self.site.name])

    def enable(self, unit: str) -> None:
        """Have a unit enabled, and a timer started."""
        timer = unit.endswith(".timer")
        shown = self.systemd.properties(unit, "UnitFileState", "ActiveState")
        enabled = shown.get("UnitFileState") == "enabled"
        if enabled and (not timer or shown.get("ActiveState") == "active"):
            return
        self.changed = True
        if not self.dry:
            self.systemd.must("enable", *(["--now"] if timer else []), unit)

    def forget(self) -> None:
        """Remove the certificate; with the last one on the host also what keeps certificates."""
        self.changed = True
        if self.dry:
            return
        if self.lineage.renewal.is_file() and shutil.which("certbot"):
            self.delete_lineage()
        shutil.rmtree(self.site.home)
        if not sites.every():
            self.remove_program()

    def remove_program(self) -> None:
        """Remove the units and the program."""
        for unit in (units.ENSURE_UNIT, units.FETCH_TIMER_UNIT):
            if (self.systemd.units / unit).is_file():
                self.systemd.must("disable", "--now", unit)
        for name in units.FILES:
            with suppress(FileNotFoundError):
                (self.systemd.units / name).unlink()
        self.systemd.must("daemon-reload")
        with suppress(FileNotFoundError):
            shipped.PROGRAM.unlink()
        shutil.rmtree(shipped.PROGRAM.parent / shipped.TOP, ignore_errors=True)
