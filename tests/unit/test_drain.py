"""Hosts taken out of nginx's upstreams and put back, on files without an nginx."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.drain import steps
from ansible_collections.flaskops.stack.plugins.module_utils.drain.upstream import DrainError
from ansible_collections.flaskops.stack.plugins.module_utils.nginx_service import Nginx, NginxError
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, Unit

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
    monkeypatch.setattr(Nginx, "check", lambda _: None)
    monkeypatch.setattr(Nginx, "reload", lambda _: None)
    monkeypatch.setattr(Nginx, "workers", lambda _: set())
    monkeypatch.setattr(Systemd, "unit", lambda *_: Unit(since=time.time() + 60))
    return tmp_path


def go(folder: Path, *addresses: str, state: str = "drained", check: bool = False) -> Any:
    return steps.bring_about(folder, addresses, state, 1, Systemd(), check_mode=check)


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
    with pytest.raises(DrainError, match=said):
        go(folder, *addresses)
    assert (folder / "shop.conf").read_text() == SITE


@pytest.mark.parametrize("what", ["check", "reload"])
def test_what_nginx_refuses_is_taken_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(_: Nginx) -> None:
        raise NginxError("nginx: broken")

    monkeypatch.setattr(Nginx, what, refuse)
    with pytest.raises(NginxError, match="broken"):
        go(folder, "192.0.2.11")
    assert (folder / "shop.conf").read_text() == SITE


def test_what_a_run_that_was_cut_off_has_written_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(folder, "192.0.2.11")
    read: list[int] = []
    monkeypatch.setattr(Systemd, "unit", lambda *_: Unit(since=time.time() - 60))

    def reload(_nginx: Nginx, timeout: int) -> bool:
        read.append(timeout)
        return False

    monkeypatch.setattr(steps, "reload", reload)
    done = go(folder, "192.0.2.11")
    assert (done["changed"], done["quiet"], read) == (True, False, [1])


@pytest.mark.parametrize(("state", "reloads"), [("active", 1), ("reloading", 1), ("inactive", 0)])
def test_a_running_nginx_is_reloaded_also_while_it_reloads(
    monkeypatch: pytest.MonkeyPatch, state: str, reloads: int
) -> None:
    asked: list[tuple[str, ...]] = []
    shown = {"ActiveState": state, "StateChangeTimestampMonotonic": "1", "MainPID": "1"}
    monkeypatch.setattr(Nginx, "check", lambda _: None)
    monkeypatch.setattr(Nginx, "workers", lambda _: set())
    monkeypatch.setattr(Systemd, "properties", lambda *_: shown)
    monkeypatch.setattr(Systemd, "must", lambda _, *words: asked.append(words))
    assert steps.reload(Nginx(Systemd()), 1)
    assert asked == [("reload", "nginx.service")] * reloads


def test_requests_that_go_on_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = [{7, 8}, {7, 9}, {7, 9}, {9}]
    monkeypatch.setattr(Nginx, "check", lambda _: None)
    monkeypatch.setattr(Nginx, "running", lambda _: True)
    monkeypatch.setattr(Nginx, "reload", lambda _: None)
    monkeypatch.setattr(Nginx, "workers", lambda _: serving.pop(0))
    assert steps.reload(Nginx(Systemd()), 60)
    assert serving == []
    serving += [{7}] * 3
    assert not steps.reload(Nginx(Systemd()), -1)
