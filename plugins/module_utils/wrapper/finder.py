# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the app that an entrypoint names, or as Flask finds it."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

from .wsgi import Wsgi


def find_app(entrypoint: str) -> Wsgi:
    """The WSGI callable that ``entrypoint`` names; when empty, found as the ``flask`` command does.

    ``module:name`` may name any WSGI callable; ``module``, ``module:factory()`` and an empty
    entrypoint follow Flask's own rules, FLASK_APP, .flaskenv and .env included.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    named = _flask_environment()
    entrypoint = entrypoint or named
    plain = re.fullmatch(r"([\w.]+):([A-Za-z_]\w*)", entrypoint)
    if plain:
        found = getattr(importlib.import_module(plain[1]), plain[2], None)
        if callable(found) and not _is_factory(found):
            wsgi: Wsgi = found
            return wsgi
    from flask.cli import ScriptInfo

    app: Wsgi = ScriptInfo(app_import_path=entrypoint or None).load_app()
    return app


def _flask_environment() -> str:
    """FLASK_APP, after the app's own .flaskenv and .env were read the way Flask reads them."""
    try:
        from flask.cli import load_dotenv
    except ImportError:  # not a Flask app
        return os.environ.get("FLASK_APP", "")
    if os.environ.get("FLASK_SKIP_DOTENV", "").lower() not in {"1", "true", "t", "yes"}:
        load_dotenv()
    return os.environ.get("FLASK_APP", "")


def _is_factory(found: Any) -> bool:
    """A plain function of at most optional arguments is an app factory, not a WSGI callable."""
    code = getattr(found, "__code__", None)
    if code is None:
        return False
    required = code.co_argcount - len(found.__defaults__ or ())
    return bool(required != 2)
