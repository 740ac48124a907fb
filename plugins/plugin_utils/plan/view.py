# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a site as the tiers look at it: its place in the topology and its variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import (
    Template,
    defaults,
    read,
    spec,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import Site


@dataclass(frozen=True)
class View:
    """A host, what is said of it, and the site around it.

    ``variables`` are what inventory and command line say, before any role's defaults, not yet
    templated; ``template`` gives their values. ``run_tags`` are the tags of the run.
    """

    host: str
    site: Site
    variables: Mapping[str, Any]
    template: Template
    controller: Controller = field(default_factory=Controller)
    run_tags: Collection[str] = ("all",)

    def value(self, name: str, default: Any = None) -> Any:
        """A variable's value, or the default where nobody says one."""
        if name not in self.variables:
            return default
        return self.template(self.variables, self.variables[name])

    def says(self, name: str) -> bool:
        """Whether people give a variable."""
        return name in self.variables

    def options(self, role: str, *names: str, **others: Any) -> dict[str, Any]:
        """Some options of a role by their types, all when none is named.

        ``others`` count where nobody says anything of this host: what follows from the topology, or
        what is said of another host. Raises OptionProblems.
        """
        declared = spec(role)
        wanted = {name: declared[name] for name in names or declared}
        values = {**defaults(role), **others, **self.variables}
        return read(wanted, values, self.template)

    def includes(self, role: str) -> bool:
        """Whether the tags of the run include a role or a part of it."""
        return any(tag in {"all", role} or tag.startswith(f"{role}_") for tag in self.run_tags)


@dataclass
class Tier:
    """What a tier adds to a host's plan.

    ``options`` are options of roles that follow from the topology, as final values. ``roles`` are
    the roles that run on the host, in their order. ``hints`` are what works but is likely not
    meant. ``asks_app`` is a URL of the app on another host, which this one must be let in to ask.
    """

    options: dict[str, Any] = field(default_factory=dict)
    roles: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    asks_app: str = ""
