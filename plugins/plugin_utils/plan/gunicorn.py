# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of role gunicorn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.rules import found
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.server_rules import (
    number_problems,
    own_problems,
    written,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.settings_text import (
    python_settings,
)

COMMAND = "{python} -m gunicorn --config {generation}/gunicorn.conf.py"
#: Functions of the wrapper that say which requests are logged.
LOGGED = {"all": "worth_logging", "failed": "has_failed"}
#: What the wrapper's shared memory counts, and no host has use for more.
MOST = {"gunicorn_workers": 1000, "gunicorn_threads": 1000}
LEAST = {
    "gunicorn_workers": 0,
    "gunicorn_threads": 1,
    "gunicorn_timeout": 0,
    "gunicorn_max_requests": 0,
}
#: Settings that the role or the unit decides.
OWN = (
    "bind",
    "workers",
    "wsgi_app",
    "user",
    "group",
    "daemon",
    "pidfile",
    "reload",
    "chdir",
    "protocol",
    # The gate is passed in the app's own start.
    "asgi_lifespan",
    "post_worker_init",
    "child_exit",
)

#: Its file in a generation.
FILE = "gunicorn.conf.py"


def plan(options: Mapping[str, Any], controller: Controller) -> Plan:
    """What Gunicorn's configuration holds, and its command."""
    most, given = options["gunicorn_max_requests"], options["gunicorn_config"]
    asgi = options["gunicorn_worker_class"] == "asgi"
    problems = number_problems(options, LEAST, MOST)
    problems += own_problems("gunicorn_config", given, OWN)
    if asgi and options["wsgi_protocol"] != "http":
        problems.append(found("wsgi_protocol", options["wsgi_protocol"], "with ASGI is http"))
    data = {
        "command": COMMAND,
        "program": "gunicorn",
        "requirement": options["wsgi_server_requirement"],
        "application": "asgi_application" if asgi else "application",
        "name": options["wsgi_name"],
        "protocol": options["wsgi_protocol"],
        "logged": LOGGED[options["wsgi_access_log"]],
        "workers": options["gunicorn_workers"],
        # Gunicorn warns of threads that such a worker does not have.
        "threads": 1 if asgi else options["gunicorn_threads"],
        "worker_class": options["gunicorn_worker_class"],
        "timeout": options["gunicorn_timeout"],
        "graceful_timeout": options["wsgi_graceful_timeout"],
        "max_requests": most,
        # Spread, so that workers are not replaced all at once.
        "max_requests_jitter": most // 10,
        "config": written("gunicorn_config", python_settings, given, problems),
        "config_names": sorted(given),
    }
    text = controller.render("gunicorn", f"generation/{FILE}.j2", plan=data)
    data["files"] = {FILE: text}
    return Plan(data, problems)
