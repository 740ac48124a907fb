"""Pulse: a page that shows which release, server and cache answered it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response

from . import probes, store, views


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app from the environment; `config` goes over it.

    Raises RuntimeError when there is no SECRET_KEY outside debug and test mode.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        CACHE_KEY_PREFIX="pulse:",
        MAX_CONTENT_LENGTH=10 * 1024 * 1024,
        REDIS_URL=os.environ.get("REDIS_URL", ""),
        RELEASE=os.environ.get("FLASKOPS_RELEASE") or "development",
        REVISION=os.environ.get("FLASKOPS_REVISION") or "development",
        GENERATION=os.environ.get("FLASKOPS_GENERATION") or None,
        SESSION_COOKIE_SAMESITE="Lax",
        TEST_VIEWS=False,
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})

    if not app.config["SECRET_KEY"]:
        if not (app.debug or app.testing):
            raise RuntimeError(
                "SECRET_KEY is not set, so sessions cannot be signed: set FLASK_SECRET_KEY to a"
                " long random value, or FLASK_DEBUG=1 to develop without one"
            )
        app.config["SECRET_KEY"] = "development"  # known to all; a fixed one outlives reloads

    store.init_app(app)
    app.register_blueprint(views.bp)
    if app.config["TEST_VIEWS"]:
        app.register_blueprint(probes.bp)

    @app.after_request
    def restrict(response: Response) -> Response:
        # Only the app knows that all it loads is its own.
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    return app
