# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are no option: old ones, each with the one that took its place, and slips."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ansible_collections.flaskops.stack.plugins.plugin_utils.options import load, meant

#: What the roles gunicorn and uwsgi had both, and what is the same under every server.
OF_EVERY_SERVER = (
    "name",
    "home",
    "user",
    "release",
    "code",
    "venv",
    "environment_file",
    "entrypoint",
    "proxy_hops",
    "bind",
    "allowed_peers",
    "socket_group",
    "protocol",
    "graceful_timeout",
    "unit_config",
    "health_path",
    "health_host",
    "health_scheme",
    "health_status",
    "health_text",
    "health_timeout",
    "health_checks",
    "start_timeout",
    "keep_generations",
    "phase",
)
OLD_NAMES: Mapping[str, str] = {
    f"{server}_{name}": f"wsgi_{name}"
    for server in ("gunicorn", "uwsgi")
    for name in OF_EVERY_SERVER
}
#: Names that begin as a role's options do, and are the playbooks' or results of tasks.
NO_OPTIONS = {
    "certificate_issued",
    "certificate_result",
    "nginx_site_result",
    "wsgi_server",
    "wsgi_switch",
}


def slip_problems(role: str, given: Collection[str], declared: Collection[str]) -> list[str]:
    """Say of each name that is a slip which option of the role must have been meant.

    What begins like the role's options and is near to none may be somebody else's.
    """
    unknown = [
        name
        for name in given
        if name.startswith(f"{role}_") and name not in declared and name not in NO_OPTIONS
    ]
    options = load() if unknown else {}
    found = {name: meant(name.upper(), options) for name in unknown if name not in OLD_NAMES}
    return [
        f"{name}: there is no such option; did you mean {option.lower()}?"
        for name, option in found.items()
        if option
    ]


def renamed_problems(given: Collection[str], declared: Collection[str]) -> list[str]:
    """Say of each old name that is given what it is called now, where that is a declared option."""
    return [
        f"{old} was renamed to {new}"
        for old, new in OLD_NAMES.items()
        if old in given and new in declared
    ]
