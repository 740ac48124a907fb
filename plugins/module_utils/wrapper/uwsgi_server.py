# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker of uWSGI runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from . import health, record
from .app import build_application, logged_path
from .gate import gate
from .workers import Readiness, report
from .wsgi import Environ, StartResponse, Wsgi

#: uWSGI's own, UWSGI_FAILED_APP_CODE: with ``need-app`` it then gives up instead of retrying.
UWSGI_BOOT_ERROR = 22
#: In uWSGI's options: that requests are logged when they are to be, and not by themselves.
WE_LOG = "flaskops-log=wrapper"
#: Seconds between two looks at whether the other workers have passed.
LOOK_AGAIN = 0.02


def for_uwsgi() -> Wsgi:
    """What a worker of uWSGI serves, once every worker has loaded the app and passed the gate.

    The first to pass waits for the others: when one fails, uWSGI kills all, and none may be in the
    middle of a request.
    """
    import uwsgi

    # For what the app starts itself: uWSGI has put the program there that it runs in.
    sys.executable = os.path.join(sys.prefix, "bin", "python")
    readiness = Readiness(_first_workers(uwsgi.numproc, uwsgi.opt))
    try:
        readiness.worker_begins(uwsgi.worker_id())
        config = record.settings()
        built, only_a_check = build_application(config), health.only_asks(config)
        logs = WE_LOG in _given(uwsgi.opt, "set-placeholder")
        gate(built)
    except Exception as error:
        report(error)
        raise SystemExit(UWSGI_BOOT_ERROR) from None
    readiness.worker_passed(uwsgi.worker_id())
    while not readiness.complete():
        time.sleep(LOOK_AGAIN)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        uwsgi.set_logvar("path", logged_path(environ))
        if logs and not only_a_check(environ):  # what fails is logged in any case
            uwsgi.log_this_request()
        return built(environ, start_response)

    return application


def _first_workers(processes: int, options: dict[Any, Any]) -> int:
    """How many workers uWSGI starts with: fewer than there may be when it is told to be cheap."""
    for name in ("cheaper-initial", "cheaper"):
        for found in _given(options, name):
            return min(int(found), processes)
    return processes


def _given(options: dict[Any, Any], name: str) -> list[str]:
    """What uWSGI was given for an option, which it tells as text or bytes, or several as a list."""
    found = options.get(name, options.get(name.encode(), []))
    listed = found if isinstance(found, list) else [found]
    return [one.decode() if isinstance(one, bytes) else str(one) for one in listed]
