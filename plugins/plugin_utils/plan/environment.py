# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people give the app as its environment, and in which order it counts.

From the weakest to the strongest: files of ``flask_app_env_files``, ``flask_app_env``, .env files
of the inventory, the process environment. What the playbooks know of the topology is weaker than
all of these (see docs/environment.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.environment import read_files
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.text import flask_values


@dataclass(frozen=True)
class GivenEnvironment:
    """The layers, each by name. A value of None takes a name of a weaker layer away."""

    files: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    surrounding: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def merged(self) -> dict[str, Any]:
        """All names that have a value, as people wrote it."""
        found = {**self.files, **self.own, **self.surrounding}
        return {name: value for name, value in found.items() if value is not None}

    def for_flask(self) -> dict[str, Any]:
        """All layers with values as ``Flask.config.from_prefixed_env()`` reads them.

        What people typed in YAML keeps its type; what came as text means what Flask takes it for.
        """
        return {
            **flask_values(self.files, text=True),
            **flask_values(self.own),
            **flask_values(self.surrounding, text=True),
        }


def given_environment(options: Mapping[str, Any], controller: Controller) -> GivenEnvironment:
    """Read the layers from the typed options ``flask_app_env*``; unreadable files are problems."""
    problems: list[str] = []
    texts = []
    for path in options.get("flask_app_env_files") or []:
        try:
            texts.append((path, controller.read(path)))
        except (OSError, ValueError) as error:
            problems.append(f"flask_app_env_files: {path}: {error}")
    files = read_files(texts, controller.environment, problems)
    own = options.get("flask_app_env") or {}
    if not isinstance(own, Mapping):
        problems.append(
            "flask_app_env: found text; allowed is a dict, on the command line as JSON:"
            """ -e '{"flask_app_env": {"NAME": "value"}}'"""
        )
        own = {}
    surrounding = dict(options.get("flask_app_env_from_environment") or {})
    spoken = options.get("flask_app_env_spoken") or []
    names = options.get("flask_app_env_names") or []
    for name in names:
        if name in controller.environment and name not in spoken:
            surrounding[name] = controller.environment[name]
    if missing := sorted(set(names) - set(surrounding) - set(spoken)):
        problems.append(
            f"flask_app_env_names: found {', '.join(missing)};"
            " set neither in the environment nor in a .env file"
        )
    return GivenEnvironment(
        files={name: given.value for name, given in files.items()},
        own=own,
        surrounding=surrounding,
        problems=tuple(problems),
    )
