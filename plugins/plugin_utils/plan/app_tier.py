# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The app tier: where the app listens and for whom, and what it is told of the other tiers."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.flaskops.stack.plugins.plugin_utils.options import to_list
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import cache_tier
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import BASES
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.rules import shown
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import Tier, View

#: The programs that can run the app: each is a role that includes the role wsgi.
SERVERS = tuple(sorted(BASES))
#: One, however many proxies are in front of Nginx: it takes what they say of the visitor, when it
#: trusts them, and hands it on as its own word.
PROXY_HOPS = 1
STATIC_MAX_AGE = 300
#: Options of the role wsgi that follow from the topology where people say nothing.
DERIVED = (
    "wsgi_access_log",
    "wsgi_bind",
    "wsgi_health_host",
    "wsgi_health_scheme",
    "wsgi_proxy_hops",
    "wsgi_web_addresses",
)
ANY_SUBDOMAIN = re.compile(r"^[*]?[.]")


def server_of(view: View) -> str:
    """The program that runs the app."""
    return str(view.value("wsgi_server", SERVERS[0]))


def plan(view: View) -> Tier:
    """Options and problems of a host in the app tier."""
    server = server_of(view)
    tier = Tier(options=wsgi_options(view), roles=["flask_app"])
    tier.options |= app_options(view, tier.options)
    tier.problems = cache_tier.app_problems(view)
    tier.hints = cache_tier.queue_hints(view)
    if server in SERVERS:
        tier.roles.append(server)
        requirement = view.options(server, "wsgi_server_requirement")["wsgi_server_requirement"]
        tier.options["wsgi_server_requirement"] = requirement
        tier.options["flask_app_server_package"] = view.value(
            "flask_app_server_package", requirement
        )
    else:
        tier.problems.append(
            f"wsgi_server: found {shown(server)}; allowed are {' and '.join(SERVERS)}"
        )
    if lost := unreachable(view):
        tier.problems.append(
            f"private_address: found {', '.join(lost)}; allowed is the IP address at which the"
            " other hosts reach it (without it ansible_host counts, or the name in the inventory)"
        )
    return tier


def wsgi_options(view: View) -> dict[str, Any]:
    """Where the app listens, who may ask it, and how a new generation is asked.

    A web host asks every app host over TCP, unless the two tiers are one host, which has a socket
    for that.
    """
    site = view.site
    said = view.options("wsgi", "wsgi_port", "wsgi_timers")
    derived: dict[str, Any] = {
        "wsgi_proxy_hops": PROXY_HOPS,
        "wsgi_health_host": asked_name(view),
        "wsgi_health_scheme": site_scheme(view),
    }
    if site.balanced and not unreachable(view):
        derived["wsgi_bind"] = site.sockets(said["wsgi_port"])[view.host]
        derived["wsgi_web_addresses"] = [site.addresses[host] for host in site.web_hosts]
    if site.web_hosts:  # whose access log has every request
        derived["wsgi_access_log"] = "failed"
    # Always on the same host, whichever hosts a run is for.
    timers = said["wsgi_timers"] if view.host == min(site.app_hosts) else []
    return view.options("wsgi", *DERIVED, **derived) | {"wsgi_timers": timers}


def unreachable(view: View) -> list[str]:
    """Hosts of the app and the web tier that cannot reach each other, where they have to."""
    both = dict.fromkeys([*view.site.app_hosts, *view.site.web_hosts])
    return view.site.unreachable(both) if view.site.balanced else []


def app_options(view: View, wsgi: dict[str, Any]) -> dict[str, Any]:
    """What the role flask_app has to know of the other tiers."""
    told: dict[str, Any] = {"FLASKOPS_PROXY_HOPS": wsgi["wsgi_proxy_hops"]}
    # http is Flask's own default, and what the app's code says stands.
    if wsgi["wsgi_health_scheme"] == "https":
        told["FLASK_PREFERRED_URL_SCHEME"] = "https"
    if prefix := view.value("flask_app_url_prefix", ""):
        told["FLASK_APPLICATION_ROOT"] = prefix
    names = ("flask_app_env_defaults", "flask_app_static_max_age", "flask_app_hosts")
    said = view.options(
        "flask_app",
        *names,
        flask_app_hosts=list(view.site.app_hosts),
        flask_app_static_max_age=view.value("nginx_static_max_age", STATIC_MAX_AGE),
    )
    said["flask_app_env_defaults"] = (
        told | cache_tier.environment_of(view) | said["flask_app_env_defaults"]
    )
    return said


def site_scheme(view: View) -> str:
    """What visitors' browsers see."""
    source = str(view.value("certificate_source", "none"))
    encrypted = boolean(view.value("nginx_tls", source != "none"), strict=False)
    return "https" if encrypted else "http"


def asked_name(view: View) -> str:
    """A name that visitors could ask for: with a star it stands for many."""
    names = view.value("nginx_server_name", [])
    names = to_list(names) if isinstance(names, str) else names
    first = str(names[0]) if names else "localhost"
    return ANY_SUBDOMAIN.sub("www.", first).replace("*", "example")
