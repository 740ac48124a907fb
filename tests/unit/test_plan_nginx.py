"""The plan of role nginx: what it refuses, and what follows from its options."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import web_tier
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import read_site
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import View

from plain_options import NGINX


def planned(controller: Controller | None = None, **options: Any) -> Plan:
    """The plan for some options over the defaults, of which no template is left."""
    values = {**defaults("nginx"), **NGINX, **options}
    return plan_role("nginx", values, lambda _all, value: value, controller or Controller())


def test_the_defaults_have_no_problem() -> None:
    plan = planned()
    assert plan.problems == []
    assert plan.packages == ["nginx", "logrotate", "libnginx-mod-http-brotli-static"]
    assert plan.data["upstream_servers"] == ["unix:/run/shop/http.sock"]


def test_a_slip_in_a_name_is_told_and_a_name_of_somebody_elses_is_not() -> None:
    told = planned(nginx_servr_name=["a.example"], nginx_vhosts=[], nginx_user="www").problems
    assert told == ["nginx_servr_name: there is no such option; did you mean nginx_server_name?"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nginx_site": "Shop"}, 'nginx_site: found "Shop"'),
        ({"nginx_server_name": ["http://a.example"]}, "nginx_server_name: found"),
        ({"nginx_url_prefix": "/shop/"}, 'nginx_url_prefix: found "/shop/"'),
        ({"nginx_trusted_proxies": ["0.0.0.0/0"]}, "nginx_trusted_proxies: found"),
        ({"nginx_trusted_hops": 0}, "nginx_trusted_hops: found 0; allowed are 1 and more"),
        ({"nginx_bind": []}, "nginx_bind: found []; allowed are IP addresses, at least one"),
        ({"nginx_bind": ["eth0"]}, "nginx_bind: found"),
        ({"nginx_port": 0}, "nginx_port: found 0; allowed are 1 to 65535"),
        ({"nginx_port": "http"}, "nginx_port"),
        ({"nginx_tls": True, "nginx_tls_port": 80}, "but not nginx_port"),
        ({"nginx_tls_certificate": "a.pem"}, "nginx_tls_certificate: found"),
        ({"nginx_hsts_max_age": -2}, "nginx_hsts_max_age: found -2"),
        ({"nginx_http3": True}, "nginx_http3: found true without nginx_tls"),
        (
            {"nginx_http3": True, "nginx_tls": True, "nginx_tls_port": 8443},
            "nginx_http3: found true with nginx_tls_port 8443; allowed with HTTP/3 is 443",
        ),
        ({"nginx_tls_peers": ["a b"]}, "nginx_tls_peers: found"),
        ({"nginx_tls_challenge_host": "a;b"}, "nginx_tls_challenge_host: found"),
        ({"nginx_upstream_servers": ["a;b"]}, "nginx_upstream_servers: found"),
        ({"nginx_upstream_method": "hash"}, "nginx_upstream_method: found"),
        ({"nginx_upstream_keepalive": -1}, "nginx_upstream_keepalive: found -1"),
        ({"nginx_static": {"/static": "/srv/a/"}}, "nginx_static: found"),
        ({"nginx_static": {"static/": "/srv/a/"}}, "nginx_static: found"),
        ({"nginx_static_max_age": -1}, "nginx_static_max_age: found -1"),
        ({"nginx_static_fingerprint": 'a"b'}, "nginx_static_fingerprint: found"),
        ({"nginx_static_kept": "assets"}, "nginx_static_kept: found"),
        ({"nginx_client_max_body_size": "10 MB"}, "nginx_client_max_body_size: found"),
        ({"nginx_proxy_read_timeout": 0}, "nginx_proxy_read_timeout: found 0"),
        ({"nginx_cache": {"news": "1m"}}, "nginx_cache: found"),
        ({"nginx_cache": {"/news/": "a minute"}}, "nginx_cache: found"),
        (
            {"nginx_cache": {"/news/": "1m"}, "nginx_url_prefix": "/shop"},
            "allowed are paths below /shop, the nginx_url_prefix of this site",
        ),
        ({"nginx_cache_cookies": []}, "nginx_cache_cookies: found []"),
        ({"nginx_cache_keep": "long"}, "nginx_cache_keep: found"),
        ({"nginx_cache_max_size": "0"}, "nginx_cache_max_size: found"),
        ({"nginx_log_max_size": "100 MB"}, "nginx_log_max_size: found"),
        ({"nginx_log_skip": ["healthz"]}, "nginx_log_skip: found"),
        ({"nginx_log_keep": 0}, "nginx_log_keep: found 0"),
        ({"nginx_syslog_server": "logs.example"}, "nginx_syslog_server: found"),
        ({"nginx_static": {"/": "/srv/www/"}, "nginx_cache": {"/": "1m"}}, "nginx_cache: found"),
    ],
)
def test_what_nginx_would_not_take_is_refused(options: dict[str, Any], said: str) -> None:
    problems = planned(**options).problems
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    "options",
    [
        {"nginx_trusted_proxies": ["192.0.2.0/24", "2001:db8::/32"]},
        {"nginx_upstream_method": "hash $remote_addr consistent"},
        {"nginx_cache": {"= /": "10s", "/news/": "1m", "/a/": "off", "/b/": False}},
        {"nginx_cache": {"/shop/": "1m"}, "nginx_url_prefix": "/shop"},
        {"nginx_syslog_server": "[2001:db8::1]:514"},
        {"nginx_syslog_server": "unix:/dev/log"},
        {"nginx_static": {"/favicon.ico": "/srv/a/f.ico"}},
        {"nginx_port": "8080"},
    ],
)
def test_what_nginx_takes_is_not_refused(options: dict[str, Any]) -> None:
    assert planned(**options).problems == []


def test_a_site_that_goes_needs_nothing() -> None:
    plan = planned(nginx_state="absent")
    assert (plan.packages, plan.data["written"]) == ([], [])
    assert plan.data["removed"] == [
        "/etc/nginx/sites-enabled/shop.conf",
        "/etc/nginx/flaskops/*.d/shop.conf",
    ]


def test_a_site_goes_whatever_its_host_lacks() -> None:
    servers = ["192.0.2.1:1", "192.0.2.2:1"]
    data = planned(
        nginx_state="absent", nginx_tls=True, nginx_http3=True, nginx_upstream_servers=servers
    ).data
    assert (data["upstream_servers"], data["http3"]) == ([], False)


def test_pages_are_let_go_of_where_there_are_some() -> None:
    pages = Controller(entry_point="pages")
    said = "nginx_cache: found {}, with which Nginx keeps no page of shop"
    assert said in planned(pages, nginx_purge_pages=True).problems[0]
    assert planned(pages).data["pages"] == ""
    kept = planned(pages, nginx_cache={"/": "1m"}, nginx_purge_pages=True)
    assert (kept.problems, kept.data["pages"]) == ([], "/var/lib/flaskops-pages/shop")


@pytest.mark.parametrize(
    ("options", "servers"),
    [
        ({"nginx_upstream_servers": ["192.0.2.1:1"], "wsgi_bind": "127.0.0.1:2"}, ["192.0.2.1:1"]),
        ({"wsgi_bind": "127.0.0.1:2"}, ["127.0.0.1:2"]),
        ({"nginx_static": {"/": "/srv/www/"}}, []),
    ],
)
def test_the_app_is_where_somebody_says(options: dict[str, Any], servers: list[str]) -> None:
    assert planned(**options).data["upstream_servers"] == servers


@pytest.mark.parametrize(("given", "name"), [({}, "shop"), ({"certificate_name": "wild"}, "wild")])
def test_certificate_is_handed_over_under_its_own_name(given: dict[str, Any], name: str) -> None:
    tls = planned(**given, nginx_tls=True).data["site"]["tls"]
    assert tls["handover"] == f"/.well-known/flaskops-tls/{name}"
    assert tls["handed"] == f"/var/lib/flaskops/tls/{name}.cms"
    assert tls["certificate"] == f"/etc/flaskops/tls/{name}/live/fullchain.pem"


@pytest.mark.parametrize(
    ("groups", "servers"),
    [
        ({}, ["unix:/run/shop/http.sock"]),
        ({"app": ["a"], "web": ["a"]}, ["unix:/run/shop/http.sock"]),
        ({"web": ["a"]}, []),
    ],
)
def test_a_site_without_app_hosts_asks_none(groups: dict[str, Any], servers: list[str]) -> None:
    variables: dict[str, Any] = {**NGINX, "nginx_static": {"/": "/srv/www/"}}
    site = read_site({"all": ["a"], **groups}, {"a": variables})
    tier = web_tier.plan(View("a", site, variables, lambda _all, value: value))
    assert tier.options["nginx_upstream_servers"] == servers
    assert planned(None, **variables | tier.options).data["site"]["alone"] == (not servers)
