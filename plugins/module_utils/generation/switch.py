# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the live generation to the one that is wanted."""

from __future__ import annotations

import pwd
import secrets
import time
from dataclasses import asdict
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import app_files, payload
from ansible_collections.flaskops.stack.plugins.module_utils.generation import address
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.generation.lease import Started
from ansible_collections.flaskops.stack.plugins.module_utils.generation.lifecycle import Lifecycle
from ansible_collections.flaskops.stack.plugins.module_utils.generation.report import excerpt
from ansible_collections.flaskops.stack.plugins.module_utils.generation.trial import Trial
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import Draft, Wanted


class Switch:
    """One app on one host, brought to what is wanted.

    Without a draft what is wanted is there already, and has served. With a lease the new generation
    is left running beside the live one, for so many seconds.
    """

    def __init__(
        self,
        life: Lifecycle,
        wanted: Wanted,
        draft: Draft | None = None,
        *,
        lease: int | None = None,
        check_mode: bool = False,
    ) -> None:
        self.life = life
        self.wanted = wanted
        self.draft = draft
        self.lease = lease
        self.check_mode = check_mode
        self.systemd = life.systemd
        self.store = life.store
        self.units = life.units
        self.was_open = False

    def run(self) -> dict[str, Any]:
        """Make the wanted generation live; returns what happened, raises SwitchError."""
        life, store = self.life, self.store
        self.units.refuse_foreign()
        live = store.live()
        self.was_open = self.units.open()
        running = self.systemd.instances(life.app.name)
        strangers = sorted(number for number in running if number != live)
        stale = self._stale()
        same = live > 0 and store.record(live)["digest"] == self.wanted.digest
        active = same and running.get(live) == "active"
        up = active and self.units.reachable() and self.units.complete(live)
        up = up and life.files_shown(live)
        if up and not strangers and not stale and self.units.enabled() == [live]:
            return self._described(live)
        if self.check_mode:
            number = live if same else max(store.numbers(), default=0) + 1
            life.actions.append(f"generation {number} would go live")
            return life.result(live, live)
        if strangers:
            life.retire(strangers)
        before = {unit: self.units.read(unit) or "" for unit in stale}
        moved = self._install(stale)
        if up and not moved:
            life.commit(live, self.wanted.facts)
            life.lease.end()
            return life.result(live, live)
        return self._bring_up(live, same=same, moved=moved, before=before)

    def _described(self, live: int) -> dict[str, Any]:
        """What is wanted runs; app.json says so, and by which name it is asked."""
        life, facts = self.life, self.wanted.facts
        if not life.description.is_current(facts):
            if not self.check_mode:
                life.description.settle(facts)
            life.actions.append(f"{life.description.file.path} written")
        return life.result(live, live)

    def _bring_up(
        self, live: int, *, same: bool, moved: bool, before: dict[str, str]
    ) -> dict[str, Any]:
        """Start what is wanted, with the shared units written, and make it live."""
        life = self.life
        known = 0 if same else self._known_good()
        target = live if same else known or self._create()
        if known:
            self.store.doubt(known)
        moved_from = before if moved else {}
        if self.lease is not None:
            started = Started(target, self.was_open, moved_from, asdict(self.wanted.facts))
            life.lease.take(started, self.lease, self._leased(target, live))
        try:
            if moved or not self.was_open:
                self._open(target)
            self._start(target)
        except SwitchError:
            life.withdraw(target, live, forget=not known, was_open=self.was_open)
            if moved_from and live:  # to move the socket, the live one had to stop
                life.move_back(moved_from)
            if self.lease is not None:
                life.lease.end()
            raise
        if self.lease is not None and target != live:
            return life.result(target, live, pending=True)
        return life.go_live(target, live, self.wanted.facts)

    def _leased(self, number: int, live: int) -> list[str]:
        """Units that stop when the lease ends."""
        if number == live:
            return []
        own = [self.units.service(number), self.units.probe(number)]
        return own + [name.replace("@.", f"@{number}.") for name in self.wanted.companions]

    def _stale(self) -> dict[str, str]:
        """The units that all generations share, where they have another text."""
        texts = {self.units.socket: self.wanted.socket, self.units.handle: self.wanted.service}
        return {unit: text for unit, text in texts.items() if self.units.read(unit) != text}

    def _install(self, stale: dict[str, str]) -> bool:
        """Write the socket and the handle; True when the app was stopped, to move its socket.

        It is closed before the new text is there: a run that is killed in between leaves a socket
        that is down, which the next one sees.
        """
        if not stale:
            return False
        life, shared = self.life, (self.units.socket, self.units.handle)
        moved = self.units.socket in stale and self.was_open
        if self.units.socket in stale:
            self._refuse_address()
        if moved:
            life.must("stop", self.units.handle, self.units.socket)
            life.actions.append("stopped, to listen on the changed socket")
        life.description.claim(self.wanted.facts, 0, shared)
        for unit, text in stale.items():
            self.units.write(unit, text)
            life.actions.append(f"{unit} written")
        life.must("daemon-reload")
        life.must("enable", *shared)
        return moved

    def _refuse_address(self) -> None:
        """SwitchError, before anything is stopped, for an address on which nobody could listen."""
        unit, text = self.units.socket, self.wanted.socket
        before = self.units.read(unit) or ""
        problem = address.problem_with(text, before)
        if problem:
            raise SwitchError(f"{unit} cannot listen on {self.wanted.bind}: {problem}")

    def _known_good(self) -> int:
        """A kept generation of exactly this content that has served before."""
        for number in reversed(self.store.numbers()):
            digest = self.store.record(number)["digest"]
            if self.store.served(number) and digest == self.wanted.digest:
                return number
        return 0

    def _create(self) -> int:
        wanted, draft = self.wanted, self.draft
        if draft is None:
            raise SwitchError("the generation to go back to is not there any more")
        record = {
            "digest": wanted.digest,
            "token": secrets.token_hex(16),
            "entrypoint": draft.entrypoint,
            "proxy_hops": wanted.proxy_hops,
            "health": wanted.health,
            "protocol": wanted.protocol,
            "user": wanted.user,
            "server": wanted.server,
        }
        given = {f"{app_files.FOLDER}/{path}": text for path, text in wanted.given.items()}
        texts = {**draft.files, "env": wanted.environment, **given, **payload.files()}
        group = pwd.getpwnam(wanted.user).pw_gid
        return self.store.create(wanted.release, group, record, texts)

    def _open(self, number: int) -> None:
        """Open the public socket, before anything starts that is to be handed it.

        A process that is there already has not got it: the generation starts anew.
        """
        unit = self.units.socket
        since = time.time()
        self.systemd.call("reset-failed", unit)
        if self.systemd.call("start", unit):
            log = excerpt(self.systemd.log(unit, since))
            raise SwitchError(f"{unit} cannot listen on {self.wanted.bind}", log)
        if self.systemd.active(self.units.service(number)):
            self.life.must("stop", self.units.service(number))

    def _start(self, number: int) -> None:
        """Start a generation and have it prove itself."""
        life, service = self.life, self.units.service(number)
        trial = Trial(number, self.wanted, self.store, self.units)
        companions = {
            unit.replace("@.", f"@{number}."): text for unit, text in self.wanted.companions.items()
        }
        own = [service, self.units.probe(number), *companions]
        life.description.claim(self.wanted.facts, number, own)
        self.units.write(service, self.wanted.generation)
        self.units.write_probe(number)
        for unit, text in companions.items():
            self.units.write(unit, text)
        life.must("daemon-reload")
        life.show_files(number)
        if self.systemd.active(service):  # live already; its own socket may be gone since a crash
            trial.start_processes()
            life.actions.append(f"generation {number} has its units again")
            return
        self.systemd.call("reset-failed", service)
        since = time.time()
        if self.systemd.call("start", service):
            raise SwitchError(
                f"Generation {number} of {life.app.name} (release {self.wanted.release.name}) "
                "did not start",
                excerpt(self.systemd.log(service, since)),
            )
        life.actions.append(f"generation {number} started")
        trial.answers(since)
        life.notes += trial.notes
        life.actions.append(f"generation {number} answered {self.wanted.health['probes']} times")
        trial.start_processes()
