# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of one site, as the web server is given it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import TlsError
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.lineage import Lineage
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.pair import (
    Pair,
    self_signed,
)
from ansible_collections.flaskops.stack.plugins.module_utils.nginx_service import Nginx, NginxError
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

HOME = Path("/etc/flaskops/tls")


def reload() -> None:
    """Let nginx, if it runs, read its certificates again; TlsError when it refuses them."""
    nginx = Nginx(Systemd())
    if not nginx.running():
        return
    try:
        nginx.check()
        nginx.reload()
    except NginxError as error:
        raise TlsError(f"the old certificate stays, for nginx refuses: {error}") from error


class Site:
    """The certificate of one site."""

    def __init__(self, name: str, home: Path | None = None) -> None:
        self.name = name
        self.home = (home or HOME) / name
        self.link = self.home / "live"

    @property
    def settings(self) -> dict[str, Any]:
        """What the role wrote; empty when it wrote nothing."""
        try:
            told: dict[str, Any] = json.loads((self.home / "settings.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return told

    def live(self) -> Pair | None:
        """What the web server is given, None when it is lost."""
        return self.version(self.link)

    @staticmethod
    def version(place: Path) -> Pair | None:
        """The certificate in a directory."""
        try:
            return Pair(
                (place / "fullchain.pem").read_bytes(),
                (place / "privkey.pem").read_bytes(),
                (place / "source").read_text("utf-8").strip(),
            )
        except OSError:
            return None

    def install(self, pair: Pair) -> bool:
        """Serve this one; whether it is new. TlsError when the web server refuses it."""
        before = self.live()
        if before == pair:
            return False
        pair.facts()
        versions = self.home / "versions"
        versions.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = versions / pair.ident
        if self.version(place) != pair:
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=versions))
            files.write(draft / "fullchain.pem", pair.fullchain, 0o600)
            files.write(draft / "privkey.pem", pair.key, 0o600)
            files.write(draft / "source", pair.source, 0o600)
            shutil.rmtree(place, ignore_errors=True)
            draft.rename(place)
        old = os.readlink(self.link) if self.link.is_symlink() else ""
        files.link(self.link, f"versions/{pair.ident}")
        try:
            reload()
        except TlsError:
            if before is not None:
                files.link(self.link, old)
            raise
        self.prune({pair.ident, os.path.basename(old)})
        return True

    def prune(self, keep: set[str]) -> None:
        """Remove versions that are neither served nor were just before."""
        for place in (self.home / "versions").iterdir():
            if place.name not in keep:
                shutil.rmtree(place, ignore_errors=True)

    def bootstrap(self) -> bool:
        """Where there is nothing to serve, find or make something; whether that was so."""
        live = self.live()
        with suppress(TlsError):
            if live is not None:
                live.facts()
                return False
        versions = self.home / "versions"
        known = [Lineage(self.name).pair(), *map(self.version, versions.glob("[0-9a-f]*"))]
        good: dict[float, Pair] = {}
        for pair in filter(None, known):
            with suppress(TlsError):
                good[pair.facts().until] = pair
        pair = good[max(good)] if good else self.make_self_signed("bootstrap")
        return self.install(pair)

    def make_self_signed(self, source: str) -> Pair:
        """A self-signed one with the site's names."""
        return self_signed(self.settings.get("domains") or [self.name], source)


def every() -> list[Site]:
    """All sites of this host that have a certificate."""
    return [Site(path.parent.name) for path in sorted(HOME.glob("*/settings.json"))]
