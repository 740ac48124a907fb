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
    description: Where the certificate comes from.
    type: str
    choices: [files, self_signed, acme]
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

import inspect
import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import tls

UNITS = Path("/etc/systemd/system")
SITES = Path("/etc/nginx/sites-enabled")
MANAGED = "# Written by flaskops.stack.\n"
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
RUN_PROGRAM = f"/usr/bin/python3 {tls.PROGRAM}"

#: Before nginx starts there is a certificate, whatever was lost.
ENSURE = f"""{MANAGED}[Unit]
Description=Certificates that nginx starts with
Before=nginx.service

[Service]
Type=oneshot
ExecStart={RUN_PROGRAM} ensure
SyslogIdentifier=flaskops-tls

[Install]
WantedBy=nginx.service
"""
FETCH = f"""{MANAGED}[Unit]
Description=Certificates from the host that issues them
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={RUN_PROGRAM} fetch
SyslogIdentifier=flaskops-tls
"""
FETCH_TIMER = f"""{MANAGED}[Unit]
Description=Certificates from the host that issues them, every hour

[Timer]
OnCalendar=hourly
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target
"""
CERTBOT = f"""{MANAGED}# Says what failed in one line, and trusts private ACME servers.
[Service]
ExecStart=
ExecStart={RUN_PROGRAM} renew
SyslogIdentifier=flaskops-tls
"""
ENSURE_UNIT = "flaskops-tls.service"
FETCH_UNIT = "flaskops-tls-fetch.service"
FETCH_TIMER_UNIT = "flaskops-tls-fetch.timer"
CERTBOT_DROPIN = "certbot.service.d/flaskops.conf"
CERTBOT_TIMER = "certbot.timer"
#: Settings that the program on the host needs.
KEPT = ("source", "domains", "email", "server", "acme_ca", "webroot", "renew_before_days")


