#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of a site on a host: given, self-signed, or issued over ACME and kept so."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Keep the certificate of a site at one place, from files, self-signed or by ACME
description:
  - The certificate and its key are at C(/etc/flaskops/tls/NAME/live/fullchain.pem) and
    C(privkey.pem). C(live) is a link, and a new pair comes by one rename. When nginx runs, it has
    to accept the new pair and is reloaded; when it refuses, the old pair stays.
  - With O(phase=prepare) something is always there afterwards, with O(source=acme) a self-signed
    certificate until the first one is issued.
  - O(phase=issue) has certbot issue what is missing, ended or for other names; nothing is asked of
    the server when it is not. O(phase=fetch) takes the certificate from the host that issues it.
  - O(phase=retire) leaves a certificate that no site serves where it is, and nobody renews it any
    more.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment: [flaskops.stack.packages]
options:
  name:
    description: Name of the certificate.
    type: str
    required: true
  state:
    description:
      - Whether there is one. One that a site in C(/etc/nginx/sites-enabled) still serves stays.
    type: str
    choices: [present, absent]
    default: present
  leaving:
    description:
      - For O(state=absent) and O(phase=retire), name of the site that goes in the same run and does
        not count.
    type: str
    default: ''
  phase:
    description: What to do.
    type: str
    choices: [prepare, issue, fetch, retire]
    default: prepare
  source:
    description: Where the certificate comes from; V(none) for O(state=absent) only.
    type: str
    choices: [none, files, self_signed, acme]
    default: self_signed
  domains:
    description: Names it is for.
    type: list
    elements: str
    default: []
  fullchain:
    description: For O(source=files), the certificate with its chain as PEM text.
    type: str
    default: ''
  private_key:
    description: Its key as PEM text.
    type: str
    default: ''
  email:
    description: Address that the ACME server may write to.
    type: str
    default: ''
  server:
    description: Directory URL of the ACME server.
    type: str
    default: ''
  acme_ca:
    description: Further certificate authority, as PEM text, that certbot trusts the server by.
    type: str
    default: ''
  webroot:
    description: Directory where the web server serves challenges from.
    type: path
    default: /var/lib/flaskops/acme
  renew_before_days:
    description: Days before its end at which it is renewed; 0 for a third of its lifetime.
    type: int
    default: 0
  host:
    description: Name of this host.
    type: str
    default: ''
  hosts:
    description: Names of all hosts that have the certificate.
    type: list
    elements: str
    default: []
  issuer:
    description: Name of the host among them that has it issued.
    type: str
    default: ''
  issuer_url:
    description: Where the other hosts fetch it.
    type: str
    default: ''
  host_certificates:
    description: The RV(host_certificate) of other hosts, by host.
    type: dict
    default: {}
requirements:
  - openssl
  - certbot, on the host that issues
attributes:
  check_mode:
    description: Says whether something would change.
    support: full
  diff_mode:
    description: There is none.
    support: none
"""

EXAMPLES = r"""
- name: Have something to serve
  flaskops.stack.certificate:
    name: shop
    source: acme
    domains: [shop.example.org]
    email: admin@example.org
    server: https://acme-v02.api.letsencrypt.org/directory

- name: Have it issued, once the web server answers the challenge
  flaskops.stack.certificate:
    name: shop
    phase: issue
"""

RETURN = r"""
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: success
  type: list
  elements: str
settled:
  description: Whether a later phase would find nothing to do.
  returned: success
  type: bool
serving:
  description: Where what is served came from, V(bootstrap) until the first one is issued.
  returned: when there is one
  type: str
  sample: acme
days_left:
  description: Days until it ends.
  returned: when there is one
  type: int
  sample: 59
kept_for:
  description: Files of the sites because of which it was not removed.
  returned: success
  type: list
  elements: str
  sample: [/etc/nginx/sites-enabled/shop.conf]
host_certificate:
  description: What other hosts know this one by, as PEM text; empty when it is alone.
  returned: success
  type: str
known_certificates:
  description: The certificates of other hosts that this one knows, by host.
  returned: success
  type: dict
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import TlsError
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.phases import bring_about
from ansible_collections.flaskops.stack.plugins.module_utils.packages import PACKAGES_OPTION
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import SystemdError

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "packages": PACKAGES_OPTION,
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "leaving": {"type": "str", "default": ""},
            "phase": {
                "type": "str",
                "choices": ["prepare", "issue", "fetch", "retire"],
                "default": "prepare",
            },
            "source": {
                "type": "str",
                "choices": ["none", "files", "self_signed", "acme"],
                "default": "self_signed",
            },
            "domains": {"type": "list", "elements": "str", "default": []},
            "fullchain": {"type": "str", "default": ""},
            "private_key": {"type": "str", "default": "", "no_log": True},
            "email": {"type": "str", "default": ""},
            "server": {"type": "str", "default": ""},
            "acme_ca": {"type": "str", "default": ""},
            "webroot": {"type": "path", "default": "/var/lib/flaskops/acme"},
            "renew_before_days": {"type": "int", "default": 0},
            "host": {"type": "str", "default": ""},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "issuer": {"type": "str", "default": ""},
            "issuer_url": {"type": "str", "default": ""},
            "host_certificates": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if not NAME.fullmatch(module.params["name"]):
        module.fail_json(msg=f"name: found {module.params['name']!r}; allowed are a-z, 0-9, - _ .")
    try:
        result = bring_about(module.params, dry=module.check_mode)
    except (TlsError, SystemdError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
