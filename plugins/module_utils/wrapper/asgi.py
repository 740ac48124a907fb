# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ASGI app as the server calls it: what ``app`` is for WSGI."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from . import health, record
from .farewell import GOING_AWAY, farewell
from .gate import NotReadyError, due
from .keys import has_own_key
from .peers import UNIT, Peers
from .static import Published
from .workers import report

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

TOKEN = b"x-flaskops-token"
#: What the proxies in front write, each adding to it at the end.
FORWARDED = {name: f"x-forwarded-{name}".encode() for name in ("for", "proto", "host", "prefix")}
STREAM = b"text/event-stream"


class AsgiApplication:
    """The app behind its proxies, its static files and the check of peers.

    It passes the gate when its own start is over, before the server accepts a request.
    """

    def __init__(self, app: Asgi, config: dict[str, Any], directory: Path | None = None) -> None:
        self.app = app
        self.config = config
        self.directory = directory or record.own_directory()
        self.peers = Peers(os.environ.get(UNIT, ""))
        self.own_key = has_own_key(app)
        self.published = Published.of(self.directory)
        #: Called when the gate is passed.
        self.passed: Callable[[], Any] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif not self.peers.may_come(*_ends(scope)):
            await _refuse(scope, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request or a WebSocket, of a published file or as the app is to see it."""
        seen = behind(scope, self.config["proxy_hops"])
        if scope["type"] == "websocket":
            await self._talk(seen, receive, send)
            return
        if self.published.may_have(scope["path"], scope["method"]):
            found = await asyncio.to_thread(self.published.answer, _environ(scope))
            if found is not None:
                await _send_file(*found, send)
                return
        known = (TOKEN, self.config["token"].encode()) in scope["headers"]
        named = [(health.RELEASE_HEADER.lower().encode(), self.config["release"].encode())]
        if self.own_key:
            named.append((health.KEY_HEADER.lower().encode(), health.OWN_KEY.encode()))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if any(k.lower() == b"content-type" and v.startswith(STREAM) for k, v in headers):
                    headers.append((b"x-accel-buffering", b"no"))
                message = {**message, "headers": [*headers, *named] if known else headers}
            await send(message)

        await self.app(seen, receive, told)

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, which is closed when the worker retires."""
        loop = asyncio.get_running_loop()

        def close() -> None:
            message = {"type": "websocket.close", "code": GOING_AWAY}
            asyncio.run_coroutine_threadsafe(_quietly(send(message)), loop)

        with farewell.until_then(close):
            await self.app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app's own start and end; between them, the gate."""
        asked, over = False, False

        async def received() -> Message:
            nonlocal asked
            asked = True
            return await receive()

        async def told(message: Message) -> None:
            nonlocal over
            if message["type"] == "lifespan.startup.failed":
                report(RuntimeError(message.get("message") or "it refused to start"))
            if message["type"].startswith("lifespan.startup."):
                over = True
            if message["type"] == "lifespan.startup.complete":
                await self._prove(scope, send)
            else:
                await send(message)

        try:
            await self.app(scope, received, told)
        except Exception as error:
            if over:
                raise
            if asked:  # it knows what a start is, and failed
                report(error)
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
        if not over:  # it has none
            await receive()
            await self._prove(scope, send)
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    async def _prove(self, scope: Scope, send: Send) -> None:
        """Ask the app for its health, and tell the server whether it may serve."""
        try:
            for check, asked in due(self.directory, self.config):
                await self._check(check, asked, dict(scope.get("state", {})))
        except Exception as error:
            report(error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self.passed()
        await send({"type": "lifespan.startup.complete"})

    async def _check(self, check: dict[str, Any], asked: str, state: dict[str, Any]) -> None:
        try:
            answer = self._ask(check, state)
            status, body = await asyncio.wait_for(answer, check["timeout"])
        except asyncio.TimeoutError:
            late = f"{asked} did not answer within {check['timeout']} s"
            raise NotReadyError(late) from None
        problem = health.unhealthy(status, body, check)
        if problem:
            raise NotReadyError(f"{asked} {problem}")

    async def _ask(self, check: dict[str, Any], state: dict[str, Any]) -> tuple[int, bytes]:
        path, _, query = check["path"].partition("?")
        hops = self.config["proxy_hops"]
        headers = health.headers(check, hops).items()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": check["scheme"],
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 0),
            "state": state,
        }
        answer: list[int] = []
        written: list[bytes] = []
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
        answered = asyncio.Event()

        async def receive() -> Message:
            for message in messages:
                return message
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.append(message["status"])
            elif message["type"] == "http.response.body":
                written.append(message.get("body", b""))
                if not message.get("more_body", False):
                    answered.set()

        await self.app(behind(scope, hops), receive, send)
        return answer[0], b"".join(written)


def behind(scope: Scope, hops: int) -> Scope:
    """A request as the visitor made it, by what that many proxies say of it."""
    if hops < 1:
        return scope
    told = {
        name: value
        for name, header in FORWARDED.items()
        if (value := _from_the_end(scope["headers"], header, hops))
    }
    found = dict(scope)
    if "for" in told:
        found["client"] = (told["for"], 0)
    if "proto" in told:
        secure = {"http": "http", "https": "https"}
        if scope["type"] == "websocket":
            secure = {"http": "ws", "https": "wss"}
        found["scheme"] = secure.get(told["proto"], scope["scheme"])
    if "host" in told:
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        found["headers"] = [*others, (b"host", told["host"].encode("latin-1"))]
    if "prefix" in told:
        prefix = told["prefix"].rstrip("/")
        found["root_path"] = prefix
        found["path"] = prefix + scope["path"]
        found["raw_path"] = prefix.encode("latin-1") + scope["raw_path"]
    return found


def _from_the_end(headers: Headers, wanted: bytes, hops: int) -> str:
    """What the farthest trusted proxy has written, the last ``hops``-th value."""
    values = [
        one.strip()
        for name, value in headers
        if name == wanted
        for one in value.decode("latin-1").split(",")
    ]
    return values[-hops] if len(values) >= hops else ""


def _ends(scope: Scope) -> tuple[str, str]:
    """Addresses of the peer and of this end; a unix socket's peer has none."""
    client, server = scope.get("client"), scope.get("server")
    if not client:
        return "", ""
    return str(client[0]), str(server[0]) if server else ""


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"This host may not ask.\n"})


async def _quietly(ending: Awaitable[None]) -> None:
    try:
        await ending
    except (OSError, RuntimeError):  # it has just ended
        return


def _environ(scope: Scope) -> dict[str, Any]:
    """As much of a WSGI request as a file is asked with."""
    headers = {
        f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1")
        for name, value in scope["headers"]
    }
    wsgi = scope["path"].encode("utf-8", "surrogateescape").decode("latin-1")
    return {**headers, "REQUEST_METHOD": scope["method"], "PATH_INFO": wsgi}


async def _send_file(
    status: str, headers: list[tuple[str, str]], body: Iterable[bytes], send: Send
) -> None:
    blocks = iter(body)
    coded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    code = int(status.partition(" ")[0])
    await send({"type": "http.response.start", "status": code, "headers": coded})
    while block := await asyncio.to_thread(next, blocks, b""):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
