#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of an app: immutable directories with the code and a virtualenv of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Prepare and build the release directories of an app
description:
  - A release is the directory C(releases/<id>) with the C(code), a C(venv) of its own, the static
    files in C(public), and C(release.json), written last. A release without that file is
    incomplete, is never run, and is removed by the next call.
  - With O(state=prepared) the directories around the releases exist, and the result says whether
    the release O(id) is complete. Where it is not, its C(code) directory is there to be filled,
    or its C(upload) directory, for one file, an archive of the code or a wheel of the app.
  - With O(state=built) the release is completed in one remote call, from what was put there since,
    or from O(archive) or O(requirement) alone. The archive is unpacked, the virtualenv made
    and filled, bytecode compiled, paths that outlive a release linked, static files published, old
    releases pruned. Every command runs as O(user), never as root; afterwards
    nothing in the release can be written by the app.
  - Either way, a complete release is then selected. C(next/release) links to it and C(next/env) is
    its environment, for the WSGI server's role to run.
  - Where O(packages) or the user are missing, nothing is built, and the result names what is
    missing. So one call is enough on a host where everything is there.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment:
  - flaskops.stack.app
  - flaskops.stack.deploy_lock
  - flaskops.stack.packages
options:
  account:
    description: Home and shell that O(user) must have; what is left out may be anything.
    type: dict
    default: {}
    suboptions:
      home:
        description: Home directory.
        type: path
      shell:
        description: Login shell.
        type: path
  id:
    description:
      - Name of the release.
      - When empty, it is made of O(revision) and O(recipe). Without a recipe it is the release that
        is live, to give that another environment.
    type: str
    default: ''
  recipe:
    description: A digest of how the release is built.
    type: str
    default: ''
  state:
    description: See above.
    type: str
    choices: [prepared, built]
    default: prepared
  revision:
    description: Revision of the source, for people and for C(FLASKOPS_REVISION).
    type: str
    default: ''
  source:
    description: Where the code came from, for people.
    type: str
    default: ''
  archive:
    description:
      - A small archive or a wheel in Base64, instead of a file in the directory RV(upload), for
        O(state=built).
    type: str
    default: ''
  archive_name:
    description: Name of the file that O(archive) is.
    type: str
    default: ''
  checkout:
    description:
      - Work tree on the host that git fetched O(revision) into, with the repository in a directory
        of that name and C(.git); for O(state=built).
    type: path
  requirement:
    description: Package of an index that is the app, C(shop==1.2) say; there is no code then.
    type: str
    default: ''
  subdirectory:
    description:
      - Directory of the app in the code, where that holds more than the app. What else is said of
        the code, its manifest and its static files say, is then said of this directory.
    type: str
    default: ''
  environment:
    description:
      - The app's environment, an object in JSON. As text, made with C(to_json), because of a dict
        every single value would be masked wherever it occurs in the result.
    type: str
    default: ''
  environment_defaults:
    description:
      - Like O(environment), of what is only set when nobody else does.
      - A name is left out when O(environment) or the app's own C(.flaskenv) or C(.env) has it, with
        the prefix C(FLASK_) or without.
    type: str
    default: ''
  files:
    description:
      - Files that the app is given, JSON of paths below C(shared/) to their texts. They are left in
        C(next/files), where the switch takes them from.
    type: str
    default: ''
  key_days:
    description: Days for which a retired SECRET_KEY goes on being accepted.
    type: int
    default: 31
  make_key:
    description:
      - Whether a SECRET_KEY is made where there is none. If not, nothing is selected without one.
    type: bool
    default: true
  marker:
    description: Name of a file in the release that RV(marked) tells of.
    type: str
    default: ''
  installer:
    description: Program that fills the virtualenv.
    type: str
    choices: [uv, pip]
    default: uv
  uv_version:
    description: Version of uv, installed from PyPI under C(/opt/uv) when it is not there yet.
    type: str
    default: 0.13.9
  python:
    description:
      - Python of the virtualenv, by its path or by its version, V(3.12). A version that the host
        does not have is installed by uv under C(/opt/uv/python).
    type: str
    default: /usr/bin/python3
  extra_packages:
    description: Requirements to install beside the app's own.
    type: list
    elements: str
    default: []
  requirements:
    description: Requirements file of the app, where its name is not V(requirements.txt).
    type: str
    default: ''
  build_commands:
    description:
      - Shell lines, run as the app's user in its code with the virtualenv on the path and the
        environment of the build, before the release is sealed. What they write belongs to it.
    type: list
    elements: str
    default: []
  server_package:
    description:
      - Requirement of the WSGI server, installed unless the app's own dependencies bring it.
    type: str
    default: ''
  build_environment:
    description:
      - Environment of the commands that build, such as the address of a package index, in the
        form of O(environment).
    type: str
    default: ''
  shared_paths:
    description: Paths in the code that are kept in C(shared) and outlive a release.
    type: list
    elements: str
    default: [instance]
  static:
    description:
      - URL path and directory in the code of the static files to publish; of a package, the
        directory in C(site-packages).
      - When empty, a directory C(static) of the code or of its packages is published as C(/static).
    type: dict
    default: {}
  fingerprint:
    description:
      - Regular expression for the paths of static files whose names change with their content. Of
        all releases that are kept these are in C(assets), by URL path, so that a page that was
        opened before a switch finds them. None when empty.
    type: str
    default: ''
  keep:
    description: Complete releases to keep; what a generation runs is always kept.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: Look for the release
  flaskops.stack.release:
    name: shop
    home: /srv/shop
    user: shop
    id: 3f2a91c04d1b-5e1f9a2c
  register: shop_release

