"""Apps and requests for the tests of the wrapper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.record import SETTINGS_FILE
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.wsgi import Wsgi

HEALTH = {
    "path": "/healthz",
    "host": "shop.example.org",
    "scheme": "https",
    "status": [],
    "text": "",
    "timeout": 1,
    "probes": 1,
}


def recorded(entrypoint: str, **more: Any) -> dict[str, Any]:
    """What the switch records for a generation."""
    plain = {"entrypoint": entrypoint, "proxy_hops": 0, "token": "t", "release": "r"}
    return {**plain, "health": HEALTH, **more}


def app_file(name: str, text: str) -> None:
    """Write a file of the app, which is the current directory."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def ask(app: Wsgi, path: str = "/", **extra: str) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    seen: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        seen[:] = [status, dict(headers)]

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        **extra,
    }
    body = b"".join(app(environ, start_response))
    return seen[0], seen[1], body


def plain(status: str, body: bytes = b"") -> Wsgi:
    """An app that answers everything alike."""

    def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return [body]

    return app


FLASK = (
    "import flask\n"
    "{name} = flask.Flask(__name__)\n"
    "{name}.add_url_rule('/', view_func=lambda: '{say}')\n"
)


def generation(tmp_path: Path, **health: Any) -> Path:
    """Record a generation in a directory."""
    told = {"health": HEALTH | health, "proxy_hops": 1}
    (tmp_path / SETTINGS_FILE).write_text(json.dumps(told), encoding="utf-8")
    return tmp_path


class Connection:
    """A request's socket: whose ends these are, and whether it was told to end."""

    def __init__(self, peer: Any, own: Any = ("192.0.2.1", 8000)) -> None:
        self.peer, self.own, self.ended = peer, own, False

    def getpeername(self) -> Any:
        if isinstance(self.peer, OSError):
            raise self.peer
        return self.peer

    def getsockname(self) -> Any:
        return self.own

    def shutdown(self, _how: int) -> None:
        self.ended = True
