"""What the hosts of a run have found out about the SECRET_KEY that they share."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.shared_key import (
    any_served,
    key_offers,
    keys_differ,
)


@pytest.mark.parametrize(
    ("digests", "differ"),
    [
        (["a", "a"], False),
        (["a", "b"], True),
        (["a", ""], True),
        ([""], True),
        (["a", None], False),  # its release failed
        (["a", "a", "b"], False),  # the third is of another batch
    ],
)
def test_hosts_agree_first_where_keys_differ(digests: list[str | None], *, differ: bool) -> None:
    hostvars: dict[str, Any] = {"never": {}}
    for number, digest in enumerate(digests):
        result = {"failed": True} if digest is None else {"key_digest": digest}
        hostvars[f"app{number}"] = {"__flask_app_release": result}
    batch = ["never", *(f"app{number}" for number in range(min(len(digests), 2)))]
    assert keys_differ(hostvars, batch) is differ


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([True, None], "yes"),
        ([False, True], "yes"),
        ([False, False], "no"),
        ([False, None], "unknown"),
        ([None], "unknown"),
    ],
)
def test_an_app_has_served_when_it_has_on_any_host(told: list[bool | None], found: str) -> None:
    hostvars: dict[str, Any] = {
        f"app{number}": {} if one is None else {"__flask_app_release": {"served": one}}
        for number, one in enumerate(told)
    }
    assert any_served(hostvars, list(hostvars)) == found


def test_every_host_offers_once() -> None:
    one, two, three = ({"host": name, "content": "k"} for name in ("a", "b", "c"))
    hostvars = {
        "a": {"__flask_app_key": {"offer": one}},
        "b": {"__flask_app_key": {"offer": two}},
        "c": {},
    }
    elsewhere = [{"offer": two}, {"offer": three}]
    assert key_offers(hostvars, ["a", "b", "c"], elsewhere) == [one, two, three]
