# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of the app and of its build, as the texts that a process finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.environment import (
    EnvironmentFormatError,
    checked_name,
    text_of,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.environment import (
    GivenEnvironment,
    given_environment,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.text import flask_values

KEY = ("SECRET_KEY", "FLASK_SECRET_KEY")
FALLBACKS = ("SECRET_KEY_FALLBACKS", "FLASK_SECRET_KEY_FALLBACKS")
#: MAX_ARG_STRLEN of Linux, execve(2): bytes of one variable.
MOST_BYTES = 131072
DEBUG_IS_OFF = ("", "false", "0", "no")


@dataclass(frozen=True)
class AppEnvironment:
    """What the app gets. ``defaults`` count where nobody else sets a name.

    ``key_given`` and ``fallbacks_given``: people give the SECRET_KEY or its fallbacks themselves.
    ``debug``: they turn debugging on.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    key_given: bool = False
    fallbacks_given: bool = False
    problems: tuple[str, ...] = ()
    debug: bool = False


def app_environment(options: Mapping[str, Any], controller: Controller) -> AppEnvironment:
    """The environment from the typed options of role flask_app."""
    found, allowed = given_environment(options, controller), options["flask_app_allow_debug"]
    # A .flaskenv for development, which many apps ship, does not turn the debugger on.
    values = {"FLASK_DEBUG": False, **found.for_flask()}
    names = found.merged()
    problems = list(found.problems)
    return AppEnvironment(
        given=as_texts(values, problems),
        defaults=as_texts(env_defaults(options), problems),
        key_given=any(name in names for name in KEY),
        fallbacks_given=any(name in names for name in FALLBACKS),
        problems=(*problems, *debug_problems(found, allowed=allowed)),
        debug=debug_is_on(found),
    )


def env_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the app is told of its place where nobody else says it."""
    found: dict[str, Any] = {}
    if "instance" in options["flask_app_shared_paths"]:
        found["FLASK_INSTANCE_PATH"] = f"{options['flask_app_home']}/shared/instance"
    if options["flask_app_log_level"]:
        found["FLASKOPS_LOG_LEVEL"] = options["flask_app_log_level"]
    found["FLASKOPS_STATIC_FINGERPRINT"] = options["flask_app_static_fingerprint"]
    found["FLASKOPS_STATIC_MAX_AGE"] = str(options["flask_app_static_max_age"])
    return found | flask_values(options["flask_app_env_defaults"])


def as_texts(environment: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    """Values as text, sorted by name, without those of null; no value is in a problem."""
    texts = {}
    for name in sorted(environment, key=str):
        try:
            checked = checked_name(name)
            if environment[name] is not None:
                texts[checked] = short(checked, text_of(checked, environment[name]))
        except EnvironmentFormatError as error:
            problems.append(str(error))
    return texts


def short(name: str, value: str) -> str:
    """A value that a process can be given; EnvironmentFormatError."""
    size = len(f"{name}={value}".encode()) + 1
    if size > MOST_BYTES:
        raise EnvironmentFormatError(
            f"environment variable {name}: found {size} bytes with its name (value not shown);"
            f" allowed are up to {MOST_BYTES}. What is longer is for flask_app_files"
        )
    return value


def debug_is_on(found: GivenEnvironment) -> bool:
    """Whether people turn debugging on."""
    return str(found.merged().get("FLASK_DEBUG", "")).lower() not in DEBUG_IS_OFF


def debug_problems(found: GivenEnvironment, *, allowed: bool) -> list[str]:
    """In debug mode an app may show its code and its secrets to every visitor."""
    if not debug_is_on(found) or allowed:
        return []
    debug = str(found.merged()["FLASK_DEBUG"]).lower()
    return [
        f"flask_app_env: found FLASK_DEBUG={debug}; an app in debug mode may show its code and its"
        " secrets to every visitor, so only false is allowed without flask_app_allow_debug: true"
    ]
