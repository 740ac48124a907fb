"""What the playbooks tell the app of its cache."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUTS = "?socket_connect_timeout=0.2&socket_timeout=0.3"
PLAY = f"""
- hosts: all
  gather_facts: false
  vars_files: ["{ROOT}/playbooks/vars/wiring.yml"]
  vars: {{nginx_server_name: shop.example.org, gunicorn_health_scheme: http, flask_app_name: shop}}
  tasks:
    - ansible.builtin.debug:
        msg: >-
          FOUND {{{{ inventory_hostname }}}}
          {{{{ wiring_app_env | combine({{'name': wiring_server_name,
          'problem': wiring_redis_problem}})
          | to_json | b64encode }}}}
"""


def wired(
    directory: Path, inventory: Any, play: str = PLAY, **environment: str
) -> dict[str, dict[str, Any]]:
    """The environment of the app on every host of an inventory; nothing runs there."""
    (directory / "play.yml").write_text(play)
    (directory / "hosts.json").write_text(json.dumps(inventory))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={directory}/hosts.json",
            str(directory / "play.yml"),
        ],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"FOUND (\w+) (\S+)", done.stdout)
    return {host: json.loads(base64.b64decode(text)) for host, text in found}


# Each on a host of its own, which is its own cache.
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
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
        {"redis_password": "a?b/#", "redis_port": 7000},
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
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The environments of all cases, from one run."""
    hosts = {f"case{number}": variables for number, (variables, _found) in enumerate(CASES)}
    blog = {"redis_acl_users": {"blog": "pw"}}
    hosts["nothing"] = {"cache_server": "none"} | blog
    hosts["stranger"] = blog
    hosts["elsewhere"] = {"flask_app_env": {"REDIS_URL": "redis://x"}} | blog
    return wired(tmp_path_factory.mktemp("wiring"), {"all": {"hosts": hosts}})


@pytest.mark.parametrize("number", range(len(CASES)))
def test_flask_caching_finds_the_cache(alone: dict[str, dict[str, Any]], number: int) -> None:
    env = alone[f"case{number}"]
    for name, value in CASES[number][1].items():
        assert env[name] == value
        if name.startswith("CACHE_"):
            assert env[f"FLASK_{name}"] == value


def test_a_cache_on_another_host_has_its_address(tmp_path: Path) -> None:
    groups = {"app": {"hosts": {"a": {}}}, "cache": {"hosts": {"b": {"ansible_host": "192.0.2.7"}}}}
    inventory = {"all": {"children": groups, "vars": {"cache_server": "memcached"}}}
    assert wired(tmp_path, inventory)["a"]["CACHE_MEMCACHED_SERVERS"] == ["192.0.2.7:11211"]


def test_what_is_said_of_the_cache_counts_elsewhere(tmp_path: Path) -> None:
    """What is said of Redis for its own hosts counts for the others."""
    cache = {"b1": {"private_address": "fd00::1"}, "b2": {"private_address": "fd00::2"}}
    groups = {
        "app": {"hosts": {"a1": {"private_address": "fd00::a1"}, "a2": {"ansible_host": "a2.lan"}}},
        "cache": {"hosts": cache, "vars": {"redis_acl_users": {"shop": "pw"}, "redis_port": 7000}},
    }
    found = wired(tmp_path, {"all": {"children": groups}})
    for host in ("a1", "a2"):
        assert found[host]["REDIS_URL"] == "redis://shop:pw@[fd00::1]:7000/0"


def test_health_checks_have_a_name_that_visitors_could_ask_for(tmp_path: Path) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "none": ([], "localhost"),
        "one": ("a.example", "a.example"),
        "star": (["*.a.example", "a.example"], "www.a.example"),
        "dot": ([".a.example"], "www.a.example"),
        "end": (["www.a.*"], "www.a.example"),
    }
    inventory = {"all": {"hosts": {host: {"names": names} for host, (names, _) in cases.items()}}}
    play = PLAY.replace("nginx_server_name: shop.example.org", "nginx_server_name: '{{ names }}'")
    found = wired(tmp_path, inventory, play)
    assert {host: env["name"] for host, env in found.items()} == {
        host: asked for host, (_, asked) in cases.items()
    }


