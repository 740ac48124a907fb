# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd and certbot run on a host between two runs of Ansible.

tls.py renew     what certbot.service does: renew what is due, say in one line what failed
tls.py deployed  certbot's deploy hook: bring the new certificate to the web server
tls.py fetch     on hosts that issue nothing: take the certificate from the one that does
tls.py ensure    before the web server starts: there is a certificate, whatever was lost
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from ansible_collections.flaskops.stack.plugins.module_utils.certificate import site as sites
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.acme import Acme, trusted
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import TlsError
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.handover import Handover
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.site import Site

NOT_RENEWED = re.compile(r"Failed to renew certificate (\S+) with error: (.*)")


def say(text: str) -> None:
    """One line for the journal, as an error."""
    mark = "<3>" if "JOURNAL_STREAM" in os.environ else ""
    print(mark + " ".join(text.split()), file=sys.stderr, flush=True)


def remaining(site: Site) -> str:
    """How long what is served is good for, in words."""
    live = site.live()
    try:
        days = live.facts().days_left if live else -1
    except TlsError:
        days = -1
    return f"the old one serves on, for {days} days" if days >= 0 else "the old one has ended"


def renew() -> int:
    """Renew what is due; an exit status."""
    known = sites.every()
    argv = ["certbot", "--quiet", "renew", "--no-random-sleep-on-renew"]
    with trusted(known) as env:
        done = subprocess.run(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    output = done.stdout.decode("utf-8", "replace")
    failed = NOT_RENEWED.findall(output)
    for name, why in failed:
        serving = f"; {remaining(Site(name))}" if (sites.HOME / name).is_dir() else ""
        say(f"certificate {name} was not renewed{serving}. certbot says: {why}")
    if done.returncode and not failed:
        say(f"certbot renew failed: {(output.strip().splitlines() or ['no message'])[-1]}")
    # A hook that could not do its work is made up for.
    return each("deployed", known) or int(done.returncode != 0)


def each(action: str, known: list[Site]) -> int:
    """Do one thing for every site it is for; an exit status."""
    status = 0
    for site in known:
        acme = site.settings.get("source") == "acme"
        issuer = site.settings.get("issuer", True)
        try:
            if action == "ensure":
                site.bootstrap()
            elif action == "deployed" and acme and issuer:
                Acme(site).deploy()
            elif action == "fetch" and acme and not issuer:
                Handover(site).fetch()
        except (TlsError, OSError, ValueError, KeyError) as error:
            say(f"certificate {site.name}: {error}; {remaining(site)}")
            status = 1
    return status


def main(argv: list[str]) -> int:
    """Do what the first word says; an exit status."""
    os.umask(0o077)
    if argv == ["renew"]:
        return renew()
    if len(argv) == 1 and argv[0] in ("deployed", "fetch", "ensure"):
        return each(argv[0], sites.every())
    print("usage: tls.py renew|deployed|fetch|ensure", file=sys.stderr)
    return 2
