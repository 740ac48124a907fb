#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a host: every app with its live generation, asked, not only read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Tell which apps a host has, what is live and whether it answers
description:
  - Finds the apps of a host on the disk and among systemd's units. Of each it tells the live
    generation with its release, the processes that run it, and what a rollback would go to.
  - The running processes are asked over the socket of their generation alone; the answer names the
    release that gave it.
  - Changes nothing, and returns no secret.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  name:
    description: Name of the one app to look at; all of the host when empty.
    type: str
    default: ''
  root:
    description: Directory whose directories are apps' homes. Others are found by their units.
    type: path
    default: /srv
  timeout:
    description: Seconds an app has to answer, if its own health check does not allow less.
    type: int
    default: 10
requirements:
  - systemd 249 or newer
"""

EXAMPLES = r"""
- name: Look at all apps
  flaskops.stack.status:
  register: found

- name: Stop where one does not serve
  ansible.builtin.assert:
    that: found.apps | rejectattr('state', 'eq', 'serving') | length == 0
"""

RETURN = r"""
apps:
  description: One entry an app, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the app.
      type: str
      sample: shop
    home:
      description: Its directory.
      type: str
      sample: /srv/shop
    state:
      description:
        - V(serving) when the live generation is up and has answered as it should.
        - V(broken) when it is up, but does not; or when what is live is not there.
        - V(failed) when its unit has failed or is started again and again.
        - V(stopped), V(starting), V(stopping), V(not deployed).
      type: str
      sample: serving
    problems:
      description: What is wrong, and what to type on the host; empty when nothing is.
      type: list
      elements: str
      sample: ['shop is failed: journalctl -u shop@7']
    generation:
      description: Number of the live generation, 0 when there is none.
      type: int
      sample: 7
    release:
      description: Its release.
      type: str
      sample: 3f2a91c04d1b-5e1f9a2c
    revision:
      description: Revision of the source it was built from.
      type: str
    source:
      description: Where the source came from.
      type: str
    server:
      description: Program that runs it, gunicorn or uwsgi.
      type: str
      sample: gunicorn
    server_version:
      description: Its version, as installed in the release; empty when it is not.
      type: str
      sample: 27.0.1
    answered_release:
      description: Release that the running processes name when they are asked.
      type: str
      sample: 3f2a91c04d1b-5e1f9a2c
    workers:
      description: Processes under the main one.
      type: int
      sample: 5
    uptime:
      description: Seconds since the generation came up, 0 when it is not up.
      type: int
      sample: 273600
    restarts:
      description: How often systemd had to start it again by itself.
      type: int
      sample: 0
    memory:
      description: Bytes of memory that it uses.
      type: int
      sample: 84934656
    deployed:
      description: When it went live, in UTC.
      type: str
      sample: '2026-11-23T01:22:40Z'
    rollback:
      description: Generation, release and revision that a rollback would go to; null without one.
      type: dict
      sample: {"generation": 6, "release": "9c0b1ae04d1b-5e1f9a2c", "revision": "9c0b1ae04d1b"}
    others:
      description: Other generations that are running; left by a switch that did not end.
      type: list
      elements: int
    disk_free:
      description: Bytes free on the disk of its directory.
      type: int
      sample: 12884901888
problems:
  description: Nginx, a cache and the renewal of certificates, where they are not as they should be.
  returned: success
  type: list
  elements: str
  sample: ['nginx.service is failed: journalctl -u nginx.service']
certificates:
  description: One entry a certificate of the role certificate.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the certificate.
      type: str
      sample: shop
    source:
      description: V(acme), V(files), V(self_signed), V(bootstrap) before the first one, V(lost).
      type: str
      sample: acme
    days_left:
      description: Days until it ends, below 0 when it has.
      type: int
      sample: 59
    names:
      description: Names it is for.
      type: list
      elements: str
      sample: [shop.example.org]
    issuer:
      description: Whether it is issued on this host.
      type: bool
pages:
  description: What became of the latest requests for pages that nginx may keep, by its access log.
  returned: success
  type: list
  elements: dict
  contains:
    site:
      description: Name of the site.
      type: str
      sample: shop
    asked:
      description: Requests.
      type: int
      sample: 1204
    kept:
      description: Those that were answered with a kept page.
      type: int
      sample: 1120
