# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts may connect over TCP."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from .wsgi import Environ

#: The environment says which unit lists the peers, in a section that systemd leaves to others.
UNIT = "FLASKOPS_UNIT"
PEERS_KEY = "AllowedPeers="
#: Seconds between two looks at that list, and how many refused peers get a line in the log.
LOOK_AT_PEERS = 1.0
REFUSALS_TOLD = 100


class Peers:
    """Who may ask over TCP: the addresses and networks that the app's unit lists, and this host.

    Without a list anyone may, and over a unix socket its mode decides. The list is in none of the
    generations: a host that joins the web tier can ask at once, also after a rollback.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.listed: str | None = None
        self.looked = 0.0
        #: The networks, and what was found of peers by them: replaced together.
        self.judged: tuple[list[Any], dict[str, bool]] = ([], {})

    def may_ask(self, environ: Environ) -> bool:
        """Whether this request may reach the app; when not, its connection ends after it."""
        if not self._are_listed():
            return True
        with ExitStack() as opened:
            connection = _connection(environ, opened)
            try:
                address, own = _ends(connection, environ)
            except OSError:  # it has gone away
                return False
            allowed = self._is_one(address, own)
            if not allowed and connection:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
        return allowed

    def may_come(self, address: str, own: str) -> bool:
        """Whether a peer that the server itself names may ask, at this end of its connection."""
        return not self._are_listed() or self._is_one(address, own)

    def _is_one(self, address: str, own: str) -> bool:
        if address == own:
            return True
        known = self.judged[1].get(address)
        return self._judge(address, *self.judged) if known is None else known

    def _are_listed(self) -> bool:
        """Whether there is a list, read when it is time; when it cannot be, the last one holds."""
        now = time.monotonic()
        if not self.unit or (self.listed is not None and now - self.looked < LOOK_AT_PEERS):
            return bool(self.listed)
        self.looked = now
        try:
            text = Path(self.unit).read_text(encoding="utf-8")
        except OSError:
            text = f"{PEERS_KEY}{self.listed}" if self.listed is not None else f"{PEERS_KEY}::1"
        lines = [line for line in text.splitlines() if line.startswith(PEERS_KEY)]
        listed = lines[0].removeprefix(PEERS_KEY) if lines else ""
        if listed != self.listed:
            networks = []
            for one in listed.split():
                with suppress(ValueError):  # what is no address lets nobody in
                    networks.append(ipaddress.ip_network(one, strict=False))
            self.judged = (networks, {})
            self.listed = listed
        return bool(self.listed)

    def _judge(self, text: str, networks: list[Any], known: dict[str, bool]) -> bool:
        address: Any = ipaddress.ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        local = address.is_loopback or address.is_unspecified
        allowed = local or any(address in one for one in networks)
        if len(known) < REFUSALS_TOLD:
            known[text] = allowed
            if not allowed:
                sys.stderr.write(f"Refused {text}: it is not among the peers that may ask\n")
                sys.stderr.flush()
        return allowed


def _connection(environ: Environ, opened: ExitStack) -> Any:
    """The socket of a request, None where the server does not give it.

    REMOTE_ADDR will not do: in the uwsgi protocol it is what the peer says of itself.
    """
    if "uwsgi.version" in environ:
        import uwsgi

        return opened.enter_context(socket.socket(fileno=os.dup(uwsgi.connection_fd())))
    return environ.get("gunicorn.socket")


def _ends(connection: Any, environ: Environ) -> tuple[str, str]:
    """Addresses of the peer and of this end; a unix socket has none, on either."""
    if connection is None:
        return environ.get("REMOTE_ADDR", ""), ""
    names = (connection.getpeername(), connection.getsockname())
    peer, own = (name[0] if isinstance(name, tuple) else "" for name in names)
    return peer, own
