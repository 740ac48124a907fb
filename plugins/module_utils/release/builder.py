# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a build, in their order."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.environment import from_json
from ansible_collections.flaskops.stack.plugins.module_utils.release import python, static, venv
from ansible_collections.flaskops.stack.plugins.module_utils.release.account import Owner
from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.installer import install
from ansible_collections.flaskops.stack.plugins.module_utils.release.manifest import manifest_of
from ansible_collections.flaskops.stack.plugins.module_utils.release.options import Options
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place
from ansible_collections.flaskops.stack.plugins.module_utils.release.shared import link_shared
from ansible_collections.flaskops.stack.plugins.module_utils.release.source import open_up
from ansible_collections.flaskops.stack.plugins.module_utils.release.trees import seal


def commands_for(options: Options, place: Place, owner: Owner) -> Commands:
    """The commands of a release; EnvironmentFormatError for what they cannot be given."""
    return Commands(place, owner, options.python, from_json(options.build_environment))


def build(options: Options, place: Place, owner: Owner) -> dict[str, Any]:
    """Do everything but mark the release complete; returns what release.json should say."""
    commands = commands_for(options, place, owner)
    for folder in (place.cache, place.venv):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, owner.uid, owner.gid)
    package = open_up(place, commands, options.requirement)
    manifest = (
        package.shown
        if package
        else manifest_of(
            place.app, place.code, options.requirements, extra=bool(options.extra_packages)
        )
    )
    commands.python = python.interpreter(commands, options.python, options.uv_version)
    if not package:
        python.check(commands, options.python, place.app)
    install(commands, options, manifest, package)
    run_own(commands, options.build_commands)
    compile_code(commands)
    packages = list(venv.own_packages(place, package.name if package else ""))
    link_shared(commands, options.shared_paths, packages)
    published = (
        static.publish_package(commands, options.static, packages)
        if package
        else static.publish_code(commands, options.static)
    )
    installed = venv.installed(place)
    shutil.rmtree(place.upload, ignore_errors=True)
    seal(place, owner.gid)
    return {
        "manifest": manifest,
        "subdirectory": options.subdirectory,
        "installer": options.installer,
        "packages": installed,
        "static": published,
    }


def run_own(commands: Commands, lines: list[str]) -> None:
    """Run the shell lines that people add to the build; what they write is of the release."""
    for number, line in enumerate(lines, 1):
        _run_line(commands, line, f"command {number} of flask_app_build_commands")


def _run_line(commands: Commands, line: str, name: str) -> None:
    try:
        commands.run("sh", "-c", line)
    except ReleaseError as error:
        raise error.told(f"{name}: ") from None


def compile_code(commands: Commands) -> None:
    """Compile the code's bytecode.

    A file that is not Python, a template say, is no reason to fail: the app will be asked.
    """
    python, code = commands.place.venv / "bin/python", shlex.quote(str(commands.place.code))
    commands.run("sh", "-c", f"{python} -m compileall -q -j 0 {code} || true")
