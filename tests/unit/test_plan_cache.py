"""What the plan says of the cache tier, and what the app is told of its cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import cache_tier
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import read_site
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.tiers import HostPlan, plan_host
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import View

TIMEOUTS = "?socket_connect_timeout=0.2&socket_timeout=0.3"
Hosts = dict[str, dict[str, Any]]


def as_it_is(_variables: Mapping[str, Any], value: Any) -> Any:
    return value


def view(
    host: str = "a", hosts: Hosts | None = None, controller: Controller | None = None, **groups: Any
) -> View:
    """A host of an inventory as the tiers look at it; nothing here is templated."""
    known = hosts if hosts is not None else {host: {}}
    known = {name: {"flask_app_name": "shop", **said} for name, said in known.items()}
    site = read_site({"all": list(known), **groups}, known)
    return View(host, site, known[host], as_it_is, controller or Controller(host))


def environment(said: dict[str, Any], controller: Controller | None = None) -> dict[str, Any]:
    """The environment of an app whose only host is its own cache."""
    return cache_tier.environment_of(view(hosts={"a": said}, controller=controller))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            {},
            {
                "REDIS_URL": "redis://127.0.0.1:6379/0",
                "CACHE_TYPE": "RedisCache",
                "CACHE_REDIS_URL": f"redis://127.0.0.1:6379/0{TIMEOUTS}",
                "CACHE_KEY_PREFIX": "shop:",
            },
        ),
        (
            {"redis_password": "a?b/#", "redis_port": "7000"},
            {
                "REDIS_URL": "redis://:a%3Fb%2F%23@127.0.0.1:7000/0",
                "CACHE_REDIS_URL": f"redis://:a%3Fb%2F%23@127.0.0.1:7000/0{TIMEOUTS}",
            },
        ),
        (
            {"flask_app_env": {"REDIS_URL": "rediss://cache.example.org/2?socket_timeout=9"}},
            {"CACHE_REDIS_URL": "rediss://cache.example.org/2?socket_timeout=9"},
        ),
        (
            {"flask_app_env": {"REDIS_URL": "unix:///run/redis/redis.sock"}},
            {"CACHE_REDIS_URL": "unix:///run/redis/redis.sock"},
        ),
        (
            {"redis_password": "all", "redis_acl_users": {"shop": "a/b", "blog": "c"}},
            {"REDIS_URL": "redis://shop:a%2Fb@127.0.0.1:6379/0"},
        ),
        (
            {"redis_acl_users": {"shop": {"password": "new", "previous_password": "old"}}},
            {"REDIS_URL": "redis://shop:new@127.0.0.1:6379/0"},
        ),
        (
            {"redis_password": "all", "redis_acl_users": {"blog": "c"}},
            {"REDIS_URL": "redis://:all@127.0.0.1:6379/0"},
        ),
        (
            {"cache_server": "memcached"},
            {
                "CACHE_TYPE": "MemcachedCache",
                "CACHE_MEMCACHED_SERVERS": ["127.0.0.1:11211"],
                "CACHE_KEY_PREFIX": "shop:",
            },
        ),
        (
            {"cache_server": "memcached", "memcached_port": 7000},
            {"CACHE_MEMCACHED_SERVERS": ["127.0.0.1:7000"]},
        ),
    ],
)
def test_flask_caching_finds_the_cache(said: dict[str, Any], found: dict[str, Any]) -> None:
    env = environment(said)
    for name, value in found.items():
        assert env[name] == value
        if name.startswith("CACHE_"):
            assert env[f"FLASK_{name}"] == value


def test_a_cache_on_another_host_has_its_address() -> None:
    hosts: Hosts = {
        "a": {"cache_server": "memcached"},
        "b": {"ansible_host": "192.0.2.7", "cache_server": "memcached"},
    }
    env = cache_tier.environment_of(view("a", hosts, app=["a"], cache=["b"]))
    assert env["CACHE_MEMCACHED_SERVERS"] == ["192.0.2.7:11211"]


def test_hosts_elsewhere_are_listened_to_and_let_in() -> None:
    """What is said of Redis for its own hosts counts for the others; b2 is nobody's cache."""
    redis = {"redis_acl_users": {"shop": "pw"}, "redis_port": 7000}
    hosts: Hosts = {
        "a1": {"private_address": "fd00::a1"},
        "a2": {"ansible_host": "a2.lan"},
        "b1": {"private_address": "fd00::1", **redis},
        "b2": {"private_address": "fd00::2", **redis},
    }
    groups: dict[str, Any] = {"app": ["a1", "a2"], "cache": ["b1", "b2"]}
    first = cache_tier.plan(view("b1", hosts, **groups)).options
    second = cache_tier.plan(view("b2", hosts, **groups)).options
    assert first["redis_bind"] == ["127.0.0.1", "-::1", "fd00::1"]
    assert second["redis_bind"] == ["127.0.0.1", "-::1"]
    for host in ("a1", "a2"):
        env = cache_tier.environment_of(view(host, hosts, **groups))
        assert env["REDIS_URL"] == "redis://shop:pw@[fd00::1]:7000/0"
    both = {host: {**said, "cache_server": "memcached"} for host, said in hosts.items()}
    first = cache_tier.plan(view("b1", both, **groups)).options
    second = cache_tier.plan(view("b2", both, **groups)).options
    assert first["memcached_bind"] == ["127.0.0.1", "fd00::1"]
    assert first["memcached_allowed"] == ["fd00::a1", "a2.lan"]
    assert (second["memcached_bind"], second["memcached_allowed"]) == (["127.0.0.1"], [])