SAID = {"flask_app_env": {"REDIS_URL": "redis://said"}}
FILE = {"flask_app_env_files": ["shop.env"]}
NAMES = {"flask_app_env_names": "REDIS_URL"}
FOUND = {"flask_app_env_from_environment": {"REDIS_URL": "redis://found"}}
# What the app is given, the address of its own Redis, and that of its cache.
GIVEN: list[tuple[dict[str, Any], str]] = [
    (FILE, "redis://file"),
    (FILE | {"flask_app_env": {"REDIS_URL": None}}, "redis://127.0.0.1:6379/0"),
    (FILE | SAID, "redis://said"),
    (FILE | SAID | FOUND, "redis://found"),
    (FILE | SAID | NAMES, "redis://named"),
    (SAID | NAMES | {"flask_app_env_spoken": ["REDIS_URL"]}, "redis://said"),
    ({"flask_app_env_names": ["NOT_SET"]}, "redis://127.0.0.1:6379/0"),
    ({"flask_app_env": {"FLASK_REDIS_URL": "redis://flask"}}, "redis://flask"),
]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The environments of all cases of GIVEN, from one run; the users let in none of these apps."""
    directory = tmp_path_factory.mktemp("given")
    (directory / "shop.env").write_text("REDIS_URL=redis://file\n")
    (directory / "cache.env").write_text("CACHE_REDIS_URL=redis://file\n")
    hosts = {f"given{number}": variables for number, (variables, _url) in enumerate(GIVEN)}
    users = {"redis_acl_users": {"blog": "pw"}}
    hosts["file"] = FILE | users
    hosts["cache"] = {"flask_app_env_files": "cache.env"} | users
    return wired(directory, {"all": {"hosts": hosts}}, REDIS_URL="redis://named")


@pytest.mark.parametrize("number", range(len(GIVEN)))
def test_an_address_of_the_apps_own_is_its_caches_too(
    given: dict[str, dict[str, Any]], number: int
) -> None:
    env, url = given[f"given{number}"], GIVEN[number][1]
    assert env["REDIS_URL"] == url
    assert env["CACHE_REDIS_URL"] == env["FLASK_CACHE_REDIS_URL"] == url + TIMEOUTS


def test_an_app_that_a_file_sends_elsewhere_needs_no_user(given: dict[str, dict[str, Any]]) -> None:
    assert [env["problem"] for env in given.values()] == [""] * len(given)


def test_what_only_the_apps_hosts_are_given_counts_on_the_cache_host(tmp_path: Path) -> None:
    (tmp_path / "shop.env").write_text("REDIS_URL=redis://file\n")
    groups = {"app": {"hosts": {"a": FILE}}, "cache": {"hosts": {"b": {}}}}
    users = {"redis_acl_users": {"blog": "pw"}}
    found = wired(tmp_path, {"all": {"children": groups, "vars": users}})
    assert (found["b"]["problem"], found["b"]["REDIS_URL"]) == ("", "redis://file")


def test_an_app_that_redis_would_turn_away_is_named(alone: dict[str, dict[str, Any]]) -> None:
    told = alone["stranger"]["problem"]
    assert told.startswith("redis_acl_users: found blog and no redis_password;")
    others = [env["problem"] for host, env in alone.items() if host != "stranger"]
    assert others == [""] * len(others)


def test_nothing_is_said_of_a_cache_that_is_not_there(
    alone: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    inventory = {
        "all": {"children": {"app": {"hosts": {"a": {}}}}, "vars": {"cache_server": "memcached"}}
    }
    for env in (alone["nothing"], wired(tmp_path, inventory)["a"]):
        assert not [name for name in env if "CACHE" in name or "REDIS" in name]
        assert env["FLASKOPS_PROXY_HOPS"] == 1
