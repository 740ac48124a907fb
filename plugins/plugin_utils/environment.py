# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process environment and .env files as variables of the collection."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import dotenv
from ansible_collections.flaskops.stack.plugins.module_utils.environment import NAME
from ansible_collections.flaskops.stack.plugins.plugin_utils.options import Option, meant
from ansible_collections.flaskops.stack.plugins.plugin_utils.renamed import OLD_NAMES

#: The variable that holds what goes to the app.
APP_VARIABLE = "flask_app_env_from_environment"
#: The option that names what else of the process environment goes to the app.
APP_NAMES = "FLASK_APP_ENV_NAMES"
APP_PREFIX = "FLASK_"
PROCESS = "process environment"
#: What Kubernetes and Docker set as <SERVICE>_PORT in a container beside a service.
LINK = re.compile(r"(tcp|udp|sctp)://\S+:[0-9]+")


class EnvironmentProblems(Exception):  # noqa: N818 - several at once
    """Everything that is wrong, one text each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Given:
    """One variable as it was given: its value, and where."""

    name: str
    value: str
    where: str


def variables(
    options: Mapping[str, Option],
    files: Iterable[tuple[str, str]],
    process: Mapping[str, str],
    source: str = "the inventory source",
) -> dict[str, Any]:
    """Typed variables from the texts of .env files, by label, and the process environment.

    A later file wins over an earlier one and the process environment over all of them. Raises
    EnvironmentProblems with all that is wrong; ``source`` is where the user can leave a name of the
    process environment out. No value of the app's is ever shown.
    """
    problems: list[str] = []
    written = read_files(files, process, problems)
    surrounding = {name: Given(name, value, PROCESS) for name, value in process.items()}
    found = {}
    for variable, option in options.items():
        given = surrounding.get(variable, written.get(variable))
        if given is not None:
            try:
                found[option.name] = convert(option, given, source)
            except ValueError as error:
                problems.append(str(error))
    named = found.get(APP_NAMES.lower(), [])
    app = {name: given for name, given in written.items() if name not in options}
    app |= from_process(options, surrounding, named)
    problems += [
        f"{name}: named in {APP_NAMES}, but set neither in the {PROCESS} nor in a .env file"
        for name in named
        if name not in app and name not in options
    ]
    for given in {**surrounding, **app}.values():
        problems += check_name(given, options, named, source, of_app=given.name in app)
    if problems:
        raise EnvironmentProblems(dict.fromkeys(problems))
    found[APP_VARIABLE] = {name: given.value for name, given in sorted(app.items())}
    return found


def read_files(
    files: Iterable[tuple[str, str]], process: Mapping[str, str], problems: list[str]
) -> dict[str, Given]:
    """What the files set, by name; a file that is no .env file adds to the problems."""
    written: dict[str, Given] = {}
    before: dict[str, str | None] = {}
    for label, text in files:
        try:
            bindings = dotenv.parse(text)
        except dotenv.DotenvError as error:
            problems.append(f"{label} line {error.line}: {error}")
            continue
        for binding in bindings:
            value, where = binding.value, f"{label} line {binding.line}"
            if not NAME.fullmatch(binding.name):
                problems.append(f"{where}: {binding.name!r} is no name of a variable")
                continue
            if value is not None:
                value = dotenv.interpolate(value, process, before)
                written[binding.name] = Given(binding.name, value, where)
            before[binding.name] = value
    return written


def convert(option: Option, given: Given, source: str) -> Any:
    """The option's value; ValueError says name, place, value and what is wrong with it."""
    try:
        return option.convert(readable(given.value))
    except ValueError as error:
        shown = "the value (not shown)" if option.secret else repr(given.value)
        text = f"{given.name} ({given.where}): {shown} is {error}"
    if given.where == PROCESS and LINK.fullmatch(given.value):
        service = given.name.removesuffix("_PORT").lower()
        text += (
            f".\n    Kubernetes and Docker set this for a service named {service}; it is not meant "
            f"for this.\n    Run `env -u {given.name} ansible-playbook ...`, or put "
            f"`ignored_names: [{given.name}]` into {source}\n    (a pod of your own can have "
            "enableServiceLinks: false)"
        )
    raise ValueError(text)


def readable(text: str) -> str:
    """The text itself; ValueError for one that no file or process could take."""
    if "\0" in text:
        raise ValueError("a text with a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("not UTF-8") from None
    return text


def from_process(
    options: Mapping[str, Option], surrounding: Mapping[str, Given], named: Collection[str]
) -> dict[str, Given]:
    """What the process environment has for the app: FLASK_* and the names that were asked for."""
    links = {
        name.removesuffix("PORT")
        for name, given in surrounding.items()
        if name.endswith("_PORT") and LINK.fullmatch(given.value)
    }
    linked = tuple(f"{prefix}{kind}" for prefix in links for kind in ("PORT", "SERVICE_"))
    return {
        name: given
        for name, given in surrounding.items()
        if name not in options
        and (name in named or (name.startswith(APP_PREFIX) and not name.startswith(linked)))
    }


def check_name(
    given: Given,
    options: Mapping[str, Option],
    named: Collection[str],
    source: str,
    *,
    of_app: bool,
) -> Iterable[str]:
    """What is wrong with a name that is no option."""
    if given.name in options:
        return
    place = f"{given.name} ({given.where})"
    if given.name not in named:
        told = not_an_option(given.name, options)
        if told:
            leave = f"{APP_NAMES}={given.name} makes it the app's own"
            if given.where == PROCESS:
                leave += f", `ignored_names: [{given.name}]` in {source} leaves it alone"
            yield f"{place}: {told} ({leave})"
            return
    if of_app:
        try:
            readable(given.value)
        except ValueError as error:
            yield f"{place}: the value (not shown) is {error}"


def not_an_option(name: str, options: Mapping[str, Option]) -> str:
    """Say that a name is an option's old one or a slip; nothing for a name of somebody else's."""
    new = OLD_NAMES.get(name.lower())
    if new is not None and name.isupper():
        return f"renamed to {new.upper()}"
    option = meant(name, options)
    return "" if option is None else f"no such option; did you mean {option}?"
