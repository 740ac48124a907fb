"""What playbooks/drain.yml shows."""

from __future__ import annotations

from ansible_collections.flaskops.stack.plugins.filter.drain import FilterModule

drain_lines = FilterModule().filters()["drain_lines"]


def test_a_server_is_shown_by_the_name_of_its_host() -> None:
    sites = {"shop": {"active": ["192.0.2.12:8000", "[fd00::3]:8000"], "drained": ["10.0.0.9"]}}
    assert drain_lines(sites, {"app1": "192.0.2.12", "app2": "fd00::3"}) == [
        "shop app1 active",
        "shop app2 active",
        "shop 10.0.0.9 drained",
    ]


def test_without_sites_there_is_nothing_to_say() -> None:
    assert drain_lines({}, {"app1": "192.0.2.12"}) == []
