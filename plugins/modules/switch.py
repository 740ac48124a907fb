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
version_added: 0.1.0
author: The flaskops.stack authors
options:
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
    required: true
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
    required: true
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
    required: true
  service_unit:
    description: Text of C(<name>.service), the handle people start and stop.
    type: str
    required: true
  generation_unit:
    description: Text of C(<name>@<n>.service); C(%i) is the number of the generation.
    type: str
    required: true
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
      probes:
        description: How often the new generation is asked over HTTP.
        type: int
        default: 3
  keep:
    description: Generations kept on the disk, the live one and its predecessor always among them.
    type: int
    default: 5
requirements:
  - systemd 249 or newer
"""

EXAMPLES = r"""
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
generation:
  description: Number of the live generation.
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
import fcntl
import hashlib
import http.client
import inspect
import json
import os
import pwd
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import wsgi
from ansible_collections.flaskops.stack.plugins.module_utils.generations import (
    Generations,
    Systemd,
    ask,
    private,
    probe_path,
)

WRAPPER = "flaskops_wsgi.py"


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
    protocol: str = "http"

    @property
    def digest(self) -> str:
        """What makes one generation differ from another: any of it means a switch."""
        content = [
            str(self.release),
            self.environment,
            self.files,
            self.units["generation"],
            self.entrypoint,
            self.proxy_hops,
            self.health,
            self.protocol,
            inspect.getsource(wsgi),
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
        link = self._wants / self._service(number)
        if not link.is_symlink():
            link.symlink_to(self.systemd.units / self._service(number))

    def _disable(self, number: int) -> None:
        (self._wants / self._service(number)).unlink(missing_ok=True)

    def _write_unit(self, name: str, text: str) -> bool:
        path = self.systemd.units / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        draft = path.with_name(f".{name}.draft")
        draft.write_text(text, encoding="utf-8")
        os.chmod(draft, 0o644)
        draft.rename(path)
        return True

    # the switch ----------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Make the wanted generation live; returns what happened, raises SwitchError."""
        self._refuse_foreign_units()
        generations = self.generations
        live = generations.live()
        self.was_open = self.systemd.active(f"{self.wanted.name}.socket")
        running = self.systemd.instances(self.wanted.name)
        strangers = sorted(number for number in running if number != live)
        shared = self._shared_units()
        stale = {name: text for name, text in shared.items() if self._read_unit(name) != text}
        same = live > 0 and generations.record(live)["digest"] == self.wanted.digest
        up = same and running.get(live) == "active" and self._handle_up()
        settled = up and not strangers and not stale and self._enabled() == [live]
        if settled:
            return self._result(live, live)
        if self.check_mode:
            number = live if same else max(generations.numbers(), default=0) + 1
            self.actions.append(f"generation {number} would go live")
            return self._result(live, live)
        self._retire(strangers)
        moved = self._install_shared(stale)
        if up and not moved:
            self._commit(live)
            return self._result(live, live)
        known = 0 if same else self._known_good()
        target = live if same else known or self._create()
        if known:
            generations.doubt(known)
        try:
            self._start(target)
        except SwitchError:
            self._withdraw(target, live, forget=not known)
            if moved and live != target:  # to move the socket, the live one had to stop
                self.systemd.call("start", f"{self.wanted.name}.service")
            raise
        self._commit(target)
        if live and live != target:
            self._retire([live])
        self._prune(target, live if live != target else 0)
        return self._result(target, live)

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
            known = self.generations.proved(number)
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
        texts = {**wanted.files, "env": wanted.environment, WRAPPER: inspect.getsource(wsgi)}
        group = pwd.getpwnam(wanted.user).pw_gid
        return self.generations.create(wanted.release, group, record, texts)

    def _start(self, number: int) -> None:
        service = self._service(number)
        self._write_unit(service, self.wanted.units["generation"])
        self._write_unit(self._probe(number), self._probe_unit(number))
        self._must("daemon-reload")
        self.systemd.call("reset-failed", service)
        since = time.time()
        problem = self.systemd.call("start", service)
        if problem:
            raise SwitchError(
                f"Generation {number} of {self.wanted.name} (release {self.wanted.release.name}) "
                "did not start",
                self.systemd.log(service, since),
            )
        self.actions.append(f"generation {number} started")
        self._ask(number, since)

    def _ask(self, number: int, since: float) -> None:
        """Over HTTP, on the generation's own socket: as often as wanted, each time its release."""
        record, health = self.generations.record(number), self.wanted.health
        headers = wsgi.health_headers(health, self.wanted.proxy_hops)
        headers["X-Flaskops-Token"] = record["token"]
        for _ in range(health["probes"]):
            try:
                status, body, answered = ask(
                    self.probe_path(number),
                    health["path"],
                    headers,
                    health["timeout"],
                    record.get("protocol", "http"),
                )
                problem = wsgi.unhealthy(status, body, health)
                release = answered.get(wsgi.RELEASE_HEADER)
                if not problem and release != record["release"]:
                    problem = f"answered for release {release}, wanted {record['release']}"
            except (OSError, http.client.HTTPException) as error:
                problem = f"gave no answer: {error or type(error).__name__}"
            restarts = self.systemd.properties(self._service(number), "NRestarts").get("NRestarts")
            # A live one that is started again may have crashed before.
            crashed = restarts not in ("0", None) and number != self.generations.live()
            if not problem and crashed:
                problem = f"was restarted {restarts} times"
            if problem:
                raise SwitchError(
                    f"Generation {number} of {self.wanted.name} started, but "
                    f"GET {health['path']} {problem}",
                    self.systemd.log(self._service(number), since),
                )
        self.actions.append(f"generation {number} answered {health['probes']} times")

    def _commit(self, number: int) -> None:
        """From here on, this generation is the one that comes back after a reboot."""
        self.generations.prove(number)
        self._enable(number)
        if self.generations.live() != number:
            self.generations.make_live(number)
            self.actions.append(f"generation {number} live")
        for other in self._enabled():
            if other != number:
                self._disable(other)
        self._must("daemon-reload")
        self._must("start", f"{self.wanted.name}.socket", f"{self.wanted.name}.service")

    def _retire(self, numbers: list[int]) -> None:
        for number in numbers:
            self._disable(number)
            self._must("stop", self._service(number), self._probe(number))
            self.systemd.call("reset-failed", self._service(number))
            self.actions.append(f"generation {number} retired")

    def _withdraw(self, number: int, live: int, *, forget: bool) -> None:
        """After a failure: as if the new generation had never been."""
        if number == live:
            return
        self.systemd.call("stop", self._service(number), self._probe(number))
        self.systemd.call("reset-failed", self._service(number))
        if forget:
            self._forget(number)
            self.systemd.call("daemon-reload")
        if not live or not self.was_open:
            name = self.wanted.name
            self.systemd.call("stop", f"{name}.service", f"{name}.socket")

    def _forget(self, number: int) -> None:
        self._disable(number)
        for unit in (self._service(number), self._probe(number)):
            (self.systemd.units / unit).unlink(missing_ok=True)
        self.generations.remove(number)

    def _prune(self, live: int, previous: int) -> None:
        """Keep the newest generations, and always the live one and its predecessor."""
        others = [n for n in self.generations.numbers() if n not in (live, previous)]
        others.sort(key=lambda n: (self.generations.proved(n), n))  # what never served goes first
        room = max(self.wanted.keep - len({live, previous} - {0}), 0)
        surplus = others[: max(len(others) - room, 0)]
        for number in surplus:
            self._forget(number)
        if surplus:
            self._must("daemon-reload")

    def _must(self, verb: str, *units: str) -> None:
        problem = self.systemd.call(verb, *units)
        if problem:
            raise SwitchError(f"systemctl {verb} {' '.join(units)}: {problem}".strip())

    def _result(self, number: int, before: int) -> dict[str, Any]:
        release = self.generations.record(number)["release"] if number else ""
        return {
            "changed": bool(self.actions),
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
    old_env, new_env = parse_names(before("env")), parse_names(wanted.environment)
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
        return f"{which} was not touched and serves on."
    return f"{which} was live before, but is not running: see journalctl -u {name}@{live}."


def parse_names(text: str) -> dict[str, str]:
    """Names in an environment file that our filter wrote, each with its quoted value."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        start, equals, rest = line.partition('="')
        if equals:  # inside a value the quote would be escaped
            name = start
            found[name] = rest
        elif name:
            found[name] += "\n" + line
    return found


def read_wanted(params: dict[str, Any]) -> Wanted:
    """The module's parameters as one value, with what they name on the host read in."""
    source = params["environment_file"]
    environment = ""
    if source and os.path.isfile(source):
        environment = Path(source).read_text(encoding="utf-8")
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
        protocol=params["protocol"],
    )


def main() -> None:
    """Run the module."""
    health = {
        "path": {"type": "str", "default": "/"},
        "host": {"type": "str", "default": "localhost"},
        "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
        "status": {"type": "list", "elements": "int", "default": []},
        "text": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 10},
        "probes": {"type": "int", "default": 3},
    }
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "release": {"type": "path", "required": True},
            "environment_file": {"type": "path"},
            "user": {"type": "str", "required": True},
            "files": {"type": "dict", "default": {}},
            "entrypoint": {"type": "str", "default": ""},
            "proxy_hops": {"type": "int", "default": 0},
            "protocol": {"type": "str", "choices": ["http", "uwsgi"], "default": "http"},
            "socket_unit": {"type": "str", "required": True},
            "service_unit": {"type": "str", "required": True},
            "generation_unit": {"type": "str", "required": True},
            "health": {"type": "dict", "default": {}, "options": health, "apply_defaults": True},
            "keep": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    wanted = read_wanted(module.params)
    generations = Generations(wanted.home)
    if not module.check_mode and not wanted.release.is_dir():
        module.fail_json(msg=f"release: {wanted.release} is not a directory on this host")
    diff = {"prepared": differences(generations.live(), generations, wanted)}
    systemd = Systemd()
    switch = Switch(wanted, systemd, check_mode=module.check_mode)
    try:
        with nullcontext() if module.check_mode else only_one(wanted.name):
            result = switch.run()
    except SwitchError as error:
        after = aftermath(generations, systemd, wanted.name)
        text = "\n".join([f"{error}. {after}", *(f"  | {line}" for line in error.log)])
        module.fail_json(msg=text, actions=switch.actions)
    module.exit_json(**result, diff=diff if result["changed"] else {"prepared": ""})


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """One switch of an app at a time; the kernel lets go for one that was killed."""
    path = f"/run/flaskops-{name}.switch"
    with open(path, "w", encoding="utf-8", opener=private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SwitchError(f"Another switch is under way ({path} is locked)") from None
        yield


if __name__ == "__main__":
    main()
