# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the generations of an app: live, retired, withdrawn, removed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import app_files
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import Facts
from ansible_collections.flaskops.stack.plugins.module_utils.generation.description import (
    Description,
)
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.generation.lease import Lease
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.generation.units import Units
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import App
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, SystemdError


class Lifecycle:
    """The generations of one app on this host, on the disk and in systemd."""

    def __init__(self, app: App, systemd: Systemd) -> None:
        self.app = app
        self.systemd = systemd
        self.store = Generations(app.home)
        self.units = Units(app.name, systemd)
        self.lease = Lease(app, systemd)
        self.description = Description(app, self.store, self.units)
        #: What was done, in order, for people.
        self.actions: list[str] = []
        #: What people should know besides.
        self.notes: list[str] = []

    def must(self, verb: str, *units: str) -> None:
        """Call systemctl; SwitchError when it fails."""
        try:
            self.systemd.must(verb, *units)
        except SystemdError as error:
            raise SwitchError(str(error)) from None

    def go_live(self, target: int, live: int, facts: Facts) -> dict[str, Any]:
        """Make a generation that has proved itself live and retire the one before."""
        self.commit(target, facts)
        if self.lease.file.exists():
            self.lease.end()
        if live and live != target:
            self.retire([live])
        return self.result(target, live)

    def show_files(self, number: int) -> None:
        """Have the app find the files that a generation was given; SwitchError."""
        if not self.files_shown(number):
            user = self.store.record(number).get("user", "root")
            folder = self.store.path(number) / app_files.FOLDER
            problem = app_files.Shown(self.app.home).lead(folder, user)
            if problem:
                raise SwitchError(f"flask_app_files: {problem}")
            self.actions.append(f"files of generation {number} in shared/")

    def files_shown(self, number: int) -> bool:
        """Whether the app finds them."""
        return not app_files.Shown(self.app.home).wrong(self.store.path(number) / app_files.FOLDER)

    def commit(self, number: int, facts: Facts) -> None:
        """From here on, this generation is the one that comes back after a reboot."""
        self.store.prove(number)
        self.units.enable(number)
        live = self.store.live()
        if live != number:
            if live:
                self.store.remember(live)
            self.store.make_live(number)
            self.actions.append(f"generation {number} live")
        for other in self.units.enabled():
            if other != number:
                self.units.disable(other)
        self._prune(number)
        self.description.settle(facts)
        self.must("daemon-reload")
        self.must("start", self.units.socket, self.units.handle)
        timers = self.units.timers(number)
        if timers:
            self.must("start", *timers)

    def retire(self, numbers: list[int]) -> None:
        """Stop generations; what is under way in them is finished."""
        for number in numbers:
            self.units.disable(number)
            self._stop_companions(number)
            self.must("stop", self.units.service(number), self.units.probe(number))
            self.systemd.call("reset-failed", self.units.service(number))
            self.actions.append(f"generation {number} retired")

    def _stop_companions(self, number: int) -> None:
        """Timers at once; processes may take their time to finish their work."""
        timers, processes = self.units.timers(number), self.units.processes(number)
        if timers:
            self.systemd.call("stop", *timers)
        if processes:
            self.systemd.call("stop", "--no-block", *processes)

    def withdraw(self, number: int, live: int, *, forget: bool, was_open: bool) -> None:
        """After a failure: as if the new generation had never been."""
        if number == live:
            return
        if live:
            with suppress(SwitchError):  # the next run says it
                self.show_files(live)
        companions = self.units.companions(number)
        if companions:
            self.systemd.call("stop", *companions)
        service = self.units.service(number)
        self.systemd.call("stop", service, self.units.probe(number))
        self.systemd.call("reset-failed", *self.units.of(number))
        if forget:
            self._forget(number)
            self.systemd.call("daemon-reload")
        shared = (self.units.handle, self.units.socket)
        if not live or not was_open:
            self.systemd.call("stop", *shared)
        if not live:  # after a reboot nobody would be behind the socket
            self.systemd.call("disable", *shared)
            self.units.remove(*shared)
            self.systemd.call("daemon-reload")
        self.description.forget_what_is_gone()

    def move_back(self, units: dict[str, str]) -> None:
        """Let the live generation listen where it did, by the texts that its units had."""
        self.systemd.call("stop", self.units.handle, self.units.socket)
        for unit, text in units.items():
            self.units.write(unit, text)
        self.must("daemon-reload")
        # The second waits until it serves.
        live = self.units.service(self.store.live())
        self.systemd.call("start", self.units.handle, live)

    def _forget(self, number: int) -> None:
        own = self.units.of(number)
        self.units.disable(number)
        self.systemd.call("reset-failed", *own)  # a job of its timer may have failed
        self.units.remove(*own)
        self.store.remove(number)

    def _prune(self, live: int) -> None:
        """Keep the newest generations, and always the live one and its predecessor.

        systemd has to look at its units again afterwards.
        """
        previous = self.store.previous()
        others = [n for n in self.store.numbers() if n not in (live, previous)]
        others.sort(key=lambda n: (self.store.served(n), n))  # what never served goes first
        room = max(self.app.keep - len({live, previous} - {0}), 0)
        for number in others[: max(len(others) - room, 0)]:
            self._forget(number)

    def result(self, number: int, before: int, *, pending: bool = False) -> dict[str, Any]:
        """What the module returns."""
        return {
            "changed": bool(self.actions),
            "pending": pending,
            "generation": number,
            "previous": before,
            "release": self.store.record(number)["release"] if number else "",
            "actions": self.actions,
            "notes": self.notes,
        }
