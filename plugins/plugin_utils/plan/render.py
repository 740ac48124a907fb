# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' templates as files, by Jinja alone.

Ansible's own lookup copies all variables of the host for each template; these need what the plan
gives them and nothing else.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.filter.core import comment, to_json
from ansible_collections.flaskops.stack.plugins.plugin_utils.directives import directives
from ansible_collections.flaskops.stack.plugins.plugin_utils.options import ROLES
from ansible_collections.flaskops.stack.plugins.plugin_utils.text import unit_command
from jinja2 import Environment, FileSystemLoader, StrictUndefined

FILTERS = {
    "comment": comment,
    "to_json": to_json,
    "directives": directives,
    "unit_command": unit_command,
}


class Renderer:
    """Renders the templates of roles as ansible.builtin.template would.

    ``managed`` is the text of ``ansible_managed``.
    """

    def __init__(self, managed: str) -> None:
        self.managed = managed
        #: By role: what its templates import is compiled once.
        self.environments: dict[str, Environment] = {}

    def __call__(self, role: str, template: str, **variables: Any) -> str:
        """The text of a template, a path in the role's ``templates/``, with these variables."""
        if role not in self.environments:
            self.environments[role] = environment_of(role)
        found = self.environments[role].get_template(template)
        return found.render(ansible_managed=self.managed, **variables)


def environment_of(role: str) -> Environment:
    """Jinja as Ansible sets it up, for the templates of a role."""
    environment = Environment(
        loader=FileSystemLoader(ROLES / role / "templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML
    )
    environment.filters.update(FILTERS)
    return environment
