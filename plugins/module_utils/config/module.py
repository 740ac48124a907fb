# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules have in common that write a program's configuration files as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError

#: Documented in the fragment config_files.
FILES_OPTIONS: dict[str, dict[str, Any]] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True, "no_log": True},
            "mode": {"type": "str", "default": "0644"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "secret": {"type": "bool", "default": False, "no_log": False},
        },
    },
    "absent": {"type": "list", "elements": "path", "default": []},
    "tree": {"type": "path"},
    "check": {"type": "list", "elements": "str"},
    "unit": {"type": "str"},
}


class QuietModule(AnsibleModule):
    """Logs the paths it was called with; Ansible's own log entry would hold every file's text.

    Its masking compares values, and the text of several lines looks different inside a logged list.
    """

    def _log_invocation(self) -> None:
        paths = [entry["path"] for entry in self.params["files"]] + self.params["absent"]
        self.log(f"Invoked for {', '.join(paths)}")

    def label(self, name: str, path: str) -> None:
        """Give a file the security context of a path, where the host has such."""
        if self.selinux_enabled():
            self.set_context_if_different(name, self.selinux_default_context(path), changed=False)

    def answer(self, act: Callable[..., dict[str, Any]]) -> None:
        """End with what is brought about, or with why it cannot be."""
        try:
            result = act(
                self.params,
                self.label,
                check_mode=self.check_mode,
                diff=self._diff,
            )
        except ConfigError as error:
            self.fail_json(msg=str(error))
        self.exit_json(**result)
