# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtualenv filled with what the app asks for, and what it has to have besides."""

from __future__ import annotations

import re

from ansible_collections.flaskops.stack.plugins.module_utils.release import venv
from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.dotenv_files import (
    dotenv_files,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.manifest import (
    LOCK,
    PROJECT,
    SETUP,
    hash_locked,
    is_project,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.options import Options
from ansible_collections.flaskops.stack.plugins.module_utils.release.pip import Pip
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place
from ansible_collections.flaskops.stack.plugins.module_utils.release.requirement import (
    requirement_name,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.source import Package
from ansible_collections.flaskops.stack.plugins.module_utils.release.uv import Uv

#: Without it Flask does not read the .flaskenv and .env that an app ships.
DOTENV = "python-dotenv==1.2.4"


def install(commands: Commands, options: Options, manifest: str, package: Package | None) -> None:
    """Make the virtualenv and fill it."""
    place = commands.place
    program = (
        Uv(commands, options.uv_version) if options.installer == "uv" else Pip(commands, manifest)
    )
    program.create()
    if isinstance(program, Uv) and package is None and manifest == LOCK:
        program.sync()
    elif package is not None:
        commands.run(*program.add, package.wanted)
    else:
        install_code(commands, program.add, manifest)
    wanted = [*options.extra_packages, *lacking(place, options.server_package)]
    if wanted:
        commands.run(*program.add, *wanted)


def install_code(commands: Commands, add: tuple[str, ...], manifest: str) -> None:
    """Install what a manifest asks for that uv and pip read alike."""
    if not manifest:
        return
    if manifest in (PROJECT, SETUP):
        commands.run(*add, ".")
        return
    app = commands.place.app
    locked = hash_locked((app / manifest).read_text("utf-8"))
    commands.run(*add, "-r", manifest, *(["--require-hashes"] if locked else []))
    if is_project(app):
        commands.run(*add, "--no-deps", ".")


def lacking(place: Place, server_package: str) -> list[str]:
    """The server, and what reads the app's .env, where the app's own dependencies bring none."""
    reads_files = bool(dotenv_files(place.app, place.code))
    there = venv.installed(place)
    needed = (server_package, DOTENV if reads_files else "")
    absent = [one for one in needed if one and requirement_name(one) not in there]
    # What a kind of worker needs, beside a server of the app's own version.
    extra = re.match(r"[\w.-]+\[[^]]+\]", server_package)
    return [*absent, extra[0]] if extra and server_package not in absent else absent
