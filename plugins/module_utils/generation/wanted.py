# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What should be live: a generation's content and the units around it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import app_files, wrapper
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import APPS, Facts
from ansible_collections.flaskops.stack.plugins.module_utils.generation.companions import companions
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.lock import RUN

#: Without one of these there is nothing to switch to but an earlier generation.
NEEDED = ("release", "user", "socket_unit", "service_unit", "generation_unit")
#: What a health check needs to ask, and what tells no generation from another: a site that gets
#: another name, or TLS, runs the same app.
ASKED_AS = ("host", "scheme")


@dataclass(frozen=True)
class App:
    """An app on its host, and how many of its generations stay on the disk."""

    name: str
    home: Path
    keep: int
    run_folder: Path = RUN
    apps_folder: Path = APPS
    root: Path = Path("/")


@dataclass(frozen=True)
class Wanted:
    """A generation as the switch runs it, one that is to be written or one that is there.

    ``given`` are files that people give the app, path below shared/ to text.
    ``socket``, ``service``, ``generation`` and ``companions`` are texts of units. The digest tells
    one generation from another: with another digest it is another one.
    """

    release: Path
    socket: str
    service: str
    generation: str
    companions: dict[str, str]
    health: dict[str, Any]
    proxy_hops: int
    protocol: str
    environment: str
    user: str
    server: str
    bind: str
    digest: str
    given: dict[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """What holds for the app when this generation is live."""
        health = {name: self.health[name] for name in ("path", *ASKED_AS)}
        return Facts(self.user, self.server, self.protocol, self.bind, health)


@dataclass(frozen=True)
class Draft:
    """What else a new generation is written from."""

    files: dict[str, str]
    entrypoint: str


def digest(wanted: Wanted, draft: Draft) -> str:
    """What makes one generation differ from another: any of it means a switch.

    The wrapper counts by its version.
    """
    asked = {name: value for name, value in wanted.health.items() if name not in ASKED_AS}
    content = [
        str(wanted.release),
        wanted.environment,
        draft.files,
        wanted.generation,
        draft.entrypoint,
        wanted.proxy_hops,
        asked,
        wanted.protocol,
        wrapper.VERSION,
        wanted.companions,
        *([wanted.given] if wanted.given else []),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read(params: dict[str, Any]) -> tuple[Wanted, Draft]:
    """A new generation by the module's options, with the files they name read in."""
    missing = [name for name in NEEDED if not params[name]]
    if missing:
        raise SwitchError(f"missing: {', '.join(missing)}; only a rollback goes without")
    source = params["environment_file"]
    environment = ""
    if source and os.path.isfile(source):
        environment = Path(source).read_bytes().decode()
    server = params["generation_unit"]
    draft = Draft(params["files"], params["entrypoint"])
    wanted = Wanted(
        release=Path(os.path.realpath(params["release"])),
        socket=params["socket_unit"],
        service=params["service_unit"],
        generation=server,
        companions=companions(params["name"], server, params["processes"], params["timers"]),
        health=params["health"],
        proxy_hops=params["proxy_hops"],
        protocol=params["protocol"],
        environment=environment,
        given=app_files.read(Path(params["files_directory"])) if params["files_directory"] else {},
        user=params["user"],
        server=params["server"],
        bind=params["bind"],
        digest="",
    )
    return replace(wanted, digest=digest(wanted, draft)), draft
