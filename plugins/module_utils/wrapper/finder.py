# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the app that an entrypoint names, or as Flask finds it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

from .kind import is_asgi
from .wsgi import Wsgi

PLAIN = re.compile(r"([\w.]+):([A-Za-z_]\w*)(\(\))?")
#: Where an ASGI app may be that nobody names: modules, their variables and their factories.
ASGI_MODULES = ("asgi", "app", "wsgi", "main")
ASGI_NAMES = ("app", "application", "asgi_app", "asgi")
FACTORIES = ("create_app", "make_app")


def find_app(entrypoint: str) -> Wsgi:
    """The WSGI callable that ``entrypoint`` names; when empty, found as the ``flask`` command does.

    ``module:name`` may name any WSGI callable; ``module``, ``module:factory()`` and an empty
    entrypoint follow Flask's own rules, FLASK_APP, .flaskenv and .env included. An ASGI app is
    found where there is no app of Flask.
    """
    entrypoint = _prepared(entrypoint)
    plain = PLAIN.fullmatch(entrypoint)
    if plain and not plain[3]:
        found = getattr(importlib.import_module(plain[1]), plain[2], None)
        if callable(found) and not _is_factory(found):
            wsgi: Wsgi = found
            return wsgi
    from flask.cli import NoAppException, ScriptInfo

    app: Wsgi
    try:
        app = ScriptInfo(app_import_path=entrypoint or None).load_app()
    except NoAppException:
        app = _asgi_app(entrypoint)
        if app is None:
            raise
    return app


def find_asgi_app(entrypoint: str) -> Any:
    """The ASGI app that ``entrypoint`` names, else the one of the usual names.

    Where there is none it is whatever ``find_app`` finds.
    """
    prepared = _prepared(entrypoint)
    found = _asgi_app(prepared)
    return find_app(prepared) if found is None else found


def _prepared(entrypoint: str) -> str:
    """The entrypoint, or the one that the app's environment names, with its code to be imported."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    named = _flask_environment()
    return entrypoint or named or os.environ.get("QUART_APP", "")


def _asgi_app(entrypoint: str) -> Any:
    """An ASGI app, or None."""
    plain = PLAIN.fullmatch(entrypoint)
    if plain:
        found = getattr(importlib.import_module(plain[1]), plain[2], None)
        called = callable(found) and (plain[3] or _makes_apps(plain[2], found))
        made = found() if called and callable(found) else found
        return made if is_asgi(made) else None
    name = re.sub(r"\.py$", "", entrypoint).replace("/", ".")
    for module in [name] if name else ASGI_MODULES:
        with suppress(ModuleNotFoundError):
            if importlib.util.find_spec(module):
                return _asgi_app_in(importlib.import_module(module))
    return None


def _asgi_app_in(module: ModuleType) -> Any:
    """The ASGI app of a module: by its usual name, the only one, or what its factory makes."""
    for name in ASGI_NAMES:
        if is_asgi(found := getattr(module, name, None)) and not isinstance(found, type):
            return found
    others = [value for value in vars(module).values() if _is_asgi_object(value)]
    if len(others) == 1:
        return others[0]
    for name in FACTORIES:
        factory = getattr(module, name, None)
        if callable(factory) and _makes_apps(name, factory):
            made = factory()
            return made if is_asgi(made) else None
    return None


def _is_asgi_object(value: Any) -> bool:
    return is_asgi(value) and not isinstance(value, type) and not hasattr(value, "__code__")


def _makes_apps(name: str, found: Any) -> bool:
    """Whether a function is a factory by its name and by needing nothing."""
    return name in FACTORIES and _required(found) == 0


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
    return _required(found) not in (None, 2)


def _required(found: Any) -> int | None:
    """How many arguments a plain function has to be given; None for anything else."""
    code = getattr(found, "__code__", None)
    return code.co_argcount - len(found.__defaults__ or ()) if code else None
