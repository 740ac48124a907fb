"""The page, the same facts as JSON, and the health view."""

from __future__ import annotations

import os
import platform
import socket
import sys
from typing import Any

from flask import Blueprint, current_app, render_template, request, session

from . import store

bp = Blueprint("pulse", __name__)


def server() -> tuple[str, str]:
    """Name and version of the WSGI server of this process; empty when it does not say."""
    uwsgi = sys.modules.get("uwsgi")  # no package: only a process of uWSGI's own has it
    if uwsgi is not None:
        return "uwsgi", uwsgi.version.decode()
    name, _, version = request.environ.get("SERVER_SOFTWARE", "").partition("/")
    return name.lower(), version


def facts() -> dict[str, Any]:
    """Count a visit and say who answered, from what, and how the request arrived."""
    visits = store.count("visits")
    reading = store.reading()
    session["visits"] = session.get("visits", 0) + 1
    server_name, server_version = server()
    return {
        "release": current_app.config["RELEASE"],
        "revision": current_app.config["REVISION"],
        "generation": current_app.config["GENERATION"],
        "server": server_name,
        "server_version": server_version,
        "pid": os.getpid(),
        "python": platform.python_version(),
        "hostname": socket.gethostname(),
        "cache": {"ok": visits.error is None, "visits": visits.value, "error": visits.error},
        "cached": {
            "value": reading.value,
            "hit": reading.hit,
            "pid": reading.pid,
            "seconds": store.READING_SECONDS,
            "type": current_app.config["CACHE_TYPE"],
        },
        "session": {"visits": session["visits"]},
        "request": {
            "scheme": request.scheme,
            "host": request.host,
            "remote_addr": request.remote_addr,
            "script_root": request.script_root,
            "headers": {
                name: value
                for name, value in request.headers.items()
                if name.startswith("X-Forwarded-") or name == "X-Request-Id"
            },
        },
    }


@bp.get("/")
def index() -> str:
    """Show the facts to a person."""
    return render_template("index.html", facts=facts())


@bp.get("/about.json")
def about() -> dict[str, Any]:
    """Tell the facts to a program."""
    return facts()


@bp.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that this process answers."""
    # Redis is not asked: an app without its cache is slower, not ill, and to take every
    # worker out of service for it would turn a hiccup into an outage.
    return {"status": "ok", "release": current_app.config["RELEASE"]}
