# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second half of a switch over several hosts: finish what was started, or withdraw it."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.app_state import Facts
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.generation.lifecycle import Lifecycle


def finish(life: Lifecycle) -> dict[str, Any]:
    """Make the generation live that was started; SwitchError when it runs no more."""
    live, started = life.store.live(), life.lease.read()
    number = started.generation if started else 0
    if started is None or life.systemd.instances(life.app.name).get(number) != "active":
        raise SwitchError(f"The generation of {life.app.name} that was started runs no more")
    return life.go_live(number, live, Facts(**started.facts))


def withdraw(life: Lifecycle) -> dict[str, Any]:
    """Stop what was started and is not live, and bring back what was there before."""
    live, started = life.store.live(), life.lease.read()
    was_open = started.was_open if started else life.units.open()
    for number in sorted(life.systemd.instances(life.app.name)):
        if number != live:
            forget = not life.store.served(number)
            life.withdraw(number, live, forget=forget, was_open=was_open)
            life.actions.append(f"generation {number} withdrawn")
    if started and started.moved_from:
        life.move_back(started.moved_from)
    elif started and live and was_open and not life.systemd.active(life.units.service(live)):
        life.must("start", life.units.handle)
    life.lease.end()
    return life.result(live, live)
