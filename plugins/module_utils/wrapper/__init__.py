# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the app's own processes, between the WSGI server and the app.

The switch copies this package into every generation as ``flaskops_wsgi``, beside
``generation.json``. Gunicorn serves ``flaskops_wsgi:application``, or ``asgi_application``, and
calls ``loaded`` in each worker before it accepts a request. The unit of uWSGI runs ``launch.py``,
and each of its workers gets the app from ``for_uwsgi()``.

It runs with the app's Python, 3.9 or newer, and imports the standard library only. Flask and
Werkzeug are the app's own, and a plain ``module:callable`` needs neither.

Files import downwards only, and nothing imports this one::

    gunicorn_server  uwsgi_server        what a server calls
    app  asgi                            the app as it is served
    workers                              what the workers share
    gate                                 the health check within a worker
    finder  peers  static  health        one job each
    farewell  overdue  keys  kind  launch  record  wsgi
"""

from __future__ import annotations

from typing import Any

from .gunicorn_server import (
    died,
    for_asgi_workers,
    for_gunicorn,
    has_failed,
    loaded,
    log_only,
    worth_logging,
)
from .launch import default_workers
from .uwsgi_server import for_uwsgi
from .workers import Readiness

__all__ = [
    "Readiness",
    "default_workers",
    "died",
    "for_uwsgi",
    "has_failed",
    "loaded",
    "log_only",
    "worth_logging",
]

#: A generation with another version of this package is another generation, so raising it restarts
#: every app with the next run. Raise it whenever apps have to run with what was changed.
VERSION = 2


#: What is built when a worker asks for it, not when this package is imported.
_BUILT = {"application": for_gunicorn, "asgi_application": for_asgi_workers}


def __getattr__(name: str) -> Any:
    if name not in _BUILT:
        raise AttributeError(name)
    return globals().setdefault(name, _BUILT[name]())
