# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of a site as an ACME server issues it, by certbot."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import (
    TlsError,
    run,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.handover import Handover
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.lineage import Lineage
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.pair import (
    DAY,
    Facts,
    comparable,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.site import Site

SYSTEM_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
DEPLOY_HOOK = "/usr/bin/python3 /usr/local/lib/flaskops/tls.py deployed"
CERTBOT_TIMEOUT = 600  # seconds


class Acme:
    """When and how the certificate of a site is issued."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.lineage = Lineage(site.name)

    def due(self) -> str:
        """Why it must be issued anew; empty when it need not."""
        settings = self.site.settings
        pair = self.lineage.pair()
        if pair is None or not self.lineage.renewal.is_file():
            return "there is none yet"
        try:
            facts = pair.facts()
        except TlsError as error:
            return str(error)
        if facts.names != set(map(comparable, settings["domains"])):
            return f"it is for {', '.join(sorted(facts.names))}"
        if self.lineage.server() != settings["server"]:
            return "it came from another server"
        if facts.until - time.time() < self.threshold(facts):
            return f"it ends in {facts.days_left} days"
        return ""

    def threshold(self, facts: Facts) -> float:
        """Seconds before its end at which it is renewed."""
        days: float = self.site.settings.get("renew_before_days") or 0
        return days * DAY or (facts.until - facts.since) / 3

    def issue(self) -> None:
        """Have it issued, whatever there is. TlsError with what certbot says."""
        settings = self.site.settings
        email = (
            ["--email", settings["email"]]
            if settings["email"]
            else ["--register-unsafely-without-email"]
        )
        argv = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot"]
        argv += ["--webroot-path", settings["webroot"], "--cert-name", self.site.name, *email]
        argv += ["--server", settings["server"], "--key-type", "ecdsa", "--no-eff-email"]
        argv += ["--force-renewal", "--renew-with-new-domains", "--deploy-hook", DEPLOY_HOOK]
        for domain in settings["domains"]:
            argv += ["--domain", domain]
        with trusted([self.site]) as env:
            try:
                run(argv, timeout=CERTBOT_TIMEOUT, env=env)
            except TlsError as error:
                raise TlsError(f"certificate {self.site.name} was not issued. {error}") from error

    def deploy(self) -> bool:
        """Bring what certbot has to the web server and to the other hosts; whether it was new."""
        pair = self.lineage.pair()
        if pair is None:
            return False
        changed = self.set_threshold(pair.facts())
        changed = self.site.install(pair) or changed
        return Handover(self.site).publish() or changed

    def set_threshold(self, facts: Facts) -> bool:
        """Tell certbot when to renew; whether it was told something else before."""
        return self.lineage.renew_before(max(int(self.threshold(facts) // 3600), 1))


class trusted:  # noqa: N801 - a context manager, used like a function
    """Environment in which certbot trusts private ACME servers besides the public ones."""

    def __init__(self, known: list[Site]) -> None:
        self.texts = [text for site in known if (text := site.settings.get("acme_ca"))]
        self.path = ""

    def __enter__(self) -> dict[str, str]:
        if not self.texts:
            return {}
        handle, self.path = tempfile.mkstemp(prefix="flaskops-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            if SYSTEM_CAS.is_file():
                stream.write(SYSTEM_CAS.read_text("utf-8"))
            stream.write("\n".join(self.texts) + "\n")
        return {"REQUESTS_CA_BUNDLE": self.path}

    def __exit__(self, *_rest: object) -> None:
        if self.path:
            os.unlink(self.path)
