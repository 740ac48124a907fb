# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module switch calls: one of the ways from a generation to another, done alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import host
from ansible_collections.flaskops.stack.plugins.module_utils.claim import ClaimError, claim
from ansible_collections.flaskops.stack.plugins.module_utils.generation import wanted as new
from ansible_collections.flaskops.stack.plugins.module_utils.generation.companions import (
    CompanionError,
)
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.generation.finish import (
    finish,
    withdraw,
)
from ansible_collections.flaskops.stack.plugins.module_utils.generation.hints import hint
from ansible_collections.flaskops.stack.plugins.module_utils.generation.lifecycle import Lifecycle
from ansible_collections.flaskops.stack.plugins.module_utils.generation.report import (
    aftermath,
    differences,
    reason,
)
from ansible_collections.flaskops.stack.plugins.module_utils.generation.rollback import recorded
from ansible_collections.flaskops.stack.plugins.module_utils.generation.switch import Switch
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import (
    App,
    Draft,
    Wanted,
)
from ansible_collections.flaskops.stack.plugins.module_utils.hidden import hide
from ansible_collections.flaskops.stack.plugins.module_utils.lock import (
    BusyError,
    DeployLock,
    LockedError,
    alone,
)
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

#: Phases that bring about something new; the others end what one of these has started.
BEGINNING = ("whole", "start")
#: Seconds to wait for another switch of the app: that of a run that was cut off goes on for a
#: while, until its generation has answered or failed to.
PATIENCE = 30.0


@dataclass
class Outcome:
    """The end of a call: what the module returns, or why it failed."""

    result: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


def perform(params: dict[str, Any], systemd: Systemd, *, check_mode: bool) -> Outcome:
    """Do what the module's options say."""
    os.umask(0o022)  # the login's may be stricter, and others have to read what is made
    app = App(params["name"], Path(params["home"]), params["keep"])
    life = Lifecycle(app, systemd)
    try:
        if check_mode:
            result = act(params, life, check_mode=True)
        else:
            with alone(app.name, "switch", wait=PATIENCE), deploy_lock(params) as lock:
                result = act(params, life, check_mode=False)
                lock.waits = result["pending"]
    except (LockedError, CompanionError, ClaimError) as error:
        if params["phase"] == "withdraw":  # what was started is the other run's
            return Outcome({"changed": False, "pending": False, "actions": []})
        return Outcome({"actions": life.actions}, str(error))
    except BusyError as error:
        return Outcome({"actions": life.actions}, f"Not switched: {error}")
    except SwitchError as error:
        after = aftermath(life.store, systemd, app.name)
        log = hide(app.home, error.log)
        told = hide(app.home, [f"{error}. {after}"])[0]
        text = "\n".join(filter(None, (told, reason(log), hint(log))))
        return Outcome({"actions": life.actions, "log": "\n".join(log)}, text)
    return Outcome(result)


@dataclass
class Held:
    """Whether something waits for its second half, for which the run keeps its deploy lock."""

    waits: bool


@contextmanager
def deploy_lock(params: dict[str, Any]) -> Iterator[Held]:
    """Take the deploy lock of the run, and let go of it when the switch is over.

    After a start that failed it is not: the run has to withdraw what it started on other hosts.
    """
    given, held = params["lock"], Held(waits=params["phase"] == "start")
    if not given:
        yield held
        return
    lock = DeployLock(params["name"])
    try:
        lock.take(**given)
        yield held
    finally:
        if not held.waits:
            lock.free(given["run"])


def act(params: dict[str, Any], life: Lifecycle, *, check_mode: bool) -> dict[str, Any]:
    """Go one of the ways; the result of the module."""
    app = life.app
    claim(app.name, app.home, params["user"] or "", life.systemd, role="wsgi", apps=app.apps_folder)
    phase = params["phase"]
    if phase not in BEGINNING:
        ended = finish(life) if phase == "finish" else withdraw(life)
        return {**ended, "diff": {"prepared": ""}}
    wanted, draft = target(params, life, check_mode=check_mode)
    diff = differences(life.store, wanted, draft)
    lease = params["lease"] if phase == "start" else None
    result = Switch(life, wanted, draft, lease=lease, check_mode=check_mode).run()
    if host.install(life.app.root, check_mode=check_mode):
        result = {**result, "changed": True, "actions": [*result["actions"], "flaskops written"]}
    return {**result, "diff": {"prepared": diff if result["changed"] else ""}}


def target(
    params: dict[str, Any], life: Lifecycle, *, check_mode: bool
) -> tuple[Wanted, Draft | None]:
    """The generation that is asked for; SwitchError when it cannot be had on this host."""
    if params["rollback"]:
        return recorded(life, params["rollback"]), None
    wanted, draft = new.read(params)
    for timer in params["timers"]:
        problem = life.systemd.calendar_problem(timer["schedule"])
        if problem:
            raise SwitchError(f"schedule of timer {timer['name']}: {problem}")
    if not check_mode and not wanted.release.is_dir():
        raise SwitchError(f"release: {wanted.release} is not a directory on this host")
    return wanted, draft
