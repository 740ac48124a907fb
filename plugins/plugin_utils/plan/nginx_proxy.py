# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a site of nginx asks the app, and what it tells it of the visitor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Seconds beyond the time to read until another server is tried.
NEXT_RESERVE = 10
#: What goes to the app of an upgrade: a WebSocket's alone, because with h2c a visitor would get
#: past nginx. Over the uwsgi protocol Gunicorn would else keep the connection, whose end is the end
#: of an answer without a length.
UPGRADES: Mapping[str, Mapping[str, str]] = {
    "map $http_upgrade $flaskops_upgrade": {"default": '""', "~*^websocket$": "websocket"},
    "map $flaskops_upgrade $flaskops_connection": {"default": '""', "websocket": "upgrade"},
    "map $flaskops_upgrade $flaskops_uwsgi_connection": {
        "default": "close",
        "websocket": "upgrade",
    },
}
#: What some proxies tell some apps, of who asks and for what; from a visitor it would be a forgery.
#: Who has such a proxy in front says so in nginx_server_config.
ONLY_OF_PROXIES = (
    "Remote-User",
    "X-Remote-User",
    "X-Forwarded-User",
    "Script-Name",
    "X-Script-Name",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-Scheme",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Host",
)
#: The name of a site as nginx finds it in a request.
ANY_NAME = "[a-z0-9.-]+"


def variable_of(site: str) -> str:
    """How the names begin of what nginx works out for a site."""
    return "flaskops_" + re.sub(r"[^a-z0-9]", "_", site)


def trusted_of(options: Mapping[str, Any]) -> list[str]:
    """Networks whose word counts; an app below a path goes by what its site knows."""
    return [] if options["nginx_url_prefix"] else list(options["nginx_trusted_proxies"])


def visitor(options: Mapping[str, Any]) -> dict[str, Any]:
    """Where the visitor's address, host and scheme come from.

    With one hop nginx itself finds the visitor, who may then be in a trusted network too.
    """
    trusted, variable = trusted_of(options), variable_of(options["nginx_site"])
    counted = bool(trusted) and options["nginx_trusted_hops"] > 1
    found = {
        "client": f"${variable}_client" if counted else "$remote_addr",
        "host": f"${variable}_host" if trusted else "$host$flaskops_host_port",
        "scheme": f"${variable}_scheme" if trusted else "$scheme",
    }
    if options["nginx_url_prefix"]:
        found = {name: f"$flaskops_{name}" for name in found}
    return {
        **found,
        "trusted": trusted,
        "hops_counted": counted,
        "hops_after": options["nginx_trusted_hops"] - 1,
        "recursive": "on" if options["nginx_trusted_hops"] > 1 else "off",
        "named": named(options["nginx_server_name"]),
    }


def named(names: Sequence[str]) -> str:
    """The site's names as a regular expression; without names it answers to all."""
    patterns = []
    for name in names:
        pattern = name.replace(".", "[.]")
        pattern = re.sub(r"^\[[.]\]", r"([a-z0-9.-]+[.])?", pattern)
        patterns.append(pattern.replace("*", ANY_NAME))
    return "|".join(patterns) or ANY_NAME


def headers(options: Mapping[str, Any], who: Mapping[str, Any], *, cached: bool) -> dict[str, str]:
    """What the app gets in place of anything the client sent under these names.

    An empty value drops the header.
    """
    found = {
        "Host": who["host"],
        "Upgrade": "$flaskops_upgrade",
        "Connection": "$flaskops_connection",
        "X-Request-ID": "$request_id",
        "X-Forwarded-For": who["client"],
        "X-Forwarded-Proto": who["scheme"],
        "X-Forwarded-Host": who["host"],
        "X-Forwarded-Prefix": options["nginx_url_prefix"] or '""',
        "X-Forwarded-Port": '""',
        "X-Forwarded-Protocol": '""',
        "X-Forwarded-Ssl": '""',
        "X-Real-IP": '""',
        "Forwarded": '""',
        "Proxy": '""',
        **dict.fromkeys(ONLY_OF_PROXIES, '""'),
    }
    if cached:
        found["Cookie"] = f"${variable_of(options['nginx_site'])}_cookie"
    return found


def uwsgi_params(
    options: Mapping[str, Any], who: Mapping[str, Any], told: Mapping[str, str]
) -> list[str]:
    """The same over the uwsgi protocol, where a request is named variables.

    A parameter of a header's name takes the place of what the client sent.
    """
    below = f"${variable_of(options['nginx_site'])}_path"
    return [
        "QUERY_STRING $query_string",
        "REQUEST_METHOD $request_method",
        "CONTENT_TYPE $content_type",
        "CONTENT_LENGTH $content_length",
        "REQUEST_URI $request_uri",
        f"PATH_INFO {below if options['nginx_url_prefix'] else '$document_uri'}",
        "SERVER_PROTOCOL $server_protocol",
        "REQUEST_SCHEME $scheme",
        "HTTPS $https if_not_empty",
        f"REMOTE_ADDR {who['client']}",
        "REMOTE_PORT $remote_port",
        "SERVER_PORT $server_port",
        "SERVER_NAME $server_name",
        "HTTP_CONNECTION $flaskops_uwsgi_connection",
        *(
            f"HTTP_{name.upper().replace('-', '_')} {value} if_not_empty"
            for name, value in told.items()
            if name != "Connection"
        ),
    ]


def proxying(options: Mapping[str, Any], *, cached: bool) -> dict[str, Any]:
    """What a location that hands requests to the app says, and the upstream that it names."""
    site, prefix = options["nginx_site"], options["nginx_url_prefix"]
    who = visitor(options)
    told = headers(options, who, cached=cached)
    uwsgi = options["nginx_upstream_protocol"] == "uwsgi"
    below = f"${variable_of(site)}_uri" if prefix else ""
    lines = (
        [f"uwsgi_param {param}" for param in uwsgi_params(options, who, told)]
        if uwsgi
        else [f"proxy_set_header {name} {value}" for name, value in told.items()]
    )
    return {
        "visitor": who,
        "protocol": "uwsgi" if uwsgi else "proxy",
        "pass": f"uwsgi_pass {site}" if uwsgi else f"proxy_pass http://{site}{below}",
        "told": lines,
        "headers": told,
        "read_timeout": options["nginx_proxy_read_timeout"],
        "next_timeout": options["nginx_proxy_read_timeout"] + NEXT_RESERVE,
        "cookie_path": bool(prefix) and not uwsgi,
    }


def upstream(options: Mapping[str, Any], servers: Sequence[str]) -> dict[str, Any]:
    """The app's servers, and how they share the work."""
    method = options["nginx_upstream_method"]
    http = options["nginx_upstream_protocol"] == "http"
    return {
        "servers": list(servers),
        "method": method if len(servers) > 1 and method != "round_robin" else "",
        "keepalive": options["nginx_upstream_keepalive"] if http else 0,
    }
