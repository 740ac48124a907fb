#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have nginx use no page any more that it has kept."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_pages
short_description: Say what the pages belong to that nginx keeps
description:
  - A part of the key of a kept page is where the link C(current) in O(path) leads. With another
    target no page of before is used, without a reload of nginx.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  path:
    description: Directory with the link.
    type: path
    required: true
  live:
    description: Name of what is live; when empty, it stays what it was.
    type: str
    default: ''
  purge:
    description: Use no page of before although the same is live.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells whether the link would be changed.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Use no page of before
  flaskops.stack.nginx_pages:
    path: /var/lib/flaskops-pages/shop
    purge: true
"""

RETURN = r""" # """

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.web.pages import belong


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "live": {"type": "str", "default": ""},
            "purge": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    changed = belong(
        Path(given["path"]), given["live"], purge=given["purge"], check_mode=module.check_mode
    )
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
