#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a host: every app with its live generation, asked, not only read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Tell which apps a host has, what is live and whether it answers
description:
  - Finds the apps of a host by what the module M(flaskops.stack.switch) has written down of them
    in C(/etc/flaskops/apps), and on the disk. Of each it tells the live
    generation with its release, the processes that run it, and what a rollback would go to.
  - The running processes are asked over the socket of their generation alone; the answer names the
    release that gave it.
  - Changes nothing, and returns no secret.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  name:
    description: Name of the one app to look at; all of the host when empty.
    type: str
    default: ''
  root:
    description:
      - Directory whose directories are apps' homes, also of apps that no switch has started yet.
    type: path
    default: /srv
  timeout:
    description: Seconds an app has to answer, if its own health check does not allow less.
    type: int
    default: 10
requirements:
  - systemd 249 or newer
"""

EXAMPLES = r"""
- name: Look at all apps
  flaskops.stack.status:
  register: found

- name: Stop where one does not serve
  ansible.builtin.assert:
    that: found.apps | rejectattr('state', 'eq', 'serving') | length == 0
"""

RETURN = r"""
apps:
  description: One entry an app, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the app.
      type: str
      sample: shop
    home:
      description: Its directory.
      type: str
      sample: /srv/shop
    state:
      description:
        - V(serving) when the live generation is up and has answered as it should.
        - V(degraded) when it serves, but a background process or a timer is down.
        - V(broken) when it is up, but does not; or when what is live is not there.
        - V(failed) when its unit has failed or is started again and again.
        - V(stopped), V(starting), V(stopping), V(not deployed).
      type: str
      sample: serving
    problems:
      description: What is wrong, and what to type on the host; empty when nothing is.
      type: list
      elements: str
      sample: ['shop is failed: journalctl -u shop@7']
    generation:
      description: Number of the live generation, 0 when there is none.
      type: int
      sample: 7
    release:
      description: Its release.
      type: str
      sample: 3f2a91c04d1b-5e1f9a2c
    revision:
      description: Revision of the source it was built from.
      type: str
    source:
      description: Where the source came from.
      type: str
    server:
      description: Program that runs it, gunicorn or uwsgi.
      type: str
      sample: gunicorn
    server_version:
      description: Its version, as installed in the release; empty when it is not.
      type: str
      sample: 27.0.1
    answered_release:
      description: Release that the running processes name when they are asked.
      type: str
      sample: 3f2a91c04d1b-5e1f9a2c
    workers:
      description: Processes under the main one.
      type: int
      sample: 5
    uptime:
      description: Seconds since the generation came up, 0 when it is not up.
      type: int
      sample: 273600
    restarts:
      description: How often systemd had to start it again by itself.
      type: int
      sample: 0
    memory:
      description: Bytes of memory that it uses.
      type: int
      sample: 84934656
    deployed:
      description: When it went live, in UTC.
      type: str
      sample: '2026-11-23T01:22:40Z'
    rollback:
      description: Generation, release and revision that a rollback would go to; null without one.
      type: dict
      sample: {"generation": 6, "release": "9c0b1ae04d1b-5e1f9a2c", "revision": "9c0b1ae04d1b"}
    others:
      description: Other generations that are running; left by a switch that did not end.
      type: list
      elements: int
    companions:
      description: Background processes and timers of the live generation.
      type: list
      elements: dict
      contains:
        unit:
          description: Its unit.
          type: str
          sample: shop.worker@7
        state:
          description: V(active), V(stopped), V(failed), or as systemd says besides.
          type: str
          sample: active
    disk_free:
      description: Bytes free on the disk of its directory.
      type: int
      sample: 12884901888
problems:
  description: Nginx, a cache and the renewal of certificates, where they are not as they should be.
  returned: success
  type: list
  elements: str
  sample: ['nginx.service is failed: journalctl -u nginx.service']
certificates:
  description: One entry a certificate of the role certificate.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the certificate.
      type: str
      sample: shop
    source:
      description: V(acme), V(files), V(self_signed), V(bootstrap) before the first one, V(lost).
      type: str
      sample: acme
    days_left:
      description: Days until it ends, below 0 when it has.
      type: int
      sample: 59
    names:
      description: Names it is for.
      type: list
      elements: str
      sample: [shop.example.org]
    issuer:
      description: Whether it is issued on this host.
      type: bool
pages:
  description: What became of the latest requests for pages that nginx may keep, by its access log.
  returned: success
  type: list
  elements: dict
  contains:
    site:
      description: Name of the site.
      type: str
      sample: shop
    asked:
      description: Requests.
      type: int
      sample: 1204
    kept:
      description: Those that were answered with a kept page.
      type: int
      sample: 1120
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.app_name import name_problem
from ansible_collections.flaskops.stack.plugins.module_utils.status.report import report
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": ""},
            "root": {"type": "path", "default": "/srv"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    problem = name_problem("name", name) if name else ""
    if problem:
        module.fail_json(msg=problem)
    root, timeout = Path(module.params["root"]), module.params["timeout"]
    module.exit_json(changed=False, **report(name, root, timeout, Systemd()))


if __name__ == "__main__":
    main()
