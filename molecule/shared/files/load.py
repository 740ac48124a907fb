#!/usr/bin/env python3
"""Ask a server for a bounded time, with and without keep-alive, and count what was not a 200.

load.py SOCKET|HOST:PORT SECONDS: prints a JSON object of counts; every error's text is a key of
its own. SIGTERM ends it before the time is over.
"""

from __future__ import annotations

import collections
import http.client
import json
import signal
import socket
import sys
import threading
import time

PAUSE = 0.01  # seconds between two requests of a client
PATIENCE = 30  # seconds for one answer
SLOW = "/slow?s=2"
ENOUGH = threading.Event()


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket or TCP."""

    def connect(self) -> None:
        """Connect to the address named on the command line."""
        host, _, port = sys.argv[1].rpartition(":")
        unix = sys.argv[1].startswith("/")
        self.sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(sys.argv[1] if unix else (host, int(port)))


def client(path: str, method: str, keep: bool, until: float, counts: collections.Counter) -> None:
    """Ask until the time is over; a new connection each time unless told to keep it."""
    connection = Connection("localhost")
    while time.monotonic() < until and not ENOUGH.is_set():
        try:
            body = b"x" * 64 if method == "POST" else None
            connection.request(method, path, body, {} if keep else {"Connection": "close"})
            answer = connection.getresponse()
            answer.read()
            counts[str(answer.status)] += 1
        except (OSError, http.client.HTTPException) as error:
            counts[f"{type(error).__name__}: {error}"] += 1
            connection.close()
        if not keep:
            connection.close()
        time.sleep(PAUSE)
    connection.close()


def main() -> None:
    """Run all clients and print what they counted."""
    signal.signal(signal.SIGTERM, lambda *_: ENOUGH.set())
    counts: collections.Counter = collections.Counter()
    until = time.monotonic() + float(sys.argv[2])
    kinds = [(path, method, keep) for path in ("/", SLOW) for method in ("GET", "POST")
             for keep in (True, False)]
    clients = [threading.Thread(target=client, args=(*kind, until, counts)) for kind in kinds * 2]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
