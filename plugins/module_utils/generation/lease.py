# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A generation that was started and is not live yet: what it is, and when it stops by itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import App
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


@dataclass(frozen=True)
class Started:
    """What was started, and what has to be brought back when it is withdrawn."""

    generation: int
    was_open: bool
    #: Texts that the shared units had, when the public socket was moved.
    moved_from: dict[str, str] = field(default_factory=dict)
    #: What app.json is to say when it is live, as module_utils/app_state.py has it.
    facts: dict[str, Any] = field(default_factory=dict)


class Lease:
    """Whatever becomes of a run, what it started does not stay beside the live generation."""

    def __init__(self, app: App, systemd: Systemd) -> None:
        self.systemd = systemd
        self.file = app.run_folder / f"flaskops-{app.name}.lease"
        self.unit = f"flaskops-{app.name}-lease"

    def read(self) -> Started | None:
        """What was started, None when nothing is known of it."""
        try:
            return Started(**json.loads(self.file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def take(self, started: Started, seconds: int, units: list[str]) -> None:
        """Note what is started, and stop these units after a time."""
        files.write(self.file, json.dumps(asdict(started)), 0o600)
        self._stop_timer()
        if units:
            self.systemd.later(self.unit, seconds, *units)

    def end(self) -> None:
        """Nothing is to be stopped any more."""
        self._stop_timer()
        self.file.unlink(missing_ok=True)

    def _stop_timer(self) -> None:
        self.systemd.call("stop", f"{self.unit}.timer")