SAID = {"flask_app_env": {"REDIS_URL": "redis://said"}}
FILE = {"flask_app_env_files": ["shop.env"]}
NAMES = {"flask_app_env_names": "REDIS_URL"}
FOUND = {"flask_app_env_from_environment": {"REDIS_URL": "redis://found"}}
FILES = {"shop.env": "REDIS_URL=redis://file\n", "cache.env": "CACHE_REDIS_URL=redis://file\n"}
AROUND = Controller(read=FILES.__getitem__, environment={"REDIS_URL": "redis://named"})


@pytest.mark.parametrize(
    ("said", "url"),
    [
        (FILE, "redis://file"),
        (FILE | {"flask_app_env": {"REDIS_URL": None}}, "redis://127.0.0.1:6379/0"),
        (FILE | SAID, "redis://said"),
        (FILE | SAID | FOUND, "redis://found"),
        (FILE | SAID | NAMES, "redis://named"),
        (SAID | NAMES | {"flask_app_env_spoken": ["REDIS_URL"]}, "redis://said"),
        ({"flask_app_env_names": ["NOT_SET"]}, "redis://127.0.0.1:6379/0"),
        ({"flask_app_env": {"FLASK_REDIS_URL": "redis://flask"}}, "redis://flask"),
    ],
)
def test_an_address_of_the_apps_own_is_its_caches_too(said: dict[str, Any], url: str) -> None:
    env = environment(said, AROUND)
    assert env["REDIS_URL"] == url
    assert env["CACHE_REDIS_URL"] == env["FLASK_CACHE_REDIS_URL"] == url + TIMEOUTS


@pytest.mark.parametrize(
    "said",
    [FILE, {"flask_app_env_files": "cache.env"}, {"flask_app_env": {"REDIS_URL": "redis://x"}}],
)
def test_an_app_that_is_sent_elsewhere_needs_no_user(said: dict[str, Any]) -> None:
    hosts = {"a": said | {"redis_acl_users": {"blog": "pw"}}}
    assert cache_tier.login_problems(view(hosts=hosts, controller=AROUND)) == []


def test_what_only_the_apps_hosts_are_given_counts_on_the_cache_host() -> None:
    users: dict[str, Any] = {"redis_acl_users": {"blog": "pw"}}
    hosts: Hosts = {"a": FILE | users, "b": users}
    there = view("b", hosts, controller=AROUND, app=["a"], cache=["b"])
    assert cache_tier.login_problems(there) == []


def test_an_app_that_redis_would_turn_away_is_named() -> None:
    (told,) = cache_tier.login_problems(view(hosts={"a": {"redis_acl_users": {"blog": "pw"}}}))
    assert told.startswith("redis_acl_users: found blog and no redis_password;")


