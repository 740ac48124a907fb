# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of the module certificate, and what it tells."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.certificate import handover
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.acme import Acme
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import TlsError
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.keeper import Keeper
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.pair import (
    Pair,
    comparable,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.site import Site
from ansible_collections.flaskops.stack.plugins.module_utils.packages import missing
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

SITES = Path("/etc/nginx/sites-enabled")
#: Settings that the program on the host needs.
KEPT = ("source", "domains", "email", "server", "acme_ca", "webroot", "renew_before_days")
#: Days before its end at which a self-signed certificate is made anew.
ANEW = 30


class Phases:
    """What is done about a site's certificate, by the parameters of the module."""

    def __init__(self, params: dict[str, Any], systemd: Systemd, *, dry: bool) -> None:
        self.params = params
        self.dry = dry
        self.site = Site(params["name"])
        self.acme = Acme(self.site)
        self.handover = handover.Handover(self.site)
        self.keeper = Keeper(self.site, systemd, dry=dry)
        self.changed = False
        self.kept_for: list[str] = []
        self.issues = not params["issuer"] or params["issuer"] == params["host"]
        self.several = len(params["hosts"]) > 1 and params["source"] == "acme"

    def prepare(self) -> None:
        """Have something to serve, and all that keeps it."""
        params, acme = self.params, self.params["source"] == "acme"
        told = {"issuer": self.issues, "issuer_url": params["issuer_url"]}
        self.keeper.program()
        self.keeper.settings({name: params[name] for name in KEPT} | told)
        if acme and not Path(params["webroot"]).is_dir():
            self.changed = True
            if not self.dry:
                challenges = Path(params["webroot"], ".well-known", "acme-challenge")
                challenges.mkdir(mode=0o755, parents=True)
        self.keeper.units(acme=acme, issues=self.issues)
        if self.dry:
            self.foresee()
            return
        os.chmod(self.site.home, 0o700)
        handover.OUTBOX.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self.several:
            self.handover.own_certificate()
            self.forget_peers()
        if params["source"] == "files":
            pair = Pair(params["fullchain"].encode(), params["private_key"].encode(), "files")
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
        except TlsError:
            return True
        names = set(map(comparable, self.params["domains"] or [self.params["name"]]))
        return facts.names != names or facts.days_left < ANEW

    def forget_peers(self) -> None:
        """Remove what is known of hosts that do not have the certificate any more."""
        for name in self.handover.peers():
            if name not in self.params["hosts"] or not self.issues:
                self.handover.forget(name)
                self.changed = True

    def issue(self) -> None:
        """Have it issued, brought to nginx and handed to the other hosts."""
        for name, text in self.params["host_certificates"].items():
            if name != self.params["host"] and text:
                self.keeper.file(self.handover.folder / f"{name}.pem", text)
        if self.acme.due():
            self.changed = True
            if not self.dry:
                self.acme.issue()
        if not self.dry:
            self.changed |= self.acme.deploy()

    def fetch(self) -> None:
        """Take it from the host that issues it."""
        text = self.params["host_certificates"].get(self.params["issuer"], "")
        if text:
            self.keeper.file(self.handover.issuer, text)
        if self.dry:
            self.changed |= not self.settled()
        else:
            self.changed |= self.handover.fetch()

    def retire(self) -> None:
        """Have nobody renew it, unless a site still serves it; what is there stays."""
        settings = self.site.settings
        if settings.get("source") != "acme" or self.users():
            return
        self.keeper.settings(settings | {"source": "files", "issuer": True, "retired": True})
        self.keeper.stop(acme=False, issues=self.issues)

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
        """Remove all of it, unless a site needs it: nginx does not start without it."""
        if not self.site.home.exists():
            return
        self.kept_for = self.users()
        if self.kept_for:
            return
        self.keeper.forget()
        if not self.dry:
            with suppress(FileNotFoundError):
                self.handover.bundle.unlink()

    def settled(self) -> bool:
        """Whether issue or fetch would find nothing to do."""
        live, handed = self.site.live(), self.handover
        if self.params["source"] != "acme":
            return True
        if live is None or live.source != "acme":
            return False
        if self.issues:
            known = set(handed.peers()) >= set(self.params["hosts"]) - {self.params["host"]}
            published = not self.several or handed.bundle.is_file()
            current = not self.acme.due() and live == self.acme.lineage.pair()
            return current and known and published
        facts = live.facts()
        wanted = set(map(comparable, self.params["domains"]))
        return facts.names == wanted and facts.days_left > 0 and handed.issuer.is_file()

    def result(self) -> dict[str, Any]:
        """What Ansible is told."""
        changed = self.changed or self.keeper.changed
        told: dict[str, Any] = {"changed": changed, "settled": False}
        told |= {"host_certificate": "", "known_certificates": {}, "kept_for": self.kept_for}
        told["missing_packages"] = []
        if self.kept_for:
            told["msg"] = f"certificate {self.site.name} stays, for {', '.join(self.kept_for)}"
        if self.params["state"] == "absent" or not shutil.which("openssl"):
            return told
        with suppress(TlsError, KeyError):
            told["settled"] = self.settled()
        with suppress(TlsError):
            live = self.site.live()
            if live is not None:
                told |= {"serving": live.source, "days_left": live.facts().days_left}
        if self.several:
            public = self.handover.identity[0]
            told["host_certificate"] = public.read_text("utf-8") if public.is_file() else ""
            known = {name: text.decode() for name, text in self.handover.peers().items()}
            if self.handover.issuer.is_file():
                known[self.params["issuer"]] = self.handover.issuer.read_text("utf-8")
            told["known_certificates"] = known
        return told


def bring_about(params: dict[str, Any], *, dry: bool) -> dict[str, Any]:
    """Do what the parameters say; the module's result. TlsError, SystemdError or OSError."""
    if lacking := missing(params["packages"]):
        return {"changed": False, "settled": False, "missing_packages": lacking}
    os.umask(0o022)
    phases = Phases(params, Systemd(), dry=dry)
    if params["state"] == "absent":
        phases.remove()
    elif shutil.which("openssl") or not dry:
        getattr(phases, params["phase"])()
    else:
        phases.changed = True  # openssl is installed before
    return phases.result()
