"""The site: hosts, tiers, addresses."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import Site, read_site


def site(hosts: dict[str, dict[str, Any]], **groups: list[str]) -> Site:
    return read_site({"all": list(hosts), **groups}, hosts)


def test_without_groups_every_host_has_every_tier() -> None:
    found = site({"a": {}, "b": {}})
    assert found.tiers_of("b") == ["cache", "app", "web"]
    assert not found.balanced


def test_a_host_has_the_tiers_of_its_groups() -> None:
    found = site({"a": {}, "b": {}}, app=["a"], web=["a", "b"])
    assert (found.tiers_of("a"), found.tiers_of("b")) == (["app", "web"], ["web"])
    assert found.balanced


def test_one_host_in_both_tiers_needs_no_network() -> None:
    assert not site({"a": {}}, app=["a"], web=["a"]).balanced


def test_who_says_where_the_app_listens_connects_the_tiers_by_hand() -> None:
    hosts: dict[str, dict[str, Any]] = {"a": {"wsgi_bind": "192.0.2.1:9000"}, "b": {}}
    assert not site(hosts, app=["a"], web=["b"]).balanced


def test_an_address_is_the_private_one_then_ansibles_then_the_name() -> None:
    hosts: dict[str, dict[str, Any]] = {
        "a": {"private_address": "10.0.0.1", "ansible_host": "192.0.2.1"},
        "b": {"ansible_host": "192.0.2.2"},
        "c": {},
    }
    found = site(hosts)
    assert dict(found.addresses) == {"a": "10.0.0.1", "b": "192.0.2.2", "c": "c"}
    assert found.unreachable("abc") == ["c for c"]


def test_an_ipv6_address_stands_in_brackets_before_a_port() -> None:
    found = site({"a": {"private_address": "fd00::1"}})
    assert found.sockets(8000) == {"a": "[fd00::1]:8000"}


def test_the_first_cache_host_serves_the_apps_elsewhere() -> None:
    found = site({"a": {}, "b": {}, "c": {}, "d": {}}, cache=["b", "c"], app=["d", "a", "c"])
    assert (found.cache_clients_of("b"), found.cache_clients_of("c")) == (["a", "d"], [])
    assert (found.cache_host_of("a"), found.cache_host_of("c")) == ("b", "c")


def test_loopback_is_no_address_for_others() -> None:
    hosts: dict[str, dict[str, Any]] = {"a": {"ansible_host": "127.0.0.1"}, "b": {}}
    assert site(hosts).unreachable("a") == ["127.0.0.1 for a"]


def test_one_host_switches_at_once_and_several_wait_for_one_another() -> None:
    alone, three = site({"a": {}}), site({"a": {}, "b": {}, "c": {}}, app=["a", "b"], web=["c"])
    assert (alone.phase, three.phase) == ("whole", "start")
    assert (three.lease, three.as_data()["lease"]) == (1020, 1020)
