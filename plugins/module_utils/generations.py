# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generations of an app on a host: on the disk, and asked over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import struct
import time
import urllib.parse
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.record import (
    PROVED_FILE,
    SETTINGS_FILE,
    settings,
)
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.workers import REASONS

#: Lines of the failing unit's log in the error: one screen.
LOG_LINES = 30
#: The last of the many lines in which uWSGI says how it was built and set up.
UWSGI_IS_UP = 'running "unix_signal:15 '
SERVED_FILE = "served"


def excerpt(lines: list[str]) -> list[str]:
    """The part of a log that says why: up to the reason when one is given, else the end."""
    lines = [line for line in lines if "[INFO]" not in line]
    reasons = [i for i, line in enumerate(lines) if line.startswith(REASONS)]
    lines = lines[: reasons[-1] + 1 if reasons else None]
    greetings = [i for i, line in enumerate(lines) if line.startswith(UWSGI_IS_UP)]
    return lines[greetings[-1] + 1 if reasons and greetings else 0 :][-LOG_LINES:]


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.socket_path)


class Generations:
    """The generations of one app on the disk."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "generations"
        self.live_link = home / "live"
        self.previous_link = home / "previous"

    def path(self, number: int) -> Path:
        return self.root / str(number)

    def numbers(self) -> list[int]:
        """Complete generations, oldest first."""
        if not self.root.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.root.iterdir()
            if entry.name.isdigit() and readable(entry)
        )

    def record(self, number: int) -> dict[str, Any]:
        return settings(self.path(number))

    def proved(self, number: int) -> bool:
        return (self.path(number) / PROVED_FILE).exists()

    def served(self, number: int) -> bool:
        """Whether it was live at some time."""
        return (self.path(number) / SERVED_FILE).exists()

    def whole(self, number: int) -> bool:
        """Whether a generation has served and could serve again."""
        return self.served(number) and (self.path(number) / "release").is_dir()

    def live(self) -> int:
        """Number of the live generation, 0 when there is none."""
        return self._linked(self.live_link)

    def previous(self) -> int:
        """Number of the generation that was live before, 0 when there is none."""
        return self._linked(self.previous_link)

    def _linked(self, link: Path) -> int:
        if not link.is_symlink():
            return 0
        name = os.path.basename(os.readlink(link))
        return int(name) if name.isdigit() and int(name) in self.numbers() else 0

    def rollback_target(self) -> int:
        """The generation a rollback goes to, 0 when there is none.

        The one that was live before, else the newest other one that has served.
        """
        live, previous = self.live(), self.previous()
        good = [number for number in self.numbers() if number != live and self.whole(number)]
        return previous if previous in good else max(good, default=0)

    def create(
        self, release: Path, group: int, record: dict[str, Any], texts: dict[str, str]
    ) -> int:
        """Write a new generation; it appears under its number only when it is whole.

        Its files are for root and the group only; ``record`` says what it is.
        """
        number = max(self.numbers(), default=0) + 1
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = self.root / f".{number}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o755)
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = {"generation": number, "release": release.name, "created": created, **record}
        texts = {**texts, SETTINGS_FILE: json.dumps(told, indent=2) + "\n"}
        for name, text in texts.items():
            (draft / name).parent.mkdir(mode=0o755, exist_ok=True)
            files.write(draft / name, text, 0o640, gid=group)
        (draft / "release").symlink_to(release)
        os.chmod(draft, 0o755)
        shutil.rmtree(self.path(number), ignore_errors=True)
        draft.rename(self.path(number))
        return number

    def prove(self, number: int) -> None:
        """From now on it starts without being asked for its health, and can be gone back to."""
        for name in (PROVED_FILE, SERVED_FILE):
            (self.path(number) / name).touch(mode=0o644)

    def doubt(self, number: int) -> None:
        """Let a generation prove itself again before it serves."""
        (self.path(number) / PROVED_FILE).unlink(missing_ok=True)

    def make_live(self, number: int) -> None:
        """The commit point: one rename."""
        files.link(self.live_link, f"generations/{number}")

    def remember(self, number: int) -> None:
        """The generation that a rollback goes back to."""
        files.link(self.previous_link, f"generations/{number}")

    def remove(self, number: int) -> None:
        shutil.rmtree(self.path(number), ignore_errors=True)


def readable(generation: Path) -> bool:
    """Whether the record of a generation is there and whole."""
    try:
        return "digest" in settings(generation)
    except (OSError, ValueError):
        return False


def ask(
    place: Path | str, target: str, headers: dict[str, str], seconds: float, protocol: str = "http"
) -> tuple[int, bytes, dict[str, str]]:
    """GET ``target`` of a place: status, body and headers; OSError or HTTPException.

    The place is the path of a unix socket, or ``address:port``. The answer is HTTP with either
    protocol; only the request differs.
    """
    connection = (
        UnixConnection(str(place), seconds)
        if str(place).startswith("/")
        else http.client.HTTPConnection(str(place), timeout=seconds)
    )
    try:
        if protocol == "uwsgi":
            connection.connect()
            connection.sock.sendall(uwsgi_request(target, headers))
            answer = http.client.HTTPResponse(connection.sock, method="GET")
            answer.begin()
        else:
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.headers)
    finally:
        connection.close()


def uwsgi_request(target: str, headers: dict[str, str]) -> bytes:
    """A GET as one packet of the uwsgi protocol: the size, then names and values with their sizes.

    ``Connection: close``, for without a length only the end of the connection ends the answer.
    """
    path, _, query = target.partition("?")
    variables = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": target,
        "PATH_INFO": urllib.parse.unquote(path),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": "",
    }
    sent = {**headers, "Connection": "close"}
    for name, value in sent.items():
        variables[f"HTTP_{name.upper().replace('-', '_')}"] = value
    packet = b""
    for name, value in variables.items():
        for part in (name.encode(), value.encode()):
            packet += struct.pack("<H", len(part)) + part
    return struct.pack("<BHB", 0, len(packet), 0) + packet


def probe_path(name: str, number: int) -> Path:
    """The socket that one generation alone answers on."""
    return Path(f"/run/{name}/probe-{number}.sock")
