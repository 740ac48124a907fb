#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files of a site of nginx as this host's nginx takes them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_site
short_description: Write the files of a site of nginx, after nginx has accepted them
description:
  - Does what M(flaskops.stack.config_files) does, with what only the host knows.
  - A line that ends in a note such as C(#? nginx >= 1.25.1) or C(#? openssl < 3.5) is written only
    where that holds, without the note.
  - Servers that M(flaskops.stack.drain) took out of the site stay out.
  - Pages that nginx keeps belong to what is live; with another O(live) no page of before is used.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment: [flaskops.stack.packages, flaskops.stack.config_files]
options:
  site:
    description: The site's own file, which has the servers that are drained.
    type: path
    required: true
  upstream_servers:
    description: Servers of the site, each with its parameters. One of several must be in use.
    type: list
    elements: str
    default: []
  http3:
    description: The site speaks HTTP/3, which nginx has from 1.25 on.
    type: bool
    default: false
  certificate:
    description: Path of the site's certificate. While there is none, check mode does not ask nginx.
    type: path
  pages:
    description: Directory whose link C(current) says what kept pages belong to; none when empty.
    type: path
  live:
    description: Name of what is live; when empty, it stays what it was.
    type: str
    default: ''
  prefix:
    description: Beginning of the caller's names of these options, for messages.
    type: str
    default: ''
attributes:
  check_mode:
    description: Nothing is written. What nginx needs for its check may not be there yet.
    support: full
  diff_mode:
    description: A unified diff a file.
    support: full
"""

EXAMPLES = r"""
- name: Configure the site
  flaskops.stack.nginx_site:
    site: /etc/nginx/sites-enabled/shop.conf
    files:
      - path: /etc/nginx/sites-enabled/shop.conf
        content: "{{ lookup('ansible.builtin.template', 'shop.conf.j2') }}"
    tree: /etc/nginx
    check: [/usr/sbin/nginx, -t, -q, -c, "{tree}/nginx.conf"]
    unit: nginx.service
"""

RETURN = r"""
settled:
  description: Nothing is left to do, no package is missing, and nginx runs with these files.
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
reload:
  description: >-
    Whether nginx has to read its files, because one has changed or it has not read them. Files of
    other sites beside O(site) count too.
  returned: always
  type: bool
daemon_reload:
  description: Whether systemd has to read its units again.
  returned: always
  type: bool
unit_active:
  description: Whether O(unit) is active.
  returned: always
  type: bool
unit_wish:
  description: How O(unit) is brought up, V(started) or V(restarted).
  returned: always
  type: str
unit_settled:
  description: Whether O(unit) is active and enabled.
  returned: always
  type: bool
"""

from ansible_collections.flaskops.stack.plugins.module_utils.config.module import (
    FILES_OPTIONS,
    QuietModule,
)
from ansible_collections.flaskops.stack.plugins.module_utils.packages import PACKAGES_OPTION
from ansible_collections.flaskops.stack.plugins.module_utils.web.site import bring_about


def main() -> None:
    """Ansible's entry point."""
    module = QuietModule(
        argument_spec={
            **FILES_OPTIONS,
            "packages": PACKAGES_OPTION,
            "site": {"type": "path", "required": True},
            "upstream_servers": {"type": "list", "elements": "str", "default": []},
            "http3": {"type": "bool", "default": False},
            "certificate": {"type": "path"},
            "pages": {"type": "path"},
            "live": {"type": "str", "default": ""},
            "prefix": {"type": "str", "default": ""},
        },
        required_by={"tree": ["check"]},
        supports_check_mode=True,
    )
    module.answer(bring_about)


if __name__ == "__main__":
    main()
