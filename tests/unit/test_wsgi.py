"""The part of a generation that runs inside the app's processes."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import logging.handlers
import mmap
import os
import socket
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gunicorn.config
import gunicorn.glogging
import pytest
import yaml
from ansible_collections.flaskops.stack.plugins.module_utils import wsgi

HEALTH = {
    "path": "/healthz",
    "host": "shop.example.org",
    "scheme": "https",
    "status": [],
    "text": "",
    "timeout": 1,
    "probes": 1,
}


@pytest.fixture(autouse=True)
def clean_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test has a directory of its own for its app, and leaves no module behind."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("FLASK_APP", raising=False)
    wsgi._shared[:] = bytes(len(wsgi._shared))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def recorded(entrypoint: str, **more: Any) -> dict[str, Any]:
    """What the switch records for a generation."""
    plain = {"entrypoint": entrypoint, "proxy_hops": 0, "token": "t", "release": "r"}
    return {**plain, "health": HEALTH, **more}


def app_file(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def ask(app: wsgi.Wsgi, path: str = "/", **extra: str) -> tuple[str, dict[str, str], bytes]:
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


def plain(status: str, body: bytes = b"") -> wsgi.Wsgi:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return [body]

    return app


FLASK = (
    "import flask\n"
    "{name} = flask.Flask(__name__)\n"
    "{name}.add_url_rule('/', view_func=lambda: '{say}')\n"
)


@pytest.mark.parametrize(
    ("file", "text", "entrypoint"),
    [
        ("app.py", FLASK.format(name="app", say="found"), ""),
        ("wsgi.py", FLASK.format(name="application", say="found"), ""),
        ("shop/__init__.py", FLASK.format(name="app", say="found"), "shop"),
        ("shop.py", FLASK.format(name="site", say="found"), "shop:site"),
        (
            "shop.py",
            "import flask\ndef create_app(say='found'):\n"
            "    app = flask.Flask('x')\n"
            "    app.add_url_rule('/', view_func=lambda: say)\n    return app\n",
            "shop:create_app",
        ),
        (
            "shop.py",
            "import flask\ndef make(say):\n"
            "    app = flask.Flask('x')\n"
            "    app.add_url_rule('/', view_func=lambda: say)\n    return app\n",
            "shop:make('found')",
        ),
        (
            "plain.py",
            "def serve(environ, start_response):\n"
            "    start_response('200 OK', [])\n    return [b'found']\n",
            "plain:serve",
        ),
    ],
)
def test_app_is_found_as_flask_finds_it(file: str, text: str, entrypoint: str) -> None:
    app_file(file, text)
    assert ask(wsgi.find_app(entrypoint))[2] == b"found"


def test_flask_app_of_the_environment_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    app_file("app.py", FLASK.format(name="app", say="wrong"))
    app_file("other.py", FLASK.format(name="app", say="found"))
    monkeypatch.setenv("FLASK_APP", "other")
    assert ask(wsgi.find_app(""))[2] == b"found"


def test_wsgi_py_of_the_app_is_not_mistaken_for_ours() -> None:
    app_file("wsgi.py", FLASK.format(name="app", say="theirs"))
    assert ask(wsgi.find_app("wsgi:app"))[2] == b"theirs"


@pytest.mark.parametrize(("hops", "address"), [(0, "127.0.0.1"), (1, "2.2.2.2"), (2, "1.1.1.1")])
def test_as_many_proxies_are_trusted_as_there_are(hops: int, address: str) -> None:
    app_file(
        "app.py",
        "import flask\napp = flask.Flask('x')\n"
        "app.add_url_rule('/', view_func=lambda: flask.request.remote_addr)\n",
    )
    config = recorded("", proxy_hops=hops)
    app = wsgi.build_application(config)
    assert ask(app, HTTP_X_FORWARDED_FOR="1.1.1.1, 2.2.2.2")[2].decode() == address


def test_release_is_told_only_to_who_knows_the_token() -> None:
    app_file("app.py", FLASK.format(name="app", say="x"))
    config = recorded("", proxy_hops=0, token="secret", release="abc")
    app = wsgi.build_application(config)
    assert ask(app, HTTP_X_FLASKOPS_TOKEN="secret")[1]["X-Flaskops-Release"] == "abc"
    assert "X-Flaskops-Release" not in ask(app, HTTP_X_FLASKOPS_TOKEN="guess")[1]
    assert "X-Flaskops-Release" not in ask(app)[1]


def generation(tmp_path: Path, **health: Any) -> Path:
    record = {"health": HEALTH | health, "proxy_hops": 1}
    (tmp_path / wsgi.SETTINGS_FILE).write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("status", "body", "health"),
    [
        ("200 OK", b"", {}),
        ("404 Not Found", b"", {}),
        ("302 Found", b"", {"status": [200, 302]}),
        ("200 OK", b"all is well", {"text": "is well"}),
    ],
)
def test_gate_opens(tmp_path: Path, status: str, body: bytes, health: dict[str, Any]) -> None:
    wsgi.gate(plain(status, body), generation(tmp_path, **health))


@pytest.mark.parametrize(
    ("status", "body", "health", "reason"),
    [
        ("500 Oops", b"no database", {}, "answered 500, wanted below 500: no database"),
        ("404 Not Found", b"", {"status": [200]}, "answered 404, wanted 200: (empty body)"),
        ("200 OK", b"sick", {"text": "well"}, "answered 200 without the text 'well': sick"),
    ],
)
def test_gate_stays_shut_and_says_why(
    tmp_path: Path, status: str, body: bytes, health: dict[str, Any], reason: str
) -> None:
    with pytest.raises(wsgi.NotReadyError) as refused:
        wsgi.gate(plain(status, body), generation(tmp_path, **health))
    assert str(refused.value) == f"GET /healthz (Host: shop.example.org, https) {reason}"


def test_gate_does_not_wait_for_ever(tmp_path: Path) -> None:
    def hangs(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        time.sleep(30)
        return []

    started = time.monotonic()
    with pytest.raises(wsgi.NotReadyError, match="did not answer within 1 s"):
        wsgi.gate(hangs, generation(tmp_path))
    assert time.monotonic() - started < 5


def test_gate_asks_with_the_sites_own_name_and_scheme(tmp_path: Path) -> None:
    app_file(
        "app.py",
        "import flask\napp = flask.Flask('x')\n"
        "app.add_url_rule('/healthz', view_func=lambda: flask.request.url)\n",
    )
    config = recorded("", proxy_hops=1)
    app = wsgi.build_application(config)
    wsgi.gate(app, generation(tmp_path, text="https://shop.example.org/healthz"))


def test_a_proved_generation_is_not_asked_again(tmp_path: Path) -> None:
    folder = generation(tmp_path)
    (folder / wsgi.PROVED_FILE).touch()
    wsgi.gate(plain("500 Oops"), folder)


def test_reason_stands_on_one_line_and_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    app_file("app.py", "import no_such_module\n")
    for _ in range(2):
        with pytest.raises(Exception, match="no_such_module") as failed:
            wsgi.find_app("")
        wsgi.report(failed.value)
    said = capsys.readouterr().err.splitlines()
    reasons = [line for line in said if line.startswith(wsgi.REASONS)]
    assert len(reasons) == 1
    assert reasons[0] == said[-1]
    assert reasons[0].endswith("ModuleNotFoundError: No module named 'no_such_module'")


def test_systemd_is_told_when_the_last_worker_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        ready = wsgi.Readiness(3)
        assert "NOTIFY_SOCKET" not in __import__("os").environ  # Gunicorn must not speak too early
        assert not ready.worker_passed(1)
        assert not ready.worker_passed(1)  # the same worker twice is one worker
        assert not ready.worker_passed(3)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        assert ready.worker_passed(4)  # in the place of worker 2, which died
        assert systemd.recv(100).startswith(b"READY=1")


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/a/b.css", "/a/b.css"),
        ("/caf\xc3\xa9", "/caf%C3%A9"),
        ("/a\n127.0.0.1 forged", "/a%0A127.0.0.1%20forged"),
        ('/"', "/%22"),
        ("/%41", "/%2541"),
        ("", ""),
    ],
)
def test_a_path_cannot_forge_lines_of_the_log(path: str, logged: str) -> None:
    assert wsgi.logged_path({"PATH_INFO": path, "QUERY_STRING": "secret=1"}) == logged


def test_gunicorn_finds_the_path_for_its_log() -> None:
    app_file(
        "plain.py",
        "def serve(environ, start_response):\n"
        "    start_response('200 OK', [('X-Path', environ['flaskops.path'])])\n    return []\n",
    )
    config = recorded("plain:serve", proxy_hops=0)
    seen = ask(wsgi.build_application(config), "/a\nb")[1]
    assert seen["X-Path"] == "/a%0Ab"


@pytest.mark.parametrize(
    ("path", "extra", "status", "logged"),
    [
        ("/healthz", {}, 200, False),
        ("/healthz", {"QUERY_STRING": "probe"}, 302, False),
        ("/healthz", {}, 503, True),
        ("/healthz", {"REQUEST_METHOD": "POST"}, 200, True),
        ("/deep", {}, 200, True),
        ("/", {}, 200, True),
        ("/", {"HTTP_X_FLASKOPS_TOKEN": "t"}, 200, False),
        ("/", {"HTTP_X_FLASKOPS_TOKEN": "forged"}, 200, True),
        ("/healthz/more", {}, 200, True),
    ],
)
def test_gunicorn_logs_health_checks_when_they_fail(
    path: str, extra: dict[str, str], status: int, *, logged: bool
) -> None:
    app_file(
        "plain.py",
        "def serve(environ, start_response):\n"
        "    seen.append(environ)\n    start_response('200 OK', [])\n    return []\n"
        "seen = []\n",
    )
    health = HEALTH | {"more": [{"path": "/deep?all"}, {"path": "/"}]}
    ask(wsgi.build_application(recorded("plain:serve", health=health)), path, **extra)
    environ = sys.modules["plain"].seen[0] | {"RAW_URI": path, "SERVER_PROTOCOL": "HTTP/1.1"}
    # As Gunicorn's Logger.access does it.
    log, handler = logging.getLogger("test.access"), logging.handlers.BufferingHandler(9)
    log.addFilter(wsgi.worth_logging)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    cfg = gunicorn.config.Config()
    response = types.SimpleNamespace(status=f"{status} X", sent=0, headers=[])
    request = types.SimpleNamespace(headers=[])
    took = dt.timedelta(seconds=1)
    atoms = gunicorn.glogging.Logger(cfg).atoms(response, request, environ, took)
    log.info("%(s)s", gunicorn.glogging.SafeAtoms(atoms))
    assert len(handler.buffer) == logged


class FakeUwsgi(types.ModuleType):
    """The module that uWSGI gives its workers."""

    def __init__(self, number: int, processes: int, opt: dict[bytes, Any]) -> None:
        super().__init__("uwsgi")
        self.number, self.numproc, self.opt = number, processes, opt
        self.logged: dict[str, str] = {}
        self.log_lines = 0

    def worker_id(self) -> int:
        return self.number

    def set_logvar(self, name: str, value: str) -> None:
        self.logged[name] = value

    def log_this_request(self) -> None:
        self.log_lines += 1


def uwsgi_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **health: Any) -> FakeUwsgi:
    """A generation of an app, and a worker of uWSGI that is the only one."""
    app_file("app.py", FLASK.format(name="app", say="hello"))
    folder = generation(tmp_path, **health)
    record = json.loads((folder / wsgi.SETTINGS_FILE).read_text())
    record |= {"entrypoint": "", "token": "t", "release": "r", "protocol": "http"}
    monkeypatch.setattr(wsgi, "settings", lambda directory=None: record)
    monkeypatch.setattr(sys, "executable", sys.executable)
    fake = FakeUwsgi(1, 1, {b"set-placeholder": [b"x=y", wsgi.WE_LOG.encode()]})
    monkeypatch.setitem(sys.modules, "uwsgi", fake)
    return fake


def test_a_worker_of_uwsgi_tells_systemd_and_logs_no_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = uwsgi_worker(monkeypatch, tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv(wsgi.NOTIFY_SOCKET, str(tmp_path / "notify"))
        app = wsgi.for_uwsgi()
        assert systemd.recv(100).startswith(b"READY=1")
    assert sys.executable == str(Path(sys.prefix) / "bin" / "python")
    assert ask(app, QUERY_STRING="secret=1")[2] == b"hello"
    assert fake.logged == {"path": "/"}
    assert fake.log_lines == 1
    ask(app, "/healthz")
    ask(app, HTTP_X_FLASKOPS_TOKEN="t")
    assert fake.log_lines == 1, "what only looks whether the app is well"
    fake.opt = {}  # who sets up the log without the role
    ask(wsgi.for_uwsgi())
    assert fake.log_lines == 1


def test_a_worker_of_uwsgi_that_fails_ends_with_the_code_that_ends_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uwsgi_worker(monkeypatch, tmp_path, status=[200], path="/none")
    with pytest.raises(SystemExit) as ended:
        wsgi.for_uwsgi()
    assert ended.value.code == 22
    assert capsys.readouterr().err.startswith("Health check failed: GET /none ")


def test_a_worker_of_uwsgi_waits_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uwsgi_worker(monkeypatch, tmp_path).numproc = 2
    looks = []

    def look(_: float) -> None:
        looks.append(1)
        wsgi._shared[2] = len(looks) == 3  # the other one passes

    monkeypatch.setattr(time, "sleep", look)
    wsgi.for_uwsgi()
    assert len(looks) == 3


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 4),
        ({b"cheaper": b"2"}, 2),
        ({"cheaper": "2", "cheaper-initial": "3"}, 3),
        ({"cheaper": "9"}, 4),
    ],
)
def test_a_cheap_uwsgi_starts_with_fewer_workers(options: dict[Any, Any], count: int) -> None:
    assert wsgi._first_workers(4, options) == count


def test_uwsgi_is_started_without_systemds_socket_and_with_memory_to_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Any] = []
    for name in (wsgi.SHARED_FD, wsgi.NOTIFY_SOCKET, wsgi.PROCESSES):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setattr(os, "execv", lambda path, argv: started.append((path, argv)))
    wsgi.launch("/usr/bin/uwsgi-core", ["--ini", "x"])
    assert started == [("/usr/bin/uwsgi-core", ["/usr/bin/uwsgi-core", "--ini", "x"])]
    assert "NOTIFY_SOCKET" not in os.environ
    assert os.environ[wsgi.NOTIFY_SOCKET] == "/run/notify"
    assert int(os.environ[wsgi.PROCESSES]) == wsgi.default_workers()
    descriptor = int(os.environ[wsgi.SHARED_FD])
    assert os.get_inheritable(descriptor)
    with mmap.mmap(descriptor, mmap.PAGESIZE) as memory:
        assert memory[0] == 0
    os.close(descriptor)


@pytest.mark.parametrize(
    ("raw", "query", "script", "path"),
    [
        ("/caf\xc3\xa9 %41?a=%20", "a=%20", "", "/caf\xc3\xa9 %41"),
        ("/a?b", "", "", "/a?b"),
        ("/shop/a?b=1", "b=1", "/shop", "/a"),
    ],
)
def test_a_path_over_the_uwsgi_protocol_is_decoded_once(
    raw: str, query: str, script: str, path: str
) -> None:
    seen = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return []

    environ = {"RAW_URI": raw, "QUERY_STRING": query, "SCRIPT_NAME": script}
    ask(wsgi._decoded_once(app), "/decoded twice", **environ)
    ask(wsgi._decoded_once(app), "/of uWSGI")
    assert seen == [path, "/of uWSGI"]


def test_default_workers_follow_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {1: 3, 2: 5, 4: 9, 64: 12}
    for cores, workers in counts.items():
        monkeypatch.setattr(wsgi, "cores", lambda cores=cores: cores)
        assert wsgi.default_workers() == workers


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


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit of an app that two addresses and a network may ask."""
    path = tmp_path / "shop.service"
    path.write_text("[X-Flaskops]\nAllowedPeers=192.0.2.10 2001:db8::10 198.51.100.0/24\n")
    return path


