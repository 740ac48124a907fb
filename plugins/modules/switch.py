#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: one generation of an app takes over from another without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: switch
short_description: Let a new generation of an app take over without losing a request
description:
  - Starts a new generation beside the running one, waits until it has proved itself, makes it the
    live one, retires the old one and prunes, all in one remote call.
  - A generation is a release as it runs, an immutable numbered directory with a link to the
    release, the environment file and the server's configuration, run by C(<name>@<n>.service). All
    generations accept from one systemd socket, which stays open.
  - A new generation proves itself twice. Each worker asks the app for its health path before it
    accepts a request, and the unit is up only when all have; then the switch asks over HTTP on a
    socket of that generation alone and checks which release answers.
  - When the new generation fails, it is stopped and removed, the live one was never touched, and
    the error holds the failing unit's own log lines.
  - The state is read from the disk and from systemd. What a killed run has left is put right first.
  - When a generation with the same content is live and running, nothing changes.
  - Over several hosts a switch has two phases, so that it happens on all of them or on none.
    O(phase=start) on every host, then O(phase=finish), or O(phase=withdraw) when one has failed.
    These two need O(name) and O(home) only. A generation that was started and is neither finished
    nor withdrawn is stopped after O(lease).
  - A generation that has served can be gone back to with O(rollback), exactly as it ran.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment: [flaskops.stack.deploy_lock]
options:
  phase:
    description:
      - V(whole) does everything, V(start) leaves the new generation running beside the live one,
        V(finish) makes that one live and retires the old one, V(withdraw) stops it again.
    type: str
    choices: [whole, start, finish, withdraw]
    default: whole
  lease:
    description: Seconds after which a generation that was only started is stopped.
    type: int
    default: 900
  rollback:
    description:
      - V(previous), or the release, or the beginning of its name, to go back to. It must have
        served before. What it ran with comes from its generation, not from the other options.
    type: str
    default: ''
  name:
    description:
      - Name of the app; its units are C(<name>.socket), C(<name>.service), C(<name>@<n>.service).
    type: str
    required: true
  home:
    description: Directory that holds C(generations/) and the link C(live).
    type: path
    required: true
  release:
    description: Directory of the release to run, or a link to it.
    type: path
  environment_file:
    description:
      - File on the host in systemd's C(EnvironmentFile) format that is copied into the generation.
      - No file means an empty environment.
    type: path
  user:
    description:
      - User that the app runs as; the primary group may read the generation, its environment
        included.
    type: str
  files:
    description: Name and text of the files of the generation, such as the server's configuration.
    type: dict
    default: {}
  entrypoint:
    description:
      - The app as C(module:callable) or as a factory's call, as FLASK_APP has it.
      - When empty, the app is found as Flask finds it.
    type: str
    default: ''
  proxy_hops:
    description: Number of trusted proxies in front, each setting the C(X-Forwarded-) headers.
    type: int
    default: 0
  protocol:
    description:
      - What the server speaks on its sockets, HTTP or the binary protocol that is called uwsgi.
    type: str
    choices: [http, uwsgi]
    default: http
  socket_unit:
    description: Text of C(<name>.socket), the public socket.
    type: str
  service_unit:
    description: Text of C(<name>.service), the handle people start and stop.
    type: str
  generation_unit:
    description: Text of C(<name>@<n>.service); C(%i) is the number of the generation.
    type: str
  health:
    description: What the new generation has to answer.
    type: dict
    default: {}
    suboptions:
      path:
        description: URL path, with a query if need be.
        type: str
        default: /
      host:
        description: Host name of the request.
        type: str
        default: localhost
      scheme:
        description: Scheme of the request as the app sees it.
        type: str
        choices: [http, https]
        default: http
      status:
        description: Statuses that pass; any below 500 when empty.
        type: list
        elements: int
        default: []
      text:
        description: Text that the answer has to hold.
        type: str
        default: ''
      timeout:
        description: Seconds for one answer.
        type: int
        default: 10
      more:
        description: Further checks; what one does not say is as above, any status and text.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: URL path, with a query if need be.
            type: str
            required: true
          status:
            description: Statuses that pass; any below 500 when empty.
            type: list
            elements: int
          text:
            description: Text that the answer has to hold.
            type: str
          timeout:
            description: Seconds for one answer.
            type: int
      probes:
        description: How often the new generation is asked over HTTP.
        type: int
        default: 3
  processes:
    description:
      - Background processes of the release, such as workers of a queue. They run as the server
        does, in C(<name>.<process>@<n>.service). New ones start with the generation, old ones get
        SIGTERM when it is retired and finish their work.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the process.
        type: str
        required: true
      command:
        description: Command line, for a shell, in the code of the release.
        type: str
        required: true
      count:
        description: How many of them run.
        type: int
        default: 1
      stop_timeout:
        description: Seconds that it has to finish its work.
        type: int
        default: 300
  timers:
    description: Commands of the release that run at times, in C(<name>.<timer>@<n>.timer).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the timer.
        type: str
        required: true
      command:
        description: Command line, for a shell, in the code of the release.
        type: str
        required: true
      schedule:
        description: When, as systemd's C(OnCalendar) has it.
        type: str
        required: true
      timeout:
        description: Seconds that the command has.
        type: int
        default: 3600
  keep:
    description: Generations kept on the disk, the live one and its predecessor always among them.
    type: int
    default: 5
