# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live generation of an app, asked as the switch asks it."""

from __future__ import annotations

import http.client
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.app_state import AppState
from ansible_collections.flaskops.stack.plugins.module_utils.generation.request import ask
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.generation.units import probe_path
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import ASKED_AS
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import health


class Probe:
    """Asks the processes of the live generation, within so many seconds each time."""

    def __init__(
        self,
        name: str,
        generations: Generations,
        systemd: Systemd,
        timeout: int,
        app: AppState | None = None,
    ) -> None:
        self.name = name
        self.systemd = systemd
        self.timeout = timeout
        self.live = generations.live()
        self.generations = generations
        #: By which name and scheme it is asked may have changed since it was started.
        self.asked_as = app.health if app else {}
        #: Whether the app signs with a key of its own.
        self.own_key = False
        self.log = f"journalctl -u {name}@{self.live}"

    @cached_property
    def record(self) -> dict[str, Any]:
        """What the switch wrote of it."""
        return self.generations.record(self.live)

    def ask(self) -> tuple[str, str]:
        """The release that answers on the live generation's own socket, and what is wrong."""
        release = ""
        for check in health.checks(self.record["health"]):
            release, problem = self.ask_for(check)
            if problem:
                return release, problem
        return release, ""

    def ask_for(self, check: dict[str, Any]) -> tuple[str, str]:
        """The same for one health check."""
        path, log = check["path"], self.log
        try:
            try:
                status, body, answer = self.get(probe_path(self.name, self.live), check)
            except (FileNotFoundError, ConnectionRefusedError):
                # systemd closes it when a start fails and may not open it for the next one. The
                # token still tells this generation from any other.
                status, body, answer = self.get(self.public(), check)
        except (OSError, http.client.HTTPException) as error:
            return "", f"no answer to GET {path} ({error or type(error).__name__}): {log}"
        self.own_key = answer.get(health.KEY_HEADER) == health.OWN_KEY
        release = answer.get(health.RELEASE_HEADER, "")
        wanted = self.record["release"]
        problem = health.unhealthy(status, body, check)
        if problem:
            said = problem.partition(": ")[0]  # without the page, which can be anything
            problem = f"GET {path} {said}: {log}"
        elif release != wanted:
            problem = (
                f"release {release or '(none)'} answers, {wanted} is live: "
                f"systemctl restart {self.name}"
            )
        return release, problem

    def unreached(self) -> str:
        """What is wrong with the public socket: it can be open and nobody be behind it."""
        place = ""
        try:
            place = self.public()
            self.get(place, self.record["health"])
        except (OSError, http.client.HTTPException) as error:
            said = error or type(error).__name__
            return f"no answer at {place or 'its address'} ({said}): systemctl restart {self.name}"
        return ""

    def get(self, place: Path | str, check: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        """Ask for a health check's path as the switch does; OSError or HTTPException."""
        headers = health.headers({**check, **self._name()}, self.record["proxy_hops"])
        headers["X-Flaskops-Token"] = self.record["token"]
        seconds = min(check["timeout"], self.timeout)
        return ask(place, check["path"], headers, seconds, self.record.get("protocol", "http"))

    def _name(self) -> dict[str, str]:
        return {name: self.asked_as[name] for name in ASKED_AS if name in self.asked_as}

    def public(self) -> str:
        """Where the public socket listens, a path or ``address:port``; FileNotFoundError."""
        listen = self.systemd.properties(f"{self.name}.socket", "Listen").get("Listen", "")
        if not listen:
            raise FileNotFoundError(f"there is no {self.name}.socket")
        return listen.removesuffix(" (Stream)")
