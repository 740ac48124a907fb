#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files of one program together, after the program has accepted them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Write several configuration files as one, after a check has accepted them
description:
  - Writes and removes the configuration files of one program in one remote call.
  - Before anything is written, the program is asked. The directory O(tree) is copied aside, the
    changes are made in the copy, and O(check) runs on it. When it refuses, nothing on the host has
    changed and the module fails with the program's own message.
  - Every file is replaced by a rename, with its owner and mode already set, so that no reader ever
    finds half a file or a secret with a loose mode. When a write fails midway, what was written
    before it is put back.
  - A path that is a symbolic link is replaced by a file; the link's target is left alone.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment: [flaskops.stack.packages]
options:
  files:
    description: Files to write. Missing parent directories are created with mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Permission bits in octal.
        type: str
        default: '0644'
      owner:
        description: Name of the owner. Left as it is when not given.
        type: str
      group:
        description: Name of the group. Left as it is when not given.
        type: str
      secret:
        description: Keep the text out of the diff and out of the check's message.
        type: bool
        default: false
  absent:
    description:
      - Absolute paths of files and links that must not exist. C(*) and C(?) stand for what they do
        in a shell, but never for one of O(files).
    type: list
    elements: path
    default: []
  tree:
    description:
      - Directory that is copied aside for the check, with the changes made in the copy.
      - Symbolic links that point into the directory point into the copy there; others point where
        they always did.
    type: path
  check:
    description:
      - Command that accepts or refuses the new files, as a list of arguments. Runs only when a file
        changes. Exit code 0 accepts, unless O(check_ready) is given.
      - C({tree}) is replaced by the copy of O(tree), C({scratch}) by an empty directory that is
        removed afterwards, C({port}) by a free TCP port.
      - In check mode a program that is not installed yet is not asked.
    type: list
    elements: str
  check_ready:
    description:
      - Text in the output of O(check) that means accepted. The command is then stopped. For servers
        without a dry run; ending before it has printed the text means refused.
    type: str
  check_timeout:
    description: Longest time for O(check) in seconds. No verdict in time means refused.
    type: float
    default: 10.0
  check_user:
    description: User who runs O(check), with no supplementary groups.
    type: str
    default: root
  requires:
    description:
      - What must be there on the host, each path with what is said when it is missing. Nothing is
        changed then.
    type: dict
    default: {}
  unit:
    description:
      - The systemd unit that reads the files. When it is active and one of the files is newer than
        its last start or reload, the result is changed although no file is. A handler that an
        earlier run lost, for example because the run was killed, is so made up for.
    type: str
attributes:
  check_mode:
    description: The check runs, nothing is written.
    support: full
  diff_mode:
    description: A unified diff a file; of a secret file only that it changes.
    support: full
"""

EXAMPLES = r"""
- name: Configure nginx
  flaskops.stack.config_files:
    files:
      - path: /etc/nginx/nginx.conf
        content: "{{ lookup('ansible.builtin.template', 'etc/nginx/nginx.conf.j2') }}"
        owner: root
        group: root
        mode: "0644"
    absent: [/etc/nginx/sites-enabled/default]
    tree: /etc/nginx
    check: [/usr/sbin/nginx, -t, -q, -c, "{tree}/nginx.conf"]
    unit: nginx.service
  notify: Reload nginx

- name: Configure a server that has no dry run
  flaskops.stack.config_files:
    files:
      - path: /etc/redis/local.conf
        content: "maxmemory 64mb\n"
    tree: /etc/redis
    check: [redis-server, "{tree}/local.conf", --port, "{port}", --dir, "{scratch}"]
    check_ready: eady to accept connections
    check_timeout: 5
    check_user: redis
"""

RETURN = r"""
settled:
  description:
    - Whether nothing is left to do. No package is missing, no file changed, and O(unit), where
      there is one, runs with these files and is enabled.
  returned: always
  type: bool
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: always
  type: list
  elements: str
changed_files:
  description: Paths written or removed, or that would be in check mode.
  returned: always
  type: list
  elements: str
checked:
  description: Whether the check ran.
  returned: always
  type: bool
check_output:
  description: What the check printed, with the live paths in place of the copy's.
  returned: when the check ran
  type: str
stale:
  description: Whether no file changes but O(unit) has not loaded the files yet.
  returned: always
  type: bool
daemon_reload:
  description: Whether systemd has to read its units again.
  returned: always
  type: bool
unit_active:
  description: Whether O(unit) is active; not when systemd only tries to start it again.
  returned: always
  type: bool
unit_wish:
  description:
    - How O(unit) is brought up, as M(ansible.builtin.systemd_service) has it in its C(state).
      V(started), or V(restarted) while systemd tries it again and again, when only a start of ours
      says why it fails.
  returned: always
  type: str
unit_settled:
  description: Whether O(unit) is active and enabled, so that starting it would change nothing.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.config.transaction import apply
from ansible_collections.flaskops.stack.plugins.module_utils.packages import PACKAGES_OPTION


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


def main() -> None:
    """Ansible's entry point."""
    module = QuietModule(
        argument_spec={
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
            "check_ready": {"type": "str"},
            "check_timeout": {"type": "float", "default": 10.0},
            "check_user": {"type": "str", "default": "root"},
            "packages": PACKAGES_OPTION,
            "requires": {"type": "dict", "default": {}},
            "unit": {"type": "str"},
        },
        required_by={"check_ready": ["check"], "tree": ["check"]},
        supports_check_mode=True,
    )
    try:
        result = apply(
            module.params,
            module.label,
            check_mode=module.check_mode,
            diff=module._diff,  # noqa: SLF001 - Ansible has no public name for it
        )
    except ConfigError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
