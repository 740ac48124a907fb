"""A WSGI app without a framework, that tells how it is run."""

import json
import os
import sys
import time
from urllib.parse import parse_qs

STATUS = os.environ.get("HEALTH", "200 OK")
if os.environ.get("BROKEN") == "import":
    import no_such_module


def nice():
    try:
        return os.nice(1)
    except OSError as error:
        return error.strerror


def application(environ, start_response):
    path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
    if path == "/health":
        if os.environ.get("BROKEN") == "hang":
            time.sleep(600)
        start_response(STATUS, [("Content-Length", "2")])
        return [b"ok"]
    if path == "/slow":
        time.sleep(float(query["s"][0]))
    told = {
        "nice": nice() if path == "/nice" else None,
        "pid": os.getpid(),
        "uid": os.getuid(),
        "generation": os.environ["FLASKOPS_GENERATION"],
        "greeting": os.environ.get("GREETING"),
        "python": sys.executable,
        "multithread": environ["wsgi.multithread"],
        "server": environ.get("SERVER_SOFTWARE") or f"uwsgi/{environ['uwsgi.version'].decode()}",
        "method": environ["REQUEST_METHOD"],
        "path": path.encode("latin-1").decode(),
        "query": environ["QUERY_STRING"],
        "scheme": environ["wsgi.url_scheme"],
        "body": len(environ["wsgi.input"].read()) if path == "/body" else None,
        "headers": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
    }
    body = json.dumps(told).encode()
    # Without a length only the end of the connection, or of the chunks, ends the answer.
    start_response("200 OK", [] if path == "/long" else [("Content-Length", str(len(body)))])
    return [body]
