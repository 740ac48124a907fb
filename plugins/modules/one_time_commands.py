#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that run once for a release of an app, such as the migration of its database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: one_time_commands
short_description: Run commands once for a release of an app
description:
  - Runs commands as the app's user, in the code of a release that the module
    M(flaskops.stack.release) has built and selected, with its environment and fenced in as the WSGI
    server is. Each has a shell of its own, which ends at the first error.
  - When all have succeeded, the release has the file O(marker), and nothing is run any more.
  - The first command that fails ends the call. The error names it, its exit code and the last lines
    that it has printed. The next call begins with the first command again, so a second time must do
    no harm.
  - Values of the environment are in no command line. The commands themselves are, so they must hold
    no secret.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment: [flaskops.stack.app]
options:
  release:
    description: Directory of the release.
    type: path
    required: true
  subdirectory:
    description: Directory of the app in the code of the release.
    type: str
    default: ''
  entrypoint:
    description: The app, for C(FLASK_APP); when empty, its own files may say it.
    type: str
    default: ''
  commands:
    description: What to run, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the error calls the command.
        type: str
        required: true
      command:
        description: Command lines for a shell.
        type: str
        required: true
      first:
        description: Run it once in the life of the app, before it has ever served.
        type: bool
        default: false
  marker:
    description: Name of the file in the release that says that all have run.
    type: str
    required: true
  timeout:
    description: Seconds that all commands have together.
    type: int
    default: 600
  served:
    description:
      - Whether the app has served on any of its hosts. With V(unknown) a first command is refused.
    type: str
    choices: ['yes', 'no', unknown]
    default: unknown
"""

EXAMPLES = r"""
- name: Migrate the database
  flaskops.stack.one_time_commands:
    name: shop
    home: /srv/shop
    user: shop
    release: /srv/shop/releases/3f2a91c04d1b-5e1f9a2c
    commands:
      - name: the migration
        command: flask db upgrade
    marker: migrated
"""

RETURN = r"""
log:
  description: The last lines of the log, or of what the command has said, that failed.
  returned: failure
  type: str
ran:
  description: Names of the commands that were run.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.app_name import APP_OPTIONS
from ansible_collections.flaskops.stack.plugins.module_utils.commands.run import (
    Command,
    CommandError,
    run_due,
)
from ansible_collections.flaskops.stack.plugins.module_utils.commands.unit import Unit
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **APP_OPTIONS,
            "release": {"type": "path", "required": True},
            "subdirectory": {"type": "str", "default": ""},
            "entrypoint": {"type": "str", "default": ""},
            "commands": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "command": {"type": "str", "required": True},
                    "first": {"type": "bool", "default": False},
                },
            },
            "marker": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 600},
            "served": {"type": "str", "choices": ["yes", "no", "unknown"], "default": "unknown"},
        },
        supports_check_mode=True,
    )
    given = module.params
    release = Path(given["release"])
    commands = [Command(**one) for one in given["commands"]]
    marker = release / given["marker"]
    if not commands or marker.is_file():
        module.exit_json(changed=False, ran=[])
    unit = Unit(
        name=given["name"],
        home=Path(given["home"]),
        user=given["user"],
        release=release,
        subdirectory=given["subdirectory"],
        entrypoint=given["entrypoint"],
    )
    ran = [one.name for one in commands]
    try:
        if not module.check_mode:
            ran = run_due(unit, commands, marker, given["timeout"], Systemd(), given["served"])
    except CommandError as error:
        module.fail_json(msg=str(error), log="\n".join(error.log))
    module.exit_json(changed=True, ran=ran)


if __name__ == "__main__":
    main()
