# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of options that are no more, each with the one that took its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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


def renamed_problems(given: Collection[str], declared: Collection[str]) -> list[str]:
    """Say of each old name that is given what it is called now, where that is a declared option."""
    return [
        f"{old} was renamed to {new}"
        for old, new in OLD_NAMES.items()
        if old in given and new in declared
    ]
