# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: each worker asks its own app for its health before it accepts a request."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import health, record
from .wsgi import Environ, Wsgi


class NotReadyError(Exception):
    """The app did not pass its own health check."""


def due(directory: Path, config: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """The checks that a worker has to pass, each with what it asks in words.

    A generation that has proved itself once is not asked again: a cache that is down when a worker
    restarts must not keep the site down.
    """
    if (directory / record.PROVED_FILE).exists():
        return []
    return [
        (check, f"GET {check['path']} (Host: {check['host']}, {check['scheme']})")
        for check in health.checks(config["health"])
    ]


def gate(application: Wsgi, directory: Path | None = None) -> None:
    """Ask ``application`` for its health path before it may serve; NotReadyError if it fails."""
    directory = directory or record.own_directory()
    config = record.settings(directory)
    for check, asked in due(directory, config):
        with _deadline(check["timeout"], asked):
            status, body = _ask(application, check, config["proxy_hops"])
        problem = health.unhealthy(status, body, check)
        if problem:
            raise NotReadyError(f"{asked} {problem}")


def _ask(application: Wsgi, check: dict[str, Any], hops: int) -> tuple[int, bytes]:
    path, _, query = check["path"].partition("?")
    environ: Environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": check["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in health.headers(check, hops).items():
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
