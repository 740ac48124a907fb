# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gunicorn's configuration file uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from . import record
from .app import HEALTH_CHECK, build_application
from .gate import gate
from .workers import report
from .wsgi import Environ, Wsgi

#: Exit code of a worker that cannot boot, Gunicorn's own: it then gives up instead of retrying.
BOOT_ERROR = 3


def for_gunicorn() -> Wsgi:
    """What a worker of Gunicorn serves; the worker ends when the app cannot be loaded."""
    try:
        return build_application(record.settings())
    except Exception as error:
        report(error)
        raise SystemExit(BOOT_ERROR) from None


def gate_or_exit(application: Wsgi) -> None:
    """The gate for a worker process: it ends when it may not serve."""
    try:
        gate(application)
    except Exception as error:
        report(error)
        raise SystemExit(BOOT_ERROR) from None


def worth_logging(status: str, environ: Environ) -> bool:
    """Whether a request belongs into Gunicorn's access log: health checks when they fail."""
    return HEALTH_CHECK not in environ or status >= "400"


def has_failed(status: str, _environ: Environ) -> bool:
    """Whether a request failed."""
    return status >= "500"


def log_only(worth: Callable[[str, Environ], bool]) -> None:
    """Have Gunicorn's access log tell of those requests alone.

    A filter of the log is asked when all fields of a line are there, for which Gunicorn takes as
    long as for a small view. Gunicorn's class is changed, because a logger that somebody chose, as
    the one of StatsD, builds on it and has more to do than a line.
    """
    from gunicorn.glogging import Logger

    every = getattr(Logger.access, "__wrapped__", Logger.access)

    @wraps(every)
    def access(log: Any, response: Any, request: Any, environ: Environ, took: Any) -> None:
        if worth(str(response.status), environ):
            every(log, response, request, environ, took)

    Logger.access = access