@pytest.mark.parametrize(
    ("host", "variables", "problem"),
    [
        (
            {"ansible_host": "cache.lan"},
            {"cache_server": "memcached"},
            "private_address: found cache.lan; app hosts elsewhere (a) reach the cache over",
        ),
        ({"ansible_host": "cache.lan"}, {"redis_bind": ["10.0.0.1"], "redis_password": "pw"}, ""),
        (
            {"private_address": "10.0.0.1"},
            {"redis_acl_users": {"blog": "pw"}},
            "Redis would let shop",
        ),
    ],
)
def test_the_cache_tier_is_checked_before_anything_changes(
    host: dict[str, Any], variables: dict[str, Any], problem: str
) -> None:
    hosts = {"a": {"private_address": "10.0.0.9"} | variables, "b": host | variables}
    told = plan_host(view("b", hosts, app=["a"], cache=["b"])).problems
    assert (told == []) is (problem == ""), told
    assert problem in "\n".join(told)


def test_nothing_is_said_of_a_cache_that_is_not_there() -> None:
    assert environment({"cache_server": "none", "redis_acl_users": {"blog": "pw"}}) == {}
    hosts = {"a": {"cache_server": "memcached"}}
    assert cache_tier.environment_of(view("a", hosts, app=["a"])) == {}


def test_a_port_that_is_closed_is_told() -> None:
    hosts: Hosts = {"a": {"redis_port": 0, "redis_unix_socket": "/run/redis/redis.sock"}}
    (told,) = cache_tier.app_problems(view(hosts=hosts))
    assert told.startswith("redis_port: found 0, but the app would connect over TCP")
    hosts["a"] |= {"flask_app_env": {"REDIS_URL": "unix:///run/redis/redis.sock"}}
    assert cache_tier.app_problems(view(hosts=hosts)) == []


def planned(**said: Any) -> HostPlan:
    return plan_host(view(hosts={"a": said}, cache=["a"]))


def test_all_problems_are_told_at_once() -> None:
    told = planned(redis_port=70000, redis_maxmemory="lots", redis_bind="0.0.0.0").problems
    assert [text.partition(":")[0] for text in told] == [
        "redis_bind",
        "redis_port",
        "redis_maxmemory",
    ]


def test_a_type_that_is_wrong_is_told_in_ansibles_words() -> None:
    (told,) = planned(redis_port="many").problems
    assert "argument 'redis_port' is of type str" in told


def test_packages_are_those_of_the_roles_that_run() -> None:
    assert planned().packages == ["redis-server"]
    assert planned(redis_implementation="valkey").packages == ["valkey-server"]
    assert planned(cache_server="memcached").packages == ["memcached"]
    assert planned(cache_server="none").packages == []


def test_a_role_that_installs_nothing_is_told_so() -> None:
    """The playbooks give every role that runs its option, also one that only removes."""
    found = planned(cache_server="none", redis_state="absent", memcached_state="absent")
    assert found.packages == []
    assert found.options["redis_with_packages"] == found.options["memcached_with_packages"] == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, True),
        ({"redis_maxmemory_policy": "allkeys-lru"}, True),
        ({"redis_maxmemory_policy": "volatile-lru"}, False),
        ({"redis_maxmemory_policy": "noeviction"}, False),
        ({"cache_server": "memcached"}, False),
        ({"flask_app_processes": []}, False),
    ],
)
def test_a_queue_in_a_cache_that_forgets_is_told(said: dict[str, Any], *, told: bool) -> None:
    worker = {"name": "worker", "command": "rq worker", "count": 1, "stop_timeout": 9}
    given = {"flask_app_processes": [worker], **said}
    hints = cache_tier.queue_hints(view(hosts={"a": given}))
    assert bool(hints) is told
    assert all(hint.startswith("redis_maxmemory_policy: allkeys-l") for hint in hints)


def test_what_the_cache_host_says_of_its_policy_counts() -> None:
    hosts: Hosts = {
        "a": {"flask_app_processes": [{"name": "w", "command": "w"}]},
        "c": {"redis_maxmemory_policy": "noeviction"},
    }
    assert cache_tier.queue_hints(view("a", hosts, cache=["c"], app=["a"])) == []
    del hosts["c"]["redis_maxmemory_policy"]
    assert cache_tier.queue_hints(view("a", hosts, cache=["c"], app=["a"])) != []
