"""An ASGI app as a server calls it."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import farewell as leaving
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import (
    finder,
    gunicorn_server,
    kind,
    record,
    workers,
)
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import build_application
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.asgi import AsgiApplication

from wrapped import HEALTH, app_file, generation, recorded

Said = list[dict[str, Any]]
ECHO = """\
import json
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    told = {name: scope[name] for name in ("client", "scheme", "path", "root_path")}
    told["host"] = [v.decode() for k, v in scope["headers"] if k == b"host"]
    kind = b"text/event-stream" if scope["path"] == "/events" else b"application/json"
    status = 503 if scope["path"] == "/broken" else 200
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""
LIFESPAN = """\
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["ready"] = True
        await send({"type": "lifespan.startup.%s", "message": "no database"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status = 200 if scope["state"].get("ready") else 500
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


def built(tmp_path: Path, text: str = ECHO, **config: Any) -> AsgiApplication:
    app_file("app.py", text)
    folder = generation(tmp_path)
    sys.path.insert(0, str(tmp_path))
    return AsgiApplication(importlib.import_module("app").app, recorded("", **config), folder)


def talk(app: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> Said:
    """What an app says to these messages, after which it hears no more."""
    said: Said = []

    async def run() -> None:
        given = iter(messages)

        async def receive() -> dict[str, Any]:
            for message in given:
                return message
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await asyncio.wait_for(app(scope, receive, send), 5)

    asyncio.run(run())
    return said


def ask(app: Any, path: str = "/", method: str = "GET", **headers: str) -> Said:
    given = {"host": "localhost", **headers}.items()
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given],
        "client": ("198.51.100.7", 4000),
        "server": ("192.0.2.1", 8000),
    }
    return talk(app, scope)


def live(app: Any, *, state: dict[str, Any] | None = None) -> Said:
    """What a server hears from its start to its end."""
    scope = {"type": "lifespan", "state": {} if state is None else state}
    return talk(app, scope, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})


@pytest.mark.parametrize(
    ("hops", "client", "scheme", "path"),
    [
        (0, "198.51.100.7", "http", "/a"),
        (1, "2.2.2.2", "https", "/shop/a"),
        (2, "1.1.1.1", "http", "/a"),
        (3, "198.51.100.7", "http", "/a"),
    ],
)
def test_as_many_proxies_are_trusted_as_there_are(
    tmp_path: Path, hops: int, client: str, scheme: str, path: str
) -> None:
    told = ask(
        built(tmp_path, proxy_hops=hops),
        "/a",
        x_forwarded_for="1.1.1.1, 2.2.2.2",
        x_forwarded_proto="http, https",
        x_forwarded_host="a.example, b.example",
        x_forwarded_prefix="/shop",
    )[1]["body"].decode()
    assert f'"client": ["{client}"' in told
    assert f'"scheme": "{scheme}", "path": "{path}"' in told
    assert '"host": ["b.example"]' in told if hops == 1 else '"b.example"' not in told


def test_release_is_told_only_to_who_knows_the_token(tmp_path: Path) -> None:
    app = built(tmp_path, token="secret", release="abc")
    named = (b"x-flaskops-release", b"abc")
    assert named in ask(app, x_flaskops_token="secret")[0]["headers"]
    assert named not in ask(app, x_flaskops_token="guess")[0]["headers"]
    assert named not in ask(app)[0]["headers"]


def test_events_are_sent_as_they_come(tmp_path: Path) -> None:
    app = built(tmp_path)
    assert (b"x-accel-buffering", b"no") in ask(app, "/events")[0]["headers"]
    assert (b"x-accel-buffering", b"no") not in ask(app, "/")[0]["headers"]


def test_published_files_come_before_the_app(tmp_path: Path) -> None:
    folder = generation(tmp_path) / "release/public/static"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("x" * 100_000)
    app = built(tmp_path)
    start, *blocks = ask(app, "/static/a.txt", range="bytes=10-")
    assert (start["status"], len(b"".join(one["body"] for one in blocks))) == (206, 99_990)
    assert blocks[-1].get("more_body", False) is False
    assert ask(app, "/static/a.txt", "HEAD")[1]["body"] == b""
    assert b'"path": "/static/b.txt"' in ask(app, "/static/b.txt")[1]["body"]
    assert b'"path": "/static/a.txt"' in ask(app, "/static/a.txt", "POST")[1]["body"]


@pytest.mark.parametrize(
    ("client", "status"),
    [("192.0.2.10", 200), ("198.51.100.9", 200), ("203.0.113.1", 403), (None, 200)],
)
def test_only_peers_of_the_list_may_ask(
    tmp_path: Path, unit: Path, monkeypatch: pytest.MonkeyPatch, client: str, status: int
) -> None:
    monkeypatch.setenv("FLASKOPS_UNIT", str(unit))
    app = built(tmp_path)
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/"}
    scope |= {"headers": [], "root_path": "", "scheme": "http", "server": ("192.0.2.1", 8000)}
    scope["client"] = (client, 1) if client else None
    assert talk(app, scope)[0]["status"] == status
    asked = talk(app, scope | {"type": "websocket"}) if status == 403 else []
    assert [message["type"] for message in asked] in ([], ["websocket.close"])


def test_the_gate_is_passed_between_the_apps_start_and_the_first_request(tmp_path: Path) -> None:
    app = built(tmp_path, LIFESPAN % "complete")
    passed: list[str] = []
    app.passed = lambda: passed.append("yes")
    said = live(app)
    assert [one["type"] for one in said] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert passed == ["yes"]


def test_an_app_without_a_start_of_its_own_passes_the_gate_too(tmp_path: Path) -> None:
    app = built(tmp_path)
    passed: list[str] = []
    app.passed = lambda: passed.append("yes")
    assert [one["type"] for one in live(app)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert passed == ["yes"]


SLOW = "import asyncio\n" + ECHO.replace("    told =", "    await asyncio.sleep(3)\n    told =", 1)


@pytest.mark.parametrize(
    ("text", "health", "reason"),
    [
        (ECHO, {"path": "/broken"}, "Health check failed: GET /broken "),
        (ECHO, {"text": "no such words"}, "Health check failed: GET /healthz "),
        (SLOW, {}, "Health check failed: GET /healthz "),
        (LIFESPAN % "failed", {}, "The app cannot be loaded: RuntimeError: no database"),
        (
            "async def app(scope, receive, send):\n    await receive()\n    raise OSError('a')\n",
            {},
            "The app cannot be loaded: OSError: a",
        ),
    ],
)
def test_an_app_that_is_not_well_does_not_serve(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    health: dict[str, Any],
    reason: str,
) -> None:
    app = built(tmp_path, text, health=HEALTH | health)
    app.passed = lambda: pytest.fail("it has passed")
    scope = {"type": "lifespan", "state": {}}
    said: Said = []

    async def run() -> None:
        begun = iter([{"type": "lifespan.startup"}])

        async def receive() -> dict[str, Any]:
            return next(begun, {"type": "lifespan.shutdown"})

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await app(scope, receive, send)

    asyncio.run(run())
    assert said[0]["type"] == "lifespan.startup.failed"
    assert capsys.readouterr().err.splitlines()[-1].startswith(reason)


WAITS = """\
import asyncio
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError
    async def until_the_end():
        while (await receive())["type"] != "http.disconnect":
            pass
    waits = asyncio.ensure_future(until_the_end())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})
    await waits
