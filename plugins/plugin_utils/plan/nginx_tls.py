# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a site of nginx speaks TLS, and what it answers over plain HTTP for its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import netloc

#: Mozilla's guideline 6.0, https://wiki.mozilla.org/Security/Server_Side_TLS
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
CURVES = "X25519:prime256v1:secp384r1"
#: From OpenSSL 3.5 on. With the question mark it passes over a group that it does not know.
NEW_CURVES = f"?X25519MLKEM768:{CURVES}"
PROTOCOLS = {"intermediate": "TLSv1.2 TLSv1.3", "modern": "TLSv1.3"}
CHALLENGES = "/var/lib/flaskops/acme"
HTTPS = 443


def certificate_of(options: Mapping[str, Any]) -> str:
    """The name of the site's certificate."""
    return str(options["certificate_name"] or options["nginx_site"])


def paths(options: Mapping[str, Any]) -> tuple[str, str]:
    """Where the certificate and its key are on the host: by default those of role certificate."""
    home = f"/etc/flaskops/tls/{certificate_of(options)}/live"
    chain = options["nginx_tls_certificate"] or f"{home}/fullchain.pem"
    return chain, options["nginx_tls_certificate_key"] or f"{home}/privkey.pem"


def headers(options: Mapping[str, Any]) -> list[str]:
    """What browsers are told: without the redirect no HSTS, which plain HTTP would carry too."""
    found = []
    age = options["nginx_hsts_max_age"]
    if options["nginx_tls_redirect"] and age >= 0:
        found.append(f'add_header Strict-Transport-Security "max-age={age}" always')
    if options["nginx_http3"]:
        found.append(f"add_header Alt-Svc 'h3=\":{options['nginx_tls_port']}\"; ma=86400' always")
    return found


def challenges(options: Mapping[str, Any]) -> dict[str, str]:
    """Where an ACME server finds its challenges: here, or at another web host of the site."""
    root = options["nginx_tls_challenge_root"]
    if root is None:
        root = CHALLENGES if options["certificate_source"] == "acme" else ""
    host = options["nginx_tls_challenge_host"]
    there = f"http://{netloc(host)}:{options['nginx_port']}" if host else ""
    return {"root": root, "there": there}


def tls(options: Mapping[str, Any]) -> dict[str, Any]:
    """Sockets, versions and ciphers, the certificate, and what port 80 still answers."""
    chain, key = paths(options)
    port, certificate = options["nginx_tls_port"], certificate_of(options)
    return {
        "on": options["nginx_tls"],
        "redirects": options["nginx_tls"] and options["nginx_tls_redirect"],
        "sockets": [f"{netloc(address)}:{port}" for address in options["nginx_bind"]],
        "http3": options["nginx_http3"],
        "protocols": PROTOCOLS[options["nginx_tls_profile"]],
        "ciphers": ":".join(CIPHERS) if options["nginx_tls_profile"] == "intermediate" else "",
        "curves": CURVES,
        "new_curves": NEW_CURVES,
        "certificate": chain,
        "certificate_key": key,
        "target": "https://$host" + ("" if port == HTTPS else f":{port}"),
        "challenges": challenges(options),
        "peers": list(options["nginx_tls_peers"]),
        "handover": f"/.well-known/flaskops-tls/{certificate}",
        "handed": f"/var/lib/flaskops/tls/{certificate}.cms",
    }