"""

import http.client
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import wsgi
from ansible_collections.flaskops.stack.plugins.module_utils.certificate import site as sites
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import TlsError
from ansible_collections.flaskops.stack.plugins.module_utils.generations import (
    Generations,
    ask,
    probe_path,
)
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
GENERATION_UNIT = re.compile(rf"({NAME.pattern})@[0-9]+\.service")
#: The line of a generation's unit that says where the app's home is.
ENVIRONMENT_LINE = re.compile(r"^EnvironmentFile=-?(/.+)/generations/%i/env$", re.MULTILINE)
#: What a generation's directory holds, by the server that reads it.
SERVER_FILES = {"gunicorn.conf.py": "gunicorn", "uwsgi.ini": "uwsgi"}
#: Distributions that bring a server's program.
DISTRIBUTIONS = {"gunicorn": ("gunicorn",), "uwsgi": ("uwsgi", "pyuwsgi")}
#: What systemd shows for a number that it does not count.
NOT_COUNTED = ("", "[not set]", str(2**64 - 1))
PROPERTIES = (
    "ActiveState",
    "SubState",
    "MainPID",
    "NRestarts",
    "MemoryCurrent",
    "ActiveEnterTimestampMonotonic",
)
#: Where nginx says what it did, how much of its end is read, and what it says of a kept page.
ACCESS_LOG = Path("/var/log/nginx/access.log")
READ_OF_LOG = 2 * 1024**2
KEPT = ("HIT", "STALE", "UPDATING", "REVALIDATED")
LOGGED = re.compile(rb'"site":"([^"]+)".*?"cache":"([A-Z]+)"')
#: States that come with a problem.
WORTH_A_WORD = ("broken", "failed", "stopped")
#: Bytes free on the disk below which it is worth a word.
LITTLE_DISK = 512 * 1024**2


def find_apps(root: Path, systemd: Systemd, name: str) -> dict[str, Path]:
    """Name and home of the apps of this host, or of the one that is asked for."""
    found = {
        entry.name: entry
        for entry in (sorted(root.iterdir()) if root.is_dir() else [])
        if NAME.fullmatch(entry.name) and (entry / "generations").is_dir()
    }
    for unit in sorted(systemd.units.glob("*@*.service")):
        named = GENERATION_UNIT.fullmatch(unit.name)
        if not named or unit.is_symlink() or not unit.is_file():
            continue
        home = ENVIRONMENT_LINE.search(unit.read_text("utf-8", errors="replace"))
        if home:
            found[named[1]] = Path(home[1])
    if name:
        return {name: found.get(name, root / name)}
    return dict(sorted(found.items()))


class Processes:
    """Processes of the host, by their parents."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = root
        self.parents = dict(self._read())

    def _read(self) -> Iterator[tuple[int, int]]:
        for entry in self.root.iterdir():
            if entry.name.isdigit():
                try:
                    text = (entry / "stat").read_text("utf-8", errors="replace")
                except OSError:  # it has ended meanwhile
                    continue
                yield int(entry.name), int(text.rpartition(")")[2].split()[1])

    def children(self, pid: int) -> list[int]:
        """Direct children."""
        return sorted(child for child, parent in self.parents.items() if parent == pid and pid)

    def memory(self, pid: int) -> int:
        """Bytes of a process and its children, what they share counted once."""
        total = 0
        for one in (pid, *self.children(pid)):
            try:
                text = (self.root / str(one) / "smaps_rollup").read_text("utf-8")
            except OSError:
                continue
            found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
        return total


