# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gunicorn's configuration file uses."""

from __future__ import annotations

import logging
from typing import Any

from . import record
from .app import HEALTH_CHECK, build_application
from .gate import gate
from .workers import report
from .wsgi import Wsgi

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


def worth_logging(line: logging.LogRecord) -> bool:
    """Whether a line belongs into Gunicorn's access log: health checks when they fail."""
    told: Any = line.args
    return f"{{{HEALTH_CHECK}}}e" not in told or str(told["s"]) >= "400"


def has_failed(line: logging.LogRecord) -> bool:
    """Whether a line of Gunicorn's access log is of a request that failed."""
    told: Any = line.args
    return str(told["s"]) >= "500"
