"""Which hosts may connect."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import peers
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.peers import Peers

from wrapped import Connection


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
    asked = Peers(str(unit))
    assert [asked.may_ask(environ), asked.may_ask(environ)] == [may, may]
    assert connection.ended is not may


def test_a_unix_socket_may_always_ask(unit: Path) -> None:
    environ = {"gunicorn.socket": Connection("", "/run/shop/http.sock")}
    assert Peers(str(unit)).may_ask(environ)
    assert Peers(str(unit)).may_ask({"REMOTE_ADDR": ""})


def test_a_peer_that_has_gone_is_not_served(unit: Path) -> None:
    assert not Peers(str(unit)).may_ask({"gunicorn.socket": Connection(OSError("gone"))})


def test_the_list_can_change_and_be_lost(unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LOOK_AT_PEERS", 0)
    other = {"gunicorn.socket": Connection(("192.0.2.11", 1))}
    known = {"gunicorn.socket": Connection(("192.0.2.10", 1))}
    asked = Peers(str(unit))
    assert (asked.may_ask(known), asked.may_ask(other)) == (True, False)
    unit.write_text("[X-Flaskops]\nAllowedPeers=192.0.2.11\n")
    assert (asked.may_ask(known), asked.may_ask(other)) == (False, True)
    unit.unlink()
    assert (asked.may_ask(known), asked.may_ask(other)) == (False, True)
    assert not Peers(str(unit)).may_ask(other)
    unit.write_text("[Service]\n")  # no list: all may
    assert asked.may_ask(known)
    assert Peers("").may_ask(known)
