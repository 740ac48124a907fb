"""The SECRET_KEY of all hosts: shared, and rotated in two steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import secret_key
from ansible_collections.flaskops.stack.plugins.module_utils.secret_key import Offer, step


def offers(*contents: str) -> list[Offer]:
    """One offer for each text of a file, of hosts a, b, ..."""
    return [
        Offer(host, content, f"new-{host}", 1000 + number)
        for number, (host, content) in enumerate(zip("abcd", contents, strict=False))
    ]


@pytest.mark.parametrize(
    ("contents", "shared"),
    [
        (("", ""), "new-a\n"),
        (("", "k\n"), "k\n"),
        (("old\n", "k\n", "k\n"), "k\n"),
        (("k\n", "l\n"), "k\n"),
    ],
    ids=["new", "added", "restored", "first"],
)
def test_what_most_hosts_have_is_the_key_of_all(contents: tuple[str, ...], shared: str) -> None:
    assert step("shared", offers(*contents), 31) == shared


def test_every_host_comes_to_the_same_key() -> None:
    found = offers("", "")
    hosts = ["b", "a"]
    orders = [secret_key.in_order(order, hosts) for order in (found, found[::-1])]
    assert {step("shared", order, 31) for order in orders} == {"new-b\n"}


def test_a_new_key_is_accepted_before_it_signs() -> None:
    before = "k\nolder 5\n"
    accepted = step("accepted", offers(before, before), 31)
    assert accepted == "k\nnew-a\nolder 5\n"
    assert secret_key.waits(accepted)
    assert step("accepted", offers(accepted, accepted), 31) == accepted, "it goes on"
    signed = step("signed", offers(accepted, accepted), 31)
    assert signed == "new-a\nk 1000\nolder 5\n"
    assert not secret_key.waits(signed)


def test_with_no_days_the_old_keys_are_gone() -> None:
    assert step("signed", offers("k\nnext\nolder 5\n"), 0) == "next\n"


@pytest.mark.parametrize("content", ["", "k\n", "k\nolder 5\n"])
def test_nothing_signs_that_was_not_accepted(content: str) -> None:
    with pytest.raises(secret_key.KeyStateError, match="no key waits to sign"):
        step("signed", offers(content), 31)


def test_without_an_offer_nothing_is_decided() -> None:
    with pytest.raises(secret_key.KeyStateError, match="no host has offered"):
        step("shared", [], 31)


def test_a_host_offers_what_it_has_and_something_new(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    assert secret_key.offer("a", path).content == ""
    path.write_text("k\n")
    one, two = (secret_key.offer("a", path) for _ in range(2))
    assert (one.host, one.content) == ("a", "k\n")
    assert len(one.proposal) >= 64
    assert one.proposal != two.proposal