class App:
    """One app of the host."""

    def __init__(self, name: str, home: Path, systemd: Systemd, timeout: int) -> None:
        self.name = name
        self.home = home
        self.systemd = systemd
        self.timeout = timeout
        self.generations = Generations(home)
        self.live = self.generations.live()
        self.unit = f"{name}@{self.live}"
        self.problems: list[str] = []

    def look(self) -> dict[str, Any]:
        """Everything about it."""
        found: dict[str, Any] = {"name": self.name, "home": str(self.home)}
        release = self.release(self.live)
        shown = self.systemd.properties(f"{self.unit}.service", *PROPERTIES) if self.live else {}
        up = shown.get("ActiveState") == "active"
        answered, problem = self.ask() if up else ("", "")
        state = self.state(shown, problem)
        server = self.server()
        pid = number(shown.get("MainPID")) if up else 0
        processes = Processes()
        running = self.systemd.instances(self.name)
        others = sorted(running.keys() - {self.live})
        for one in others:
            self.problems.append(
                f"{self.name} has generation {one} too, {running[one]}: a switch is under way, or "
                "did not end and the next deploy retires it"
            )
        if up:
            self.problems += self.parts()
        free = self.disk_free()
        if free < LITTLE_DISK:
            self.problems.append(
                f"{self.name} has {free // 1024**2} MB of disk left: df -h {self.home}"
            )
        return {
            **found,
            "state": state,
            "problems": self.problems,
            "generation": self.live,
            **release,
            "server": server,
            "server_version": self.server_version(server),
            "answered_release": answered,
            "workers": len(processes.children(pid)),
            "uptime": uptime(shown) if up else 0,
            "restarts": number(shown.get("NRestarts")),
            "memory": self.memory(shown, processes, pid) if up else 0,
            "deployed": self.deployed(),
            "rollback": self.rollback(),
            "others": others,
            "disk_free": free,
        }

    def state(self, shown: dict[str, str], problem: str) -> str:
        """The state in one word; what is wrong goes to the problems."""
        name, live_link = self.name, self.generations.live_link
        active, sub = shown.get("ActiveState"), shown.get("SubState")
        crashed = sub == "auto-restart" or number(shown.get("NRestarts")) > 0
        if not self.live:
            state = "broken" if live_link.is_symlink() else "not deployed"
            problem = f"{live_link} leads nowhere: deploy it"
        elif active == "active":
            if not problem and not self.systemd.active(f"{name}.socket"):
                problem = f"{name}.socket is not open: systemctl restart {name}"
            problem = problem or self.unreached()
            state = "broken" if problem else "serving"
        elif active == "inactive":
            state, problem = "stopped", f"systemctl start {name}"
        elif active == "deactivating":
            state = "stopping"
        elif active == "activating" and not crashed:
            state = "starting"
        else:
            state, problem = "failed", f"journalctl -u {self.unit}"
        if state in WORTH_A_WORD:
            self.problems.append(f"{name} is {state}: {problem}")
        return state

    def ask(self) -> tuple[str, str]:
        """The release that answers on the live generation's own socket, and what is wrong."""
        release = ""
        for health in wsgi.checks(self.generations.record(self.live)["health"]):
            release, problem = self.ask_for(health)
            if problem:
                return release, problem
        return release, ""

    def ask_for(self, health: dict[str, Any]) -> tuple[str, str]:
        """The same for one health check."""
        path, log = health["path"], f"journalctl -u {self.unit}"
        try:
            try:
                status, body, answer = self.get(probe_path(self.name, self.live), health)
            except (FileNotFoundError, ConnectionRefusedError):
                # systemd closes it when a start fails and may not open it for the next one. The
                # token still tells this generation from any other.
                status, body, answer = self.get(self.public(), health)
        except (OSError, http.client.HTTPException) as error:
            return "", f"no answer to GET {path} ({error or type(error).__name__}): {log}"
        release = answer.get(wsgi.RELEASE_HEADER, "")
        wanted = self.generations.record(self.live)["release"]
        problem = wsgi.unhealthy(status, body, health)
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
            self.get(place, self.generations.record(self.live)["health"])
        except (OSError, http.client.HTTPException) as error:
            said = error or type(error).__name__
            return f"no answer at {place or 'its address'} ({said}): systemctl restart {self.name}"
        return ""

    def get(self, place: Path | str, health: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        """Ask for a health check's path as the switch does; OSError or HTTPException."""
        record = self.generations.record(self.live)
        headers = wsgi.health_headers(health, record["proxy_hops"])
        headers["X-Flaskops-Token"] = record["token"]
        seconds = min(health["timeout"], self.timeout)
        return ask(place, health["path"], headers, seconds, record.get("protocol", "http"))

    def public(self) -> str:
        """Where the public socket listens, a path or ``address:port``; FileNotFoundError."""
        listen = self.systemd.properties(f"{self.name}.socket", "Listen").get("Listen", "")
        if not listen:
            raise FileNotFoundError(f"there is no {self.name}.socket")
        return listen.removesuffix(" (Stream)")

    def parts(self) -> Iterator[str]:
        """Which background processes and timed commands of the live generation have failed."""
        for path in sorted(self.systemd.units.glob(f"{self.name}.*@{self.live}.service")):
            shown = self.systemd.properties(path.name, "ActiveState", "SubState")
            if shown.get("ActiveState") == "failed" or shown.get("SubState") == "auto-restart":
                yield f"{path.stem} of {self.name} is failed: journalctl -u {path.stem}"

    def release(self, generation: int) -> dict[str, str]:
        """Release, revision and source of a generation; what is not known is empty."""
        if not generation:
            return {"release": "", "revision": "", "source": ""}
        folder = self.generations.path(generation) / "release"
        told: dict[str, Any] = {}
        with suppress(OSError, ValueError):  # it was built by something else
            told = json.loads((folder / "release.json").read_text("utf-8"))
        return {
            "release": os.path.basename(os.readlink(folder)),
            "revision": str(told.get("revision", "")),
            "source": without_login(str(told.get("source", ""))),
        }

    def server(self) -> str:
        """The program that runs the live generation."""
        folder = self.generations.path(self.live)
        return next((own for file, own in SERVER_FILES.items() if (folder / file).is_file()), "")

    def server_version(self, server: str) -> str:
        """Its version, by what is installed in the release's virtualenv."""
        release = self.generations.path(self.live) / "release"
        for info in release.glob("*/lib/python3*/site-packages/*.dist-info"):
            name, _, version = info.name[: -len(".dist-info")].partition("-")
            if name.lower() in DISTRIBUTIONS.get(server, ()):
                return version
        return ""

    def memory(self, shown: dict[str, str], processes: Processes, pid: int) -> int:
        """Bytes as systemd counts them, or as the processes do where it does not."""
        counted = shown.get("MemoryCurrent", "")
        return processes.memory(pid) if counted in NOT_COUNTED else number(counted)

    def deployed(self) -> str:
        """When the live generation went live."""
        if not self.live:
            return ""
        since = os.lstat(self.generations.live_link).st_mtime
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))

    def rollback(self) -> dict[str, Any] | None:
        """What a rollback would go to."""
        target = self.generations.rollback_target()
        if not self.live or not target:
            return None
        told = self.release(target)
        return {"generation": target, "release": told["release"], "revision": told["revision"]}

    def disk_free(self) -> int:
        """Bytes free where the app lives, or would."""
        path = self.home
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free


