"""The name of what is live on all hosts of an app."""

from __future__ import annotations

from ansible_collections.flaskops.stack.plugins.filter.live_id import FilterModule

HOSTVARS = {
    "a": {"wsgi_switch": {"generation": "7", "release": "abc"}},
    "b": {"wsgi_switch": {"generation": "9", "release": "abc"}},
    "c": {},
}
live_id = FilterModule().filters()["live_id"]


def test_it_is_the_same_on_every_host_and_in_every_order() -> None:
    assert live_id(["a", "b"], HOSTVARS) == live_id(["b", "a"], HOSTVARS)
    assert len(live_id(["a", "b"], HOSTVARS)) == 12


def test_another_generation_of_one_host_makes_another() -> None:
    changed = HOSTVARS | {"b": {"wsgi_switch": {"generation": "10", "release": "abc"}}}
    assert live_id(["a", "b"], HOSTVARS) != live_id(["a", "b"], changed)


def test_a_run_that_did_not_look_has_none() -> None:
    assert live_id(["c"], HOSTVARS) == ""
    assert live_id([], HOSTVARS) == ""
    assert live_id(["a", "c"], HOSTVARS) != ""