@pytest.mark.parametrize(
    ("peer", "may"),
    [
        ("192.0.2.10", True),
        ("::ffff:192.0.2.10", True),
        ("2001:db8::10", True),
        ("198.51.100.77", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.0.2.1", True),  # this host itself
        ("192.0.2.11", False),
        ("::ffff:192.0.2.11", False),
        ("2001:db8::11", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_listed_peers_may_ask(unit: Path, peer: str, may: bool) -> None:
    connection = Connection((peer, 40000))
    environ = {"REMOTE_ADDR": "127.0.0.1", "gunicorn.socket": connection}
    peers = wsgi.Peers(str(unit))
    assert [peers.may_ask(environ), peers.may_ask(environ)] == [may, may]
    assert connection.ended is not may


def test_a_unix_socket_may_always_ask(unit: Path) -> None:
    environ = {"gunicorn.socket": Connection("", "/run/shop/http.sock")}
    assert wsgi.Peers(str(unit)).may_ask(environ)
    assert wsgi.Peers(str(unit)).may_ask({"REMOTE_ADDR": ""})


def test_a_peer_that_has_gone_is_not_served(unit: Path) -> None:
    assert not wsgi.Peers(str(unit)).may_ask({"gunicorn.socket": Connection(OSError("gone"))})


def test_the_list_can_change_and_be_lost(unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi, "LOOK_AT_PEERS", 0)
    other = {"gunicorn.socket": Connection(("192.0.2.11", 1))}
    known = {"gunicorn.socket": Connection(("192.0.2.10", 1))}
    peers = wsgi.Peers(str(unit))
    assert (peers.may_ask(known), peers.may_ask(other)) == (True, False)
    unit.write_text("[X-Flaskops]\nAllowedPeers=192.0.2.11\n")
    assert (peers.may_ask(known), peers.may_ask(other)) == (False, True)
    unit.unlink()
    assert (peers.may_ask(known), peers.may_ask(other)) == (False, True)
    assert not wsgi.Peers(str(unit)).may_ask(other)
    unit.write_text("[Service]\n")  # no list: all may
    assert peers.may_ask(known)
    assert wsgi.Peers("").may_ask(known)


def test_who_may_not_ask_never_reaches_the_app(
    unit: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app_file("shop.py", FLASK.format(name="app", say="secret"))
    monkeypatch.setenv(wsgi.UNIT, str(unit))
    config = recorded("shop:app", proxy_hops=1)
    app = wsgi.build_application(config)
    forged = {"HTTP_X_FORWARDED_FOR": "192.0.2.10", "HTTP_X_FLASKOPS_TOKEN": "t"}
    stranger: Any = {"gunicorn.socket": Connection(("203.0.113.5", 1)), **forged}
    for _ in range(2):
        status, headers, body = ask(app, **stranger)
        assert (status, b"secret" in body) == ("403 Forbidden", False)
        assert wsgi.RELEASE_HEADER not in headers
    assert capsys.readouterr().err.count("Refused 203.0.113.5") == 1
    member: Any = {"gunicorn.socket": Connection(("192.0.2.10", 1))}
    assert ask(app, **member)[2] == b"secret"


@pytest.mark.parametrize(("level", "expected"), [("info", logging.INFO), ("", logging.WARNING)])
def test_the_log_level_of_the_environment_is_the_apps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, level: str, expected: int
) -> None:
    (tmp_path / "plain.py").write_text("def app(environ, start_response):\n    return [b'']\n")
    monkeypatch.setenv("FLASKOPS_LOG_LEVEL", level)
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.WARNING)
    try:
        config = recorded("plain:app", proxy_hops=0)
        wsgi.build_application(config)
        assert root.level == expected
    finally:
        root.setLevel(before)


# Static files ------------------------------------------------------------------------------------

CSS = "/static/app.css"
HASHED = "/static/app.0123abcd.css"
OLD = "/static/app.00000000.css"
FOR_GOOD = "public, max-age=31536000, immutable"
MADE = 1_700_000_000


def apps_own(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b"the app's own"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A generation whose release publishes files, beside those of releases before."""
    home = tmp_path / "shop"
    public, assets = home / "releases/r/public", home / "assets"
    for root, path, text in (
        (public, CSS, "plain"),
        (public, f"{CSS}.gz", "gzipped"),
        (public, f"{CSS}.br", "brotli"),
        (public, HASHED, "hashed"),
        (public, "/static/logo.svg", "<svg/>"),
        (public, "/static/no-such-type", "bytes"),
        (public, "/static/text.woff2", "font"),
        (public, "/static/caf\u00e9.txt", "latte"),
        (public, "/static/empty.txt", ""),
        (assets, HASHED, "hashed"),
        (assets, OLD, "old"),
        (assets, f"{OLD}.gz", "old gzipped"),
        (home, "releases/r/release.json", "secret"),
    ):
        place = root / path.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        os.utime(place, (MADE, MADE))
    (public / "static/link.css").symlink_to(home / "releases/r/release.json")
    (public / "static/out").symlink_to(home / "releases/r")
    os.mkfifo(public / "static/pipe")
    folder = home / "generations/7"
    folder.mkdir(parents=True)
    (folder / "release").symlink_to(home / "releases/r")
    return folder


def static(site: Path, path: str, **extra: Any) -> tuple[str, dict[str, str], bytes]:
    return ask(wsgi.with_published(apps_own, site), path, **extra)


@pytest.mark.parametrize(
    ("path", "kind", "kept", "body"),
    [
        (CSS, "text/css", "public, max-age=300", b"plain"),
        (HASHED, "text/css", FOR_GOOD, b"hashed"),
        (OLD, "text/css", FOR_GOOD, b"old"),
        ("/static/logo.svg", "image/svg+xml", "public, max-age=300", b"<svg/>"),
        ("/static/text.woff2", "font/woff2", "public, max-age=300", b"font"),
        ("/static/no-such-type", "application/octet-stream", "public, max-age=300", b"bytes"),
        ("/static/caf\xc3\xa9.txt", "text/plain", "public, max-age=300", b"latte"),
        ("/static/empty.txt", "text/plain", "public, max-age=300", b""),
        (f"{CSS}.gz", "application/octet-stream", "public, max-age=300", b"gzipped"),
    ],
)
def test_a_published_file_is_answered_for_before_the_app(
    site: Path, path: str, kind: str, kept: str, body: bytes
) -> None:
    status, headers, got = static(site, path)
    assert (status, got) == ("200 OK", body)
    assert (headers["Content-Type"], headers["Cache-Control"]) == (kind, kept)
    assert headers["Content-Length"] == str(len(body))
    assert headers["ETag"] == f'"{MADE:x}-{len(body):x}"'
    assert headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert "Content-Encoding" not in headers


@pytest.mark.parametrize(
    ("path", "accepted", "coding", "body"),
    [
        (CSS, "gzip, deflate, br", "br", b"brotli"),
        (CSS, "GZIP;q=0.5", "gzip", b"gzipped"),
        (CSS, "br;q=0, gzip", "gzip", b"gzipped"),
        (CSS, "br; q=0.000, gzip;q=0", None, b"plain"),
        (CSS, "", None, b"plain"),
        (OLD, "br, gzip", "gzip", b"old gzipped"),
        (HASHED, "br, gzip", None, b"hashed"),
        (f"{CSS}.gz", "br, gzip", None, b"gzipped"),
    ],
)
def test_the_smallest_variant_that_is_accepted_is_sent(
    site: Path, path: str, accepted: str, coding: str | None, body: bytes
) -> None:
    _, headers, got = static(site, path, HTTP_ACCEPT_ENCODING=accepted)
    assert (headers.get("Content-Encoding"), got) == (coding, body)
    assert headers["Content-Length"] == str(len(body))
    assert ("Vary" in headers) == (path in (CSS, OLD))


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"HTTP_IF_NONE_MATCH": '"{tag}"'}, "304 Not Modified"),
        ({"HTTP_IF_NONE_MATCH": '"x", W/"{tag}"'}, "304 Not Modified"),
        ({"HTTP_IF_NONE_MATCH": "*"}, "304 Not Modified"),
        ({"HTTP_IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:20 GMT"}, "304 Not Modified"),
        ({"HTTP_IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:21 GMT"}, "200 OK"),
        (
            {
                "HTTP_IF_NONE_MATCH": '"x"',
                "HTTP_IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:20 GMT",
            },
            "200 OK",
        ),
    ],
)
def test_what_a_browser_has_is_not_sent_again(
    site: Path, condition: dict[str, str], status: str
) -> None:
    tag = f"{MADE:x}-{len('plain'):x}"
    given = {name: value.format(tag=tag) for name, value in condition.items()}
    got, headers, body = static(site, CSS, **given)
    assert (got, body) == (status, b"" if status.startswith("304") else b"plain")
    assert headers["ETag"] == f'"{tag}"'
    assert (headers["Vary"], headers["Cache-Control"]) == ("Accept-Encoding", "public, max-age=300")


def test_head_has_the_headers_of_get(site: Path) -> None:
    status, headers, body = static(site, CSS, REQUEST_METHOD="HEAD")
    assert (status, headers, body) == (*static(site, CSS)[:2], b"")


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=1-2", "206 Partial Content", b"la", "bytes 1-2/5"),
        ("bytes=3-", "206 Partial Content", b"in", "bytes 3-4/5"),
        ("bytes=-2", "206 Partial Content", b"in", "bytes 3-4/5"),
        ("bytes=0-99", "200 OK", b"plain", None),
        ("bytes=5-", "416 Range Not Satisfiable", b"", "bytes */5"),
        ("bytes=-0", "416 Range Not Satisfiable", b"", "bytes */5"),
        ("bytes=2-1", "200 OK", b"plain", None),
        ("bytes=0-1,3-4", "200 OK", b"plain", None),
        ("bytes=-", "200 OK", b"plain", None),
    ],
)
def test_a_part_of_a_file_can_be_asked_for(
    site: Path, asked: str, status: str, body: bytes, content_range: str | None
) -> None:
    got, headers, sent = static(site, CSS, HTTP_RANGE=asked)
    assert (got, sent, headers.get("Content-Range")) == (status, body, content_range)
    assert headers["Content-Length"] == str(len(body))


def test_an_empty_file_has_no_parts(site: Path) -> None:
    status, headers, body = static(site, "/static/empty.txt", HTTP_RANGE="bytes=5-")
    assert (status, headers["Content-Length"], body) == ("200 OK", "0", b"")


def test_a_part_of_another_version_is_not_sent(site: Path) -> None:
    status, _, body = static(site, CSS, HTTP_RANGE="bytes=1-2", HTTP_IF_RANGE='"x"')
    assert (status, body) == ("200 OK", b"plain")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (CSS, "POST"),
        (CSS, "OPTIONS"),
        ("", "GET"),
        ("/", "GET"),
        ("/static", "GET"),
        ("/static/", "GET"),
        (f"{CSS}/", "GET"),
        ("/static//app.css", "GET"),
        ("/static/./app.css", "GET"),
        ("/static/../static/app.css", "GET"),
        ("/static/../../release.json", "GET"),
        ("/../release.json", "GET"),
        ("/static/app.css\0", "GET"),
        (f"/static/{'x' * 5000}", "GET"),
        ("/static/link.css", "GET"),
        ("/static/out/release.json", "GET"),
        ("/static/pipe", "GET"),
        ("/static/none.css", "GET"),
        ("static/app.css", "GET"),
        ("/static/\u2615", "GET"),
    ],
)
def test_all_else_is_the_apps(site: Path, path: str, method: str) -> None:
    assert static(site, path, REQUEST_METHOD=method)[2] == b"the app's own"


def test_a_file_that_cannot_be_read_is_the_apps(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_place: bytes) -> None:
        raise PermissionError

    monkeypatch.setattr(io, "FileIO", refused)
    assert static(site, CSS)[2] == b"the app's own"


def test_the_servers_own_way_to_send_a_file_is_used_for_a_whole_one(site: Path) -> None:
    sent: list[Any] = []

    def wrapper(file: Any, size: int) -> list[bytes]:
        sent.append(file.fileno())
        return [file.read(size)]

    given: dict[str, Any] = {"wsgi.file_wrapper": wrapper}
    assert static(site, CSS, **given)[2] == b"plain"
    assert static(site, CSS, HTTP_RANGE="bytes=1-2", **given)[2] == b"la"
    assert static(site, CSS, REQUEST_METHOD="HEAD", **given)[2] == b""
    assert len(sent) == 1


def test_an_app_that_publishes_nothing_is_served_as_it_is(tmp_path: Path) -> None:
    assert wsgi.with_published(apps_own, tmp_path / "generations/1") is apps_own


def test_other_paths_cost_no_look_at_the_disk(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = wsgi.with_published(apps_own, site)

    def asked(_place: bytes) -> None:
        raise AssertionError("asked the disk")

    monkeypatch.setattr(wsgi, "_regular", asked)
    assert ask(app, "/about.json")[2] == b"the app's own"
    with pytest.raises(AssertionError, match="asked the disk"):
        ask(app, CSS)


def test_files_gathered_after_the_start_are_found(site: Path) -> None:
    app = wsgi.with_published(apps_own, site)
    (site.parent.parent / "assets/static/new.11112222.css").write_text("of the next release")
    assert ask(app, "/static/new.11112222.css")[2] == b"of the next release"


@pytest.mark.parametrize(
    ("pattern", "path", "kept"),
    [
        ("", HASHED, "public, max-age=60"),
        ("^/static/app", CSS, FOR_GOOD),
        ("^/static/app", "/static/logo.svg", "public, max-age=60"),
    ],
)
def test_the_environment_says_what_is_kept_and_how_long(
    site: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, path: str, kept: str
) -> None:
    monkeypatch.setenv("FLASKOPS_STATIC_FINGERPRINT", pattern)
    monkeypatch.setenv("FLASKOPS_STATIC_MAX_AGE", "60")
    assert static(site, path)[1]["Cache-Control"] == kept


def test_without_an_environment_it_is_as_the_roles_have_it() -> None:
    roles = Path(__file__).resolve().parents[2] / "roles"
    app, web = (
        yaml.safe_load((roles / name / "defaults/main.yml").read_text())
        for name in ("flask_app", "nginx")
    )
    assert app["flask_app_static_fingerprint"] == wsgi.DEFAULT_FINGERPRINT
    assert str(web["nginx_static_max_age"]) == wsgi.DEFAULT_MAX_AGE
    assert str(app["flask_app_static_max_age"]) == wsgi.DEFAULT_MAX_AGE


def test_a_path_below_a_prefix_is_the_one_without_it(site: Path) -> None:
    extra = {"SCRIPT_NAME": "/shop", "HTTP_X_FORWARDED_PREFIX": "/shop"}
    assert static(site, CSS, **extra)[2] == b"plain"
    assert static(site, f"/shop{CSS}", **extra)[2] == b"the app's own"


@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
def test_who_may_not_ask_gets_no_file_and_the_token_is_heard(
    site: Path, unit: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    app_file("plain.py", "def serve(environ, start_response):\n    raise AssertionError\n")
    monkeypatch.setenv(wsgi.UNIT, str(unit))
    config = recorded("plain:serve", proxy_hops=1)
    app = wsgi.build_application(config | {"protocol": protocol}, site)
    asked: dict[str, Any] = {"HTTP_X_FLASKOPS_TOKEN": "t"}
    if protocol == "uwsgi":
        asked["RAW_URI"] = CSS
    stranger: Any = {"gunicorn.socket": Connection(("203.0.113.5", 1))}
    assert ask(app, CSS, **asked, **stranger)[0] == "403 Forbidden"
    member: Any = {"gunicorn.socket": Connection(("192.0.2.10", 1))}
    _, headers, body = ask(app, CSS, **asked, **member)
    assert (headers[wsgi.RELEASE_HEADER], body) == ("r", b"plain")