def number(text: str | None) -> int:
    """A number that systemd shows, 0 when it shows none."""
    return int(text) if text and text.isdigit() else 0


def uptime(shown: dict[str, str]) -> int:
    """Seconds since a unit came up."""
    since = number(shown.get("ActiveEnterTimestampMonotonic")) / 1_000_000
    return max(int(time.clock_gettime(time.CLOCK_MONOTONIC) - since), 0)


def without_login(source: str) -> str:
    """An address without the login in it."""
    return re.sub(r"^((?:git\+)?https?://)[^/@]*@", r"\1", source)


def certificate(site: sites.Site) -> dict[str, Any]:
    """What a site's visitors are shown."""
    live = site.live()
    told: dict[str, Any] = {"name": site.name, "source": live.source if live else "lost"}
    told |= {"days_left": -1, "names": [], "issuer": bool(site.settings.get("issuer", True))}
    with suppress(TlsError):
        if live is not None:
            facts = live.facts()
            told |= {"days_left": facts.days_left, "names": sorted(facts.names)}
    return told


def services(systemd: Systemd) -> Iterator[str]:
    """What is wrong with the programs that the roles set up; most have a drop-in of ours."""
    changed = (path.parent.name[:-2] for path in systemd.units.glob("*.service.d/flaskops.conf"))
    own = (path.name for path in systemd.units.glob("flaskops-tls*.service"))
    for unit in sorted([*changed, *own]):
        shown = systemd.properties(unit, "ActiveState", "Type")
        state = shown.get("ActiveState")
        resting = ("inactive", "activating") if shown.get("Type") == "oneshot" else ()
        if state not in ("active", "reloading", *resting):
            yield f"{unit} is {state}: journalctl -u {unit}"


def pages(log: Path = ACCESS_LOG) -> list[dict[str, Any]]:
    """How many of the latest requests were answered with a kept page, by site."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - READ_OF_LOG, 0))
            found = LOGGED.findall(file.read())
    except OSError:  # no nginx here
        return []
    asked = Counter(site.decode() for site, _ in found)
    kept = Counter(site.decode() for site, cache in found if cache.decode() in KEPT)
    return [{"site": one, "asked": asked[one], "kept": kept[one]} for one in sorted(asked)]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": ""},
            "root": {"type": "path", "default": "/srv"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    if name and not NAME.fullmatch(name):
        module.fail_json(
            msg=f"name: found {name!r}; allowed are up to 31 small letters, digits and hyphens, "
            "a letter first"
        )
    systemd = Systemd()
    apps = find_apps(Path(module.params["root"]), systemd, name)
    timeout = module.params["timeout"]
    module.exit_json(
        changed=False,
        apps=[App(one, home, systemd, timeout).look() for one, home in apps.items()],
        problems=list(services(systemd)),
        certificates=[
            certificate(site)
            for site in sites.every()
            if name in ("", site.name) and not site.settings.get("retired")
        ],
        pages=[one for one in pages() if name in ("", one["site"])],
    )


if __name__ == "__main__":
    main()
