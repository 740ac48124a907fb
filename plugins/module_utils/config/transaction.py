# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All files of a program as one: looked at, tried, written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.config.difference import difference
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.config.found import Found, look_at
from ansible_collections.flaskops.stack.plugins.module_utils.config.trial import has_check, verify
from ansible_collections.flaskops.stack.plugins.module_utils.config.wanted import (
    Wanted,
    check_paths,
    existing,
    read_wanted,
)
from ansible_collections.flaskops.stack.plugins.module_utils.config.writer import (
    Label,
    Writer,
    write_all,
)
from ansible_collections.flaskops.stack.plugins.module_utils.packages import missing
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, Unit

#: systemd reads again what changes below it.
UNITS = "/etc/systemd/system/"
#: The result of a module that has looked and done nothing.
UNTOUCHED: dict[str, Any] = {
    "changed": False,
    "missing_packages": [],
    "changed_files": [],
    "checked": False,
    "stale": False,
    "daemon_reload": False,
    "unit_active": False,
    "unit_wish": "restarted",
    "unit_settled": False,
    "settled": False,
}


def check_required(messages: dict[str, str]) -> None:
    """Raise ConfigError with what is said of the paths that are missing."""
    if lacking := [path for path in messages if not os.path.exists(path)]:
        raise ConfigError("\n".join(messages[path] for path in lacking))


@dataclass(frozen=True)
class Changes:
    """What is to be written and removed, beside what is there."""

    writes: list[tuple[Wanted, Found]]
    removals: list[tuple[str, Found]]
    #: When what there is already was written, in seconds since the epoch.
    times: list[float]

    @property
    def paths(self) -> list[str]:
        return [new.path for new, _old in self.writes] + [path for path, _old in self.removals]

    def difference(self) -> str:
        """All of it, as people read it."""
        texts = [difference(old, new) for new, old in self.writes]
        return "".join([*texts, *(f"--- {path}\n-removed\n" for path, _old in self.removals)])


def look(params: dict[str, Any], *, check_mode: bool) -> Changes:
    """Compare what is wanted with what is there. Raises ConfigError."""
    check_paths([entry["path"] for entry in params["files"]] + params["absent"])
    wanted = read_wanted(params["files"], check_mode=check_mode)
    found = [look_at(new.path) for new in wanted]
    absent = existing(params["absent"], {new.path for new in wanted})
    return Changes(
        writes=[(new, old) for new, old in zip(wanted, found) if not old.matches(new)],
        removals=[(path, old) for path in absent if (old := look_at(path)).kind != "absent"],
        times=[file.mtime for file in found],
    )


def told(changes: Changes, unit: Unit | None) -> dict[str, Any]:
    """The result by the files and by the unit that reads them, None where there is none."""
    paths, state = changes.paths, unit or Unit()
    stale = not paths and state.older_than(changes.times)
    reload_needed = state.reload_needed or any(path.startswith(UNITS) for path in paths)
    settled = state.settled and not reload_needed
    active = state.since is not None
    return UNTOUCHED | {
        "changed": bool(paths) or stale,
        "changed_files": paths,
        "stale": stale,
        "daemon_reload": reload_needed,
        "unit_active": active,
        "unit_wish": "started" if active else "restarted",
        "unit_settled": settled,
        "settled": not paths and not stale and (settled or unit is None),
    }


def unit_of(params: Mapping[str, Any]) -> Unit | None:
    """The unit that reads the files, as systemd has it now; None where there is none."""
    return Systemd().unit(params["unit"]) if params["unit"] else None


def apply(
    params: dict[str, Any],
    label: Label,
    *,
    check_mode: bool,
    diff: bool,
    unit: Unit | None = None,
) -> dict[str, Any]:
    """Bring the files about; returns the module's result. Raises ConfigError.

    ``unit`` is given where the caller has looked at it already.
    """
    if lacking := missing(params["packages"]):
        return UNTOUCHED | {"missing_packages": lacking}
    check_required(params["requires"])
    changes = look(params, check_mode=check_mode)
    result = told(changes, unit or unit_of(params))
    if not changes.paths:
        return result
    if has_check(params["check"], check_mode=check_mode):
        wanted, absent = [new for new, _ in changes.writes], [path for path, _ in changes.removals]
        result |= {"checked": True, "check_output": verify(params, wanted, absent)}
    if diff:
        result["diff"] = {"prepared": changes.difference()}
    if not check_mode:
        write_all(Writer(label), changes.writes, changes.removals)
    return result
