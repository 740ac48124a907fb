# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache tier: which server a host has, who may ask it, and what the app is told of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import cache_settings
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.environment import (
    given_environment,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.rules import shown
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import APP_OPTIONS
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import Tier, View

SERVERS = ("redis", "memcached", "none")
LOCAL_BIND = {"redis": ["127.0.0.1", "-::1"], "memcached": ["127.0.0.1"]}
ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
MEMCACHED_SETTINGS = ("CACHE_MEMCACHED_SERVERS", "FLASK_CACHE_MEMCACHED_SERVERS")


def server_of(view: View) -> str:
    """The program that caches for the app."""
    return str(view.value("cache_server", "redis"))


def plan(view: View) -> Tier:
    """Options and problems of a host in the cache tier."""
    server = server_of(view)
    tier = Tier()
    if server not in SERVERS:
        tier.problems.append(
            f"cache_server: found {shown(server)}; allowed are redis, memcached and none"
        )
    # A server that is not the app's runs on, because others may use it, until it is to be absent.
    tier.roles = [
        role
        for role in ("redis", "memcached")
        if server == role or view.value(f"{role}_state", "present") == "absent"
    ]
    clients = view.site.cache_clients_of(view.host)
    bind = [view.site.addresses[view.host]] if clients else []
    allowed = [view.site.addresses[host] for host in clients]
    for role in tier.roles:
        tier.options[f"{role}_bind"] = view.value(f"{role}_bind", LOCAL_BIND[role] + bind)
    if "memcached" in tier.roles:
        tier.options["memcached_allowed"] = view.value("memcached_allowed", allowed)
    # A name may stand for a loopback address on its own host.
    own = tier.options.get(f"{server}_bind", [])
    asked = bind + (allowed if server == "memcached" else [])
    names = sorted({address for address in asked if not ADDRESS.fullmatch(address)})
    if names and set(bind) & set(own):
        tier.problems.append(
            f"private_address: found {', '.join(names)}; app hosts elsewhere"
            f" ({', '.join(clients)}) reach the cache over the network, so give an IP address of"
            " each host"
        )
    if view.says("flask_app_name"):
        tier.problems += login_problems(view)
    return tier


def environment_of(view: View) -> dict[str, Any]:
    """What the app of a host is told of its cache; nothing where there is none."""
    cache_host = view.site.cache_host_of(view.host)
    if not cache_host:
        return {}
    here = cache_host == view.host
    address = "127.0.0.1" if here else view.site.addresses[cache_host]
    app = app_name(view)
    if server_of(view) == "redis":
        options = redis_options(view)
        return cache_settings.redis_environment(
            given(view),
            app,
            address,
            options["redis_port"],
            options["redis_acl_users"],
            options["redis_password"],
        )
    if server_of(view) == "memcached":
        return cache_settings.memcached_environment(app, address, memcached_port(view))
    return {}


def app_problems(view: View) -> list[str]:
    """Why the app of a host could not reach its cache."""
    if not view.site.cache_host_of(view.host):
        return []
    problems = login_problems(view)
    values = given(view)
    over_tcp = server_of(view) == "redis" and redis_options(view)["redis_port"] == 0
    if over_tcp and environment_of(view)["REDIS_URL"] not in values.values():
        problems.append(
            "redis_port: found 0, but the app would connect over TCP; give the port, or"
            " REDIS_URL in flask_app_env (and put the user of the app into the group redis)"
        )
    if server_of(view) == "memcached" and not any(name in values for name in MEMCACHED_SETTINGS):
        socket, port = view.value("memcached_unix_socket", ""), memcached_port(view)
        if socket or port == 0:
            problems.append(
                f"memcached_unix_socket: found {shown(socket)} and memcached_port {port}, but the"
                " app would connect over TCP; leave the socket empty and give the port, or give"
                " CACHE_MEMCACHED_SERVERS in flask_app_env (and put the app's user into the group"
                " memcache)"
            )
    return problems


def queue_hints(view: View) -> list[str]:
    """Background processes are mostly workers of a queue, which a full cache would make room in."""
    processes = view.value("flask_app_processes", []) or view.value("wsgi_background_processes", [])
    if server_of(view) != "redis" or not processes or not view.site.cache_host_of(view.host):
        return []
    policy = view.options("redis", "redis_maxmemory_policy", **elsewhere(view))[
        "redis_maxmemory_policy"
    ]
    if not policy.startswith("allkeys-"):
        return []
    return [
        f"redis_maxmemory_policy: {policy}, with flask_app_processes: a queue in that Redis loses"
        " jobs when the memory is full; with volatile-lfu only what has an end goes, as cached"
        " values have, and with noeviction nothing"
    ]


def login_problems(view: View) -> list[str]:
    """Redis would turn the app away."""
    if server_of(view) != "redis" or not view.site.cache_host_of(view.host):
        return []
    options = redis_options(view)
    problem = cache_settings.redis_login_problem(
        given(view), app_name(view), options["redis_acl_users"], options["redis_password"]
    )
    return [problem] if problem else []


def app_name(view: View) -> str:
    """The app's name, which its keys begin with."""
    return str(view.value("flask_app_name", "app"))


def redis_options(view: View) -> dict[str, Any]:
    """How the app gets into Redis: what is said for the cache's own host counts here too."""
    names = ("redis_port", "redis_acl_users", "redis_password")
    return view.options("redis", *names, **elsewhere(view))


def memcached_port(view: View) -> int:
    """The port of the app's Memcached."""
    options = view.options("memcached", "memcached_port", **elsewhere(view))
    return int(options["memcached_port"])


def elsewhere(view: View) -> Mapping[str, Any]:
    """What is said of the cache on another host."""
    return {} if view.host in view.site.cache_hosts else view.site.cache_given


def given(view: View) -> dict[str, Any]:
    """What people give the app; on a host without the app, what they give it on its own hosts."""
    said = {} if view.host in view.site.app_hosts else view.site.app_given
    options = {name: view.value(name, said.get(name)) for name in APP_OPTIONS}
    for name in ("flask_app_env_files", "flask_app_env_names"):
        if isinstance(options[name], str):
            options[name] = [part.strip() for part in options[name].split(",") if part.strip()]
    return given_environment(options, view.controller).merged()
