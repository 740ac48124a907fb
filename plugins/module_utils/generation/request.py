# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A GET over a unix socket or TCP, in HTTP or in the uwsgi protocol."""

from __future__ import annotations

import http.client
import socket
import struct
import urllib.parse
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.socket_path)


def ask(
    place: Path | str, target: str, headers: dict[str, str], seconds: float, protocol: str = "http"
) -> tuple[int, bytes, dict[str, str]]:
    """GET ``target`` of a place: status, body and headers; OSError or HTTPException.

    The place is the path of a unix socket, or ``address:port``. The answer is HTTP with either
    protocol; only the request differs.
    """
    connection = (
        UnixConnection(str(place), seconds)
        if str(place).startswith("/")
        else http.client.HTTPConnection(str(place), timeout=seconds)
    )
    try:
        if protocol == "uwsgi":
            connection.connect()
            connection.sock.sendall(uwsgi_request(target, headers))
            answer = http.client.HTTPResponse(connection.sock, method="GET")
            answer.begin()
        else:
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
        # ASGI has names of headers in small letters.
        told = {name.title(): value for name, value in answer.headers.items()}
        return answer.status, answer.read(), told
    finally:
        connection.close()


def uwsgi_request(target: str, headers: dict[str, str]) -> bytes:
    """A GET as one packet of the uwsgi protocol: the size, then names and values with their sizes.

    ``Connection: close``, for without a length only the end of the connection ends the answer.
    """
    path, _, query = target.partition("?")
    variables = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": target,
        "PATH_INFO": urllib.parse.unquote(path),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": "",
    }
    sent = {**headers, "Connection": "close"}
    for name, value in sent.items():
        variables[f"HTTP_{name.upper().replace('-', '_')}"] = value
    packet = b""
    for name, value in variables.items():
        for part in (name.encode(), value.encode()):
            packet += struct.pack("<H", len(part)) + part
    return struct.pack("<BHB", 0, len(packet), 0) + packet
