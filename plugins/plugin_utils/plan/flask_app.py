# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role flask_app."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.release.name import release_id
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import archive
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.app_environment import (
    AppEnvironment,
    app_environment,
    as_texts,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.app_files import app_files
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.deploy_key import (
    DeployKey,
    read_key,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.flask_app_rules import (
    option_problems,
    source_problems,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.release_id import recipe_digest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.source import Source, read_source

#: Entry points that work on the release that is live: they need no source.
ON_THE_LIVE_RELEASE = ("environment", "accept_secret_key", "sign_secret_key")
#: Entry points whose tasks take the source as one file.
BUILDING = ("main",)
MARKER_LENGTH = 8
DEBUG_HINT = (
    "flask_app_allow_debug: the app runs in debug mode, in which it may show its code and its"
    " secrets to every visitor"
)
#: Options that the tasks take as they are, by the names that they have there.
AS_GIVEN = (
    "name",
    "home",
    "user",
    "version",
    "checksum",
    "subdirectory",
    "python",
    "installer",
    "uv_version",
    "extra_packages",
    "requirements",
    "build_commands",
    "server_package",
    "shared_paths",
    "static",
    "static_fingerprint",
    "entrypoint",
    "secret_key_days",
    "keep_releases",
    "hosts",
)


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """The source, how its release is built, and the environment of the app."""
    needs_source = controller.entry_point not in ON_THE_LIVE_RELEASE
    source = (
        read_source(options["flask_app_source"] or "", options["flask_app_checksum"])
        if needs_source
        else Source()
    )
    key = read_key(options["flask_app_deploy_key"] if needs_source else "", controller)
    environment = app_environment(options, controller)
    problems = list(environment.problems)
    build = as_texts(options["flask_app_build_env"], problems)
    problems += option_problems(options)
    if needs_source:
        problems += source_problems(options, source, key)
    packed = pack(source, controller, problems)
    checkout = f"{options['flask_app_home']}/source" if source.kind == "git" else ""
    needed = packages(options, source) if needs_source else []
    digest = recipe_digest(options, source)
    revision = source.revision or packed.revision
    several = len(options["flask_app_hosts"]) > 1
    data = {name: options[f"flask_app_{name}"] for name in AS_GIVEN} | {
        "account": account(options),
        "kind": source.kind,
        "source": source.shown,
        "address": source.address,
        "download": {"username": source.username, "password": source.password},
        "file": source.file,
        "requirement": source.requirement,
        "git": git(options["flask_app_home"], source, key) if source.kind == "git" else {},
        "archive": {"path": packed.path, "name": Path(packed.path).name},
        # Of git the host finds it out.
        "revision": revision,
        "recipe": digest,
        "id": release_id(revision, digest) if revision else "",
        "files": app_files(options, controller, problems),
        "environment": dict(environment.given),
        "environment_defaults": dict(environment.defaults),
        "build_environment": build,
        "given_key": given_key(environment),
        "key_file": f"{options['flask_app_home']}/secret_key",
        "shares_key": several and not environment.key_given,
        "commands": commands(options, controller),
        **calls(source, packed, checkout, needed, expected=options["flask_app_expect_release"]),
    }
    return Plan(data, problems, needed, [DEBUG_HINT] if environment.debug else [])


def calls(
    source: Source, packed: archive.Archive, checkout: str, needed: list[str], *, expected: bool
) -> dict[str, Any]:
    """What the calls of the module release differ in: the first one, and those of a change.

    The first call builds when that costs nothing where the release is there: an archive is sent
    along only where a new release is expected. ``comes_along`` says that a release is
    built without anything that other tasks bring.
    """
    nothing = {"state": "prepared", "archive": "", "checkout": "", "packages": []}
    build = nothing | {"state": "built", "archive": packed.content, "checkout": checkout}
    comes_along = bool(packed.content or checkout or source.requirement)
    at_once = comes_along and (expected or not packed.content)
    return {
        "comes_along": comes_along,
        "look": (build if at_once else nothing) | {"packages": needed},
        "prepare": nothing,
        "build": build,
    }


def commands(options: Mapping[str, Any], controller: Controller) -> dict[str, Any]:
    """What runs once per release, each command with the name that a message calls it by."""
    once = [{**one, "first": True} for one in numbered(options, "flask_app_first_commands")]
    migration = options["flask_app_migrate_command"]
    found = [{"name": "flask_app_migrate_command", "command": migration}]
    found += numbered(options, "flask_app_release_commands")
    wanted = [one for one in found if one["command"]]
    script = "\n".join(one["command"] for one in wanted)
    digest = hashlib.sha256(script.encode()).hexdigest()[:MARKER_LENGTH]
    return {
        "list": [*once, *wanted],
        # On one host of the run, whichever that is.
        "here": bool(script or once) and controller.host == controller.play_hosts[0],
        "marker": f"commands-{digest}" if script or once else "",
        "timeout": options["flask_app_commands_timeout"],
    }


def numbered(options: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The commands of an option, each by its number in it."""
    return [
        {"name": f"command {number} of {name}", "command": command}
        for number, command in enumerate(options[name], 1)
    ]


def given_key(environment: AppEnvironment) -> str:
    """The name of what people give themselves, so that nobody else may rotate it; mostly none."""
    if environment.fallbacks_given:
        return "SECRET_KEY_FALLBACKS"
    return "SECRET_KEY" if environment.key_given else ""


def account(options: Mapping[str, Any]) -> dict[str, str]:
    """Home and shell of the app's user; one that is there for other work too keeps what it has."""
    if options["flask_app_user"] != options["flask_app_name"]:
        return {}
    return {"home": options["flask_app_home"], "shell": "/usr/sbin/nologin"}


def packages(options: Mapping[str, Any], source: Source) -> list[str]:
    """What building needs; uv is installed with the pip that Debian ships for virtualenvs."""
    pip = options["flask_app_installer"] == "pip"
    needs_uv = not pip or not options["flask_app_python"].startswith("/")
    found = ["brotli", "ca-certificates", "python3"]
    found += ["python3-pip-whl"] if needs_uv else []
    found += ["python3-venv"] if pip else []
    found += ["git"] if source.kind == "git" else []
    found += ["openssh-client"] if source.ssh else []
    own = [*options["flask_app_system_packages"], *options["flask_app_build_packages"]]
    return list(dict.fromkeys(found + own))


def git(home: str, source: Source, key: DeployKey) -> dict[str, Any]:
    """What git has to know and its command line must not: a login or a key, each in a file."""
    credentials, key_file = f"{home}/git_credentials", f"{home}/deploy_key"
    # A git that asks would wait for ever.
    silent = {"GIT_TERMINAL_PROMPT": "0"}
    helper = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": f"store --file={credentials}",
    }
    secret = (source.login or key.text).strip()
    return {
        "checkout": f"{home}/source",
        "secret": secret + "\n" if secret else "",
        "secret_file": credentials if source.login else key_file,
        "key_file": key_file if key.given else "",
        "environment": silent | (helper if source.login else {}),
    }


def pack(source: Source, controller: Controller, problems: list[str]) -> archive.Archive:
    """The files of a source on the controller as one; none where only problems are asked for."""
    path = Path(source.address).absolute()
    try:
        if source.on_controller and controller.scratch and controller.entry_point in BUILDING:
            return archive.archive_of(path, Path(controller.scratch))
        if source.kind in {"archive", "wheel"}:
            archive.digest_of(path)
    except OSError as error:
        problems.append(f"flask_app_source: {error}")
    return archive.Archive()
