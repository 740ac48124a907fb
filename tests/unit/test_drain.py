"""Hosts taken out of nginx's upstreams and put back, on files without an nginx."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, Unit
from ansible_collections.flaskops.stack.plugins.modules import drain

SITE = """\
upstream shop {
    zone shop 64k;
    least_conn;
    server 192.0.2.11:8000 max_fails=3 fail_timeout=2s;
    server 192.0.2.12:8000;
    server [2001:db8::13]:8000;
}
server {
    listen 0.0.0.0:80;
    server_name shop.example;
}
"""
LOCAL = "upstream one {\n    server unix:/run/one/http.sock;\n}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's sites, with an nginx that accepts all."""
    (tmp_path / "shop.conf").write_text(SITE)
    (tmp_path / "one.conf").write_text(LOCAL)
    monkeypatch.setattr(drain, "run", lambda *_: "")
    monkeypatch.setattr(drain, "reload", lambda _: True)
    monkeypatch.setattr(Systemd, "unit", lambda *_: Unit(since=time.time() + 60))
    return tmp_path


def go(folder: Path, *addresses: str, state: str = "drained", check: bool = False) -> Any:
    return drain.bring_about(folder, addresses, state, 1, check_mode=check)


def test_a_host_is_taken_out_and_put_back(folder: Path) -> None:
    done = go(folder, "192.0.2.11", "2001:db8::13")
    assert done["changed"]
    assert done["sites"] == {
        "shop": {
            "active": ["192.0.2.12:8000"],
            "drained": ["192.0.2.11:8000", "[2001:db8::13]:8000"],
        }
    }
    text = (folder / "shop.conf").read_text()
    assert "server 192.0.2.11:8000 max_fails=3 fail_timeout=2s down; # drained\n" in text
    assert "server [2001:db8::13]:8000 down; # drained\n" in text
    assert not go(folder, "192.0.2.11")["changed"]
    assert go(folder, "192.0.2.11", "2001:db8::13", state="active")["changed"]
    assert (folder / "shop.conf").read_text() == SITE
    assert sorted(path.name for path in folder.iterdir()) == ["one.conf", "shop.conf"]


def test_without_a_host_it_only_tells(folder: Path) -> None:
    done = go(folder)
    assert not done["changed"]
    assert len(done["sites"]["shop"]["active"]) == 3


def test_check_mode_writes_nothing(folder: Path) -> None:
    assert go(folder, "192.0.2.11", check=True)["changed"]
    assert (folder / "shop.conf").read_text() == SITE


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (("192.0.2.11", "192.0.2.12", "2001:db8::13"), "shop: no server would be left"),
        (("192.0.2.1",), "addresses: found 192.0.2.1; the servers are 192.0.2.11"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, addresses: tuple[str, ...], said: str) -> None:
    with pytest.raises(drain.DrainError, match=said):
        go(folder, *addresses)
    assert (folder / "shop.conf").read_text() == SITE


@pytest.mark.parametrize("what", ["run", "reload"])
def test_what_nginx_refuses_is_taken_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(*_: object) -> str:
        raise drain.DrainError("nginx: broken")

    monkeypatch.setattr(drain, what, refuse)
    with pytest.raises(drain.DrainError, match="broken"):
        go(folder, "192.0.2.11")
    assert (folder / "shop.conf").read_text() == SITE


def test_what_a_run_that_was_cut_off_has_written_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(folder, "192.0.2.11")
    read: list[int] = []
    monkeypatch.setattr(Systemd, "unit", lambda *_: Unit(since=time.time() - 60))

    def reload(timeout: int) -> bool:
        read.append(timeout)
        return False

    monkeypatch.setattr(drain, "reload", reload)
    done = go(folder, "192.0.2.11")
    assert (done["changed"], done["quiet"], read) == (True, False, [1])


@pytest.mark.parametrize(("state", "reloads"), [("active", 1), ("reloading", 1), ("inactive", 0)])
def test_a_running_nginx_is_reloaded_also_while_it_reloads(
    monkeypatch: pytest.MonkeyPatch, state: str, reloads: int
) -> None:
    commands: list[tuple[str, ...]] = []

    def run(*command: str) -> str:
        commands.append(command)
        return state if "ActiveState" in command else "1"

    monkeypatch.setattr(drain, "run", run)
    monkeypatch.setattr(drain, "children", lambda _: set())
    assert drain.reload(1)
    assert commands.count(("systemctl", "reload", "nginx.service")) == reloads
