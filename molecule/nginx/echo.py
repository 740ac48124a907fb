"""An upstream that answers with what it was asked: method, path, headers, size of the body.

A query can ask for more: s, seconds to wait; status; and header, as in header=Vary:Cookie. A file
beside the socket, pages-a for /pages/a, says the status of a page as well.
"""

from __future__ import annotations

import itertools
import json
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SOCKET = Path(sys.argv[1])
CONNECTIONS = itertools.count(1)
REQUESTS = itertools.count(1)


class Echo(BaseHTTPRequestHandler):
    """Answers every request with JSON."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection_number = next(CONNECTIONS)

    def answer(self) -> None:
        """Say what came in."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        wanted = parse_qs(url.query)
        time.sleep(float(wanted.get("s", ["0"])[0]))
        text = json.dumps(
            {
                "method": self.command,
                "path": self.path,
                "headers": list(self.headers.items()),
                "body": len(body),
                "connection": self.connection_number,
                "number": next(REQUESTS),
                "filler": "x" * 2000,
            }
        ).encode()
        told = SOCKET.with_name(url.path.strip("/").replace("/", "-") or "top")
        status = told.read_text() if told.is_file() else wanted.get("status", ["200"])[0]
        self.send_response(int(status))
        for header in wanted.get("header", []):
            self.send_header(*header.split(":", 1))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names http.server asks for

    def address_string(self) -> str:
        return "nginx"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread a connection."""

    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    Server(str(SOCKET), Echo).serve_forever()
