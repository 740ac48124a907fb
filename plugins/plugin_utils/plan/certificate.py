# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role certificate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import netloc

WEBROOT = "/var/lib/flaskops/acme"
PEM = "-----BEGIN"
DOMAIN = re.compile(r"[A-Za-z0-9*.:_-]+")
HTTPS_URL = re.compile(r"https://\S+")
EMAIL = re.compile(r"([^@\s]+@[^@\s]+)?")
#: Days that a certificate may last, so that a date can be told.
MOST_DAYS = 3650


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """Where the certificate comes from, and which host has it issued."""
    absent = options["certificate_state"] == "absent"
    source = options["certificate_source"]
    serves = source != "none" and not absent
    hosts = list(options["certificate_hosts"] or [controller.host])
    issuer = options["certificate_issuer"] or min(hosts)
    problems: list[str] = []
    texts = pem_texts(options, controller, problems) if serves else {}
    if serves:
        problems += find_problems(options, hosts, issuer)
    if serves and source == "files" and controller.entry_point == "main":
        problems += pair_problems(texts, options["certificate_domains"])
    acme = serves and source == "acme"
    name = options["certificate_name"]
    data = {
        "acts": serves or absent,
        "acme": acme,
        "issues": acme and issuer == controller.host,
        "name": name,
        "state": options["certificate_state"],
        "source": source,
        "leaving": leaving_site(options, controller.entry_point),
        "domains": options["certificate_domains"],
        "fullchain": texts.get("certificate_fullchain", "") if source == "files" else "",
        "private_key": texts.get("certificate_private_key", "") if source == "files" else "",
        "acme_ca": texts.get("certificate_acme_ca", ""),
        "email": options["certificate_email"],
        "server": options["certificate_acme_server"],
        "webroot": WEBROOT,
        "renew_before_days": options["certificate_renew_before_days"],
        "host": controller.host,
        "hosts": hosts,
        "issuer": issuer,
        "issuer_url": issuer_url(options, issuer),
    }
    needed = ["openssl", *(["certbot"] if data["issues"] else [])]
    return Plan(data, problems, needed if serves else [])


def issuer_url(options: Mapping[str, Any], issuer: str) -> str:
    """Where the other hosts take it: the issuer's own web server gives it to them only."""
    address = netloc(options["certificate_issuer_address"] or issuer)
    port = options["certificate_issuer_port"]
    return f"http://{address}:{port}/.well-known/flaskops-tls/{options['certificate_name']}"


def leaving_site(options: Mapping[str, Any], entry_point: str) -> str:
    """The site that does not count as one that serves the certificate; empty for none.

    In check mode a site that goes is still there, and so is one that stops to speak TLS. Whoever
    ends the renewal says by this that the site does not need it.
    """
    if options["certificate_leaving_site"] is not None:
        return str(options["certificate_leaving_site"])
    if entry_point == "retire":
        return str(options["nginx_site"] or options["certificate_name"])
    return str(options["nginx_site"] or "") if options["nginx_state"] == "absent" else ""


def pem_texts(
    options: Mapping[str, Any], controller: Controller, problems: list[str]
) -> dict[str, str]:
    """PEM texts, also of those that were given as paths."""
    found = {}
    for name in ("certificate_fullchain", "certificate_private_key", "certificate_acme_ca"):
        text = options[name] or ""
        if text and PEM not in text:
            try:
                text = controller.read(text).rstrip()
            except (OSError, ValueError):
                # Without the value, which may be a key that was cut.
                problems.append(
                    f"{name}: found neither PEM text nor a file that can be read; allowed is PEM"
                    " text or a path to it"
                )
                text = ""
        found[name] = text
    return found


def pair_problems(texts: Mapping[str, str], domains: Sequence[str]) -> list[str]:
    """What is wrong with a certificate and its key, without a word of the key."""
    # Here, because it loads cryptography, which is slow and only for this.
    from ansible_collections.flaskops.stack.plugins.plugin_utils.certificate import (
        certificate_problem,
    )

    problem = certificate_problem(
        texts["certificate_fullchain"], texts["certificate_private_key"], domains
    )
    return [problem] if problem else []


def find_problems(options: Mapping[str, Any], hosts: Sequence[str], issuer: str) -> list[str]:
    """Everything that a server of certificates, or this one's hosts, would not take."""
    domains, acme = options["certificate_domains"], options["certificate_source"] == "acme"
    problems = rules.matches(
        "certificate_name",
        options["certificate_name"],
        rules.FILE_NAME,
        'are lower-case letters, digits, "-", "_" and "."',
    )
    problems += rules.all_match(
        "certificate_domains", domains, DOMAIN, "are host names, without port or scheme"
    )
    if acme and (not domains or any("*" in name for name in domains)):
        problems.append(
            f"certificate_domains: found {rules.shown(domains)}; allowed with certificate_source"
            ' acme is at least one name, and none with "*"'
        )
    if acme:
        server = options["certificate_acme_server"]
        problems += rules.matches("certificate_acme_server", server, HTTPS_URL, "is an https URL")
    problems += rules.matches(
        "certificate_email", options["certificate_email"], EMAIL, "is one address, or nothing"
    )
    days = options["certificate_renew_before_days"]
    if not 0 <= days < MOST_DAYS:
        problems.append(rules.found("certificate_renew_before_days", days, "are days from 0"))
    problems += rules.port("certificate_issuer_port", options["certificate_issuer_port"])
    if issuer not in hosts:
        problems.append(rules.found("certificate_issuer", issuer, f"is one of {', '.join(hosts)}"))
    return problems
