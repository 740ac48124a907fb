# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module switch takes; its documentation says what each option is for."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.lock import LOCK_OPTIONS

HEALTH_OPTIONS: dict[str, Any] = {
    "path": {"type": "str", "default": "/"},
    "host": {"type": "str", "default": "localhost"},
    "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
    "status": {"type": "list", "elements": "int", "default": []},
    "text": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 10},
    "more": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "status": {"type": "list", "elements": "int"},
            "text": {"type": "str"},
            "timeout": {"type": "int"},
        },
    },
    "probes": {"type": "int", "default": 3},
}
OPTIONS: dict[str, Any] = {
    "phase": {
        "type": "str",
        "choices": ["whole", "start", "finish", "withdraw"],
        "default": "whole",
    },
    "lease": {"type": "int", "default": 900},
    "rollback": {"type": "str", "default": ""},
    "lock": {"type": "dict", "options": LOCK_OPTIONS},
    "name": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "release": {"type": "path"},
    "environment_file": {"type": "path"},
    "files_directory": {"type": "path"},
    "user": {"type": "str"},
    "server": {"type": "str", "default": ""},
    "bind": {"type": "str", "default": ""},
    "files": {"type": "dict", "default": {}},
    "entrypoint": {"type": "str", "default": ""},
    "proxy_hops": {"type": "int", "default": 0},
    "protocol": {"type": "str", "choices": ["http", "uwsgi"], "default": "http"},
    "socket_unit": {"type": "str"},
    "service_unit": {"type": "str"},
    "generation_unit": {"type": "str"},
    "health": {"type": "dict", "default": {}, "options": HEALTH_OPTIONS, "apply_defaults": True},
    "processes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "command": {"type": "str", "required": True},
            "count": {"type": "int", "default": 1},
            "stop_timeout": {"type": "int", "default": 300},
        },
    },
    "timers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "command": {"type": "str", "required": True},
            "schedule": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 3600},
        },
    },
    "keep": {"type": "int", "default": 5},
}
