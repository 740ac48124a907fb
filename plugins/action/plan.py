# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, on the controller: what follows from options and inventory, without asking any host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan
short_description: Work out what follows from options and inventory
version_added: 0.1.0
author: The flaskops.stack authors
description:
  - Reads a role's options, converts them by the types of its argument spec, checks them, and
    returns the data that the role's templates and modules take.
  - Without O(role) it plans all tiers of the host and returns the options that follow from the
    topology. All problems of all tiers are told in one message.
  - Runs on the controller alone. Its result is hidden in every output, for it can hold secrets.
options:
  role:
    description: Name of a role of this collection, whose options are read from the variables.
    type: str
  entry_point:
    description:
      - Entry point of O(role), or of every role of the host, that is planned for. Some need fewer
        options than others.
    type: str
    default: main
  site:
    description:
      - With true, returns the site alone, its hosts, tiers and addresses, for all hosts of a play
        (C(run_once)).
      - A site that another task returned, so that it is not read again on every host.
    type: raw
    default: false
  tiers:
    description: Tiers to plan, all of the host's when left out; without O(role).
    type: list
    elements: str
    choices: [cache, app, web]
"""

EXAMPLES = r"""
- name: Plan
  flaskops.stack.plan:
    role: redis
  register: __redis_plan
"""

RETURN = r"""
options:
  description: Options of roles that the topology decides, as final values; without O(role).
  type: dict
  returned: without O(role)
roles:
  description: The roles of each tier, in their order.
  type: dict
  returned: without O(role)
shown:
  description: Tiers, roles, options and packages as people may see them, without secrets.
  type: dict
  returned: without O(role)
asks_app:
  description: A URL of the app on another host, which must let this web host in; or nothing.
  type: str
  returned: without O(role)
packages:
  description: Distribution packages that the role, or all roles of the host, need.
  type: list
  elements: str
  returned: success
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleFileNotFound
from ansible.plugins.action import ActionBase
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.render import Renderer
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.show import public
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import (
    TIERS,
    Site,
    read_site,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.tiers import plan_host
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import View

#: Ansible's own default.
MANAGED = "Ansible managed"


class ActionModule(ActionBase):
    """Action flaskops.stack.plan."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("role", "entry_point", "site", "tiers"))

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Plan; a failed result tells every problem."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result |= {"changed": False}
        variables: Mapping[str, Any] = task_vars or {}
        role, site = self._task.args.get("role"), self._task.args.get("site", False)
        if site is True:
            return result | outcome(
                [], read_site(variables["groups"], variables["hostvars"]).as_data()
            )
        if role:
            controller = replace(
                self.controller(variables),
                scratch=str(vars(C)["DEFAULT_LOCAL_TMP"]),
                render=Renderer(self.managed(variables)),
            )
            planned = plan_role(role, variables, self.template, controller)
            self.say(planned.hints)
            data = {**planned.data, "packages": planned.packages}
            return result | outcome(planned.problems, data)
        host = plan_host(self.view(variables, site), self._task.args.get("tiers") or TIERS)
        self.say(host.hints)
        data = asdict(host)
        return result | outcome(host.problems, {**data, "shown": public(data)})

    def say(self, hints: list[str]) -> None:
        """Tell people of hints, each once a run."""
        for hint in hints:
            self._display.warning(hint)

    def view(self, variables: Mapping[str, Any], site: Any) -> View:
        """The host as the tiers look at it."""
        known = (
            Site(**{name: site[name] for name in Site.__dataclass_fields__})
            if isinstance(site, Mapping)
            else read_site(variables["groups"], variables["hostvars"])
        )
        return View(
            host=variables["inventory_hostname"],
            site=known,
            variables=variables,
            template=self.template,
            controller=self.controller(variables),
            run_tags=tuple(variables.get("ansible_run_tags", ("all",))),
        )

    def controller(self, variables: Mapping[str, Any]) -> Controller:
        """What the planners may know of the controller and the run."""
        return Controller(
            host=variables["inventory_hostname"],
            play_hosts=tuple(variables.get("ansible_play_hosts_all", ())),
            check_mode=self._task.check_mode,
            read=self.read,
            environment=os.environ,
            entry_point=self._task.args.get("entry_point", "main"),
        )

    def managed(self, variables: Mapping[str, Any]) -> str:
        """What stands at the top of every file, by a variable or by ansible.cfg."""
        given = self.template(variables, variables.get("ansible_managed"))
        return str(given or vars(C).get("DEFAULT_MANAGED_STR") or MANAGED)

    def template(self, variables: Mapping[str, Any], value: Any) -> Any:
        """The value that a text stands for, with other variables than the task's own."""
        if not isinstance(value, str | list | dict):
            return value
        return self._templar.copy_with_new_env(available_variables=dict(variables)).template(value)

    def read(self, path: str) -> str:
        """A file that a person named, decrypted where it is encrypted; OSError, ValueError."""
        path = os.path.expanduser(path)
        try:
            found = path if Path(path).is_absolute() else self._find_needle("files", path)
        except AnsibleFileNotFound:
            found = path  # in the current directory, then
        if not Path(found).is_file():
            raise ValueError("there is no such file")
        try:
            loader: Any = self._loader
            place = os.path.abspath(found)
            content: bytes = loader._get_file_contents(place)[0]  # noqa: SLF001 - no other for 2.18
            return content.decode()
        except UnicodeDecodeError as error:
            raise ValueError("not UTF-8") from error
        except AnsibleError as error:
            raise ValueError(str(error)) from error


def outcome(problems: list[str], data: dict[str, Any]) -> dict[str, Any]:
    """The rest of a task's result: the data, which may hold secrets, or all problems."""
    if problems:
        return {"failed": True, "msg": "\n".join(problems)}
    return {**data, "_ansible_no_log": True}
