# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role uwsgi."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.server_rules import (
    number_problems,
    own_problems,
    written,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.settings_text import ini_settings

#: The wrapper starts uWSGI, so that its workers can tell each other that they have passed.
COMMAND = "{python} {generation}/flaskops_wsgi/launch.py PROGRAM --ini {generation}/uwsgi.ini"
PROGRAMS = {"pyuwsgi": "pyuwsgi", "distribution": "/usr/bin/uwsgi-core"}
PACKAGES: Mapping[str, list[str]] = {
    "pyuwsgi": [],
    "distribution": ["uwsgi-core", "uwsgi-plugin-python3"],
}
#: What the wrapper's shared memory counts, and no host has use for more.
MOST = {"uwsgi_processes": 1000, "uwsgi_threads": 1000}
LEAST = {
    "uwsgi_processes": 0,
    "uwsgi_threads": 1,
    "uwsgi_harakiri": 0,
    "uwsgi_max_requests": 0,
    "uwsgi_buffer_size": 4096,
}
MOST_BUFFER = 65535
#: Where nobody but the host itself speaks uwsgi to uWSGI.
LOCAL_BIND = re.compile(r"unix:|127[.]|\[::1\]")
#: Settings that the role or the unit decides.
OWN = (
    "socket",
    "uwsgi-socket",
    "http",
    "http-socket",
    "http11-socket",
    "https",
    "https-socket",
    "fastcgi-socket",
    "scgi-socket",
    "puwsgi-socket",
    "raw-socket",
    "protocol",
    "socket-protocol",
    "processes",
    "workers",
    "module",
    "wsgi",
    "wsgi-file",
    "file",
    "callable",
    "mount",
    "master",
    "lazy-apps",
    "need-app",
    "strict",
    "die-on-term",
    "uid",
    "gid",
    "exec-as-root",
    "as-root",
    "exec-pre-jail",
    "exec-post-jail",
    "immediate-uid",
    "immediate-gid",
    "chdir",
    "virtualenv",
    "home",
    "daemonize",
    "daemonize2",
    "pidfile",
)
#: What no variable decides; uwsgi_config is merged over it.
FIXED: Mapping[str, Any] = {
    "master": True,
    "single-interpreter": True,
    "enable-threads": True,
    "thunder-lock": True,
    "no-orphans": True,
    # Each worker loads the app itself, so that what it opens is not shared by fork.
    "lazy-apps": True,
    "need-app": True,
    # uWSGI's own answer to TERM is to drop what runs.
    "hook-master-start": "unix_signal:15 gracefully_kill_them_all",
    # Bodies are read before the app is asked: one that the app leaves unread would cut the answer.
    "post-buffering": 65536,
    # A client that went away is no error.
    "ignore-sigpipe": True,
    "ignore-write-errors": True,
    "disable-write-exception": True,
    # The journal has the time already. No query strings: they can hold secrets.
    "log-format": (
        '%(var.HTTP_X_FORWARDED_FOR) "%(method) %(path)" %(status) %(rsize) %(msecs)ms'
        " %(var.HTTP_X_REQUEST_ID)"
    ),
}

#: Its file in a generation.
FILE = "uwsgi.ini"


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """What uWSGI's configuration holds, its command and its packages."""
    package, given = options["uwsgi_package"], options["uwsgi_config"]
    from_distribution = package == "distribution"
    problems = find_problems(options)
    data = {
        "command": COMMAND.replace("PROGRAM", PROGRAMS[package]),
        "program": "uwsgi",
        "requirement": options["wsgi_server_requirement"],
        "protocol": options["wsgi_protocol"],
        "processes": options["uwsgi_processes"],
        "virtualenv": f"release/{options['wsgi_venv']}" if from_distribution else "",
        # Spread, so that workers are not replaced all at once; Debian's has no such setting.
        "max_requests_delta": None if from_distribution else options["uwsgi_max_requests"] // 10,
        "closes_connections": options["wsgi_protocol"] == "http",
        # Unless people decide it, what fails is logged; and by the wrapper, all but health checks.
        "role_logs": "disable-logging" not in given,
        "wrapper_logs": options["wsgi_access_log"] == "all",
        "settings": written("uwsgi_config", ini_settings, settings(options), problems),
    }
    text = controller.render("uwsgi", f"generation/{FILE}.j2", plan=data)
    data["files"] = {FILE: text}
    return Plan(data, problems, packages=list(PACKAGES[package]))


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """All settings that are merged, in uWSGI's own names."""
    return {
        **FIXED,
        "threads": options["uwsgi_threads"],
        "harakiri": options["uwsgi_harakiri"],
        "max-requests": options["uwsgi_max_requests"],
        "worker-reload-mercy": options["wsgi_graceful_timeout"],
        "buffer-size": options["uwsgi_buffer_size"],
        **options["uwsgi_config"],
    }


def find_problems(options: Mapping[str, Any]) -> list[str]:
    """Everything that uWSGI would refuse, or that would let strangers in."""
    bind, size = options["wsgi_bind"], options["uwsgi_buffer_size"]
    problems = []
    if options["wsgi_protocol"] == "uwsgi" and not LOCAL_BIND.match(bind):
        problems.append(
            f"wsgi_bind: found {rules.shown(bind)} with wsgi_protocol uwsgi; allowed are a unix"
            " socket and loopback, because who speaks it can have uWSGI run any file"
        )
    problems += number_problems(options, LEAST, MOST)
    if size > MOST_BUFFER:
        problems.append(f"uwsgi_buffer_size: found {size}; allowed are 4096 to 65535")
    return problems + own_problems("uwsgi_config", options["uwsgi_config"], OWN)
