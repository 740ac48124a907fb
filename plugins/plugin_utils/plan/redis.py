# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role redis."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.redis_users import (
    redis_acl,
    redis_user_problems,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan

ADDRESS = re.compile(r"-?[0-9A-Za-z.:_%-]+|\*")
SIZE = re.compile(r"(?i)0*[1-9][0-9]*([kmg]b?|b)?")
#: Settings of redis_config whose values are secret: they go into a file of their own, never shown.
SECRET = re.compile(r"(?i)(masterauth|primaryauth|tls-(client-)?key-file-pass|user)")
LINE_BREAK = re.compile(r"[\0\r\n]")
#: Settings that have an option of their own, or that the unit decides.
TAKEN = {
    "bind": "redis_bind",
    "port": "redis_port",
    "unixsocket": "redis_unix_socket",
    "unixsocketperm": "redis_unix_socket_mode",
    "maxmemory": "redis_maxmemory",
    "maxmemory-policy": "redis_maxmemory_policy",
    "requirepass": "redis_password",
    "aclfile": "redis_acl_users",
    "user": "redis_acl_users",
    "daemonize": "the unit",
    "supervised": "the unit",
}
OF_USERS = {"aclfile", "user"}
#: A cache keeps nothing on disk, so it never forks; large values are freed in the background.
CACHE = {
    "maxclients": 1000,
    "tcp-keepalive": 60,
    "save": "",
    "appendonly": False,
    "lazyfree-lazy-eviction": True,
    "lazyfree-lazy-expire": True,
}

DROPIN_TEMPLATE = "etc/systemd/system/redis-server.service.d/flaskops.conf.j2"


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """Files, unit and trial of the server."""
    server = options["redis_implementation"]
    other = "redis" if server == "valkey" else "valkey"
    unit, etc = f"{server}-server.service", f"/etc/{server}"
    users = options["redis_acl_users"]
    given = options["redis_config"]
    acl_file, package = f"{etc}/flaskops.acl", f"{server}-server"
    dropin = f"/etc/systemd/system/{unit}.d/flaskops.conf"
    paths = [f"{etc}/flaskops.conf", f"{etc}/flaskops-secret.conf", acl_file, dropin]
    problems = find_problems(options)
    data = {
        "absent": options["redis_state"] == "absent",
        "server": server,
        "program": f"/usr/bin/{server}-server",
        "unit": unit,
        "etc": etc,
        "main_file": f"{etc}/{server}.conf",
        "file": f"{etc}/flaskops.conf",
        "secret_file": f"{etc}/flaskops-secret.conf",
        "acl_file": acl_file,
        "dropin": dropin,
        "package": package,
        "removed": [] if users else [acl_file],
        "paths": paths,
        "is_local": rules.is_local(options["redis_bind"]),
        "directives": settings(options, acl_file) | public(given),
        "secret_directives": login(options) | secret(given),
        "acl": redis_acl(users, options["redis_password"]) if users and not problems else "",
        # Two servers cannot share a port. The other one's drop-in says that it is this role's.
        "other": {
            "package": f"{other}-server",
            "dropin": f"/etc/systemd/system/{other}-server.service.d/flaskops.conf",
            "files": [
                f"/etc/{other}/flaskops.conf",
                f"/etc/{other}/flaskops-secret.conf",
                f"/etc/{other}/flaskops.acl",
                f"/etc/systemd/system/{other}-server.service.d/flaskops.conf",
            ],
        },
        "trial": trial(options, server),
    }
    data["files"] = files(data, controller)
    return Plan(data, problems, packages=[] if data["absent"] else [package])


def files(data: Mapping[str, Any], controller: Controller) -> list[dict[str, Any]]:
    """The files with their texts.

    Users have a file of their own: CONFIG REWRITE would repeat them in redis.conf, and none may
    stand twice.
    """

    def text(template: str) -> str:
        return controller.render("redis", template, plan=data)

    readable = {"owner": "root", "group": data["server"], "mode": "0640"}
    told = text("etc/redis/flaskops.conf.j2")
    hushed = text("etc/redis/flaskops-secret.conf.j2")
    found = [
        {"path": data["file"], "content": told, **readable},
        {"path": data["secret_file"], "content": hushed, **readable, "secret": True},
    ]
    if data["acl_file"] not in data["removed"]:
        found.append({"path": data["acl_file"], "content": data["acl"], **readable, "secret": True})
    dropin = {"path": data["dropin"], "content": text(DROPIN_TEMPLATE)}
    return [*found, {**dropin, "owner": "root", "group": "root", "mode": "0644"}]


