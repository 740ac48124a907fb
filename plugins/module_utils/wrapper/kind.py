# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an app speaks WSGI or ASGI, and what to say of one that speaks the other."""

from __future__ import annotations

import inspect
from typing import Any

ONLY_ASGI = (
    "found {name}, which speaks ASGI: set gunicorn_worker_class: asgi, which Gunicorn serves it "
    "with, or name a WSGI app with flask_app_entrypoint"
)
ONLY_WSGI = (
    "found {name}, which speaks WSGI: set gunicorn_worker_class: gthread, which Gunicorn serves it "
    "with, or name an ASGI app with flask_app_entrypoint"
)


class WrongKindError(Exception):
    """The app does not speak what its server speaks."""


def is_asgi(app: Any) -> bool:
    """Whether an app is called as ASGI 3 has it, by a coroutine."""
    called = app if inspect.isroutine(app) else inspect.getattr_static(type(app), "__call__", None)
    return inspect.iscoroutinefunction(called)


def refuse(app: Any, *, asgi: bool) -> None:
    """WrongKindError unless the app speaks what the server does."""
    found = is_asgi(app)
    if found != asgi:
        name = getattr(app, "__name__", type(app).__name__)
        raise WrongKindError((ONLY_ASGI if found else ONLY_WSGI).format(name=name))
