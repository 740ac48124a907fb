# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role flask_app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import archive
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.app_environment import (
    app_environment,
    as_texts,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.deploy_key import (
    DeployKey,
    read_key,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.flask_app_rules import (
    option_problems,
    source_problems,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.release_id import (
    recipe_digest,
    release_id,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.source import Source, read_source

#: Entry points that work on the release that is live: they need no source.
ON_THE_LIVE_RELEASE = ("environment", "accept_secret_key", "sign_secret_key")
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
    "server_package",
    "shared_paths",
    "static",
    "static_fingerprint",
    "secret_key_days",
    "keep_releases",
    "lock_minutes",
    "entrypoint",
    "commands_timeout",
    "keep_data",
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
    digest = recipe_digest(options, source)
    revision = source.revision or packed.revision
    several = len(options["flask_app_hosts"]) > 1
    commands = [options["flask_app_migrate_command"], *options["flask_app_release_commands"]]
    data = {name: options[f"flask_app_{name}"] for name in AS_GIVEN} | {
        "account": account(options),
        "kind": source.kind,
        "source": source.shown,
        "address": source.address,
        "download": {"username": source.username, "password": source.password},
        "file": source.file,
        "requirement": source.requirement,
        "git": git(options["flask_app_home"], source, key) if source.kind == "git" else {},
        "archive": asdict(packed) | {"name": Path(packed.path).name},
        # Of git the host finds it out.
        "revision": revision,
        "recipe": digest,
        "id": release_id(revision, digest) if revision else "",
        "environment": dict(environment.given),
        "environment_defaults": dict(environment.defaults),
        "build_environment": build,
        "key_given": environment.key_given,
        "fallbacks_given": environment.fallbacks_given,
        "shares_key": several and not environment.key_given,
        "commands": [command for command in commands if command],
    }
    return Plan(data, problems, packages(options, source) if needs_source else [])


def account(options: Mapping[str, Any]) -> dict[str, str]:
    """Home and shell of the app's user; one that is there for other work too keeps what it has."""
    if options["flask_app_user"] != options["flask_app_name"]:
        return {}
    return {"home": options["flask_app_home"], "shell": "/usr/sbin/nologin"}


def packages(options: Mapping[str, Any], source: Source) -> list[str]:
    """What building needs; uv is installed with the pip that Debian ships for virtualenvs."""
    maker = "python3-pip-whl" if options["flask_app_installer"] == "uv" else "python3-venv"
    found = ["brotli", "ca-certificates", "python3", maker]
    found += ["git"] if source.kind == "git" else []
    return found + (["openssh-client"] if source.ssh else [])


def git(home: str, source: Source, key: DeployKey) -> dict[str, Any]:
    """What git has to know and its command line must not: a login or a key, each in a file."""
    credentials, key_file = f"{home}/git_credentials", f"{home}/deploy_key"
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
        "environment": helper if source.login else {},
    }


def pack(source: Source, controller: Controller, problems: list[str]) -> archive.Archive:
    """The files of a source on the controller as one; none where only problems are asked for."""
    path = Path(source.address).absolute()
    try:
        if source.on_controller and controller.scratch:
            return archive.archive_of(path, Path(controller.scratch))
        if source.kind in {"archive", "wheel"}:
            archive.digest_of(path)
    except OSError as error:
        problems.append(f"flask_app_source: {error}")
    return archive.Archive()
