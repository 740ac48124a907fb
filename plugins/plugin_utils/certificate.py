# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate and a key that were given can serve a site, before any host has them."""

from __future__ import annotations

import datetime as dt
import fnmatch
import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

UTC = dt.timezone.utc  # noqa: UP017 - Python 3.10 has no other name for it


def certificate_problem(fullchain: str, key: str, domains: Sequence[str] = ()) -> str:
    """What is wrong with a certificate, its key and its names, without a word of the key."""
    try:
        leaf = x509.load_pem_x509_certificate(str(fullchain).encode())  # the first one
    except ValueError:
        return "certificate_fullchain: found no certificate; allowed is PEM text or a path to it"
    try:
        private: Any = load_pem_private_key(str(key).encode(), password=None)
    except (ValueError, TypeError):
        return (
            "certificate_private_key: found no key that can be read; allowed is PEM text or a path "
            "to it, without a passphrase"
        )
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        return (
            "certificate_private_key: found the key of another certificate than the first one in "
            "certificate_fullchain"
        )
    ends = end_of(leaf)
    if ends < dt.datetime.now(UTC):
        return f"certificate_fullchain: found a certificate that ended on {ends:%Y-%m-%d}"
    names = names_of(leaf)
    missing = [name for name in domains if not any(covers(known, name) for known in names)]
    if missing:
        return (
            f"certificate_fullchain: found a certificate for {', '.join(names) or 'no name'}; "
            f"{', '.join(missing)} of certificate_domains is not among them"
        )
    return ""


def end_of(leaf: x509.Certificate) -> dt.datetime:
    """When a certificate ends; older cryptography tells it without a time zone."""
    if hasattr(leaf, "not_valid_after_utc"):
        return leaf.not_valid_after_utc
    return leaf.not_valid_after.replace(tzinfo=UTC)


def names_of(leaf: x509.Certificate) -> list[str]:
    """Names and addresses a certificate is for."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    return [*found.get_values_for_type(x509.DNSName), *addresses]


def covers(known: str, name: str) -> bool:
    """Whether a name of a certificate, maybe with a star, is good for a host name."""
    known, name = known.lower(), name.lower()
    with suppress(ValueError):
        name = str(ipaddress.ip_address(name))  # as the certificate's are told
    return known == name or (
        known.startswith("*.")
        and name.count(".") == known.count(".")
        and fnmatch.fnmatchcase(name, known)
    )
