# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a generation that runs inside the app's own processes.

The switch writes this file into every generation as ``flaskops_wsgi.py``, beside
``generation.json``. Gunicorn serves ``flaskops_wsgi:application`` and calls ``gate`` in each worker
before it accepts a request. uWSGI is started by running this file; each of its workers gets the app
from ``for_uwsgi()``. Standard library only; Flask and Werkzeug are the app's own, and not needed
for a plain ``module:callable``.
"""

from __future__ import annotations

import importlib
import io
import ipaddress
import json
import logging
import mimetypes
import mmap
import os
import re
import signal
import socket
import stat
import sys
import time
import traceback
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

SETTINGS_FILE = "generation.json"
PROVED_FILE = "proved"
#: Only the switch knows the token; who sends it is told which release answers.
TOKEN_HEADER = "HTTP_X_FLASKOPS_TOKEN"
RELEASE_HEADER = "X-Flaskops-Release"
#: The environment says which unit lists the peers, in a section that systemd leaves to others.
UNIT = "FLASKOPS_UNIT"
PEERS_KEY = "AllowedPeers="
#: Seconds between two looks at that list, and how many refused peers get a line in the log.
LOOK_AT_PEERS = 1.0
REFUSALS_TOLD = 100
#: Where Gunicorn's log finds the path.
LOGGED_PATH = "flaskops.path"
#: Where Gunicorn's log finds that a request only asked whether the app is well.
HEALTH_CHECK = "flaskops.health_check"
#: The least that is logged, by Python's name for it, unless the app says otherwise itself.
LOG_LEVEL = "FLASKOPS_LOG_LEVEL"
#: Pattern of the paths whose content never changes, and how many seconds browsers keep any other.
STATIC_FINGERPRINT = "FLASKOPS_STATIC_FINGERPRINT"
STATIC_MAX_AGE = "FLASKOPS_STATIC_MAX_AGE"
#: Without these: what the roles flask_app and nginx have for them.
DEFAULT_FINGERPRINT = r"[.-][0-9a-f]{8,}([.][A-Za-z0-9]+)+$"
DEFAULT_MAX_AGE = "300"
#: What stands compressed beside a file, the smallest first: suffix and Content-Encoding.
COMPRESSED = ((b".br", "br"), (b".gz", "gzip"))
#: Types that not every Python knows.
MORE_TYPES = {
    ".avif": "image/avif",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
#: Bytes of a file that are read at a time.
BLOCK = 65536
#: Exit code of a worker that cannot boot, Gunicorn's own: it then gives up instead of retrying.
BOOT_ERROR = 3
#: uWSGI's own, UWSGI_FAILED_APP_CODE: with ``need-app`` it then gives up instead of retrying.
UWSGI_BOOT_ERROR = 22
#: How the line begins that says why a generation refuses to serve; the last is uWSGI's own.
REASONS = (
    "The app cannot be loaded: ",
    "Health check failed: ",
    "[strict-mode] unknown config directive: ",
)
#: What ``launch`` tells uWSGI and its workers in the environment.
SHARED_FD = "FLASKOPS_SHARED_FD"
NOTIFY_SOCKET = "FLASKOPS_NOTIFY_SOCKET"
PROCESSES = "FLASKOPS_PROCESSES"
#: In uWSGI's options: that requests are logged when they are to be, and not by themselves.
WE_LOG = "flaskops-log=wrapper"
#: Seconds between two looks at whether the other workers have passed.
LOOK_AGAIN = 0.02
#: Bytes of a failing health answer that go into the error.
BODY_SHOWN = 400
#: Gunicorn documents (2 x cores) + 1 as the number of workers to start with.
WORKERS_PER_CORE = 2
#: Most workers that Gunicorn's design notes call useful for one app.
MOST_WORKERS = 12


class NotReadyError(Exception):
    """The app did not pass its own health check."""


def settings(directory: Path | None = None) -> dict[str, Any]:
    """What the switch recorded for this generation."""
    path = (directory or Path(__file__).resolve().parent) / SETTINGS_FILE
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def cores() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def default_workers() -> int:
    """Worker processes for this host: two per core and one more, at most twelve."""
    return min(WORKERS_PER_CORE * cores() + 1, MOST_WORKERS)


# --- finding the app -----------------------------------------------------------------------------


def find_app(entrypoint: str) -> Wsgi:
    """The WSGI callable that ``entrypoint`` names; when empty, found as the ``flask`` command does.

    ``module:name`` may name any WSGI callable; ``module``, ``module:factory()`` and an empty
    entrypoint follow Flask's own rules, FLASK_APP, .flaskenv and .env included.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    named = _flask_environment()
    entrypoint = entrypoint or named
    plain = re.fullmatch(r"([\w.]+):([A-Za-z_]\w*)", entrypoint)
    if plain:
        found = getattr(importlib.import_module(plain[1]), plain[2], None)
        if callable(found) and not _is_factory(found):
            wsgi: Wsgi = found
            return wsgi
    from flask.cli import ScriptInfo

    app: Wsgi = ScriptInfo(app_import_path=entrypoint or None).load_app()
    return app


