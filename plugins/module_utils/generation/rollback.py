# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollback: an earlier generation, exactly as it ran."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils import app_files
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.generation.lifecycle import Lifecycle
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import Wanted

PREVIOUS = "previous"


def recorded(life: Lifecycle, wish: str) -> Wanted:
    """The generation that a rollback goes back to; SwitchError when there is none."""
    store, units, name = life.store, life.units, life.app.name
    number = earlier(store, wish)
    record, folder = store.record(number), store.path(number)

    known = life.description.file.read()
    if known is None:
        raise SwitchError(f"{life.description.file.path} is missing: deploy instead")
    live, protocol = store.live(), record.get("protocol", "http")
    spoken = store.record(live).get("protocol", "http") if live else protocol
    if protocol != spoken:
        raise SwitchError(
            f"rollback: generation {number} speaks {protocol}, and the web server {spoken}; deploy "
            "its revision with that protocol instead"
        )

    def text(unit: str) -> str:
        found = units.read(unit)
        if found is None:
            raise SwitchError(f"{units.systemd.units / unit} is missing: deploy instead")
        return found

    return Wanted(
        release=Path(os.path.realpath(folder / "release")),
        socket=text(f"{name}.socket"),
        service=text(f"{name}.service"),
        generation=text(units.service(number)),
        companions={
            unit.replace(f"@{number}.", "@."): text(unit) for unit in units.companions(number)
        },
        health=record["health"],
        proxy_hops=record["proxy_hops"],
        protocol=protocol,
        environment=(folder / "env").read_bytes().decode(),
        given=app_files.read(folder / app_files.FOLDER),
        user=record.get("user", known.user),
        server=record.get("server", known.server),
        bind=known.bind,
        digest=record["digest"],
    )


def earlier(store: Generations, wish: str) -> int:
    """The generation that a rollback means: it has served, it is whole, and it is not live."""
    live = store.live()
    good = [n for n in reversed(store.numbers()) if n != live and store.whole(n)]
    if wish == PREVIOUS:
        target = store.rollback_target()
        found = [target] if target else []
    else:
        found = [n for n in good if store.record(n)["release"].startswith(wish)]
        if not found and live and store.record(live)["release"].startswith(wish):
            found = [live]  # another host has to go back, this one need not
    if not found:
        releases = list(dict.fromkeys(store.record(n)["release"] for n in good))
        there = f"there are {', '.join(releases)}" if releases else "there is none"
        raise SwitchError(f"rollback: found {wish!r}; of releases that have served, {there}")
    return found[0]
