# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role wsgi: what is the same under every WSGI server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.sandbox import service_settings
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.server_rules import (
    number_problems,
    written,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.settings_text import unit_settings

UNIX_BIND = re.compile(r"unix:/[^ ]+")
TCP_BIND = re.compile(r"(\[[0-9a-fA-F:]+\]|[0-9.]+):(?P<port>[0-9]+)")
#: An address or network, as the app's processes compare it with a peer's.
PEER = re.compile(r"[0-9A-Fa-f.:]+(/[0-9]+)?")
URL_PATH = re.compile(r"/[!-~]*")
#: The least of each number.
LEAST = {
    "wsgi_proxy_hops": 0,
    "wsgi_graceful_timeout": 1,
    "wsgi_health_timeout": 1,
    "wsgi_health_probes": 1,
    "wsgi_start_timeout": 1,
    "wsgi_keep_generations": 2,
}
#: Options that the module takes as they are, by the names that they have there.
AS_GIVEN = (
    "name",
    "home",
    "user",
    "release",
    "environment_file",
    "files_directory",
    "entrypoint",
    "proxy_hops",
    "protocol",
    "bind",
    "background_processes",
    "timers",
    "keep_generations",
    "phase",
    "lease",
)
#: The templates of the units.
UNITS = {"socket": "app.socket", "service": "app.service", "generation": "app@.service"}
#: Seconds that a stopping unit has beyond the server's own limit.
STOP_RESERVE = 5


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """Units, health checks and what the module switch takes."""
    problems = find_problems(options)
    settings = service_settings(options["wsgi_home"], options["wsgi_unit_config"])
    told = unit(options) | {
        "settings": written("wsgi_unit_config", unit_settings, settings, problems)
    }
    data = {name: options[f"wsgi_{name}"] for name in AS_GIVEN} | {
        "server": options["wsgi_server_program"] or "",
        "files": options["wsgi_server_files"] or {},
        "unit": told,
        "units": {
            name: controller.render("wsgi", f"etc/systemd/system/{file}.j2", unit=told)
            for name, file in UNITS.items()
        },
        "health": health(options),
        "install": install(options),
    }
    return Plan(data, problems)


def unit(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates of the units take; %i is the number of the generation."""
    generation = f"{options['wsgi_home']}/generations/%i"
    venv = f"{generation}/release/{options['wsgi_venv']}"
    command = options["wsgi_server_command"] or ""
    return {
        "name": options["wsgi_name"],
        "home": options["wsgi_home"],
        "user": options["wsgi_user"],
        "listen": options["wsgi_bind"].removeprefix("unix:"),
        "socket_group": options["wsgi_socket_group"],
        "allowed_peers": unique(options["wsgi_web_addresses"] + options["wsgi_allowed_peers"]),
        "protocol": options["wsgi_protocol"],
        "generation": generation,
        # Without a slash or a dot at the end.
        "code": re.sub(r"/\.?$", "", f"{generation}/release/{options['wsgi_code']}"),
        "venv": venv,
        "command": command.replace("{python}", f"{venv}/bin/python").replace(
            "{generation}", generation
        ),
        "start_timeout": options["wsgi_start_timeout"],
        "stop_timeout": options["wsgi_graceful_timeout"] + STOP_RESERVE,
    }


def health(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a new generation has to answer."""
    names = ("path", "host", "scheme", "status", "text", "timeout", "probes")
    more = [
        {name: value for name, value in check.items() if value is not None}
        for check in options["wsgi_health_checks"]
    ]
    return {name: options[f"wsgi_health_{name}"] for name in names} | {"more": more}


def install(options: Mapping[str, Any]) -> dict[str, str]:
    """The server for a virtualenv that has none; a release of role flask_app brings it."""
    requirement = options["wsgi_server_requirement"] or ""
    built = options["wsgi_release"] == f"{options['wsgi_home']}/next/release"
    if built or not requirement:
        return {}
    programs = f"{options['wsgi_release']}/{options['wsgi_venv']}/bin"
    return {
        "requirement": requirement,
        "python": f"{programs}/python",
        "creates": f"{programs}/{options['wsgi_server_program']}",
    }


def find_problems(options: Mapping[str, Any]) -> list[str]:
    """Everything that systemd or the module would refuse, or that would let strangers in."""
    problems = []
    if options["wsgi_user"] in {"root", "0"}:
        problems.append("wsgi_user: found root; the app must not run as root")
    problems += rules.matches(
        "wsgi_name",
        options["wsgi_name"],
        rules.APP_NAME,
        "are up to 31 small letters, digits and hyphens, a letter first",
    )
    if not is_address(options["wsgi_bind"]):
        allowed = "are unix:/absolute/path and address:port with a port from 1 to 65535"
        problems.append(rules.found("wsgi_bind", options["wsgi_bind"], allowed))
    problems += rules.port("wsgi_port", options["wsgi_port"])
    problems += rules.home("wsgi_home", options["wsgi_home"])
    for name in ("background_processes", "timers"):
        lines = [one["command"] for one in options[f"wsgi_{name}"]]
        problems += rules.commands(f"wsgi_{name}, command", lines)
    for name in ("wsgi_allowed_peers", "wsgi_web_addresses"):
        allowed = "are IP addresses and networks, 192.0.2.10 or 192.0.2.0/24"
        problems += rules.all_match(name, options[name], PEER, allowed)
    problems += number_problems(options, LEAST)
    problems += rules.matches(
        "wsgi_health_path",
        options["wsgi_health_path"],
        URL_PATH,
        "is a URL path that begins with a slash, percent-encoded where it is not ASCII",
    )
    if not options["wsgi_server_command"]:
        problems.append(
            "wsgi_server_command: found nothing; the role of a server, gunicorn or uwsgi, gives it"
        )
    return problems


def is_address(bind: str) -> bool:
    """Whether a socket of systemd's can listen there."""
    tcp = TCP_BIND.fullmatch(bind)
    return bool(UNIX_BIND.fullmatch(bind)) or (tcp is not None and int(tcp["port"]) in rules.PORTS)


def unique(values: Iterable[str]) -> list[str]:
    """Values in their order, each once."""
    return list(dict.fromkeys(values))
