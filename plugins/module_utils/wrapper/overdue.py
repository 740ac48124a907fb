# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that take too long, in a worker with threads.

Gunicorn replaces a worker that does not answer its heartbeat. With threads that goes on whatever
the requests do: when all of them hang, the worker accepts and answers nothing.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from .wsgi import Environ

#: Seconds between two looks.
LOOK = 1.0
#: What Gunicorn calls a worker that has threads.
THREADED = "ThreadWorker"


class Overdue:
    """The requests that run in this worker."""

    def __init__(self) -> None:
        #: By thread: when a request began, what it asks for, and whether it was told.
        self.running: dict[int, list[Any]] = {}

    def begins(self, environ: Environ, path: str) -> int:
        """A request begins; what it is called until it is over."""
        thread = threading.get_ident()
        self.running[thread] = [time.monotonic(), f"{environ['REQUEST_METHOD']} {path}", False]
        return thread

    def ends(self, thread: int) -> None:
        """It is over: what follows is only sent."""
        self.running.pop(thread, None)

    def watch(self, worker: Any) -> None:
        """Look after a worker of Gunicorn, when it has threads and a limit."""
        if worker.cfg.timeout > 0 and type(worker).__name__ == THREADED:
            threading.Thread(target=self._watch, args=(worker,), daemon=True).start()

    def _watch(self, worker: Any, end: Callable[[int], Any] = os._exit) -> None:
        limit, threads = worker.cfg.timeout, worker.cfg.threads
        while True:
            time.sleep(LOOK)
            late = self._late(limit)
            for thread, request in late.items():
                if not request[2]:
                    request[2] = True
                    _say(
                        f"{request[1]} has taken longer than {limit} s (gunicorn_timeout):", thread
                    )
            if len(late) >= threads:
                _say(f"All {threads} threads hang: the worker is replaced")
                end(1)
                return

    def _late(self, limit: float) -> dict[int, list[Any]]:
        latest = time.monotonic() - limit
        return {thread: one for thread, one in list(self.running.items()) if one[0] < latest}


def _say(text: str, thread: int = 0) -> None:
    """A line for the log, and where a thread is."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - Python documents it
    stack = "".join(traceback.format_stack(frame)) if frame else ""
    sys.stderr.write(f"{text}\n{stack}")
    sys.stderr.flush()


#: Those of this process.
overdue = Overdue()
