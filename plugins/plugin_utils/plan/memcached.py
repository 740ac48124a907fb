# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role memcached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.text import long_options

PROGRAM = "/usr/bin/memcached"
DROPIN = "/etc/systemd/system/memcached.service.d/flaskops.conf"
ADDRESS = re.compile(r"[0-9A-Za-z._-]+|[0-9A-Fa-f]*(:[0-9A-Fa-f]*){2,}")
ITEM_SIZE = re.compile(r"0*[1-9][0-9]*[kKmM]")
LONG_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SOCKET = re.compile(r"(/run/memcached/[A-Za-z0-9._-]+)?")
#: Memcached's own bounds: 8 MB of memory, values of 1 GiB, 64 threads (memcached.c).
LEAST_MEMORY, LARGEST_ITEM, MOST_THREADS = 8, 1024 * 1024, 64
#: Options that have a variable of their own, or that the unit decides.
TAKEN = {
    "listen": "memcached_bind",
    "port": "memcached_port",
    "unix-socket": "memcached_unix_socket",
    "unix-mask": "memcached_unix_socket_mode",
    "memory-limit": "memcached_memory",
    "max-item-size": "memcached_max_item_size",
    "conn-limit": "memcached_max_connections",
    "threads": "memcached_threads",
    "udp-port": "the role, which keeps UDP closed",
    "daemon": "the unit",
    "user": "the unit",
    "pidfile": "the unit",
    "help": "the unit",
    "license": "the unit",
    "version": "the unit",
}

#: systemd filters addresses by control groups of the second version. With the first it says nothing
#: and lets everybody in.
FILTER = {
    "/sys/fs/cgroup/cgroup.controllers": (
        "memcached_allowed: this host has cgroup v1, with which systemd cannot keep other hosts"
        " out; bind to loopback only, or say memcached_trust_network where the network itself does"
    )
}


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """Command, drop-in and trial of the server."""
    local = is_local(options)
    allowed = [] if local else options["memcached_allowed"]
    problems = find_problems(options)
    data = {
        "absent": options["memcached_state"] == "absent",
        "dropin": DROPIN,
        "is_local": local,
        "requires": {} if local or options["memcached_trust_network"] else FILTER,
        "families": "AF_UNIX" if options["memcached_unix_socket"] else "AF_UNIX AF_INET AF_INET6",
        "private_network": bool(options["memcached_unix_socket"]),
        "allowed": ["localhost", *allowed],
        "command": [] if problems else [PROGRAM, *long_options(settings(options))],
        "trial": [] if problems else trial(options),
    }
    text = controller.render("memcached", f"{DROPIN[1:]}.j2", plan=data)
    readable = {"owner": "root", "group": "root", "mode": "0644"}
    data["files"] = [{"path": DROPIN, "content": text, **readable}]
    return Plan(data, problems, packages=[] if data["absent"] else ["memcached"])


def is_local(options: Mapping[str, Any]) -> bool:
    """Whether nobody but this host can connect."""
    return bool(options["memcached_unix_socket"]) or rules.is_local(options["memcached_bind"])


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Memcached's long options. UDP stays closed: attackers use its answers against others."""
    if options["memcached_unix_socket"]:  # with a socket memcached opens no port
        place = {
            "unix-socket": options["memcached_unix_socket"],
            "unix-mask": options["memcached_unix_socket_mode"],
        }
    else:
        place = {"listen": ",".join(options["memcached_bind"]), "port": options["memcached_port"]}
    found: dict[str, Any] = place | {
        "udp-port": 0,
        "memory-limit": options["memcached_memory"],
        "max-item-size": options["memcached_max_item_size"],
        "conn-limit": options["memcached_max_connections"],
    }
    if options["memcached_threads"] > 0:
        found["threads"] = options["memcached_threads"]
    return {**found, **options["memcached_config"]}


def trial(options: Mapping[str, Any]) -> list[str]:
    """The command that tries new options: the server has no dry run.

    It runs on a free port or a socket elsewhere, and says that it listens only when it is verbose.
    """
    place = (
        {"unix-socket": "{scratch}/memcached.sock"}
        if options["memcached_unix_socket"]
        else {"port": "{port}"}
    )
    return [PROGRAM, "--verbose", "--verbose", *long_options(settings(options) | place)]


def kilobytes(size: str) -> int:
    """A size such as 512k or 1m in KiB."""
    return int(size[:-1]) * (1024 if size[-1] in "mM" else 1)


def find_problems(options: Mapping[str, Any]) -> list[str]:
    """Everything that the server would refuse, or that would let strangers in."""
    bind, port = options["memcached_bind"], options["memcached_port"]
    socket, size = options["memcached_unix_socket"], options["memcached_max_item_size"]
    memory, threads = options["memcached_memory"], options["memcached_threads"]
    given = options["memcached_config"]
    problems = rules.all_match(
        "memcached_bind", bind, ADDRESS, "are addresses, at least one", some=True
    )
    if not is_local(options) and not options["memcached_allowed"]:
        problems.append(
            f"memcached_bind: found {rules.shown(bind)} with an empty memcached_allowed; other"
            " hosts can connect, and memcached asks for no password, so say which may or bind to"
            " loopback only"
        )
    problems += rules.all_match(
        "memcached_allowed",
        options["memcached_allowed"],
        rules.NETWORK,
        "are IP addresses and networks such as 192.0.2.0/24",
    )
    problems += rules.port("memcached_port", port, none=True)
    problems += rules.matches(
        "memcached_unix_socket", socket, SOCKET, "is a path under /run/memcached/"
    )
    problems += rules.matches(
        "memcached_unix_socket_mode",
        options["memcached_unix_socket_mode"],
        rules.OCTAL_MODE,
        'is an octal mode such as "0770"',
    )
    if port == 0 and not socket:
        problems.append(
            "memcached_port: found 0 with an empty memcached_unix_socket; nothing could connect,"
            " so give one of them"
        )
    if memory < LEAST_MEMORY:
        problems.append(rules.found("memcached_memory", memory, "are 8 megabytes or more"))
    largest = min(memory * 512, LARGEST_ITEM)
    if not ITEM_SIZE.fullmatch(size) or kilobytes(size) > largest:
        problems.append(
            rules.found(
                "memcached_max_item_size",
                size,
                "is a size such as 512k or 1m, at most half of memcached_memory and 1024m",
            )
        )
    if options["memcached_max_connections"] < 1:
        problems.append(
            rules.found(
                "memcached_max_connections", options["memcached_max_connections"], "are 1 or more"
            )
        )
    if not 0 <= threads <= MOST_THREADS:
        problems.append(
            rules.found(
                "memcached_threads", threads, "are 1 to 64, and 0 for the default of memcached"
            )
        )
    return problems + config_problems(given)


def config_problems(given: Mapping[str, Any]) -> list[str]:
    """Options that are no names, or that are decided elsewhere."""
    names = [str(name) for name in given]
    if not all(LONG_NAME.fullmatch(name) for name in names):
        return [
            rules.found(
                "memcached_config",
                names,
                "are the long names of options, without the dashes before them",
            )
        ]
    # For memcached, any beginning of an option's name is its name.
    twice = [taken for taken in TAKEN if any(taken.startswith(name) for name in names)]
    if not twice:
        return []
    return [
        f"memcached_config: found {rules.shown(names)}; {', '.join(twice)} is already decided by "
        + ", ".join(TAKEN[name] for name in twice)
    ]
