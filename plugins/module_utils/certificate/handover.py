# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate on its way from the web host that issues it to the others."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import (
    TlsError,
    openssl,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.pair import (
    Pair,
    self_signed,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.site import Site

#: Where the web server finds what it hands to the other web hosts.
OUTBOX = Path("/var/lib/flaskops/tls")
FETCH_TIMEOUT = 15  # seconds
LARGEST_BUNDLE = 1 << 20  # bytes
#: Days for which hosts know each other.
HOST_DAYS = 36500


class Handover:
    """What a site's hosts know of each other, and what the issuer leaves for the others.

    The bundle is signed with the issuer's key and encrypted for the others' keys, so it may go any
    way.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.identity = (site.home / "host.pem", site.home / "host.key")
        self.issuer = site.home / "issuer.pem"
        self.folder = site.home / "peers"
        self.bundle = OUTBOX / f"{site.name}.cms"

    def own_certificate(self) -> bytes:
        """What others know this host by; made when there is none."""
        public, private = self.identity
        try:
            pair = Pair(public.read_bytes(), private.read_bytes(), "host")
            pair.facts()
        except (OSError, TlsError):
            pair = self_signed([f"{self.site.name}.invalid"], "host", HOST_DAYS)
            files.write(private, pair.key, 0o600)
            files.write(public, pair.fullchain, 0o644)
        return pair.fullchain

    def peers(self) -> dict[str, bytes]:
        """Certificates of the hosts that it is handed to, by host."""
        return {path.stem: path.read_bytes() for path in self.folder.glob("*.pem")}

    def forget(self, name: str) -> None:
        """Hand nothing to a host any more."""
        (self.folder / f"{name}.pem").unlink()
        with suppress(FileNotFoundError):
            self.bundle.unlink()

    def publish(self) -> bool:
        """Put what is live where the other hosts get it, for them alone to read."""
        pair, peers = self.site.live(), self.peers()
        if pair is None or not peers:
            return False
        mark = self.site.home / "published"
        wanted = hashlib.sha256(b"".join([pair.ident.encode(), *sorted(peers.values())]))
        digest = wanted.hexdigest().encode()
        if self.bundle.is_file() and mark.is_file() and mark.read_bytes() == digest:
            return False
        public, private = map(str, self.identity)
        text = json.dumps({"fullchain": pair.fullchain.decode(), "key": pair.key.decode()})
        signed = openssl(
            *("cms", "-sign", "-binary", "-nodetach", "-outform", "DER"),
            *("-signer", public, "-inkey", private),
            given=text.encode(),
        )
        paths = [str(path) for path in sorted(self.folder.glob("*.pem"))]
        sealed = openssl(
            *("cms", "-encrypt", "-aes-256-gcm", "-binary", "-outform", "DER", *paths),
            given=signed,
        )
        self.bundle.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.write(self.bundle, sealed, 0o640)
        with suppress(LookupError):
            shutil.chown(self.bundle, "root", "www-data")
        files.write(mark, digest, 0o600)
        return True

    def fetch(self) -> bool:
        """Take the certificate from the host that issues it; whether it was new here. TlsError."""
        settings = self.site.settings
        sealed = download(settings["issuer_url"], settings["domains"][0])
        public, private = map(str, self.identity)
        signed = openssl(
            *("cms", "-decrypt", "-binary", "-inform", "DER", "-recip", public, "-inkey", private),
            given=sealed,
        )
        # The one signer that counts is the issuer as Ansible has introduced it.
        text = openssl(
            *("cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-nointern"),
            *("-certfile", str(self.issuer)),
            given=signed,
        )
        told = json.loads(text)
        pair = Pair(told["fullchain"].encode(), told["key"].encode(), "acme")
        live = self.site.live()
        if live is not None and live.source == "acme":
            with suppress(TlsError):
                if pair.facts().since < live.facts().since:  # an old one, played again
                    return False
        return self.site.install(pair)


def download(url: str, host: str) -> bytes:
    """What another host's web server has for a site; TlsError when it gives nothing."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=FETCH_TIMEOUT)
    try:
        connection.request("GET", parts.path, headers={"Host": host})
        answer = connection.getresponse()
        content = answer.read(LARGEST_BUNDLE)
    except (OSError, http.client.HTTPException) as error:
        raise TlsError(f"{url} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise TlsError(f"{url} answers {answer.status}")
    return content
