# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role nginx: one site and the files that all sites of a host share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.directives import directives
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import (
    nginx_pages,
    nginx_proxy,
    nginx_text,
    nginx_tls,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.nginx_rules import find_problems
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.rules import found, shown
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.server_rules import written
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import netloc

ETC = "/etc/nginx"
STOCK_SITE = f"{ETC}/sites-enabled/default"
#: Templates of files that have the site's name.
SITE = "etc/nginx/sites-enabled/site.conf.j2"
PREFIX = "etc/nginx/flaskops/prefix.conf.j2"
CHECK = ["/usr/sbin/nginx", "-t", "-q", "-c", "{tree}/nginx.conf"]
#: The http level; nginx_config is merged over it.
HTTP: Mapping[str, Any] = {
    "include": "mime.types",
    "default_type": "application/octet-stream",
    "types_hash_max_size": 2048,
    "server_names_hash_bucket_size": 128,
    "server_tokens": False,
    # For the headers that the app gets.
    "proxy_headers_hash_max_size": 1024,
    "proxy_headers_hash_bucket_size": 128,
    "sendfile": True,
    "tcp_nopush": True,
    "reset_timedout_connection": True,
    "keepalive_timeout": "65s",
    "keepalive_requests": 1000,
    "client_header_timeout": "10s",
    "client_body_timeout": "15s",
    "send_timeout": "15s",
    "gzip_vary": True,
    "gzip_proxied": "any",
    "gzip_comp_level": 5,
    "gzip_min_length": 1024,
    "gzip_types": (
        "text/css text/plain text/xml text/javascript application/javascript application/json"
        " application/manifest+json application/xml application/rss+xml application/atom+xml"
        " image/svg+xml"
    ),
}


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """The files of a site, and what the templates say in them."""
    absent = options["nginx_state"] == "absent"
    problems = find_problems(options)
    written("nginx_config", nginx_directives, options["nginx_config"], problems)
    alone = serves_files_alone(options)
    keeps = nginx_pages.keeps(options)
    if alone and keeps:
        allowed = "is none where nginx_static has / and there is no app"
        problems.append(found("nginx_cache", options["nginx_cache"], allowed))
    name = options["nginx_site"]
    if controller.entry_point == "pages" and options["nginx_purge_pages"] and not keeps:
        problems.append(
            f"nginx_cache: found {shown(options['nginx_cache'])}, with which Nginx keeps no page of"
            f" {name}; give this playbook the variables that the site was made with"
        )
    data = {
        "absent": absent,
        # A site that goes is not looked at for what it needs.
        "upstream_servers": [] if alone or absent else servers(options),
        "http3": options["nginx_http3"] and not absent,
        "certificate": nginx_tls.paths(options)[0] if options["nginx_tls"] else "",
        "check": CHECK,
        "pages": nginx_pages.home_of(name) if keeps and not absent else "",
        "live": options["nginx_live_id"],
        "purge": options["nginx_purge_pages"],
        "removed_pages": [f"/var/cache/nginx-{name}", nginx_pages.home_of(name)],
        **paths(options, absent=absent),
    }
    told = site(options, alone=alone, keeps=keeps)
    data |= {"site": told, "files": files(data, told, controller)}
    return Plan(data, problems, [] if absent else packages(options))


def nginx_directives(settings: Any) -> str:
    """Settings as nginx has them; AnsibleFilterError."""
    return directives(settings, "nginx")


def packages(options: Mapping[str, Any]) -> list[str]:
    """nginx, what keeps its logs small, and the module that sends what is compressed."""
    brotli = ["libnginx-mod-http-brotli-static"] if options["nginx_brotli"] else []
    return ["nginx", "logrotate", *brotli]


def files(
    data: Mapping[str, Any], told: Mapping[str, Any], controller: Controller
) -> list[dict[str, str]]:
    """The files with their texts."""
    templates = {data["file"]: SITE, data["prefix_file"]: PREFIX}
    return [
        {"path": path, "content": controller.render("nginx", name, site=told)}
        for path in data["written"]
        for name in [templates.get(path, f"{path[1:]}.j2")]
    ]


def paths(options: Mapping[str, Any], *, absent: bool) -> dict[str, Any]:
    """Files that are written, and those that must not be there."""
    name = options["nginx_site"]
    file = f"{ETC}/sites-enabled/{name}.conf"
    # What it has, or had, in other sites, whatever their names were.
    below = f"{ETC}/flaskops/*.d/{name}.conf"
    prefix_file = f"{ETC}/{folders(options)[0]}/{name}.conf"
    written = [
        f"{ETC}/nginx.conf",
        file,
        "/etc/logrotate.d/nginx",
        "/etc/systemd/system/logrotate.timer.d/flaskops.conf",
        "/etc/systemd/system/nginx.service.d/flaskops.conf",
    ]
    if options["nginx_url_prefix"]:
        written.append(prefix_file)
    return {
        "file": file,
        "prefix_file": prefix_file,
        "written": [] if absent else written,
        "removed": [file if absent else STOCK_SITE, below],
    }


def folders(options: Mapping[str, Any]) -> list[str]:
    """Directories of apps below a path, one for each name of their site, which includes them all.

    An app is in the one of its first name.
    """
    names = options["nginx_server_name"] or ["_"]
    return list(dict.fromkeys(f"flaskops/{name.replace('*', '_').lower()}.d" for name in names))


def servers(options: Mapping[str, Any]) -> list[str]:
    """Where the app listens: by default on its socket on this host."""
    given = options["nginx_upstream_servers"]
    return given or [options["wsgi_bind"] or f"unix:/run/{options['nginx_site']}/http.sock"]


def serves_files_alone(options: Mapping[str, Any]) -> bool:
    """Whether the site is a directory of files and nobody names an app."""
    top = f"{options['nginx_url_prefix']}/"
    apps = ("nginx_upstream_servers", "wsgi_bind", "flask_app_name")
    return top in options["nginx_static"] and not any(options[name] for name in apps)


def site(options: Mapping[str, Any], *, alone: bool, keeps: bool) -> dict[str, Any]:
    """What the templates say of the site."""
    name, prefix = options["nginx_site"], options["nginx_url_prefix"]
    variable, names = nginx_proxy.variable_of(name), options["nginx_server_name"]
    proxying = nginx_proxy.proxying(options, cached=keeps)
    fallback = variable if prefix else "app"
    http = {
        "access_log": access_logs(options),
        **HTTP,
        **nginx_proxy.UPGRADES,
        **options["nginx_config"],
    }
    tls = nginx_tls.headers(options) if options["nginx_tls"] and not prefix else []
    headers, text = [*tls, *nginx_pages.HEADERS], options["nginx_server_config"].strip("\n")
    return {
        "name": name,
        "prefix": prefix,
        "prefix_pattern": re.escape(prefix),
        "variable": variable,
        "names": names,
        "sockets": [f"{netloc(one)}:{options['nginx_port']}" for one in options["nginx_bind"]],
        # Without a name it answers to every name.
        "is_default": "" if names else " default_server",
        "alone": alone,
        "upstream": nginx_proxy.upstream(options, servers(options)),
        "proxying": {**proxying, "told": nginx_text.kept("" if prefix else text, proxying["told"])},
        "headers": headers,
        "locations": nginx_pages.locations(options),
        "fallback": fallback,
        "path": f"${variable}_path" if prefix else "$uri",
        "static": nginx_pages.files(options, alone=alone, fallback=fallback),
        "keeps": keeps,
        "cache": nginx_pages.cache(options, proxying),
        "tls": nginx_tls.tls(options),
        "folders": folders(options),
        "body_size": options["nginx_client_max_body_size"],
        "gzip": "on" if options["nginx_gzip"] else "off",
        "brotli": options["nginx_brotli"],
        "unlogged": [f"{prefix}{path}" for path in unlogged(options)],
        "server_config": nginx_text.completed(text, [*proxying["told"], *headers]),
        "has_server_config": bool(text.strip()),
        "http": http,
        "vary": nginx_pages.vary(http["gzip_types"]),
        "syslog": options["nginx_syslog_server"],
        "log_max_size": options["nginx_log_max_size"],
        "log_keep": options["nginx_log_keep"],
    }


def unlogged(options: Mapping[str, Any]) -> list[str]:
    """Paths whose answers are logged when they fail; one that is a page of its own is worth a line.

    Without queries, as nginx compares them.
    """
    paths = (path.partition("?")[0] for path in options["nginx_log_skip"])
    return list(dict.fromkeys(path for path in paths if path != "/"))


def access_logs(options: Mapping[str, Any]) -> list[str]:
    """Where each request is noted; written when there is enough to write, or after a second."""
    form = "flaskops if=$flaskops_logged"
    file = "/var/log/nginx/access.log flaskops buffer=64k flush=1s if=$flaskops_logged"
    server = options["nginx_syslog_server"]
    return [file, *([f"syslog:server={server},tag=nginx {form}"] if server else [])]