def _flask_environment() -> str:
    """FLASK_APP, after the app's own .flaskenv and .env were read the way Flask reads them."""
    try:
        from flask.cli import load_dotenv
    except ImportError:  # not a Flask app
        return os.environ.get("FLASK_APP", "")
    if os.environ.get("FLASK_SKIP_DOTENV", "").lower() not in {"1", "true", "t", "yes"}:
        load_dotenv()
    return os.environ.get("FLASK_APP", "")


def _is_factory(found: Any) -> bool:
    """A plain function of at most optional arguments is an app factory, not a WSGI callable."""
    code = getattr(found, "__code__", None)
    if code is None:
        return False
    required = code.co_argcount - len(found.__defaults__ or ())
    return bool(required != 2)


# --- the application the server serves -----------------------------------------------------------


def build_application(config: dict[str, Any], directory: Path | None = None) -> Wsgi:
    """The app behind its proxies, naming its release to who knows the generation's token."""
    if os.environ.get(LOG_LEVEL):
        logging.getLogger().setLevel(os.environ[LOG_LEVEL].upper())
    app = find_app(config["entrypoint"])
    hops = config["proxy_hops"]
    if hops > 0:
        from werkzeug.middleware.proxy_fix import ProxyFix

        app = ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops)
    app = with_published(app, directory or Path(__file__).resolve().parent)
    if config.get("protocol") == "uwsgi":
        app = _decoded_once(app)
    token, release = config["token"], config["release"]
    peers = Peers(os.environ.get(UNIT, ""))
    only_a_check = health_checks(config)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[LOGGED_PATH] = logged_path(environ)
        if only_a_check(environ):
            environ[HEALTH_CHECK] = "yes"
        if not peers.may_ask(environ):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This host may not ask.\n"]
        if environ.get(TOKEN_HEADER) != token:
            return app(environ, start_response)

        def named(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, (RELEASE_HEADER, release)], *rest)

        return app(environ, named)

    return application


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

    def may_ask(self, environ: dict[str, Any]) -> bool:
        """Whether this request may reach the app; when not, its connection ends after it."""
        self._look()
        if not self.listed:
            return True
        allowed: bool | None
        with ExitStack() as opened:
            connection = _connection(environ, opened)
            try:
                address, own = _ends(connection, environ)
            except OSError:  # it has gone away
                return False
            allowed = address == own or self.judged[1].get(address)
            if allowed is None:
                allowed = self._judge(address, *self.judged)
            if not allowed and connection:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
        return allowed

    def _look(self) -> None:
        """Read the list when it is time; when it cannot be read, the last one holds."""
        now = time.monotonic()
        if not self.unit or (self.listed is not None and now - self.looked < LOOK_AT_PEERS):
            return
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


def _connection(environ: dict[str, Any], opened: ExitStack) -> Any:
    """The socket of a request, None where the server does not give it.

    REMOTE_ADDR will not do: in the uwsgi protocol it is what the peer says of itself.
    """
    if "uwsgi.version" in environ:
        import uwsgi

        return opened.enter_context(socket.socket(fileno=os.dup(uwsgi.connection_fd())))
    return environ.get("gunicorn.socket")


