# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trial of a generation that has started: its answers over HTTP, its background processes."""

from __future__ import annotations

import http.client
import time
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.generation.report import excerpt
from ansible_collections.flaskops.stack.plugins.module_utils.generation.request import ask
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.generation.units import Units
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import Wanted
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import health

#: Seconds that a background process must stay up.
SETTLE = 1.0


class Trial:
    """One generation that has to show that it works; SwitchError with the log when it does not."""

    def __init__(self, number: int, wanted: Wanted, store: Generations, units: Units) -> None:
        self.number = number
        self.wanted = wanted
        self.store = store
        self.units = units
        self.systemd = units.systemd
        #: What people should know of a generation that works.
        self.notes: list[str] = []

    def answers(self, since: float) -> None:
        """Ask it as often as wanted, on its own socket; each time its release has to answer."""
        service = self.units.service(self.number)
        live = self.store.live()
        for check in self.wanted.health["probes"] * health.checks(self.wanted.health):
            problem = self._problem(check)
            restarts = self.systemd.properties(service, "NRestarts").get("NRestarts")
            # A live one that is started again may have crashed before.
            crashed = restarts not in ("0", None) and self.number != live
            if not problem and crashed:
                problem = f"was restarted {restarts} times"
            if problem:
                raise SwitchError(
                    f"Generation {self.number} of {self.units.name} started, but "
                    f"GET {check['path']} {problem}",
                    self._log(service, since),
                )

    def _problem(self, check: dict[str, Any]) -> str:
        """What is wrong with the answer to one health check, an empty string for nothing."""
        record = self.store.record(self.number)
        headers = health.headers(check, self.wanted.proxy_hops)
        headers["X-Flaskops-Token"] = record["token"]
        try:
            status, body, answered = ask(
                self.units.probe_path(self.number),
                check["path"],
                headers,
                check["timeout"],
                record.get("protocol", "http"),
            )
        except (OSError, http.client.HTTPException) as error:
            return f"gave no answer: {error or type(error).__name__}"
        if answered.get(health.KEY_HEADER) == health.OWN_KEY:
            self.notes = [f"{self.units.name} {health.OWN_KEY_NOTE}"]
        release = answered.get(health.RELEASE_HEADER)
        problem = health.unhealthy(status, body, check)
        if not problem and release != record["release"]:
            problem = f"answered for release {release}, wanted {record['release']}"
        return problem

    def start_processes(self) -> None:
        """Start the background processes; each has to stay up."""
        units = [one for one in self.units.processes(self.number) if not self.systemd.active(one)]
        for unit in units:
            since = time.time()
            self.systemd.call("reset-failed", unit)
            if self.systemd.call("start", unit):
                raise SwitchError(f"{unit} did not start", self._log(unit, since))
        if not units:
            return
        since = time.time()
        time.sleep(SETTLE)
        for unit in units:
            told = self.systemd.properties(unit, "ActiveState", "NRestarts")
            if told.get("ActiveState") != "active" or told.get("NRestarts") not in ("0", None):
                raise SwitchError(f"{unit} ended at once", self._log(unit, since - SETTLE))

    def _log(self, unit: str, since: float) -> list[str]:
        return excerpt(self.systemd.log(unit, since))
