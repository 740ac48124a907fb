"""An upstream that answers with what it was asked: method, path, headers, size of the body."""

from __future__ import annotations

import itertools
import json
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

CONNECTIONS = itertools.count(1)


class Echo(BaseHTTPRequestHandler):
    """Answers every request with JSON; /slow?s=SECONDS takes its time first."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection_number = next(CONNECTIONS)

    def answer(self) -> None:
        """Say what came in."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if url.path == "/slow":
            time.sleep(float(parse_qs(url.query)["s"][0]))
        text = json.dumps(
            {
                "method": self.command,
                "path": self.path,
                "headers": list(self.headers.items()),
                "body": len(body),
                "connection": self.connection_number,
                "filler": "x" * 2000,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = answer  # noqa: N815 - the names http.server asks for

    def address_string(self) -> str:
        return "nginx"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread a connection."""

    daemon_threads = True


if __name__ == "__main__":
    Server(sys.argv[1], Echo).serve_forever()
