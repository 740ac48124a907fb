# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the app's own processes, between the WSGI server and the app.

The switch copies this package into every generation as ``flaskops_wsgi``, beside
``generation.json``. Gunicorn serves ``flaskops_wsgi:application`` and calls ``gate_or_exit`` in
each worker before it accepts a request. The unit of uWSGI runs ``launch.py``, and each of its
workers gets the app from ``for_uwsgi()``.

It runs with the app's Python, 3.9 or newer, and imports the standard library only. Flask and
Werkzeug are the app's own, and a plain ``module:callable`` needs neither.

Files import downwards only, and nothing imports this one::

    gunicorn_server  uwsgi_server        what a server calls
    app                                  the app as it is served
    workers                              what the workers share
    gate                                 the health check within a worker
    finder  peers  static  health        one job each
    launch  record  wsgi
"""

from __future__ import annotations

from typing import Any

from .gunicorn_server import for_gunicorn, gate_or_exit, has_failed, log_only, worth_logging
from .launch import default_workers
from .uwsgi_server import for_uwsgi
from .workers import Readiness

__all__ = [
    "Readiness",
    "default_workers",
    "for_uwsgi",
    "gate_or_exit",
    "has_failed",
    "log_only",
    "worth_logging",
]

#: A generation with another version of this package is another generation, so raising it restarts
#: every app with the next run. Raise it whenever apps have to run with what was changed.
VERSION = 1


def __getattr__(name: str) -> Any:
    """``application`` is built when a worker asks for it, not when this package is imported."""
    if name != "application":
        raise AttributeError(name)
    return globals().setdefault(name, for_gunicorn())
