# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role nginx refuses: nginx would not take it, or a visitor would meet something else."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules

HOST_NAME = re.compile(r"[A-Za-z0-9*._-]+")
URL_PREFIX = re.compile(r"((/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)?")
#: RFC 1035, 2.3.4: octets of a name, without the last dot, and of one of its parts.
MOST_NAME, MOST_LABEL = 253, 63
PEER = re.compile(r"[A-Za-z0-9.:_-]*")
METHOD = re.compile(
    r"round_robin|least_conn|ip_hash|random( two( least_conn)?)?|hash [^\s;{}]+( consistent)?"
)
HOST_PATH = re.compile(r"/[^\s;{}]+")
KEPT_PATH = re.compile(r"(/[^\s;{}$]+)?")
#: A URL path or a place on disk of nginx_static.
STATIC_PATH = re.compile(r"/[^\s;{}\"'\\$]*")
SIZE = re.compile(r"[0-9]+[kKmMgG]?")
SOME_SIZE = re.compile(r"[1-9][0-9]*[kKmMgG]?")
#: As logrotate has it.
LOG_SIZE = re.compile(r"[1-9][0-9]*[kMG]?")
TIME = re.compile(r"[1-9][0-9]*[smhd]?")
PAGE = re.compile(r"(= )?/[^\s;{}]*")
PAGE_TIME = re.compile(r"([1-9][0-9]*(ms|[smhdwM])?|off|false)")
COOKIE = re.compile(r"[A-Za-z0-9_.-]+")
QUOTABLE = re.compile(r'[^"\n]*')
LOGGED_PATH = re.compile(r'/[^\s"]*')
SYSLOG = re.compile(r"(unix:/[^\s;,{}]+|([0-9]+([.][0-9]+){3}|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?)?")
BREAKS_OUT = re.compile(r"[;{}\n]")
#: UDP's port of HTTPS: over HTTP/3 nginx does not tell the port that the client named.
HTTP3_PORT = 443


