#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take an app away from a host: its units, its files, its user."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remove
short_description: Take an app away from a host
description:
  - Stops, disables and removes every unit of the app, then its directory, what it left in C(/run)
    and its user, in one remote call.
  - Which units are the app's, the module M(flaskops.stack.switch) has written to
    C(/etc/flaskops/apps/<name>/app.json), which goes last. Where an app has served and that file is
    missing, nothing is removed. What only has a name like the app's is not touched.
  - A directory O(home) of the system is refused, and so is one that holds other things than an
    app's.
  - The user goes when it is a system user whose home is the app's, with its group.
  - What a killed run has left, the next one removes.
  - The journal, packages and what apps share, such as C(/opt/uv), stay.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment: [flaskops.stack.app]
options:
  keep_data:
    description:
      - Keep C(shared) and C(secret_key), and the user, for a user that is made anew could not be
        sure to own the files again.
    type: bool
    default: false
  lock_minutes:
    description: How long the deploy lock of a run counts that was killed, 0 to go on at once.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Take the shop away, but not its uploads
  flaskops.stack.remove:
    name: shop
    home: /srv/shop
    user: shop
    keep_data: true
"""

RETURN = r"""
removed:
  description: What was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [unit shop.service, unit shop.socket, unit shop@7.service, directory /srv/shop, user shop]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.app_name import (
    APP_OPTIONS,
    name_problem,
)
from ansible_collections.flaskops.stack.plugins.module_utils.lock import BusyError, LockedError
from ansible_collections.flaskops.stack.plugins.module_utils.removal.app import App, take_away
from ansible_collections.flaskops.stack.plugins.module_utils.removal.paths import RemoveError
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, SystemdError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **APP_OPTIONS,
            "keep_data": {"type": "bool", "default": False},
            "lock_minutes": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    if problem := name_problem("name", params["name"]):
        module.fail_json(msg=problem)
    app = App(
        params["name"],
        Path(params["home"]),
        params["user"],
        Systemd(),
        keep_data=params["keep_data"],
    )
    try:
        removed = take_away(app, params["lock_minutes"], check_mode=module.check_mode)
    except (RemoveError, SystemdError, BusyError, LockedError) as error:
        module.fail_json(msg=f"{params['name']} was not removed. {error}")
    text = "".join(f"-{line}\n" for line in removed)
    module.exit_json(changed=bool(removed), removed=removed, diff={"prepared": text})


if __name__ == "__main__":
    main()