class Host:
    """The host's part: files, units and the site's certificate. In check mode nothing is done."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: dict[str, Any] = module.params
        self.dry = bool(module.check_mode)
        self.site = tls.Site(self.params["name"])
        self.changed = False
        self.kept_for: list[str] = []
        self.issues = not self.params["issuer"] or self.params["issuer"] == self.params["host"]
        self.several = len(self.params["hosts"]) > 1 and self.params["source"] == "acme"

    # Files and units -----------------------------------------------------------------------------

    def file(self, path: Path, text: str, mode: int = 0o644) -> bool:
        """Have a file; whether it was another before."""
        content = text.encode()
        if self.dry:
            try:
                same = path.read_bytes() == content and path.stat().st_mode & 0o7777 == mode
            except OSError:
                same = False
            self.changed |= not same
            return not same
        written = tls.write(path, content, mode)
        self.changed |= written
        return written

    def units(self) -> None:
        """Have the units, enabled and where they are timers started."""
        wanted = {ENSURE_UNIT: ENSURE}
        enabled = [ENSURE_UNIT]
        if self.params["source"] == "acme":
            if self.issues:
                wanted[CERTBOT_DROPIN] = CERTBOT
                enabled.append(CERTBOT_TIMER)
            else:
                wanted |= {FETCH_UNIT: FETCH, FETCH_TIMER_UNIT: FETCH_TIMER}
                enabled.append(FETCH_TIMER_UNIT)
        self.stop_keeping()
        written = [self.file(UNITS / name, text) for name, text in wanted.items()]
        if any(written) and not self.dry:
            self.systemctl("daemon-reload")
        for unit in enabled:
            self.enable(unit)

    def stop_keeping(self) -> None:
        """Stop what keeps a certificate of another source, or what another host does now."""
        acme = self.params["source"] == "acme"
        if self.site.renewal.is_file() and not (acme and self.issues) and shutil.which("certbot"):
            self.changed = True
            if not self.dry:
                self.delete_lineage()
        fetching = [one for one in tls.sites() if not one.settings.get("issuer", True)]
        if (UNITS / FETCH_TIMER_UNIT).is_file() and not fetching and (not acme or self.issues):
            self.changed = True
            if not self.dry:
                self.systemctl("disable", "--now", FETCH_TIMER_UNIT)
                for name in (FETCH_UNIT, FETCH_TIMER_UNIT):
                    (UNITS / name).unlink()

    def delete_lineage(self) -> None:
        """Have certbot forget the certificate, which stays where the web server reads it."""
        tls.run(["certbot", "delete", "--non-interactive", "--cert-name", self.site.name])

    def enable(self, unit: str) -> None:
        """Have a unit enabled, and a timer started."""
        states = ["systemctl", "show", "--value", "-p", "UnitFileState,ActiveState", unit]
        done = subprocess.run(states, capture_output=True, text=True, check=False)
        told = done.stdout.split()
        timer = unit.endswith(".timer")
        if "enabled" in told and ("active" in told or not timer):
            return
        self.changed = True
        if not self.dry:
            self.systemctl("enable", *(["--now"] if timer else []), unit)

    @staticmethod
    def systemctl(*words: str) -> None:
        """Run systemctl; TlsError when it fails."""
        tls.run(["systemctl", "--quiet", *words])

    # Phases --------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Have something to serve, and all that keeps it."""
        params = self.params
        settings = {name: params[name] for name in KEPT}
        settings |= {"issuer": self.issues, "issuer_url": params["issuer_url"]}
        self.file(tls.PROGRAM, inspect.getsource(tls), 0o755)
        self.file(self.site.home / "settings.json", json.dumps(settings, indent=1), 0o600)
        if params["source"] == "acme" and not Path(params["webroot"]).is_dir():
            self.changed = True
            if not self.dry:
                challenges = Path(params["webroot"], ".well-known", "acme-challenge")
                challenges.mkdir(mode=0o755, parents=True)
        self.units()
        if self.dry:
            self.foresee()
            return
        os.chmod(self.site.home, 0o700)
        tls.OUTBOX.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self.several:
            self.site.own_certificate()
            self.forget()
        if params["source"] == "files":
            pair = tls.Pair(params["fullchain"].encode(), params["private_key"].encode(), "files")
            self.changed |= self.site.install(pair)
        elif params["source"] == "self_signed" and self.outdated():
            self.changed |= self.site.install(self.site.make_self_signed("self_signed"))
        else:
            self.changed |= self.site.bootstrap()

    def foresee(self) -> None:
        """Whether prepare would bring another certificate."""
        params, live = self.params, self.site.live()
        if params["source"] == "files":
            given = (params["fullchain"].encode(), params["private_key"].encode())
            self.changed |= live is None or (live.fullchain, live.key) != given
        elif params["source"] == "self_signed":
            self.changed |= self.outdated()
        else:
            self.changed |= live is None

    def outdated(self) -> bool:
        """Whether the self-signed certificate is none, or no good any more."""
        live = self.site.live()
        if live is None or live.source != "self_signed":
            return True
        try:
            facts = live.facts()
        except tls.TlsError:
            return True
        names = set(map(tls.comparable, self.params["domains"] or [self.params["name"]]))
        return facts.names != names or facts.days_left < 30

    def forget(self) -> None:
        """Remove what is known of hosts that do not have the certificate any more."""
        for name in self.site.peers():
            if name not in self.params["hosts"] or not self.issues:
                (self.site.home / "peers" / f"{name}.pem").unlink()
                self.changed = True
                with suppress(FileNotFoundError):
                    self.site.bundle.unlink()

    def issue(self) -> None:
        """Have it issued, brought to nginx and handed to the other hosts."""
        for name, text in self.params["host_certificates"].items():
            if name != self.params["host"] and text:
                self.file(self.site.home / "peers" / f"{name}.pem", text)
        if self.site.due():
            self.changed = True
            if not self.dry:
                self.site.issue()
        if not self.dry:
            self.changed |= self.site.deploy()

    def fetch(self) -> None:
        """Take it from the host that issues it."""
        text = self.params["host_certificates"].get(self.params["issuer"], "")
        if text:
            self.file(self.site.issuer, text)
        if self.dry:
            self.changed |= not self.settled()
        else:
            self.changed |= self.site.fetch()

    def retire(self) -> None:
        """Have nobody renew it, unless a site still serves it; what is there stays."""
        settings = self.site.settings
        if settings.get("source") != "acme" or self.users():
            return
        self.params["source"] = "files"
        text = json.dumps(settings | {"source": "files", "issuer": True, "retired": True}, indent=1)
        self.file(self.site.home / "settings.json", text, 0o600)
        self.stop_keeping()

    def users(self) -> list[str]:
        """Files of the sites that serve it, but of the one that goes in this run."""
        found = []
        for path in sorted(SITES.glob("*")):
            with suppress(OSError):  # a directory, or a link to nothing
                named = f"{self.site.home}/".encode() in path.read_bytes()
                if named and path.name != f"{self.params['leaving']}.conf":
                    found.append(str(path))
        return found

    def remove(self) -> None:
        """Remove all of it; with the last certificate what keeps certificates."""
        site = self.site
        if not site.home.exists():
            return
        # Sites may share it, and nginx does not start without it.
        self.kept_for = self.users()
        if self.kept_for:
            return
        self.changed = True
        if self.dry:
            return
        if site.renewal.is_file() and shutil.which("certbot"):
            self.delete_lineage()
        shutil.rmtree(site.home)
        with suppress(FileNotFoundError):
            site.bundle.unlink()
        if not tls.sites():
            for unit in (ENSURE_UNIT, FETCH_TIMER_UNIT):
                if (UNITS / unit).is_file():
                    self.systemctl("disable", "--now", unit)
            for name in (ENSURE_UNIT, FETCH_UNIT, FETCH_TIMER_UNIT, CERTBOT_DROPIN):
                with suppress(FileNotFoundError):
                    (UNITS / name).unlink()
            self.systemctl("daemon-reload")
            with suppress(FileNotFoundError):
                tls.PROGRAM.unlink()

    # Result --------------------------------------------------------------------------------------

    def settled(self) -> bool:
        """Whether issue or fetch would find nothing to do."""
        site, live = self.site, self.site.live()
        if self.params["source"] != "acme":
            return True
        if live is None or live.source != "acme":
            return False
        if self.issues:
            handed = set(site.peers()) >= set(self.params["hosts"]) - {self.params["host"]}
            published = not self.several or site.bundle.is_file()
            return not site.due() and live == site.lineage() and handed and published
        facts = live.facts()
        wanted = set(map(tls.comparable, self.params["domains"]))
        return facts.names == wanted and facts.days_left > 0 and site.issuer.is_file()

    def result(self) -> dict[str, Any]:
        """What Ansible is told."""
        told: dict[str, Any] = {"changed": self.changed, "settled": False}
        told |= {"host_certificate": "", "known_certificates": {}, "kept_for": self.kept_for}
        if self.kept_for:
            told["msg"] = f"certificate {self.site.name} stays, for {', '.join(self.kept_for)}"
        if self.params["state"] == "absent" or not shutil.which("openssl"):
            return told
        with suppress(tls.TlsError, KeyError):
            told["settled"] = self.settled()
        with suppress(tls.TlsError):
            live = self.site.live()
            if live is not None:
                told |= {"serving": live.source, "days_left": live.facts().days_left}
        if self.several:
            public = self.site.identity[0]
            told["host_certificate"] = public.read_text("utf-8") if public.is_file() else ""
            known = {name: text.decode() for name, text in self.site.peers().items()}
            if self.site.issuer.is_file():
                known[self.params["issuer"]] = self.site.issuer.read_text("utf-8")
            told["known_certificates"] = known
        return told


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
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
                "choices": ["files", "self_signed", "acme"],
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
    os.umask(0o022)
    host = Host(module)
    try:
        if module.params["state"] == "absent":
            host.remove()
        elif shutil.which("openssl") or not module.check_mode:
            getattr(host, module.params["phase"])()
        else:
            host.changed = True
        result = host.result()
    except (tls.TlsError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