requirements:
  - systemd 249 or newer
"""

EXAMPLES = r"""
- name: Go back to what was live before
  flaskops.stack.switch:
    name: shop
    home: /srv/shop
    rollback: previous

- name: Switch to the release that was built last
  flaskops.stack.switch:
    name: shop
    home: /srv/shop
    release: /srv/shop/next/release
    environment_file: /srv/shop/next/env
    user: shop
    files:
      gunicorn.conf.py: "{{ lookup('ansible.builtin.template', 'gunicorn.conf.py.j2') }}"
    socket_unit: "{{ lookup('ansible.builtin.template', 'app.socket.j2') }}"
    service_unit: "{{ lookup('ansible.builtin.template', 'app.service.j2') }}"
    generation_unit: "{{ lookup('ansible.builtin.template', 'app@.service.j2') }}"
    health:
      path: /healthz
      status: [200]
"""

RETURN = r"""
pending:
  description: The generation was started and is to be finished or withdrawn.
  returned: success
  type: bool
generation:
  description: Number of the live generation, or of the one that was started.
  returned: success
  type: int
  sample: 7
previous:
  description: Number of the generation that was live before, 0 when there was none.
  returned: success
  type: int
  sample: 6
release:
  description: Release that is live.
  returned: success
  type: str
  sample: 3f2a91c04d1b-5e1f9a2c
actions:
  description: What was done, in order.
  returned: success
  type: list
  elements: str
  sample: [generation 7 started, generation 7 answered 3 times, generation 6 retired]
