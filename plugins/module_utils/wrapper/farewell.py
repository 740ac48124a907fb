# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends only when somebody ends it: WebSockets, which a worker that retires takes leave of."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .wsgi import Environ

#: A WebSocket's close frame with code 1001, "going away", of RFC 6455: clients connect again.
GOING_AWAY = 1001
CLOSE_FRAME = b"\x88\x02" + GOING_AWAY.to_bytes(2, "big")
#: Seconds before the end of the grace period at which they are told, so that they can answer.
LAST_WORDS = 2.0
#: Seconds between two looks at whether the worker retires.
LOOK = 0.5


class Farewell:
    """The WebSockets of this worker.

    A server waits for them as for any request and then cuts them off. They are closed properly a
    moment before.
    """

    def __init__(self) -> None:
        self.worker: Any = None
        self.closers: dict[object, Callable[[], None]] = {}
        self.watched = False

    def belongs_to(self, worker: Any) -> None:
        """The worker of Gunicorn whose end it is."""
        self.worker = worker

    @contextmanager
    def until_then(self, close: Callable[[], None]) -> Iterator[None]:
        """Have ``close`` called if the worker retires meanwhile, from another thread."""
        key = object()
        self.closers[key] = close
        if self.worker is not None and not self.watched:
            self.watched = True
            threading.Thread(target=self._watch, daemon=True).start()
        try:
            yield
        finally:
            del self.closers[key]

    def _watch(self) -> None:
        while self.worker.alive:
            time.sleep(LOOK)
        time.sleep(max(self.worker.cfg.graceful_timeout - LAST_WORDS, 0))
        for close in list(self.closers.values()):
            with suppress(OSError, RuntimeError):  # it has just ended
                close()


#: That of this process.
farewell = Farewell()


def is_websocket(environ: Environ) -> bool:
    """Whether a request wants to become a WebSocket."""
    return "HTTP_UPGRADE" in environ and environ["HTTP_UPGRADE"].lower() == "websocket"


def closer(connection: socket.socket) -> Callable[[], None]:
    """Close a WebSocket whose frames the app itself writes."""

    def close() -> None:
        connection.sendall(CLOSE_FRAME)

    return close
