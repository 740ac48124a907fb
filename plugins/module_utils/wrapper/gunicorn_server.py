# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gunicorn's configuration file uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, NoReturn

from . import health, record
from .app import HEALTH_CHECK, LOGGED_PATH, build_application, logged_path
from .asgi import AsgiApplication
from .farewell import farewell
from .finder import find_asgi_app
from .gate import gate
from .kind import refuse
from .overdue import overdue
from .workers import Readiness, WorkerDiedError, report
from .wsgi import Environ, Wsgi

#: Exit code of a worker that cannot boot, Gunicorn's own: it then gives up instead of retrying.
BOOT_ERROR = 3


def cannot_boot(error: Exception) -> NoReturn:
    """End this worker, and with it the server."""
    report(error)
    raise SystemExit(BOOT_ERROR) from None


def for_gunicorn() -> Wsgi:
    """What a worker of Gunicorn serves; the worker ends when the app cannot be loaded."""
    try:
        return build_application(record.settings())
    except Exception as error:
        cannot_boot(error)


def for_asgi_workers() -> AsgiApplication:
    """The same for a worker that speaks ASGI."""
    try:
        config = record.settings()
        record.set_log_level()
        app = find_asgi_app(config["entrypoint"])
        refuse(app, asgi=True)
        return AsgiApplication(app, config)
    except Exception as error:
        cannot_boot(error)


def loaded(worker: Any, readiness: Readiness) -> None:
    """What a worker does when it has loaded the app; it ends when it may not serve.

    One that speaks ASGI passes the gate when the app's own start is over, of which the server tells
    the app itself.
    """
    farewell.belongs_to(worker)
    overdue.watch(worker)
    application = worker.asgi if hasattr(worker, "asgi") else worker.wsgi
    if isinstance(application, AsgiApplication):
        application.passed = lambda: readiness.worker_passed(worker.age)
        return
    try:
        gate(application)
    except Exception as error:
        cannot_boot(error)
    readiness.worker_passed(worker.age)


def died(server: Any, readiness: Readiness) -> None:
    """End the server when a worker has died before all of them had passed the gate.

    Gunicorn would replace it again and again, until the time for the start is over. A server that
    is stopped has closed its sockets.
    """
    if server.LISTENERS and not readiness.complete():
        from gunicorn.errors import HaltServer

        report(WorkerDiedError())
        raise HaltServer("A worker died.", BOOT_ERROR)


@cache
def _only_a_check() -> Callable[[Environ], bool]:
    return health.only_asks(record.settings())


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
        if LOGGED_PATH not in environ:  # by ASGI, whose server makes one for the log alone
            environ[LOGGED_PATH] = logged_path(environ, "utf-8")
            if _only_a_check()(environ):
                environ[HEALTH_CHECK] = "yes"
        if worth(str(response.status), environ):
            every(log, response, request, environ, took)

    Logger.access = access
