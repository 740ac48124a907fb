#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One SECRET_KEY on all hosts of an app, and its rotation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_key
short_description: Share and rotate the SECRET_KEY of an app
description:
  - Keeps the keys of an app in a file for root alone, the same one on all of its hosts.
  - First every host tells what it has, with O(state=offered). Then every host is given all offers,
    and all come to the same result without asking each other.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  path:
    description: The file.
    type: path
    required: true
  state:
    description:
      - V(offered) reads the file and changes nothing.
      - V(shared) writes what most hosts have, and a new key where none has one.
      - V(accepted) adds a new key that is accepted and waits to sign. One that waits already stays.
      - V(signed) lets the key that waits sign, and keeps the old one as an accepted one.
    type: str
    choices: [offered, shared, accepted, signed]
    required: true
  host:
    description: Name of the host, for its offer.
    type: str
    default: ''
  hosts:
    description: All hosts of the app, in an order that is the same everywhere.
    type: list
    elements: str
    default: []
  offers:
    description: The offers of the hosts, as RV(offer) returns them.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Name of the host.
        type: str
        required: true
      content:
        description: Text of its file, empty without one.
        type: str
        required: true
      proposal:
        description: A key for when a new one is needed.
        type: str
        required: true
      time:
        description: The time on that host in Unix seconds.
        type: int
        required: true
  days:
    description: Days for which a retired key is accepted; with 0, V(signed) drops all but the new.
    type: int
    default: 31
"""

EXAMPLES = r"""
- name: Tell what this host has
  flaskops.stack.secret_key:
    path: /srv/shop/secret_key
    state: offered
    host: "{{ inventory_hostname }}"
  register: shop_key
  no_log: true

- name: Have the same key everywhere
  flaskops.stack.secret_key:
    path: /srv/shop/secret_key
    state: shared
    hosts: "{{ ansible_play_batch }}"
    offers: "{{ ansible_play_batch | map('extract', hostvars, ['shop_key', 'offer']) }}"
"""

RETURN = r"""
offer:
  description: What the host has, with its keys; for O(state=offered) only.
  returned: success
  type: dict
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import files, secret_key

OFFER = {
    "host": {"type": "str", "required": True},
    "content": {"type": "str", "required": True, "no_log": True},
    "proposal": {"type": "str", "required": True, "no_log": True},
    "time": {"type": "int", "required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True, "no_log": False},
            "state": {
                "type": "str",
                "choices": ["offered", "shared", "accepted", "signed"],
                "required": True,
            },
            "host": {"type": "str", "default": ""},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "offers": {"type": "list", "elements": "dict", "default": [], "options": OFFER},
            "days": {"type": "int", "default": 31},
        },
        supports_check_mode=True,
    )
    path, state = Path(module.params["path"]), module.params["state"]
    if state == "offered":
        module.exit_json(offer=asdict(secret_key.offer(module.params["host"], path)), changed=False)
    given = [secret_key.Offer(**one) for one in module.params["offers"]]
    offers = secret_key.in_order(given, module.params["hosts"])
    try:
        content = secret_key.step(state, offers, module.params["days"])
    except secret_key.KeyStateError as error:
        # In check mode nothing was written that could wait.
        if module.check_mode:
            module.exit_json(changed=True)
        module.fail_json(msg=f"SECRET_KEY: {error}")
    if module.check_mode:
        module.exit_json(changed=secret_key.offer("", path).content != content)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    module.exit_json(changed=files.update(path, content, 0o600))


if __name__ == "__main__":
    main()