def settings(options: Mapping[str, Any], acl_file: str) -> dict[str, Any]:
    """What the role sets in redis.conf's own names."""
    found = {
        "bind": " ".join(options["redis_bind"]),
        "port": options["redis_port"],
        "maxmemory": options["redis_maxmemory"],
        "maxmemory-policy": options["redis_maxmemory_policy"],
        **CACHE,
    }
    if options["redis_unix_socket"]:
        found["unixsocket"] = options["redis_unix_socket"]
        found["unixsocketperm"] = options["redis_unix_socket_mode"]
    if options["redis_acl_users"]:
        found["aclfile"] = acl_file
    return found


def login(options: Mapping[str, Any]) -> dict[str, Any]:
    """The password of clients that name no user; with users it is in their file."""
    shared = options["redis_password"] and not options["redis_acl_users"]
    return {"requirepass": [[options["redis_password"]]]} if shared else {}


def secret(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of redis_config that must not be shown."""
    return {name: value for name, value in given.items() if SECRET.fullmatch(str(name))}


def public(given: Mapping[str, Any]) -> dict[str, Any]:
    """All other settings of redis_config."""
    return {name: value for name, value in given.items() if not SECRET.fullmatch(str(name))}


def trial(options: Mapping[str, Any], server: str) -> list[str]:
    """The command that tries new files: the server has no dry run.

    It runs on the same addresses but a free port, away from the data.
    """
    command = [f"/usr/bin/{server}-server", f"{{tree}}/{server}.conf"]
    command += ["--include", "{tree}/flaskops.conf", "--include", "{tree}/flaskops-secret.conf"]
    command += ["--port", "{port}" if options["redis_port"] > 0 else "0"]
    command += ["--unixsocket", "{scratch}/redis.sock", "--dir", "{scratch}"]
    command += ["--pidfile", "{scratch}/redis.pid", "--logfile", "", "--loglevel", "notice"]
    command += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--supervised", "no"]
    return command + (["--aclfile", "{tree}/flaskops.acl"] if options["redis_acl_users"] else [])


def find_problems(options: Mapping[str, Any]) -> list[str]:
    """Everything that the server would refuse, or that would let strangers in."""
    bind, port = options["redis_bind"], options["redis_port"]
    users, password = options["redis_acl_users"], options["redis_password"]
    socket, given = options["redis_unix_socket"], options["redis_config"]
    run = f"/run/{options['redis_implementation']}/"
    problems = rules.all_match(
        "redis_bind", bind, ADDRESS, "are addresses, at least one", some=True
    )
    if not (password or users or rules.is_local(bind)):
        problems.append(
            f"redis_bind: found {rules.shown(bind)} with an empty redis_password and no"
            " redis_acl_users; other hosts can connect, so give one of them or bind to loopback"
            " only"
        )
    problems += rules.port("redis_port", port, none=True)
    problems += rules.matches(
        "redis_unix_socket",
        socket,
        re.compile(f"({run}[A-Za-z0-9._-]+)?"),
        f"is a path under {run}",
    )
    problems += rules.matches(
        "redis_unix_socket_mode",
        options["redis_unix_socket_mode"],
        rules.OCTAL_MODE,
        'is an octal mode such as "0770"',
    )
    if port == 0 and not socket and "tls-port" not in given:
        problems.append(
            "redis_port: found 0 with an empty redis_unix_socket; nothing could connect,"
            " so give one of them"
        )
    problems += rules.matches(
        "redis_maxmemory",
        options["redis_maxmemory"],
        SIZE,
        "is a size above 0 such as 256mb or 1gb",
    )
    if LINE_BREAK.search(password):
        problems.append(
            "redis_password: found a line break or a NUL byte, which clients cannot send"
        )
    problems += redis_user_problems(users)
    taken = TAKEN.keys() - (set() if users else OF_USERS)
    if twice := sorted(taken & {str(name).lower() for name in given}):
        problems.append(
            f"redis_config: found {', '.join(twice)}; already decided by "
            + ", ".join(TAKEN[name] for name in twice)
        )
    return problems
