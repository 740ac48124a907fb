"""A GET in the uwsgi protocol."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.generation import request


def uwsgi_server(path: str, answer: bytes, seen: list[dict[str, str]]) -> threading.Thread:
    """Answer one request that comes as a packet of the uwsgi protocol."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            file = connection.makefile("rb")
            modifier1, size, modifier2 = struct.unpack("<BHB", file.read(4))
            assert (modifier1, modifier2) == (0, 0)
            parts, rest = [], file.read(size)
            while rest:
                (length,) = struct.unpack("<H", rest[:2])
                parts.append(rest[2 : 2 + length].decode())
                rest = rest[2 + length :]
            seen.append(dict(zip(parts[::2], parts[1::2], strict=True)))
            connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_the_uwsgi_protocol_is_spoken_where_the_server_does(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []
    path = tmp_path / "probe.sock"
    answer = b"HTTP/1.1 200 OK\r\nX-Flaskops-Release: r1\r\n\r\nwell"
    thread = uwsgi_server(str(path), answer, seen)
    headers = {"Host": "shop.example", "X-Flaskops-Token": "t"}
    told = request.ask(path, "/caf%C3%A9?deep=1", headers, 5, "uwsgi")
    thread.join(5)
    assert told == (200, b"well", {"X-Flaskops-Release": "r1"})
    assert seen[0]["PATH_INFO"] == "/café"
    assert seen[0]["QUERY_STRING"] == "deep=1"
    assert seen[0]["HTTP_HOST"] == "shop.example"
    assert seen[0]["HTTP_X_FLASKOPS_TOKEN"] == "t"
    assert seen[0]["HTTP_CONNECTION"] == "close"


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n"])
def test_no_answer_in_the_uwsgi_protocol_is_an_error(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "probe.sock"
    thread = uwsgi_server(str(path), answer, [])
    with pytest.raises((OSError, http.client.HTTPException)):
        request.ask(path, "/", {}, 5, "uwsgi")
    thread.join(5)
