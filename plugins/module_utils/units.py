# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of a unit, for modules that change what it reads."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """A systemd unit: since when it is active (seconds since the epoch), None when it is not."""

    since: float | None = None
    enabled: bool = False
    reload_needed: bool = False
    reload_failed: bool = False

    def older_than(self, times: Iterable[float]) -> bool:
        """Whether one of these times is after its last start or reload; the future says nothing.

        After a reload that failed it is older than everything.
        """
        if self.since is None:
            return False
        now = time.time()
        return self.reload_failed or any(self.since < one <= now for one in times)

    @property
    def settled(self) -> bool:
        """Nothing is left to do for who wants it started and enabled."""
        return self.since is not None and self.enabled and not self.reload_needed


def unit_state(unit: str) -> Unit:
    """What systemd says of a unit; an empty Unit when it knows none of that name."""
    names = (
        "ActiveState",
        "StateChangeTimestampMonotonic",
        "NeedDaemonReload",
        "ReloadResult",
        "UnitFileState",
    )
    try:
        answer = subprocess.run(
            ["systemctl", "show", "--property", ",".join(names), "--", unit],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return Unit()
    values = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    since = None
    if values.get("ActiveState") in ("active", "reloading"):
        elapsed = time.monotonic() - int(values["StateChangeTimestampMonotonic"]) / 1e6
        since = time.time() - elapsed
    return Unit(
        since=since,
        enabled=values.get("UnitFileState") == "enabled",
        reload_needed=values.get("NeedDaemonReload") == "yes",
        reload_failed=values.get("ReloadResult", "success") != "success",
    )
