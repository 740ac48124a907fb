"""What the plan says of the app tier: where the app listens, and what it is told of the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing import dataloader
from ansible.template import Templar
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import app_tier
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import read_site
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.tiers import plan_host
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import View

SOURCE = str(Path(__file__).resolve().parents[2] / "examples/pulse")
LOADER: Any = vars(dataloader)["DataLoader"]()
Hosts = dict[str, dict[str, Any]]


def template(variables: Mapping[str, Any], value: Any) -> Any:
    return Templar(loader=LOADER, variables=dict(variables)).template(value)


def view(host: str = "a", hosts: Hosts | None = None, **groups: Any) -> View:
    """A host of an inventory as the tiers look at it."""
    known = hosts if hosts is not None else {host: {}}
    always = {"flask_app_name": "shop", "flask_app_source": SOURCE, "cache_server": "none"}
    known = {name: {**always, **said} for name, said in known.items()}
    site = read_site({"all": list(known), **groups}, known)
    return View(host, site, known[host], template)


def options(**said: Any) -> dict[str, Any]:
    """The options of an app whose only host has every tier."""
    tier = app_tier.plan(view(hosts={"a": said}))
    assert tier.problems == []
    return tier.options


FLEET: Hosts = {
    "a1": {"private_address": "10.0.0.1"},
    "a2": {"private_address": "fd00::2"},
    "w1": {"ansible_host": "10.0.1.1"},
    "w2": {"ansible_host": "10.0.1.2"},
}
GROUPS = {"app": ["a2", "a1"], "web": ["w1", "w2"]}


def fleet(host: str = "a1", **said: Any) -> View:
    return view(host, {name: {**hosts, **said} for name, hosts in FLEET.items()}, **GROUPS)


def test_one_host_has_a_unix_socket() -> None:
    found = options()
    assert found["wsgi_bind"] == "unix:/run/shop/http.sock"
    assert found["wsgi_web_addresses"] == []
    assert found["wsgi_proxy_hops"] == 1
    assert (found["wsgi_health_host"], found["wsgi_health_scheme"]) == ("localhost", "http")


def test_web_hosts_elsewhere_ask_over_tcp() -> None:
    first, second = app_tier.plan(fleet("a1")).options, app_tier.plan(fleet("a2")).options
    assert (first["wsgi_bind"], second["wsgi_bind"]) == ("10.0.0.1:8000", "[fd00::2]:8000")
    assert first["wsgi_web_addresses"] == ["10.0.1.1", "10.0.1.2"]


def test_the_port_can_be_another() -> None:
    assert app_tier.plan(fleet(wsgi_port="9000")).options["wsgi_bind"] == "10.0.0.1:9000"


def test_who_says_where_the_app_listens_connects_the_tiers_by_hand() -> None:
    found = app_tier.plan(fleet(wsgi_bind="10.0.0.1:7000")).options
    assert found["wsgi_bind"] == "10.0.0.1:7000"
    assert found["wsgi_web_addresses"] == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"ansible_host": "app.lan"}, "app.lan for a1"),
        ({"ansible_host": "127.0.0.1"}, "127.0.0.1 for a1"),
        ({"private_address": "10.0.0.1", "ansible_host": "app.lan"}, ""),
    ],
)
def test_an_address_that_other_hosts_cannot_reach_is_told(said: dict[str, Any], told: str) -> None:
    hosts: Hosts = {"a1": said, "w1": {"ansible_host": "10.0.1.1"}}
    problems = app_tier.plan(view("a1", hosts, app=["a1"], web=["w1"])).problems
    assert problems == (
        [
            f"private_address: found {told}; allowed is the IP address at which the other hosts"
            " reach it (without it ansible_host counts, or the name in the inventory)"
        ]
        if told
        else []
    )


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        ([], "localhost"),
        ("a.example", "a.example"),
        ("a.example, b.example", "a.example"),
        (["*.a.example", "a.example"], "www.a.example"),
        ([".a.example"], "www.a.example"),
        (["www.a.*"], "www.a.example"),
    ],
)
def test_health_checks_have_a_name_that_visitors_could_ask_for(names: Any, asked: str) -> None:
    assert options(nginx_server_name=names)["wsgi_health_host"] == asked
    assert options(nginx_server_name=names, wsgi_health_host="x")["wsgi_health_host"] == "x"


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        ({"certificate_source": "acme"}, "https"),
        ({"certificate_source": "none"}, "http"),
        ({"nginx_tls": "yes"}, "https"),
        ({"nginx_tls": False, "certificate_source": "acme"}, "http"),
        ({"wsgi_health_scheme": "https"}, "https"),
        ({"wsgi_health_scheme": "http", "nginx_tls": True}, "http"),
    ],
)
def test_the_app_knows_what_browsers_see(said: dict[str, Any], scheme: str) -> None:
    found = options(**said)
    assert found["wsgi_health_scheme"] == scheme
    told = found["flask_app_env_defaults"].get("FLASK_PREFERRED_URL_SCHEME")
    assert told == ("https" if scheme == "https" else None)


def test_the_app_is_told_of_the_other_tiers() -> None:
    said = {"flask_app_url_prefix": "/shop", "nginx_static_max_age": 60, "cache_server": "redis"}
    found = options(**said, flask_app_env_defaults={"CACHE_TYPE": "NullCache"})
    told = found["flask_app_env_defaults"]
    assert (told["FLASKOPS_PROXY_HOPS"], told["FLASK_APPLICATION_ROOT"]) == (1, "/shop")
    assert told["REDIS_URL"] == "redis://127.0.0.1:6379/0"
    assert told["CACHE_TYPE"] == "NullCache"
    assert found["flask_app_static_max_age"] == 60
    assert found["flask_app_hosts"] == ["a"]


def test_nothing_is_said_of_a_cache_that_is_not_there() -> None:
    assert options()["flask_app_env_defaults"] == {"FLASKOPS_PROXY_HOPS": 1}


def test_timers_are_on_one_host() -> None:
    timers = [{"name": "night", "command": "report", "schedule": "daily", "timeout": 60}]
    for said in ({"flask_app_timers": timers}, {"wsgi_timers": timers}):
        assert app_tier.plan(fleet("a1", **said)).options["wsgi_timers"] == timers
        assert app_tier.plan(fleet("a2", **said)).options["wsgi_timers"] == []


@pytest.mark.parametrize(
    ("said", "requirement"),
    [
        ({}, "gunicorn==27.0.1"),
        ({"gunicorn_version": "26.0.0"}, "gunicorn==26.0.0"),
        ({"gunicorn_worker_class": "gevent"}, "gunicorn[gevent]==27.0.1"),
        ({"gunicorn_worker_class": "asgi"}, "gunicorn==27.0.1"),
        ({"wsgi_server": "uwsgi"}, "pyuwsgi==2.0.30"),
        ({"wsgi_server": "uwsgi", "uwsgi_package": "distribution"}, ""),
    ],
)
def test_a_release_brings_its_server(said: dict[str, Any], requirement: str) -> None:
    assert options(**said)["flask_app_server_package"] == requirement
    given = options(**said, flask_app_server_package="own==1")
    assert given["flask_app_server_package"] == "own==1"


def test_a_server_that_there_is_no_role_for_is_told() -> None:
    problems = plan_host(view(hosts={"a": {"wsgi_server": "waitress"}})).problems
    assert 'wsgi_server: found "waitress"; allowed are gunicorn and uwsgi' in problems


def test_all_problems_of_the_app_are_told_at_once() -> None:
    said = {
        "wsgi_port": 70000,
        "gunicorn_workers": -1,
        "flask_app_name": "Shop",
        "wsgi_health_path": "x",
    }
    told = "\n".join(plan_host(view(hosts={"a": said}, app=["a"])).problems)
    for name, value in said.items():
        assert f"{name}: found " in told, (name, value)


def test_roles_of_an_app_host() -> None:
    host = plan_host(view(hosts={"a": {"wsgi_server": "uwsgi"}}, app=["a"]))
    assert host.roles["app"] == ["flask_app", "uwsgi"]
    assert host.problems == []


def test_an_old_name_is_refused() -> None:
    told = plan_host(view(hosts={"a": {"gunicorn_bind": "127.0.0.1:1"}}, app=["a"])).problems
    assert "gunicorn_bind was renamed to wsgi_bind" in told
