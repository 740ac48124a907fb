# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distribution packages in one transaction, by the module of the host's distribution."""

from __future__ import annotations

DOCUMENTATION = r"""
name: packages
short_description: Install or remove distribution packages in one transaction
version_added: 0.1.0
author: The flaskops.stack authors
description:
  - Runs M(ansible.builtin.apt) with what every role of this collection wants. No recommended
    packages, lists of packages at most a day old, and no service is started by its package, because
    the package's own settings are not the role's.
  - In check mode it also works on a host without python3-apt, where all packages count as missing.
options:
  names:
    description: Packages; with none, nothing is done.
    type: list
    elements: str
    required: true
  state:
    description: Whether they must be there or not.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Install the packages
  flaskops.stack.packages:
    names: [nginx, logrotate]
"""

from typing import Any

from ansible.plugins.action import ActionBase

#: What apt says in check mode on a host that has no python3-apt yet.
NO_BINDINGS = "must be installed to use check mode"
#: Seconds for which lists of packages count as new: a day.
LISTS_AGE = 86400
#: policy-rc.d's answer that no service may be started, deb-systemd-invoke(1p).
START_NOTHING = 101


class ActionModule(ActionBase):
    """Action flaskops.stack.packages."""

    _supports_check_mode = True
    _VALID_ARGS = frozenset(("names", "state"))

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Install or remove; the result is that of the distribution's module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        names, state = self._task.args["names"], self._task.args.get("state", "present")
        if not names:
            return result | {"changed": False}
        options: dict[str, Any] = {"name": names, "state": state}
        if state == "present":
            options |= {
                "policy_rc_d": START_NOTHING,
                "install_recommends": False,
                "update_cache": True,
                "cache_valid_time": LISTS_AGE,
            }
        done: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.apt", module_args=options, task_vars=task_vars
        )
        if self._task.check_mode and NO_BINDINGS in str(done.get("msg", "")):
            done = {"changed": True, "msg": f"{', '.join(names)}: {state}"}
        return result | done
