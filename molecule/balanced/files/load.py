#!/usr/bin/env python3
"""Visitors of several web servers: load.py SECONDS KEEP|NEW ADDRESS..., ended early by SIGTERM.

They speak TLS and trust /opt/site.pem. Half of them GET, half POST orders, each order with a name of its own and never again. Prints
JSON: how many answers of each kind (an error's text is one), the orders that were confirmed and
those that were not, and the longest time an answer took.
"""

from __future__ import annotations

import collections
import http.client
import itertools
import json
import signal
import socket
import ssl
import sys
import threading
import time

VISITORS = 4  # of each method
PAUSE = 0.05  # seconds between two requests of a visitor
PATIENCE = 60  # seconds for one answer
NAME = "pulse.example"
HEADERS = {"Host": NAME}
TRUSTED = "/opt/site.pem"
# An order of an earlier run that was left in some queue must not count for this one.
RUN = time.time_ns()
ENOUGH = threading.Event()


class Connection(http.client.HTTPConnection):
    """Over TLS, to an address for the site's name."""

    context: ssl.SSLContext

    def connect(self) -> None:
        """Connect, and have the server prove that it is the site."""
        plain = socket.create_connection((self.host, 443), self.timeout)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=NAME)
        except OSError:
            plain.close()
            raise


class Visitors:
    """What all of them have met together."""

    def __init__(self, keep: bool, addresses: list[str]) -> None:
        self.keep = keep
        self.addresses = addresses
        self.counts: collections.Counter = collections.Counter()
        self.confirmed: list[str] = []
        self.unsure: list[str] = []
        self.longest = 0.0

    def visit(self, number: int, method: str, until: float) -> None:
        """Ask one server after the other until the time is over."""
        connections: dict[str, Connection] = {}
        for turn in itertools.count(number):
            if time.monotonic() > until or ENOUGH.is_set():
                break
            address = self.addresses[turn % len(self.addresses)]
            if address not in connections:
                connections[address] = Connection(address, timeout=PATIENCE)
            connection = connections[address]
            order = f"order-{RUN}-{number}-{turn}"
            path = f"/count?name={order}" if method == "POST" else ("/", "/slow?s=1")[turn % 8 == 0]
            started = time.monotonic()
            try:
                more = {} if self.keep else {"Connection": "close"}
                connection.request(method, path, b"" if method == "POST" else None, HEADERS | more)
                answer = connection.getresponse()
                answer.read()
                outcome = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                outcome = f"{type(error).__name__}: {error}"
                connection.close()
            if not self.keep:
                connection.close()
            self.counts[f"{method} {outcome}"] += 1
            self.longest = max(self.longest, time.monotonic() - started)
            if method == "POST":
                (self.confirmed if outcome == "200" else self.unsure).append(order)
            time.sleep(PAUSE)


def main() -> None:
    """Run all visitors and print what they met."""
    signal.signal(signal.SIGTERM, lambda *_: ENOUGH.set())
    visitors = Visitors(sys.argv[2] == "KEEP", sys.argv[3:])
    Connection.context = ssl.create_default_context(cafile=TRUSTED)
    until = time.monotonic() + float(sys.argv[1])
    threads = [
        threading.Thread(target=visitors.visit, args=(2 * n + (method == "POST"), method, until))
        for n in range(VISITORS)
        for method in ("GET", "POST")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = ("counts", "confirmed", "unsure", "longest")
    print(json.dumps({name: getattr(visitors, name) for name in told}))


if __name__ == "__main__":
    main()
