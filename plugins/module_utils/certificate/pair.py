# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate with its key, and what it says of itself."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import ssl
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import (
    TlsError,
    openssl,
)

SELF_SIGNED_DAYS = 3650
DAY = 86400  # seconds


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key; where they came from in one word."""

    fullchain: bytes
    key: bytes
    source: str

    @property
    def ident(self) -> str:
        """A name for this very certificate and key."""
        return hashlib.sha256(self.fullchain + self.key).hexdigest()[:16]

    def facts(self) -> Facts:
        """What the certificate says of itself; TlsError when it is none or the key is another's."""
        told = openssl(
            *("x509", "-noout", "-startdate", "-enddate", "-ext", "subjectAltName"),
            given=self.fullchain,
        ).decode("utf-8", "replace")
        public = openssl("x509", "-noout", "-pubkey", given=self.fullchain)
        if public != openssl("pkey", "-pubout", given=self.key):
            raise TlsError("the key does not belong to the certificate")
        dates = dict(re.findall(r"^not(Before|After)=(.*)$", told, re.MULTILINE))
        names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", told)
        return Facts(
            ssl.cert_time_to_seconds(dates["Before"]),
            ssl.cert_time_to_seconds(dates["After"]),
            frozenset(map(comparable, names)),
        )


@dataclass(frozen=True)
class Facts:
    """Seconds since the epoch between which a certificate is good, and its names."""

    since: float
    until: float
    names: frozenset[str]

    @property
    def days_left(self) -> int:
        """Whole days until it ends, below 0 when it has ended."""
        return int((self.until - time.time()) // DAY)


def comparable(name: str) -> str:
    """A name in lower case, an address in its short form; openssl tells the long one."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(name))
    return name.lower()


def self_signed(names: list[str], source: str, days: int = SELF_SIGNED_DAYS) -> Pair:
    """A new certificate that nobody trusts, for these names."""
    alternatives = ",".join(
        ("IP:" if re.fullmatch(r"[0-9.]+|.*:.*", name) else "DNS:") + name for name in names
    )
    config = (
        "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n"
        f"[dn]\nCN={names[0][:64]}\n"
        f"[ext]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName={alternatives}\n"
    )
    with tempfile.TemporaryDirectory(prefix="flaskops-") as folder:
        place = Path(folder)
        (place / "config").write_text(config, encoding="utf-8")
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", str(days), "-config", str(place / "config")),
            *("-keyout", str(place / "key"), "-out", str(place / "cert")),
        )
        return Pair((place / "cert").read_bytes(), (place / "key").read_bytes(), source)