- name: Fill it
  ansible.builtin.copy:
    src: shop.tar.gz
    dest: "{{ shop_release.upload }}/"
    mode: "0600"
  when: not shop_release.complete

- name: Complete it
  flaskops.stack.release:
    name: shop
    home: /srv/shop
    user: shop
    id: 3f2a91c04d1b-5e1f9a2c
    state: built
  when: not shop_release.complete
"""

RETURN = r"""
log:
  description: The last lines of the log, or of what the command has said, that failed.
  returned: failure
  type: str
complete:
  description: The release can be run.
  returned: success
  type: bool
settled:
  description: Packages, user and release are there, and the release is selected.
  returned: success
  type: bool
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: success
  type: list
  elements: str
user_settled:
  description: The user is there, as O(account) says.
  returned: success
  type: bool
marked:
  description: The release has the file O(marker), or none was asked for.
  returned: success
  type: bool
key_digest:
  description: A digest of the file with the SECRET_KEY, empty where there is none.
  returned: success
  type: str
path:
  description: Directory of the release.
  returned: success
  type: str
code:
  description: Directory of its code.
  returned: success
  type: str
upload:
  description: Directory for an archive or a wheel; it is gone when the release is complete.
  returned: success
  type: str
app:
  description: The directory O(subdirectory) of its code.
  returned: success
  type: str
served:
  description: The app has served on this host, or has run its first commands for that.
  returned: success
  type: bool
own_key:
  description: The SECRET_KEY is the one that was made here, and the release was selected with it.
  returned: success
  type: bool
removed:
  description: Releases that were removed, incomplete or surplus ones.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.app_name import APP_OPTIONS
from ansible_collections.flaskops.stack.plugins.module_utils.lock import LOCK_OPTIONS
from ansible_collections.flaskops.stack.plugins.module_utils.packages import PACKAGES_OPTION
from ansible_collections.flaskops.stack.plugins.module_utils.release.entry import perform


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **APP_OPTIONS,
            "account": {
                "type": "dict",
                "default": {},
                "options": {"home": {"type": "path"}, "shell": {"type": "path"}},
            },
            "packages": PACKAGES_OPTION,
            "id": {"type": "str", "default": ""},
            "recipe": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["prepared", "built"], "default": "prepared"},
            "revision": {"type": "str", "default": ""},
            "source": {"type": "str", "default": ""},
            "archive": {"type": "str", "default": "", "no_log": True},
            "archive_name": {"type": "str", "default": ""},
            "checkout": {"type": "path"},
            "requirement": {"type": "str", "default": ""},
            "subdirectory": {"type": "str", "default": ""},
            "environment": {"type": "str", "default": "", "no_log": True},
            "environment_defaults": {"type": "str", "default": "", "no_log": True},
            "files": {"type": "str", "default": "", "no_log": True},
            "key_days": {"type": "int", "default": 31, "no_log": False},
            "make_key": {"type": "bool", "default": True, "no_log": False},
            "marker": {"type": "str", "default": ""},
            "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
            "uv_version": {"type": "str", "default": "0.13.9"},
            "python": {"type": "str", "default": "/usr/bin/python3"},
            "extra_packages": {"type": "list", "elements": "str", "default": []},
            "requirements": {"type": "str", "default": ""},
            "build_commands": {"type": "list", "elements": "str", "default": []},
            "server_package": {"type": "str", "default": ""},
            "build_environment": {"type": "str", "default": "", "no_log": True},
            "shared_paths": {"type": "list", "elements": "str", "default": ["instance"]},
            "static": {"type": "dict", "default": {}},
            "fingerprint": {"type": "str", "default": ""},
            "lock": {"type": "dict", "options": LOCK_OPTIONS},
            "keep": {"type": "int", "default": 5},
        },
        required_by={"archive": ["archive_name"]},
        supports_check_mode=True,
    )
    outcome = perform(module.params, check_mode=module.check_mode)
    if outcome.problem:
        module.fail_json(msg=outcome.problem, log="\n".join(outcome.log))
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
