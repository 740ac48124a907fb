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
extends_documentation_fragment: [flaskops.stack.packages, flaskops.stack.config_files]
options:
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

from ansible_collections.flaskops.stack.plugins.module_utils.config.module import (
    FILES_OPTIONS,
    QuietModule,
)
from ansible_collections.flaskops.stack.plugins.module_utils.config.transaction import apply
from ansible_collections.flaskops.stack.plugins.module_utils.packages import PACKAGES_OPTION


def main() -> None:
    """Ansible's entry point."""
    module = QuietModule(
        argument_spec={
            **FILES_OPTIONS,
            "check_ready": {"type": "str"},
            "check_timeout": {"type": "float", "default": 10.0},
            "check_user": {"type": "str", "default": "root"},
            "packages": PACKAGES_OPTION,
            "requires": {"type": "dict", "default": {}},
        },
        required_by={"check_ready": ["check"], "tree": ["check"]},
        supports_check_mode=True,
    )
    module.answer(apply)


if __name__ == "__main__":
    main()
