"""Views for tests of the servers in front of the app, off unless FLASK_TEST_VIEWS=true.

Anyone could use them to hold workers or to fill the disk, so no real site may have them.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from flask import Blueprint, abort, current_app, request

from . import store

bp = Blueprint("probes", __name__)
_lock = Lock()
_posts: Counter[str] = Counter()


@bp.get("/slow")
def slow() -> dict[str, float]:
    """Answer after `s` seconds, at most 10."""
    seconds = request.args.get("s", 1.0, type=float)
    if not 0 <= seconds <= 10:
        abort(400, "s must be a number of seconds from 0 to 10")
    time.sleep(seconds)
    return {"slept": seconds}


@bp.post("/upload")
def upload() -> tuple[dict[str, Any], int]:
    """Keep the form's `file`, or else the body, under its SHA-256 in the instance folder."""
    folder = Path(current_app.instance_path, "uploads")
    folder.mkdir(parents=True, exist_ok=True)
    file = request.files.get("file")
    source = file.stream if file else request.stream
    digest = hashlib.sha256()
    size = 0
    part = folder / f".{uuid4().hex}"
    try:
        with part.open("xb") as target:
            while chunk := source.read(65536):
                digest.update(chunk)
                size += target.write(chunk)
        part.rename(folder / digest.hexdigest())
    finally:
        part.unlink(missing_ok=True)
    return {"size": size, "sha256": digest.hexdigest()}, 201


@bp.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo() -> dict[str, Any]:
    """Say what arrived."""
    return {
        "method": request.method,
        "url": request.url,
        "scheme": request.scheme,
        "host": request.host,
        "script_root": request.script_root,
        "remote_addr": request.remote_addr,
        "headers": dict(request.headers),
        "body_size": len(request.get_data()),
    }


@bp.route("/count", methods=["GET", "POST"])
def count() -> dict[str, Any]:
    """Count a POST, under `name`; GET only reads. In Redis if there is one, else in here."""
    step = 1 if request.method == "POST" else 0
    name = request.args.get("name", "posts")
    if current_app.extensions["redis"] is not None:
        posts = store.count(name, step)
        return {"count": posts.value, "error": posts.error}
    with _lock:
        _posts[name] += step
        return {"count": _posts[name], "error": None}