"""


def test_the_gate_hangs_up_when_it_has_its_answer(tmp_path: Path) -> None:
    """Quart waits for that."""
    app = built(tmp_path, WAITS, health=HEALTH | {"text": "ab"})
    assert live(app)[0]["type"] == "lifespan.startup.complete"


def test_a_proved_generation_is_not_asked_again(tmp_path: Path) -> None:
    app = built(tmp_path, health=HEALTH | {"path": "/broken"})
    (app.directory / "proved").touch()
    assert live(app)[0]["type"] == "lifespan.startup.complete"


def test_a_websocket_is_closed_when_its_worker_retires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "LOOK", 0.01)
    worker = types.SimpleNamespace(alive=True, cfg=types.SimpleNamespace(graceful_timeout=2))
    leaving.farewell.belongs_to(worker)
    monkeypatch.setattr(leaving.farewell, "watched", False)
    text = (
        "async def app(scope, receive, send):\n    await receive()\n"
        "    await send({'type': 'websocket.accept'})\n    await receive()\n"
    )
    app = built(tmp_path, text)
    said: Said = []

    async def run() -> None:
        closed = asyncio.Event()
        connects = iter([{"type": "websocket.connect"}])

        async def receive() -> dict[str, Any]:
            for message in connects:
                return message
            worker.alive = False
            await closed.wait()
            return {"type": "websocket.disconnect", "code": 1001}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)
            if message["type"] == "websocket.close":
                closed.set()

        scope = {"type": "websocket", "path": "/", "raw_path": b"/", "scheme": "ws"}
        await asyncio.wait_for(app({**scope, "headers": []}, receive, send), 5)

    asyncio.run(run())
    assert said == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1001}]
    leaving.farewell.worker = None


def test_a_websocket_of_wsgi_gets_a_close_frame_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving, "LOOK", 0.01)
    worker = types.SimpleNamespace(alive=True, cfg=types.SimpleNamespace(graceful_timeout=1))
    farewell = leaving.Farewell()
    farewell.belongs_to(worker)
    closed = threading.Event()

    class Connection:
        def sendall(self, frame: bytes) -> None:
            # RFC 6455, 5.2 and 7.4.1: the final frame, close, two bytes, 1001.
            assert frame == bytes([0b1000_1000, 2, 0x03, 0xE9])
            closed.set()

    with farewell.until_then(leaving.closer(Connection())):  # type: ignore[arg-type]
        assert not closed.wait(0.1)
        worker.alive = False
        assert closed.wait(2)
    assert not farewell.closers


def test_only_a_websocket_of_gunicorn_is_taken_leave_of(monkeypatch: pytest.MonkeyPatch) -> None:
    app_file(
        "plain.py",
        "def serve(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', environ['KIND'])])\n    return []\n",
    )
    app, open_ones = build_application(recorded("plain:serve")), []

    def noted(close: Callable[[], None]) -> Any:
        open_ones.append(close)
        return types.SimpleNamespace(__enter__=None)

    monkeypatch.setattr(leaving.farewell, "until_then", noted)
    given = {"KIND": "text/html", "gunicorn.socket": object()}
    seen: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **given}
    for upgrade in ({}, {"HTTP_UPGRADE": "h2c"}):
        app(seen | upgrade, lambda *_: None)
    assert not open_ones
    with pytest.raises((AttributeError, TypeError)):
        app(seen | {"HTTP_UPGRADE": "WebSocket"}, lambda *_: None)
    assert len(open_ones) == 1


@pytest.mark.parametrize(
    ("kind_of", "streamed"),
    [("text/event-stream; charset=utf-8", True), ("text/html", False)],
)
def test_events_of_wsgi_are_sent_as_they_come(kind_of: str, *, streamed: bool) -> None:
    app_file(
        "plain.py",
        "def serve(environ, start_response):\n"
        f"    start_response('200 OK', [('content-type', {kind_of!r})])\n    return []\n",
    )
    seen: list[Any] = []
    app = build_application(recorded("plain:serve"))
    app(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/"},
        lambda status, headers: seen.extend([status, headers]),
    )
    assert (("X-Accel-Buffering", "no") in seen[1]) is streamed


ASGI_CLASS = "class Quart:\n    async def __call__(self, scope, receive, send): ...\n"


@pytest.mark.parametrize(
    ("name", "text", "entrypoint"),
    [
        ("app.py", ECHO, ""),
        ("asgi.py", ECHO.replace("app(", "application("), ""),
        ("main.py", ASGI_CLASS + "shop = Quart()\n", ""),
        ("shop.py", ASGI_CLASS + "def create_app(config=None):\n    return Quart()\n", "shop"),
        ("shop.py", ASGI_CLASS + "def create_app(config=None):\n    return Quart()\n", "shop.py"),
        ("shop.py", ASGI_CLASS + "def create_app():\n    return Quart()\n", "shop:create_app"),
        ("shop.py", ASGI_CLASS + "def made():\n    return Quart()\n", "shop:made()"),
        ("a/b.py", ASGI_CLASS + "server = Quart()\n", "a.b:server"),
    ],
)
def test_an_asgi_app_is_found(name: str, text: str, entrypoint: str) -> None:
    app_file(name, text)
    found = finder.find_asgi_app(entrypoint)
    assert kind.is_asgi(found)
    assert not isinstance(found, type)
    with pytest.raises(kind.WrongKindError, match="gunicorn_worker_class: asgi"):
        build_application(recorded(entrypoint))


def test_a_wsgi_app_is_not_served_by_asgi(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app_file("app.py", "import flask\napp = flask.Flask('x')\n")
    monkeypatch.setattr(record, "settings", lambda: recorded(""))
    with pytest.raises(SystemExit) as ended:
        gunicorn_server.for_asgi_workers()
    assert ended.value.code == gunicorn_server.BOOT_ERROR
    assert "found Flask, which speaks WSGI: set gunicorn_worker_class" in capsys.readouterr().err


def test_a_worker_that_dies_before_all_have_passed_ends_the_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    readiness = workers.Readiness(2)
    server = types.SimpleNamespace(LISTENERS=["socket"])
    readiness.worker_passed(1)
    with pytest.raises(BaseException, match="A worker died") as halted:
        gunicorn_server.died(server, readiness)
    assert type(halted.value).__name__ == "HaltServer"
    assert capsys.readouterr().err.startswith("A worker died before it could answer: ")
    gunicorn_server.died(types.SimpleNamespace(LISTENERS=[]), readiness)
    readiness.worker_passed(2)
    gunicorn_server.died(server, readiness)


def test_a_worker_that_was_replaced_before_it_had_passed_does_not_begin_again() -> None:
    readiness = workers.Readiness(2)
    readiness.worker_begins(1)
    readiness.worker_begins(2)
    with pytest.raises(workers.WorkerDiedError):
        readiness.worker_begins(1)
    readiness.worker_passed(1)
    readiness.worker_passed(2)
    readiness.worker_begins(1)