def find_problems(options: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with the options of the role."""
    return [
        *name_problems(options),
        *address_problems(options),
        *tls_problems(options),
        *upstream_problems(options),
        *static_problems(options),
        *limit_problems(options),
        *cache_problems(options),
        *log_problems(options),
    ]


def name_problems(options: Mapping[str, Any]) -> list[str]:
    """The site, its names and its prefix."""
    return [
        *rules.matches(
            "nginx_site",
            options["nginx_site"],
            rules.FILE_NAME,
            'are lower-case letters, digits, "-", "_" and "."',
        ),
        *rules.all_match(
            "nginx_server_name",
            options["nginx_server_name"],
            HOST_NAME,
            "are host names, without port or scheme",
        ),
        *host_name_problems(options["nginx_server_name"]),
        *rules.matches(
            "nginx_url_prefix",
            options["nginx_url_prefix"],
            URL_PREFIX,
            "are nothing and a path such as /shop, without a slash at the end",
        ),
    ]


def address_problems(options: Mapping[str, Any]) -> list[str]:
    """Where nginx listens, and whom it believes."""
    return [
        *proxy_problems(options["nginx_trusted_proxies"]),
        *rules.at_least("nginx_trusted_hops", options["nginx_trusted_hops"], 1),
        *bind_problems(options["nginx_bind"]),
        *rules.port("nginx_port", options["nginx_port"]),
    ]


def bind_problems(given: list[str]) -> list[str]:
    """Addresses that no host has."""
    allowed = "are IP addresses, at least one"
    try:
        addresses = [ipaddress.ip_address(one) for one in given]
    except ValueError:
        addresses = []
    return [] if addresses else [rules.found("nginx_bind", given, allowed)]


def proxy_problems(given: list[str]) -> list[str]:
    """Networks that are none, or together are everybody, whom nobody may believe."""
    allowed = "are IP addresses and networks, but not all there are"
    try:
        networks = [ipaddress.ip_network(one, strict=False) for one in given]
    except ValueError:
        return [rules.found("nginx_trusted_proxies", given, allowed)]
    for version in (4, 6):
        own: list[Any] = [one for one in networks if one.version == version]
        if any(one.prefixlen == 0 for one in ipaddress.collapse_addresses(own)):
            return [rules.found("nginx_trusted_proxies", given, allowed)]
    return []


def host_name_problems(names: list[str]) -> list[str]:
    """Names that DNS cannot have, and those that are there twice."""
    problems = [
        rules.found("nginx_server_name", name, "are names of at most 253 characters, 63 a part")
        for name in names
        if len(name) > MOST_NAME or any(len(part) > MOST_LABEL for part in name.split("."))
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"nginx_server_name: found {', '.join(twice)} more than once")
    return problems


def tls_problems(options: Mapping[str, Any]) -> list[str]:
    """TLS, HTTP/3, and the hosts that share a certificate."""
    tls, port = options["nginx_tls"], options["nginx_tls_port"]
    problems = []
    if tls and (port not in rules.PORTS or port == options["nginx_port"]):
        problems.append(rules.found("nginx_tls_port", port, "are 1 to 65535, but not nginx_port"))
    for name in ("nginx_tls_certificate", "nginx_tls_certificate_key"):
        if options[name]:
            allowed = "is an absolute path on the host"
            problems += rules.matches(name, options[name], HOST_PATH, allowed)
    if options["nginx_hsts_max_age"] < -1:
        allowed = "are seconds from 0, and -1 for none"
        problems.append(rules.found("nginx_hsts_max_age", options["nginx_hsts_max_age"], allowed))
    if options["nginx_http3"] and not tls:
        problems.append("nginx_http3: found true without nginx_tls; HTTP/3 needs TLS")
    if options["nginx_http3"] and port != HTTP3_PORT:
        problems.append(
            f"nginx_http3: found true with nginx_tls_port {port}; allowed with HTTP/3 is"
            f" {HTTP3_PORT}"
        )
    problems += rules.all_match(
        "nginx_tls_peers", options["nginx_tls_peers"], PEER, "are addresses"
    )
    return problems + rules.matches(
        "nginx_tls_challenge_host", options["nginx_tls_challenge_host"], PEER, "is an address"
    )


def upstream_problems(options: Mapping[str, Any]) -> list[str]:
    """The app's servers and how they are asked."""
    servers = options["nginx_upstream_servers"]
    problems = []
    if any(BREAKS_OUT.search(server) for server in servers):
        allowed = "are addresses with parameters"
        problems.append(rules.found("nginx_upstream_servers", servers, allowed))
    problems += rules.matches(
        "nginx_upstream_method",
        options["nginx_upstream_method"],
        METHOD,
        "are least_conn, round_robin, random, ip_hash and hash KEY [consistent]",
    )
    keepalive = options["nginx_upstream_keepalive"]
    return problems + rules.at_least("nginx_upstream_keepalive", keepalive, 0)


def limit_problems(options: Mapping[str, Any]) -> list[str]:
    """How large a request may be, and how long its answer may take."""
    timeout = options["nginx_proxy_read_timeout"]
    return rules.matches(
        "nginx_client_max_body_size",
        options["nginx_client_max_body_size"],
        SIZE,
        "is a size such as 10m",
    ) + rules.seconds("nginx_proxy_read_timeout", timeout, 1)


def static_problems(options: Mapping[str, Any]) -> list[str]:
    """Files that nginx serves itself."""
    problems = rules.all_pairs(
        "nginx_static",
        options["nginx_static"],
        is_static,
        "are absolute URL paths and absolute places, both with a slash at the end or neither",
    )
    problems += rules.seconds("nginx_static_max_age", options["nginx_static_max_age"], 0)
    problems += rules.matches(
        "nginx_static_fingerprint",
        options["nginx_static_fingerprint"] or "",
        QUOTABLE,
        "is a regular expression without quotes",
    )
    return problems + rules.matches(
        "nginx_static_kept", options["nginx_static_kept"], KEPT_PATH, "is an absolute path"
    )


def is_static(url: str, place: str) -> bool:
    """Whether an entry of nginx_static is a directory or a single file, on both sides."""
    absolute = STATIC_PATH.fullmatch(url) and STATIC_PATH.fullmatch(place)
    return bool(absolute) and url.endswith("/") == place.endswith("/")


def cache_problems(options: Mapping[str, Any]) -> list[str]:
    """Pages that nginx keeps."""
    cache, prefix = options["nginx_cache"], options["nginx_url_prefix"]
    times = (str(value).lower() for value in cache.values())
    problems = []
    if not (all(map(PAGE.fullmatch, cache)) and all(map(PAGE_TIME.fullmatch, times))):
        allowed = 'are URL paths, with "= " before a single page, and times such as 10s or off'
        problems.append(rules.found("nginx_cache", cache, allowed))
    if not all(is_below(str(path).removeprefix("= "), prefix) for path in cache):
        allowed = f"are paths below {prefix}, the nginx_url_prefix of this site"
        problems.append(rules.found("nginx_cache", cache, allowed))
    problems += rules.all_match(
        "nginx_cache_cookies",
        options["nginx_cache_cookies"],
        COOKIE,
        "are names of cookies, at least one",
        some=True,
    )
    problems += rules.matches(
        "nginx_cache_keep", options["nginx_cache_keep"], TIME, "is a time such as 1d"
    )
    return problems + rules.matches(
        "nginx_cache_max_size", options["nginx_cache_max_size"], SOME_SIZE, "is a size such as 256m"
    )


def is_below(path: str, prefix: str) -> bool:
    """Whether a URL path is a prefix or below it."""
    return path == prefix or path.startswith(f"{prefix}/")


def log_problems(options: Mapping[str, Any]) -> list[str]:
    """What is logged, how much of it is kept, and where it goes besides."""
    paths: Iterable[str] = options["nginx_log_skip"]
    return [
        *rules.matches(
            "nginx_log_max_size", options["nginx_log_max_size"], LOG_SIZE, "is a size such as 100M"
        ),
        *rules.all_match("nginx_log_skip", paths, LOGGED_PATH, "are URL paths"),
        *rules.at_least("nginx_log_keep", options["nginx_log_keep"], 1),
        *rules.matches(
            "nginx_syslog_server",
            options["nginx_syslog_server"],
            SYSLOG,
            "are an IP address, with or without a port (an IPv6 address in brackets), and"
            " unix:/path; with a name Nginx would not start while nobody resolves it",
        ),
    ]
