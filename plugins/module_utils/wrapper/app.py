# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The app as the server calls it: behind its proxies, its static files and the check of peers."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import health, record
from .farewell import closer, farewell, is_websocket
from .finder import find_app
from .keys import has_own_key
from .kind import refuse
from .overdue import overdue
from .peers import UNIT, Peers
from .static import with_published
from .wsgi import Environ, StartResponse, Wsgi

#: Server-Sent Events, and the header by which nginx passes each one on as it comes.
STREAM = "text/event-stream"
STREAMED = ("X-Accel-Buffering", "no")
#: The connection of a request, from Gunicorn.
SOCKET = "gunicorn.socket"
#: Where Gunicorn's log finds the path.
LOGGED_PATH = "flaskops.path"
#: Where Gunicorn's log finds that a request only asked whether the app is well.
HEALTH_CHECK = "flaskops.health_check"


def build_application(config: dict[str, Any], directory: Path | None = None) -> Wsgi:
    """The app behind its proxies, naming its release to who knows the generation's token."""
    record.set_log_level()
    app = find_app(config["entrypoint"])
    refuse(app, asgi=False)
    told_of_it = [(health.KEY_HEADER, health.OWN_KEY)] if has_own_key(app) else []
    hops = config["proxy_hops"]
    if hops > 0:
        from werkzeug.middleware.proxy_fix import ProxyFix

        app = ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops)
    app = with_published(app, directory or record.own_directory())
    if config.get("protocol") == "uwsgi":
        app = _decoded_once(app)
    token, release = config["token"], config["release"]
    peers = Peers(os.environ.get(UNIT, ""))
    only_a_check = health.only_asks(config)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ[LOGGED_PATH] = logged_path(environ)
        if only_a_check(environ):
            environ[HEALTH_CHECK] = "yes"
        if not peers.may_ask(environ):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This host may not ask.\n"]
        known = environ.get(health.TOKEN_HEADER) == token

        def told(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if known:
                headers = [*headers, (health.RELEASE_HEADER, release), *told_of_it]
            if any(v.startswith(STREAM) and k.lower() == "content-type" for k, v in headers):
                headers = [*headers, STREAMED]
            return start_response(status, headers, *rest)

        if is_websocket(environ) and SOCKET in environ:
            with farewell.until_then(closer(environ[SOCKET])):
                return app(environ, told)
        thread = overdue.begins(environ, environ[LOGGED_PATH])
        try:
            return app(environ, told)
        finally:
            overdue.ends(thread)

    return application


def logged_path(environ: Environ, encoding: str = "latin-1") -> str:
    """The path for the log, quoted: the servers' own variables have a line break in it as it is.

    Without the query, which can hold secrets.
    """
    path = environ.get("PATH_INFO", "")
    return urllib.parse.quote(path, safe="/!$&'()*+,;=:@~", encoding=encoding, errors="replace")


def _decoded_once(app: Wsgi) -> Wsgi:
    """Undo what Gunicorn 27 does to a path that came over the uwsgi protocol: it decodes it again.

    RAW_URI, which only Gunicorn sets, then holds the path as the web server decoded it.
    """

    def decoded(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if "RAW_URI" in environ:
            query = environ.get("QUERY_STRING", "")
            uri = environ["RAW_URI"]
            path = uri[: -len(query) - 1] if query else uri
            environ["PATH_INFO"] = path.removeprefix(environ.get("SCRIPT_NAME", ""))
        return app(environ, start_response)

    return decoded