"""

import difflib
import hashlib
import http.client
import json
import os
import pwd
import re
import secrets
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import files, parts, payload, wrapper
from ansible_collections.flaskops.stack.plugins.module_utils.environment import from_file
from ansible_collections.flaskops.stack.plugins.module_utils.generations import (
    Generations,
    ask,
    excerpt,
    probe_path,
)
from ansible_collections.flaskops.stack.plugins.module_utils.lock import (
    LOCK_OPTIONS,
    RUN,
    BusyError,
    DeployLock,
    LockedError,
    alone,
)
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import health

#: Seconds that a background process must stay up.
SETTLE = 1.0
PREVIOUS = "previous"
#: Without one of these there is nothing to switch to but an earlier generation.
NEEDED = ("release", "user", "socket_unit", "service_unit", "generation_unit")


class SwitchError(Exception):
    """The switch could not be made; the live generation still serves."""

    def __init__(self, message: str, log: list[str] | None = None) -> None:
        super().__init__(message)
        self.log = log or []


@dataclass(frozen=True)
class Wanted:
    """What should be live: the content of a generation and of the units around it."""

    name: str
    home: Path
    release: Path
    environment: str
    user: str
    files: dict[str, str]
    units: dict[str, str]
    entrypoint: str
    proxy_hops: int
    health: dict[str, Any]
    keep: int
    parts: dict[str, str] = field(default_factory=dict)
    lease: int = 900
    recorded: str = ""
    run_folder: Path = RUN
    protocol: str = "http"

    @property
    def digest(self) -> str:
        """What makes one generation differ from another: any of it means a switch.

        The name by which the health check asks is left out: a site that gets another name runs the
        same app. The wrapper counts by its version.
        """
        if self.recorded:
            return self.recorded
        asked = {name: value for name, value in self.health.items() if name != "host"}
        content = [
            str(self.release),
            self.environment,
            self.files,
            self.units["generation"],
            self.entrypoint,
            self.proxy_hops,
            asked,
            self.protocol,
            wrapper.VERSION,
            self.parts,
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Switch:
    """One app on one host, brought to what is wanted."""

    def __init__(self, wanted: Wanted, systemd: Systemd, *, check_mode: bool = False) -> None:
        self.wanted = wanted
        self.systemd = systemd
        self.check_mode = check_mode
        self.generations = Generations(wanted.home)
        self.actions: list[str] = []
        self.was_open = False

    # units ---------------------------------------------------------------------------------------

    def _service(self, number: int) -> str:
        return f"{self.wanted.name}@{number}.service"

    def _probe(self, number: int) -> str:
        return f"{self.wanted.name}@{number}.socket"

    def probe_path(self, number: int) -> Path:
        return probe_path(self.wanted.name, number)

    def _probe_unit(self, number: int) -> str:
        service = self._service(number)
        return (
            "# Written by flaskops.stack: the way to ask this generation alone.\n"
            f"[Unit]\nDescription={self.wanted.name}: generation {number} alone\n"
            f"StopPropagatedFrom={service}\n\n"
            f"[Socket]\nListenStream={self.probe_path(number)}\n"
            "SocketUser=root\nSocketGroup=root\nSocketMode=0600\nRemoveOnStop=true\n"
        )

    @property
    def _wants(self) -> Path:
        return self.systemd.units / f"{self.wanted.name}.service.wants"

    def _enabled(self) -> list[int]:
        if not self._wants.is_dir():
            return []
        cut = len(self.wanted.name) + 1
        names = (entry.name[cut : -len(".service")] for entry in self._wants.iterdir())
        return sorted(int(name) for name in names if name.isdigit())

    def _enable(self, number: int) -> None:
        self._wants.mkdir(mode=0o755, exist_ok=True)
        for unit in (self._service(number), *self._processes(number), *self._timers(number)):
            link = self._wants / unit
            if not link.is_symlink():
                link.symlink_to(self.systemd.units / unit)

    def _disable(self, number: int) -> None:
        for unit in (self._service(number), *self._parts(number)):
            (self._wants / unit).unlink(missing_ok=True)

    def _parts(self, number: int) -> list[str]:
        """Units of processes and timers of a generation, as they are on the disk."""
        name = self.wanted.name
        found = [*self.systemd.units.glob(f"{name}.*@{number}.service")]
        found += self.systemd.units.glob(f"{name}.*@{number}.timer")
        return sorted(path.name for path in found)

    def _timers(self, number: int) -> list[str]:
        return [unit for unit in self._parts(number) if unit.endswith(".timer")]

    def _processes(self, number: int) -> list[str]:
        """What runs all the time: a timer's command is no process."""
        jobs = {f"{unit.removesuffix('.timer')}.service" for unit in self._timers(number)}
        return [unit for unit in self._parts(number) if unit not in jobs | {*self._timers(number)}]

    def _write_unit(self, name: str, text: str) -> bool:
        return files.update(self.systemd.units / name, text, 0o644)

    # the switch ----------------------------------------------------------------------------------

    def run(self, phase: str = "whole") -> dict[str, Any]:
        """Make the wanted generation live; returns what happened, raises SwitchError.

        In the phase ``start`` the new one is left running beside the live one.
        """
        self._refuse_foreign_units()
        generations = self.generations
        live = generations.live()
        self.was_open = self.systemd.active(f"{self.wanted.name}.socket")
        running = self.systemd.instances(self.wanted.name)
        strangers = sorted(number for number in running if number != live)
        shared = self._shared_units()
        stale = {name: text for name, text in shared.items() if self._read_unit(name) != text}
        same = live > 0 and generations.record(live)["digest"] == self.wanted.digest
        up = same and running.get(live) == "active" and self._handle_up() and self._parts_up(live)
        settled = up and not strangers and not stale and self._enabled() == [live]
        if settled:
            return self._result(live, live)
        if self.check_mode:
            number = live if same else max(generations.numbers(), default=0) + 1
            self.actions.append(f"generation {number} would go live")
            return self._result(live, live)
        self._retire(strangers)
        before = {name: self._read_unit(name) or "" for name in stale}
        moved = self._install_shared(stale)
        if up and not moved:
            self._commit(live)
            self._end_lease()
            return self._result(live, live)
        known = 0 if same else self._known_good()
        target = live if same else known or self._create()
        if known:
            generations.doubt(known)
        moved_from = before if moved else {}
        if phase == "start":
            self._take_lease(target, moved_from)
        try:
            if moved or not self.was_open:
                self._open(target)
            self._start(target)
        except SwitchError:
            self._withdraw(target, live, forget=not known)
            if moved_from and live:  # to move the socket, the live one had to stop
                self._move_back(moved_from)
            if phase == "start":
                self._end_lease()
            raise
        if phase == "start" and target != live:
            return self._result(target, live, pending=True)
        return self._go_live(target, live)

    def finish(self) -> dict[str, Any]:
        """Make the generation live that was started; SwitchError when it runs no more."""
        self.was_open = True
        live, number = self.generations.live(), self._lease().get("generation", 0)
        if self.systemd.instances(self.wanted.name).get(number) != "active":
            raise SwitchError(f"The generation of {self.wanted.name} that was started runs no more")
        return self._go_live(number, live)

    def withdraw(self) -> dict[str, Any]:
        """Stop what was started and is not live, and bring back what was there before."""
        live, lease = self.generations.live(), self._lease()
        is_open = self.systemd.active(f"{self.wanted.name}.socket")
        self.was_open = bool(lease.get("was_open", is_open))
        for number in sorted(self.systemd.instances(self.wanted.name)):
            if number != live:
                self._withdraw(number, live, forget=not self.generations.served(number))
                self.actions.append(f"generation {number} withdrawn")
        if lease.get("moved_from"):
            self._move_back(lease["moved_from"])
        elif lease and live and self.was_open and not self.systemd.active(self._service(live)):
            self._must("start", f"{self.wanted.name}.service")
        self._end_lease()
        return self._result(live, live)

    def _move_back(self, units: dict[str, str]) -> None:
        """Let the live generation listen where it did."""
        name = self.wanted.name
        self.systemd.call("stop", f"{name}.service", f"{name}.socket")
        for unit, text in units.items():
            self._write_unit(unit, text)
        self._must("daemon-reload")
        # The second waits until it serves.
        self.systemd.call("start", f"{name}.service", self._service(self.generations.live()))

    def _go_live(self, target: int, live: int) -> dict[str, Any]:
        self._commit(target)
        if self._lease_file.exists():
            self._end_lease()
        if live and live != target:
            self._retire([live])
        return self._result(target, live)

    # between start and finish --------------------------------------------------------------------

    @property
    def _lease_file(self) -> Path:
        return self.wanted.run_folder / f"flaskops-{self.wanted.name}.lease"

    def _lease(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._lease_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        return found

    def _take_lease(self, number: int, moved_from: dict[str, str]) -> None:
        """Whatever becomes of this run, the new generation does not stay beside the live one."""
        noted = {"generation": number, "was_open": self.was_open, "moved_from": moved_from}
        files.write(self._lease_file, json.dumps(noted), 0o600)
        self._stop_lease_timer()
        if number != self.generations.live():
            parts_of_it = [name.replace("@.", f"@{number}.") for name in self.wanted.parts]
            units = (self._service(number), self._probe(number), *parts_of_it)
            self.systemd.later(self._lease_unit, self.wanted.lease, *units)

    def _end_lease(self) -> None:
        self._stop_lease_timer()
        self._lease_file.unlink(missing_ok=True)

    @property
    def _lease_unit(self) -> str:
        return f"flaskops-{self.wanted.name}-lease"

    def _stop_lease_timer(self) -> None:
        self.systemd.call("stop", f"{self._lease_unit}.timer")

    def _shared_units(self) -> dict[str, str]:
        name = self.wanted.name
        return {
            f"{name}.socket": self.wanted.units["socket"],
            f"{name}.service": self.wanted.units["service"],
        }

    def _read_unit(self, name: str) -> str | None:
        path = self.systemd.units / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def _handle_up(self) -> bool:
        name = self.wanted.name
        return self.systemd.active(f"{name}.socket") and self.systemd.active(f"{name}.service")

    def _parts_up(self, number: int) -> bool:
        units = [*self._processes(number), *self._timers(number)]
        return all(self.systemd.active(unit) for unit in units)

    def _refuse_foreign_units(self) -> None:
        """An app named like a service of the system would take its place."""
        name = self.wanted.name
        for unit in (f"{name}.service", f"{name}.socket"):
            ours = self.systemd.units / unit
            shipped = [folder / unit for folder in self.systemd.shipped]
            found = [path for path in shipped if path.exists()] + [ours] * ours.is_symlink()
            if found:
                raise SwitchError(f"name: {name!r} is taken, {found[0]} is not of this app")

    def _install_shared(self, stale: dict[str, str]) -> bool:
        """Write the socket and the handle; True when the app was stopped, to move its socket.

        It is closed before the new text is there: a run that is killed in between leaves a socket
        that is down, which the next one sees.
        """
        if not stale:
            return False
        name = self.wanted.name
        moved = f"{name}.socket" in stale and self.was_open
        if moved:
            self._must("stop", f"{name}.service", f"{name}.socket")
            self.actions.append("stopped, to listen on the changed socket")
        for unit, text in stale.items():
            self._write_unit(unit, text)
            self.actions.append(f"{unit} written")
        self._must("daemon-reload")
        self._must("enable", f"{name}.socket", f"{name}.service")
        return moved

    def _known_good(self) -> int:
        """A kept generation of exactly this content that has served before."""
        for number in reversed(self.generations.numbers()):
            known = self.generations.served(number)
            if known and self.generations.record(number)["digest"] == self.wanted.digest:
                return number
        return 0

    def _create(self) -> int:
        wanted = self.wanted
        record = {
            "digest": wanted.digest,
            "token": secrets.token_hex(16),
            "entrypoint": wanted.entrypoint,
            "proxy_hops": wanted.proxy_hops,
            "health": wanted.health,
            "protocol": wanted.protocol,
        }
        texts = {**wanted.files, "env": wanted.environment, **payload.files()}
        group = pwd.getpwnam(wanted.user).pw_gid
        return self.generations.create(wanted.release, group, record, texts)

    def _open(self, number: int) -> None:
        """Open the public socket, before anything starts that is to be handed it.

        A process that is there already has not got it: the generation starts anew.
        """
        unit = f"{self.wanted.name}.socket"
        since = time.time()
        self.systemd.call("reset-failed", unit)
        if self.systemd.call("start", unit):
            listen = re.search(r"^ListenStream=(.*)$", self.wanted.units["socket"], re.MULTILINE)
            raise SwitchError(
                f"{unit} cannot listen on {listen[1] if listen else 'its address'}",
                self._log(unit, since),
            )
        if self.systemd.active(self._service(number)):
            self._must("stop", self._service(number))

    def _start(self, number: int) -> None:
        service = self._service(number)
        self._write_unit(service, self.wanted.units["generation"])
        self._write_unit(self._probe(number), self._probe_unit(number))
        for unit, text in self.wanted.parts.items():
            self._write_unit(unit.replace("@.", f"@{number}."), text)
        self._must("daemon-reload")
        if self.systemd.active(service):  # live already; its own socket may be gone since a crash
            self._start_processes(number)
            self.actions.append(f"generation {number} has its units again")
            return
        self.systemd.call("reset-failed", service)
        since = time.time()
        problem = self.systemd.call("start", service)
        if problem:
            raise SwitchError(
                f"Generation {number} of {self.wanted.name} (release {self.wanted.release.name}) "
                "did not start",
                self._log(service, since),
            )
        self.actions.append(f"generation {number} started")
        self._ask(number, since)
        self._start_processes(number)

    def _start_processes(self, number: int) -> None:
        """Start background processes; SwitchError for one that does not stay up."""
        units = [unit for unit in self._processes(number) if not self.systemd.active(unit)]
        for unit in units:
            since = time.time()
            self.systemd.call("reset-failed", unit)
            problem = self.systemd.call("start", unit)
            if problem:
                raise SwitchError(f"{unit} did not start", self._log(unit, since))
        if units:
            since = time.time()
            time.sleep(SETTLE)
        for unit in units:
            told = self.systemd.properties(unit, "ActiveState", "NRestarts")
            if told.get("ActiveState") != "active" or told.get("NRestarts") not in ("0", None):
                raise SwitchError(f"{unit} ended at once", self._log(unit, since - SETTLE))

    def _ask(self, number: int, since: float) -> None:
        """Over HTTP, on the generation's own socket: as often as wanted, each time its release."""
        probes = self.wanted.health["probes"]
        for check in probes * health.checks(self.wanted.health):
            problem = self._asked(number, check)
            restarts = self.systemd.properties(self._service(number), "NRestarts").get("NRestarts")
            # A live one that is started again may have crashed before.
            crashed = restarts not in ("0", None) and number != self.generations.live()
            if not problem and crashed:
                problem = f"was restarted {restarts} times"
            if problem:
                raise SwitchError(
                    f"Generation {number} of {self.wanted.name} started, but "
                    f"GET {check['path']} {problem}",
                    self._log(self._service(number), since),
                )
        self.actions.append(f"generation {number} answered {probes} times")

    def _asked(self, number: int, check: dict[str, Any]) -> str:
        """What is wrong with the answer to one health check, an empty string for nothing."""
        record = self.generations.record(number)
        headers = health.headers(check, self.wanted.proxy_hops)
        headers["X-Flaskops-Token"] = record["token"]
        protocol = record.get("protocol", "http")
        try:
            status, body, answered = ask(
                self.probe_path(number), check["path"], headers, check["timeout"], protocol
            )
        except (OSError, http.client.HTTPException) as error:
            return f"gave no answer: {error or type(error).__name__}"
        release = answered.get(health.RELEASE_HEADER)
        problem = health.unhealthy(status, body, check)
        if not problem and release != record["release"]:
            problem = f"answered for release {release}, wanted {record['release']}"
        return problem

    def _commit(self, number: int) -> None:
        """From here on, this generation is the one that comes back after a reboot."""
        self.generations.prove(number)
        self._enable(number)
        live = self.generations.live()
        if live != number:
            if live:
                self.generations.remember(live)
            self.generations.make_live(number)
            self.actions.append(f"generation {number} live")
        for other in self._enabled():
            if other != number:
                self._disable(other)
        self._prune(number)
        self._must("daemon-reload")
        self._must("start", f"{self.wanted.name}.socket", f"{self.wanted.name}.service")
        timers = self._timers(number)
        if timers:
            self._must("start", *timers)

    def _retire(self, numbers: list[int]) -> None:
        for number in numbers:
            self._disable(number)
            self._stop_parts(number)
            self._must("stop", self._service(number), self._probe(number))
            self.systemd.call("reset-failed", self._service(number))
            self.actions.append(f"generation {number} retired")

    def _stop_parts(self, number: int) -> None:
        """Timers at once; processes may take their time to finish their work."""
        timers, processes = self._timers(number), self._processes(number)
        if timers:
            self.systemd.call("stop", *timers)
        if processes:
            self.systemd.call("stop", "--no-block", *processes)

    def _withdraw(self, number: int, live: int, *, forget: bool) -> None:
        """After a failure: as if the new generation had never been."""
        if number == live:
            return
        parts = self._parts(number)
        if parts:
            self.systemd.call("stop", *parts)
        self.systemd.call("stop", self._service(number), self._probe(number))
        self.systemd.call("reset-failed", self._service(number))
        if forget:
            self._forget(number)
            self.systemd.call("daemon-reload")
        units = (f"{self.wanted.name}.service", f"{self.wanted.name}.socket")
        if not live or not self.was_open:
            self.systemd.call("stop", *units)
        if not live:  # after a reboot nobody would be behind the socket
            self.systemd.call("disable", *units)
            for unit in units:
                (self.systemd.units / unit).unlink(missing_ok=True)
            self.systemd.call("daemon-reload")

    def _forget(self, number: int) -> None:
        self._disable(number)
        for unit in (self._service(number), self._probe(number), *self._parts(number)):
            (self.systemd.units / unit).unlink(missing_ok=True)
        self.generations.remove(number)

    def _prune(self, live: int) -> None:
        """Keep the newest generations, and always the live one and its predecessor.

        systemd has to look at its units again afterwards.
        """
        previous = self.generations.previous()
        others = [n for n in self.generations.numbers() if n not in (live, previous)]
        others.sort(key=lambda n: (self.generations.served(n), n))  # what never served goes first
        room = max(self.wanted.keep - len({live, previous} - {0}), 0)
        for number in others[: max(len(others) - room, 0)]:
            self._forget(number)

    def _log(self, unit: str, since: float) -> list[str]:
        return excerpt(self.systemd.log(unit, since))

    def _must(self, verb: str, *units: str) -> None:
        try:
            self.systemd.must(verb, *units)
        except SystemdError as error:
            raise SwitchError(str(error)) from None

    def _result(self, number: int, before: int, *, pending: bool = False) -> dict[str, Any]:
        release = self.generations.record(number)["release"] if number else ""
        return {
            "changed": bool(self.actions),
            "pending": pending,
            "generation": number,
            "previous": before,
            "release": release,
            "actions": self.actions,
        }


def differences(live: int, generations: Generations, wanted: Wanted) -> str:
    """What a switch changes, for --diff; of the environment only the names."""
    before_dir = generations.path(live) if live else None

    def before(name: str) -> str:
        path = before_dir / name if before_dir else None
        return path.read_text(encoding="utf-8") if path and path.is_file() else ""

    lines: list[str] = []
    old_release = generations.record(live)["release"] if live else ""
    if old_release != wanted.release.name:
        lines += [f"-release {old_release or 'none'}", f"+release {wanted.release.name}"]
    for name, text in sorted(wanted.files.items()):
        lines += difflib.unified_diff(
            before(name).splitlines(), text.splitlines(), name, name, lineterm="", n=1
        )
    old_env, new_env = from_file(before("env")), from_file(wanted.environment)
    for name in sorted(old_env.keys() | new_env.keys()):
        if name not in new_env:
            lines.append(f"-environment {name}")
        elif name not in old_env:
            lines.append(f"+environment {name}")
        elif old_env[name] != new_env[name]:
            lines.append(f"~environment {name}")
    return "".join(f"{line}\n" for line in lines)


def aftermath(generations: Generations, systemd: Systemd, name: str) -> str:
    """What serves after a failure, as systemd has it."""
    live = generations.live()
    if not live:
        return "There was no earlier generation: the app is not running."
    which = f"Generation {live} (release {generations.record(live)['release']})"
    if systemd.active(f"{name}@{live}.service"):
        if not systemd.active(f"{name}.socket"):
            return f"{which} runs, but {name}.socket is not open: nobody reaches it."
        return f"{which} was not touched and serves on."
    return f"{which} was live before, but is not running: see journalctl -u {name}@{live}."


def read_wanted(params: dict[str, Any]) -> Wanted:
    """The module's parameters as one value, with what they name on the host read in."""
    missing = [name for name in NEEDED if not params[name]]
    if missing:
        raise SwitchError(f"missing: {', '.join(missing)}; only a rollback goes without")
    source = params["environment_file"]
    environment = ""
    if source and os.path.isfile(source):
        environment = Path(source).read_bytes().decode()
    return Wanted(
        name=params["name"],
        home=Path(params["home"]),
        release=Path(os.path.realpath(params["release"])),
        environment=environment,
        user=params["user"],
        files=params["files"],
        units={
            "socket": params["socket_unit"],
            "service": params["service_unit"],
            "generation": params["generation_unit"],
        },
        entrypoint=params["entrypoint"],
        proxy_hops=params["proxy_hops"],
        health=params["health"],
        keep=params["keep"],
        parts=parts.units(
            params["name"], params["generation_unit"], params["processes"], params["timers"]
        ),
        lease=params["lease"],
        protocol=params["protocol"],
    )


def recorded(params: dict[str, Any], systemd: Systemd) -> Wanted:
    """An earlier generation as it ran; SwitchError when there is none to go back to."""
    name, generations = params["name"], Generations(Path(params["home"]))
    number = earlier(generations, params["rollback"])
    record, folder = generations.record(number), generations.path(number)

    live, protocol = generations.live(), record.get("protocol", "http")
    spoken = generations.record(live).get("protocol", "http") if live else protocol
    if protocol != spoken:
        raise SwitchError(
            f"rollback: generation {number} speaks {protocol}, and the web server {spoken}; set "
            "wsgi_protocol and flask_app_version and run site.yml instead"
        )

    def unit(part: str) -> str:
        path = systemd.units / part
        if not path.is_file():
            raise SwitchError(f"{path} is missing: run site.yml instead")
        return path.read_text(encoding="utf-8")

    texts = {
        path.name.replace(f"@{number}.", "@."): path.read_text(encoding="utf-8")
        for kind in ("service", "timer")
        for path in systemd.units.glob(f"{name}.*@{number}.{kind}")
    }
    return Wanted(
        name=name,
        home=generations.home,
        release=Path(os.path.realpath(folder / "release")),
        environment=(folder / "env").read_bytes().decode(),
        user="",
        files={},
        units={
            "socket": unit(f"{name}.socket"),
            "service": unit(f"{name}.service"),
            "generation": unit(f"{name}@{number}.service"),
        },
        entrypoint=record["entrypoint"],
        proxy_hops=record["proxy_hops"],
        health=record["health"],
        protocol=protocol,
        keep=params["keep"],
        parts=texts,
        lease=params["lease"],
        recorded=record["digest"],
    )


def earlier(generations: Generations, wish: str) -> int:
    """The generation that a rollback means: it has served, it is whole, and it is not live."""
    live = generations.live()
    good = [n for n in reversed(generations.numbers()) if n != live and generations.whole(n)]
    if wish == PREVIOUS:
        target = generations.rollback_target()
        found = [target] if target else []
    else:
        found = [n for n in good if generations.record(n)["release"].startswith(wish)]
        if not found and live and generations.record(live)["release"].startswith(wish):
            found = [live]  # another host has to go back, this one need not
    if not found:
        releases = list(dict.fromkeys(generations.record(n)["release"] for n in good))
        there = f"there are {', '.join(releases)}" if releases else "there is none"
        raise SwitchError(f"rollback: found {wish!r}; of releases that have served, {there}")
    return found[0]


def main() -> None:
    """Run the module."""
    health = {
        "path": {"type": "str", "default": "/"},
        "host": {"type": "str", "default": "localhost"},
        "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
        "status": {"type": "list", "elements": "int", "default": []},
        "text": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 10},
        "more": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "str", "required": True},
                "status": {"type": "list", "elements": "int"},
                "text": {"type": "str"},
                "timeout": {"type": "int"},
            },
        },
        "probes": {"type": "int", "default": 3},
    }
    module = AnsibleModule(
        argument_spec={
            "phase": {
                "type": "str",
                "choices": ["whole", "start", "finish", "withdraw"],
                "default": "whole",
            },
            "lease": {"type": "int", "default": 900},
            "rollback": {"type": "str", "default": ""},
            "lock": {"type": "dict", "options": LOCK_OPTIONS},
            "name": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "release": {"type": "path"},
            "environment_file": {"type": "path"},
            "user": {"type": "str"},
            "files": {"type": "dict", "default": {}},
            "entrypoint": {"type": "str", "default": ""},
            "proxy_hops": {"type": "int", "default": 0},
            "protocol": {"type": "str", "choices": ["http", "uwsgi"], "default": "http"},
            "socket_unit": {"type": "str"},
            "service_unit": {"type": "str"},
            "generation_unit": {"type": "str"},
            "health": {"type": "dict", "default": {}, "options": health, "apply_defaults": True},
            "processes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "command": {"type": "str", "required": True},
                    "count": {"type": "int", "default": 1},
                    "stop_timeout": {"type": "int", "default": 300},
                },
            },
            "timers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "command": {"type": "str", "required": True},
                    "schedule": {"type": "str", "required": True},
                    "timeout": {"type": "int", "default": 3600},
                },
            },
            "keep": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)  # the login's may be stricter, and others have to read what is made
    name, phase, systemd = module.params["name"], module.params["phase"], Systemd()
    generations = Generations(Path(module.params["home"]))
    actions: list[str] = []
    result: dict[str, Any] = {}
    try:
        with nullcontext() if module.check_mode else alone(name, "switch"):
            lock = module.params["lock"]
            try:
                if lock and not module.check_mode:
                    DeployLock(name).take(**lock)
                wanted = wanted_in(module.params, systemd, check_mode=module.check_mode)
                diff = {"prepared": differences(generations.live(), generations, wanted)}
                switch = Switch(wanted, systemd, check_mode=module.check_mode)
                actions = switch.actions
                ways = {"finish": switch.finish, "withdraw": switch.withdraw}
                result = ways[phase]() if phase in ways else switch.run(phase)
            finally:
                over = phase != "start" or (result and not result["pending"])
                if over and lock and not module.check_mode:
                    DeployLock(name).free(lock["run"])
    except (LockedError, parts.PartError) as error:
        if phase == "withdraw":  # what was started is the other run's
            module.exit_json(changed=False, pending=False, actions=[])
        module.fail_json(msg=str(error), actions=actions)
    except BusyError as error:
        module.fail_json(msg=f"Not switched: {error}", actions=actions)
    except SwitchError as error:
        after = aftermath(generations, systemd, name)
        text = "\n".join([f"{error}. {after}", *(f"  | {line}" for line in error.log)])
        module.fail_json(msg=text, actions=actions)
    shown = result["changed"] and phase in ("whole", "start")
    module.exit_json(**result, diff=diff if shown else {"prepared": ""})


def wanted_in(params: dict[str, Any], systemd: Systemd, *, check_mode: bool) -> Wanted:
    """What the parameters ask for; SwitchError when that cannot be had on this host."""
    if params["phase"] in ("finish", "withdraw"):  # whatever was started
        return Wanted(
            name=params["name"],
            home=Path(params["home"]),
            release=Path("none"),
            environment="",
            user="",
            files={},
            units={},
            entrypoint="",
            proxy_hops=0,
            health={},
            keep=params["keep"],
        )
    if params["rollback"]:  # as it ran
        return recorded(params, systemd)
    wanted = read_wanted(params)
    for timer in params["timers"]:
        problem = systemd.calendar_problem(timer["schedule"])
        if problem:
            raise SwitchError(f"schedule of timer {timer['name']}: {problem}")
    if not check_mode and not wanted.release.is_dir():
        raise SwitchError(f"release: {wanted.release} is not a directory on this host")
    return wanted


if __name__ == "__main__":
    main()
