# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web tier: which app hosts a site asks, and how web hosts share a certificate."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import Tier, View

#: A host that failed rests shortly: on a busy day all hosts may fail at once, and one request finds
#: one back.
REST = "max_fails=3 fail_timeout=2s"


def plan(view: View) -> Tier:
    """Options and problems of a host in the web tier."""
    tier = Tier(options=certificate_options(view) | handover_options(view))
    nginx = view.options("nginx", "nginx_site", "nginx_upstream_protocol")
    tier.options["nginx_site"] = nginx["nginx_site"]
    tier.options["nginx_upstream_servers"] = view.value("nginx_upstream_servers", servers_of(view))
    if serves(view) and nginx["nginx_upstream_protocol"] == "http":
        tier.asks_app = app_elsewhere(view)
    prefix = view.value("nginx_url_prefix", view.value("flask_app_url_prefix", ""))
    removed = view.value("certificate_state", "present") == "absent"
    # An app below a path of another site has that one's certificate.
    if not prefix and (source_of(view) != "none" or removed):
        tier.roles.append("certificate")
    tier.roles.append("nginx")
    tier.options["certificate_with_packages"] = []
    alone = len(view.site.web_hosts) < 2
    if source_of(view) != "acme" or prefix or alone or not serves(view):
        return tier
    if lost := view.site.unreachable(view.site.web_hosts):
        tier.problems.append(
            f"private_address: found {', '.join(lost)}; several web hosts share a certificate by"
            " ACME, so allowed is the IP address at which the others reach it (without it"
            " ansible_host counts, or the name in the inventory)"
        )
    return tier


def servers_of(view: View) -> list[str]:
    """Where the app listens: on every app host, or on its socket on this one.

    Nowhere where no host has an app, whose site may be a directory of files.
    """
    if view.site.balanced:
        port = view.options("wsgi", "wsgi_port")["wsgi_port"]
        return [f"{socket} {REST}" for socket in view.site.sockets(port).values()]
    if not view.site.app_hosts and not view.says("wsgi_bind"):
        return []
    site = view.options("nginx", "nginx_site")["nginx_site"]
    return [str(view.value("wsgi_bind", f"unix:/run/{site}/http.sock"))]


def app_elsewhere(view: View) -> str:
    """A URL of the app on another host that this one asks; nothing where it asks none.

    One app host is enough: all of them have the same list of who may ask.
    """
    others = sorted(set(view.site.app_hosts) - {view.host})
    if not view.site.balanced or not others:
        return ""
    port = view.options("wsgi", "wsgi_port")["wsgi_port"]
    return f"http://{view.site.sockets(port)[others[0]]}{view.value('flask_app_health_path', '/')}"


def source_of(view: View) -> str:
    """Where the site's certificate comes from."""
    return str(view.value("certificate_source", "none"))


def serves(view: View) -> bool:
    """Whether the site is to be there."""
    return bool(view.value("nginx_state", "present") == "present")


def certificate_options(view: View) -> dict[str, Any]:
    """What the certificate's role must know of the site: its port, and whether it goes.

    A site that is removed, or stops to speak TLS, needs no renewal. Until nginx is configured, and
    so in check mode, its file still says otherwise. But nobody removes what nginx still serves.
    """
    site = view.options("nginx", "nginx_site", "nginx_port", "nginx_tls")
    kept = view.value("certificate_state", "present") == "present"
    leaves = not serves(view) or (kept and not site["nginx_tls"])
    derived = {
        "certificate_issuer_port": site["nginx_port"],
        "certificate_leaving_site": site["nginx_site"] if leaves else "",
    }
    return {name: view.value(name, value) for name, value in derived.items()}


def handover_options(view: View) -> dict[str, Any]:
    """One web host has the certificate issued; it has the challenges and hands it to the others."""
    hosts, addresses = view.site.web_hosts, view.site.addresses
    issuer = str(view.value("certificate_issuer", min(hosts, default="")))
    elsewhere = issuer not in {"", view.host}
    others = [addresses[host] for host in hosts if host != view.host]
    issues = source_of(view) == "acme" and issuer == view.host
    derived = {
        "certificate_hosts": list(hosts),
        "certificate_issuer": issuer,
        "certificate_issuer_address": addresses.get(issuer, issuer),
        "nginx_tls_challenge_host": addresses.get(issuer, issuer) if elsewhere else "",
        "nginx_tls_peers": others if issues else [],
    }
    return {name: view.value(name, value) for name, value in derived.items()}
