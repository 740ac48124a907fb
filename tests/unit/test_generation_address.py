"""Whether a host could listen on an address."""

from __future__ import annotations

import grp
import os
import socket
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.generation.address import problem_with

GROUP = grp.getgrgid(os.getgid()).gr_name


def unit(listen: str, group: str = GROUP) -> str:
    own = f"SocketGroup={group}\n" if listen.startswith("/") else ""
    return f"[Socket]\nListenStream={listen}\nBacklog=2048\n{own}"


def test_a_free_address_has_no_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert problem_with(unit(f"127.0.0.1:{port}"), "") == ""
    assert problem_with(unit(f"[::1]:{port}"), "") in (
        "",
        "Address family not supported by protocol",
    )
    assert problem_with(unit(f"192.0.2.1:{port}"), "") == ""  # it may come
    assert problem_with(unit(f"{tmp_path}/new/http.sock"), "") == ""


def test_a_port_that_somebody_else_has_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert problem_with(unit(f"127.0.0.1:{port}"), "") == "Address already in use"
        # The app itself has it, on another address or on this one.
        assert problem_with(unit(f"127.0.0.1:{port}"), unit(f"0.0.0.0:{port}")) == ""
        assert problem_with(unit(f"127.0.0.1:{port}"), unit(f"127.0.0.1:{port}")) == ""


def test_a_path_that_is_no_free_sockets_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        assert problem_with(unit(str(place)), "") == "Address already in use"
        assert problem_with(unit(str(place)), unit(str(place))) == ""
    assert problem_with(unit(str(place)), "") == ""  # left by one that is gone
    place.unlink()
    place.touch()
    assert problem_with(unit(str(place)), "") == "there is something else"
    assert "at most 107 bytes" in problem_with(unit("/run/" + "a" * 103), "")
    assert problem_with(unit("/run/" + "a" * 102), "") == ""


def test_a_group_has_to_be_there(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    told = problem_with(unit(path, "no-such-group"), unit(path))
    assert told == "this host has no group no-such-group"
