#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take hosts out of the sites that nginx balances, and put them back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Take hosts out of nginx's upstreams, and put them back
description:
  - Marks the servers of a host as C(down) in every site of a web server, checks the outcome, has
    nginx reload and waits until the requests that were running have ended.
  - The mark is in the site's file, where the role M(flaskops.stack.nginx) finds and keeps it.
  - When a site would be left without a server, nothing is changed and the module fails.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  addresses:
    description: Addresses of the hosts, without a port.
    type: list
    elements: str
    default: []
  state:
    description: V(drained) takes them out, V(active) puts them back.
    type: str
    choices: [drained, active]
    default: drained
  folder:
    description: Where the sites are.
    type: path
    default: /etc/nginx/sites-enabled
  timeout:
    description: Seconds to wait for running requests.
    type: int
    default: 70
"""

EXAMPLES = r"""
- name: Send nothing more to this host
  flaskops.stack.drain:
    addresses: [192.0.2.11]
"""

RETURN = r"""
sites:
  description: Servers of each site that has several, those in use and those taken out.
  returned: success
  type: dict
  sample: {shop: {active: ["192.0.2.12:8000"], drained: ["192.0.2.11:8000"]}}
quiet:
  description: Whether the requests that were running have ended in time.
  returned: success
  type: bool
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.drain.steps import bring_about
from ansible_collections.flaskops.stack.plugins.module_utils.drain.upstream import DrainError
from ansible_collections.flaskops.stack.plugins.module_utils.nginx_service import NginxError
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["drained", "active"], "default": "drained"},
            "folder": {"type": "path", "default": "/etc/nginx/sites-enabled"},
            "timeout": {"type": "int", "default": 70},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        result = bring_about(
            Path(given["folder"]),
            given["addresses"],
            given["state"],
            given["timeout"],
            Systemd(),
            check_mode=module.check_mode,
        )
    except (DrainError, NginxError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
