# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a role: what its argument spec declares, with values of the declared types."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.flaskops.stack.plugins.plugin_utils.options import ROLES, to_list

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text is a template

    def trust_as_template(value: str) -> str:  # type: ignore[misc]
        """The text as it is."""
        return value


Spec = Mapping[str, Mapping[str, Any]]


#: Options that end so are for the task that uses them: a lock names the runs that are alive then.
LATE = "_lock"
#: Ansible's templating: the value that a text stands for, with these variables.
Template = Callable[[Mapping[str, Any], Any], Any]


class OptionProblems(Exception):  # noqa: N818 - several at once
    """All options of a role that have no value of their type, one text each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@functools.cache
def spec(role: str, roles: Path = ROLES) -> Spec:
    """The options of a role's main entry point; KeyError for a role that is not there."""
    path = roles / role / "meta" / "argument_specs.yml"
    if not path.is_file():
        raise KeyError(role)
    options: Spec = yaml_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return options


@functools.cache
def defaults(role: str, roles: Path = ROLES) -> Mapping[str, Any]:
    """The defaults of a role, as they stand in its file."""
    values: Mapping[str, Any] = yaml_load(
        (roles / role / "defaults" / "main.yml").read_text(encoding="utf-8")
    )
    return {name: trusted(value) for name, value in values.items()}


def trusted(value: Any) -> Any:
    """A default that Ansible's templating takes for a template, where it is text."""
    return trust_as_template(value) if isinstance(value, str) else value


def read(options: Spec, variables: Mapping[str, Any], template: Template) -> dict[str, Any]:
    """The values of all options, converted by their types.

    Text, as ``-e`` gives it, means what the type says: a list's items are separated by commas.
    Raises OptionProblems with everything that is wrong.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, option in options.items():
        if name not in variables or name.endswith(LATE):
            continue
        try:
            value = template(variables, variables[name])
            values[name] = to_list(value) if is_text_list(option, value) else value
        except (AnsibleError, ValueError) as error:
            problems.append(f"{name}: {error}")
    result = ArgumentSpecValidator(without_defaults(options)).validate(values)
    problems += result.error_messages
    if problems:
        raise OptionProblems(problems)
    typed: dict[str, Any] = result.validated_parameters
    return {name: typed.get(name) for name in options}


def is_text_list(option: Mapping[str, Any], value: Any) -> bool:
    """Whether a list was given as text."""
    return option.get("type") == "list" and isinstance(value, str)


def without_defaults(options: Spec) -> dict[str, dict[str, Any]]:
    """A spec as the validator takes it: at the top a default documents and never sets a value."""
    left_out = ("default", "description", "required")
    return {
        name: {key: value for key, value in option.items() if key not in left_out}
        for name, option in options.items()
    }