def _ends(connection: Any, environ: dict[str, Any]) -> tuple[str, str]:
    """Addresses of the peer and of this end; a unix socket has none, on either."""
    if connection is None:
        return environ.get("REMOTE_ADDR", ""), ""
    names = (connection.getpeername(), connection.getsockname())
    peer, own = (name[0] if isinstance(name, tuple) else "" for name in names)
    return peer, own


def logged_path(environ: dict[str, Any]) -> str:
    """The path for the log, quoted: the servers' own variables have a line break in it as it is.

    Without the query, which can hold secrets.
    """
    path = environ.get("PATH_INFO", "")
    return urllib.parse.quote(path, safe="/!$&'()*+,;=:@~", encoding="latin-1", errors="replace")


def health_checks(config: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
    """Tells requests that only ask whether the app is well: the switch's, and for the health path.

    Unless that is ``/``. Visitors ask for it, as they do for the paths of further checks.
    """
    token = config["token"]
    path = config["health"]["path"].partition("?")[0]

    def only_a_check(environ: dict[str, Any]) -> bool:
        if environ.get(TOKEN_HEADER) == token:
            return True
        looks = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        return looks and environ.get("PATH_INFO") == path != "/"

    return only_a_check


def worth_logging(record: logging.LogRecord) -> bool:
    """Whether a line belongs into Gunicorn's access log: health checks when they fail."""
    told: Any = record.args
    return f"{{{HEALTH_CHECK}}}e" not in told or str(told["s"]) >= "400"


def _decoded_once(app: Wsgi) -> Wsgi:
    """Undo what Gunicorn 27 does to a path that came over the uwsgi protocol: it decodes it again.

    RAW_URI, which only Gunicorn sets, then holds the path as the web server decoded it.
    """

    def decoded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "RAW_URI" in environ:
            query = environ.get("QUERY_STRING", "")
            uri = environ["RAW_URI"]
            path = uri[: -len(query) - 1] if query else uri
            environ["PATH_INFO"] = path.removeprefix(environ.get("SCRIPT_NAME", ""))
        return app(environ, start_response)

    return decoded


def __getattr__(name: str) -> Any:
    """``application`` is built when a worker asks for it, not when this file is imported."""
    if name != "application":
        raise AttributeError(name)
    try:
        built = build_application(settings())
    except Exception as error:
        report(error)
        raise SystemExit(BOOT_ERROR) from None
    globals()["application"] = built
    return built


#: Memory of all workers: byte 0 is set by the first that could not load the app, byte n by worker n
#: when it has passed. Shared by fork; in uWSGI, whose workers import this file each for itself, by
#: the descriptor that ``launch`` left open.
_shared = mmap.mmap(int(os.environ.pop(SHARED_FD, "-1")), mmap.PAGESIZE)


def report(error: Exception) -> None:
    """Say once, not once a worker, why the generation refuses to serve."""
    if _shared[0]:
        return
    _shared[0] = 1
    if isinstance(error, NotReadyError):
        sys.stderr.write(f"{REASONS[1]}{error}\n")
    else:  # with the app's own frames, not ours and not the import system's
        frames = traceback.extract_tb(error.__traceback__)
        foreign = (__file__, "<frozen")
        own = [frame for frame in frames if not frame.filename.startswith(foreign)]
        sys.stderr.write("".join(traceback.format_list(own)))
        text = str(error).strip().splitlines() or [""]
        if len(text) > 1:  # Flask quotes the traceback of a failed import: its last line says why
            sys.stderr.write("".join(f"{line}\n" for line in text))
            text = [text[0], text[-1]]
        sys.stderr.write(f"{REASONS[0]}{type(error).__name__}: {' '.join(text)}\n")
    sys.stderr.flush()


# --- static files --------------------------------------------------------------------------------


def with_published(app: Wsgi, directory: Path) -> Wsgi:
    """The app, with its published files before it when there are any.

    A web host that does not run the app asks it for them.
    """
    roots = (directory / "release" / "public", directory.parent.parent / "assets")
    published = Published(app, *(os.fsencode(os.path.realpath(root)) for root in roots))
    return published if published.tops else app


class Published:
    """Answers for the files of the release, and for the fingerprinted ones of all that are kept.

    As nginx does where it has them: roles/nginx/templates/parts/pages.jinja.
    """

    def __init__(self, app: Wsgi, *roots: bytes) -> None:
        self.app = app
        self.roots = roots
        #: What stands at the top: no other path costs more than a look in here.
        self.tops = {name.decode("latin-1") for root in roots for name in _listed(root)}
        self.fingerprint = re.compile(os.environ.get(STATIC_FINGERPRINT, DEFAULT_FINGERPRINT))
        self.max_age = os.environ.get(STATIC_MAX_AGE, DEFAULT_MAX_AGE)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path[1:].partition("/")[0] in self.tops and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            found = self._find(path)
            if found:
                with suppress(OSError):  # it cannot be read
                    return self._answer(*found, environ, start_response)
        return self.app(environ, start_response)

    def _find(self, path: str) -> tuple[bytes, os.stat_result] | None:
        """Place and status of the file that a path names."""
        if not path.startswith("/") or "\0" in path:
            return None
        if not {"", ".", ".."}.isdisjoint(path[1:].split("/")):
            return None
        with suppress(UnicodeEncodeError):  # never by PEP 3333
            name = path.encode("latin-1")
            for root in self.roots:
                status = _regular(root + name)
                if status:
                    return root + name, status
        return None

    def _answer(
        self,
        place: bytes,
        status: os.stat_result,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> Iterable[bytes]:
        """The answer; an OSError comes before it has begun."""
        path = environ["PATH_INFO"]
        headers = [("Content-Type", _type(path)), ("Cache-Control", self._cache_control(path))]
        accepted = _accepted(environ.get("HTTP_ACCEPT_ENCODING", ""))
        variants = [(suffix, name, _regular(place + suffix)) for suffix, name in COMPRESSED]
        if any(variant for _, _, variant in variants):
            headers.append(("Vary", "Accept-Encoding"))
        for suffix, name, variant in variants:
            if variant and name in accepted:
                place, status = place + suffix, variant
                headers.append(("Content-Encoding", name))
                break
        # As nginx writes them, so that it does not matter who is asked.
        size, tag = status.st_size, f'"{int(status.st_mtime):x}-{status.st_size:x}"'
        modified = formatdate(int(status.st_mtime), usegmt=True)
        headers += [("ETag", tag), ("Last-Modified", modified), ("Accept-Ranges", "bytes")]
        if _known(environ, tag, modified):
            start_response("304 Not Modified", headers[1:])
            return []
        begin, end = _range(environ, size, tag, modified)
        if begin >= end and size:
            headers = [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")]
            start_response("416 Range Not Satisfiable", headers)
            return []
        headers.append(("Content-Length", str(end - begin)))
        whole = (begin, end) == (0, size)
        if not whole:
            headers.append(("Content-Range", f"bytes {begin}-{end - 1}/{size}"))
        file = io.FileIO(place)
        start_response("200 OK" if whole else "206 Partial Content", headers)
        if environ["REQUEST_METHOD"] == "HEAD" or not size:
            file.close()
            return []
        if whole and "wsgi.file_wrapper" in environ:
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, BLOCK)
            return wrapped
        return _blocks(file, begin, end)

    def _cache_control(self, path: str) -> str:
        if self.fingerprint.pattern and self.fingerprint.search(path):
            return "public, max-age=31536000, immutable"
        return f"public, max-age={self.max_age}"


def _type(path: str) -> str:
    """The Content-Type of a file; one that is compressed is not told to be what is in it."""
    kind, packed = mimetypes.guess_type(path)
    kind = kind or MORE_TYPES.get(os.path.splitext(path)[1].lower())
    return kind if kind and not packed else "application/octet-stream"


def _listed(root: bytes) -> list[bytes]:
    """What is in a directory, nothing when there is none."""
    try:
        return os.listdir(root)
    except OSError:
        return []


def _regular(place: bytes) -> os.stat_result | None:
    """The status of a regular file that no link leads to."""
    try:
        status = os.stat(place)
    except OSError:
        return None
    if stat.S_ISREG(status.st_mode) and os.path.realpath(place) == place:
        return status
    return None


def _accepted(header: str) -> set[str]:
    """Codings that an Accept-Encoding names and does not rule out."""
    found = set()
    for one in header.lower().split(","):
        coding, _, quality = one.partition(";")
        if not re.fullmatch(r"\s*q=0(\.0*)?\s*", quality):
            found.add(coding.strip())
    return found


def _known(environ: dict[str, Any], tag: str, modified: str) -> bool:
    """Whether the client has it already. nginx makes a tag weak when it compresses."""
    tags = environ.get("HTTP_IF_NONE_MATCH")
    if tags is None:
        return bool(environ.get("HTTP_IF_MODIFIED_SINCE") == modified)
    given = {one.strip().removeprefix("W/") for one in tags.split(",")}
    return not given.isdisjoint({tag, "*"})


def _range(environ: dict[str, Any], size: int, tag: str, modified: str) -> tuple[int, int]:
    """First byte and the one behind the last; all of them unless one range is asked for."""
    asked = re.fullmatch(
        r"bytes=([0-9]{0,18})-([0-9]{0,18})", environ.get("HTTP_RANGE", "").strip()
    )
    condition = environ.get("HTTP_IF_RANGE", tag)
    if environ["REQUEST_METHOD"] == "HEAD" or condition not in (tag, modified):
        return 0, size
    if not asked or not size:
        return 0, size
    first, last = asked.groups()
    if not first:
        return (max(size - int(last), 0), size) if last else (0, size)
    if last and int(last) < int(first):
        return 0, size
    return int(first), min(int(last) + 1, size) if last else size


def _blocks(file: io.FileIO, begin: int, end: int) -> Iterator[bytes]:
    """A part of a file, which is closed after it."""
    with file:
        file.seek(begin)
        while begin < end:
            block = file.read(min(BLOCK, end - begin))
            if not block:
                return
            begin += len(block)
            yield block


# --- proving it ----------------------------------------------------------------------------------


def gate(application: Wsgi, directory: Path | None = None) -> None:
    """Ask ``application`` for its health path before it may serve; NotReadyError if it fails.

    A generation that has proved itself once is not asked again: a cache that is down when a worker
    restarts must not keep the site down.
    """
    directory = directory or Path(__file__).resolve().parent
    if (directory / PROVED_FILE).exists():
        return
    config = settings(directory)
    for health in checks(config["health"]):
        asked = f"GET {health['path']} (Host: {health['host']}, {health['scheme']})"
        with _deadline(health["timeout"], asked):
            status, body = _ask(application, health, config["proxy_hops"])
        problem = unhealthy(status, body, health)
        if problem:
            raise NotReadyError(f"{asked} {problem}")


def checks(health: dict[str, Any]) -> list[dict[str, Any]]:
    """The health check, and the further ones, which differ from it in what they say."""
    plain = {"status": [], "text": ""}
    more = [{k: v for k, v in one.items() if v is not None} for one in health.get("more", [])]
    return [health, *({**health, **plain, **one} for one in more)]


def gate_or_exit(application: Wsgi) -> None:
    """The gate for a worker process: it ends when it may not serve."""
    try:
        gate(application)
    except Exception as error:
        report(error)
        raise SystemExit(BOOT_ERROR) from None


def unhealthy(status: int, body: bytes, health: dict[str, Any]) -> str:
    """Why an answer does not pass, or an empty string.

    Any status below 500 passes unless ``status`` lists the allowed ones.
    """
    allowed = health["status"]
    if (status not in allowed) if allowed else (status >= 500):
        wanted = ", ".join(map(str, allowed)) if allowed else "below 500"
        return f"answered {status}, wanted {wanted}: {_excerpt(body)}"
    if health["text"] and health["text"].encode() not in body:
        return f"answered {status} without the text {health['text']!r}: {_excerpt(body)}"
    return ""


def health_headers(health: dict[str, Any], hops: int) -> dict[str, str]:
    """The request headers a visitor's request would carry after all proxies."""
    headers = {"Host": health["host"], "User-Agent": "flaskops.stack"}
    for name, value in (
        ("For", "127.0.0.1"),
        ("Proto", health["scheme"]),
        ("Host", health["host"]),
    ):
        headers[f"X-Forwarded-{name}"] = ", ".join([value] * max(hops, 1))
    return headers


def _excerpt(body: bytes) -> str:
    return body[:BODY_SHOWN].decode("utf-8", "replace").strip() or "(empty body)"


def _ask(application: Wsgi, health: dict[str, Any], hops: int) -> tuple[int, bytes]:
    path, _, query = health["path"].partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": health["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in health_headers(health, hops).items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    answer: list[str] = []
    written: list[bytes] = []

    def start_response(status: str, *_: Any) -> Any:
        answer[:] = [status]
        return written.append

    chunks = application(environ, start_response)
    try:
        written.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return int(answer[0].split()[0]), b"".join(written)


@contextmanager
def _deadline(seconds: int, asked: str) -> Iterator[None]:
    def late(*_: Any) -> None:
        raise NotReadyError(f"{asked} did not answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Readiness:
    """Tells systemd that the unit is up once every worker has passed the gate.

    The servers say READY=1 before a worker has loaded the app; so NOTIFY_SOCKET is taken from them,
    and the worker that completes the number speaks instead.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.address = os.environ.pop("NOTIFY_SOCKET", "") or os.environ.pop(NOTIFY_SOCKET, "")

    def worker_passed(self, number: int) -> bool:
        """Count worker ``number`` (from 1); True when all have passed and systemd was told.

        A higher number replaces a worker that died before it passed.
        """
        slot = number if number <= self.workers else _shared.find(b"\0", 1, self.workers + 1)
        if slot > 0:
            _shared[slot] = 1
        if not self.complete():
            return False
        self._notify(f"READY=1\nSTATUS=serving with {self.workers} workers")
        return True

    def complete(self) -> bool:
        """Whether all workers have passed."""
        return sum(_shared[1 : self.workers + 1]) >= self.workers

    def _notify(self, state: str) -> None:
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall(state.encode())


# --- uWSGI ---------------------------------------------------------------------------------------


def launch(server: str, arguments: list[str]) -> None:
    """Become uWSGI: the module of this virtualenv when ``server`` is pyuwsgi, else that program.

    What the workers share is made here, because with ``lazy-apps`` uWSGI itself runs no Python
    before it forks.
    """
    memory = os.memfd_create("flaskops", 0)
    os.ftruncate(memory, mmap.PAGESIZE)
    os.environ[SHARED_FD] = str(memory)
    os.environ[NOTIFY_SOCKET] = os.environ.pop("NOTIFY_SOCKET", "")
    os.environ[PROCESSES] = str(default_workers())
    if server == "pyuwsgi":
        import pyuwsgi

        pyuwsgi.run(arguments)
    os.execv(server, [server, *arguments])


def for_uwsgi() -> Wsgi:
    """What a worker of uWSGI serves, once every worker has loaded the app and passed the gate.

    The first to pass waits for the others: when one fails, uWSGI kills all, and none may be in the
    middle of a request.
    """
    import uwsgi

    # For what the app starts itself: uWSGI has put the program there that it runs in.
    sys.executable = os.path.join(sys.prefix, "bin", "python")
    try:
        config = settings()
        built, only_a_check = build_application(config), health_checks(config)
        logs = WE_LOG in _given(uwsgi.opt, "set-placeholder")
        gate(built)
    except Exception as error:
        report(error)
        raise SystemExit(UWSGI_BOOT_ERROR) from None
    readiness = Readiness(_first_workers(uwsgi.numproc, uwsgi.opt))
    readiness.worker_passed(uwsgi.worker_id())
    while not readiness.complete():
        time.sleep(LOOK_AGAIN)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        uwsgi.set_logvar("path", logged_path(environ))
        if logs and not only_a_check(environ):  # what fails is logged in any case
            uwsgi.log_this_request()
        return built(environ, start_response)

    return application


def _first_workers(processes: int, options: dict[Any, Any]) -> int:
    """How many workers uWSGI starts with: fewer than there may be when it is told to be cheap."""
    for name in ("cheaper-initial", "cheaper"):
        for found in _given(options, name):
            return min(int(found), processes)
    return processes


def _given(options: dict[Any, Any], name: str) -> list[str]:
    """What uWSGI was given for an option, which it tells as text or bytes, or several as a list."""
    found = options.get(name, options.get(name.encode(), []))
    listed = found if isinstance(found, list) else [found]
    return [one.decode() if isinstance(one, bytes) else str(one) for one in listed]


if __name__ == "__main__":
    launch(sys.argv[1], sys.argv[2:])
