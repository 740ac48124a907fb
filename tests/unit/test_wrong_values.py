"""Wrong values, each refused by the plan before any host is asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role

from plain_options import NGINX

PLAIN: dict[str, dict[str, Any]] = {
    "flask_app": {
        "flask_app_name": "shop",
        "flask_app_home": "/srv/shop",
        "flask_app_user": "shop",
        "flask_app_hosts": ["a"],
        "flask_app_server_package": "",
        "flask_app_source": "pypi:shop==1",
    },
    "nginx": NGINX,
    "wsgi": {
        "wsgi_name": "shop",
        "wsgi_home": "/srv/shop",
        "wsgi_user": "shop",
        "wsgi_code": "code",
        "wsgi_entrypoint": "",
        "wsgi_bind": "unix:/run/shop/http.sock",
        "wsgi_background_processes": [],
        "wsgi_timers": [],
        "wsgi_health_path": "/",
        "wsgi_release": "/srv/shop/next/release",
        "wsgi_environment_file": "/srv/shop/next/env",
        "wsgi_files_directory": "/srv/shop/next/files",
        "wsgi_server_command": "serve",
    },
}
PLAIN |= {
    "gunicorn": {**PLAIN["wsgi"], "wsgi_server_requirement": "gunicorn==27.0.1"},
    "uwsgi": {**PLAIN["wsgi"], "wsgi_server_requirement": "pyuwsgi==2"},
    "redis": {},
    "memcached": {},
}
HOMES = (
    "/",
    "//",
    "srv/shop",
    "~/shop",
    "/srv",
    "/srv/",
    "/opt",
    "/tmp/shop",
    "/var/tmp/shop",
    "/home/shop",
    "/root/shop",
    "/etc/shop",
    "/run/shop",
    "/usr/bin/shop",
    "/var/lib",
    "/srv/a b",
    "/srv/%i",
    "/srv/shop/../..",
    "/srv/$HOME",
    "/srv/shop;",
    "/srv/shöp",
)
NAMES = ("Shop", "shop_1", "1shop", "-shop", "shop.", "root", "nginx", "a" * 32, "", "shop shop")
VERSIONS = ("--upload-pack=x", "-b", "a b", "a..b~1", "a:b", "a*", "a\\b", "a^")
ENTRYPOINTS = ("shop app", "shop:", "shop:1", ":app", "shop:app;ls", "shop:app()()x", "sh op:app")
PYTHONS = ("3.1", "2.7", "python3", "3", "3.12.", "latest", "./python", "3.8")
PATHS = ("/a", "../a", "a/../b", ".", "")
NETWORKS = ("0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0", "all", "10.0.0.1/24/8", "")
HOSTS = ("a" * 64 + ".example", ".".join(["a" * 50] * 6), "a b", "http://a", "a/b", "a:80", "a;")
WRONG: list[tuple[str, str, Any]] = [
    *(("flask_app", "flask_app_home", value) for value in HOMES),
    *(("wsgi", "wsgi_home", value) for value in HOMES[:12]),
    *(("flask_app", "flask_app_name", value) for value in NAMES),
    *(("wsgi", "wsgi_name", value) for value in NAMES[:5]),
    *(("flask_app", "flask_app_version", value) for value in VERSIONS),
    *(("flask_app", "flask_app_entrypoint", value) for value in ENTRYPOINTS),
    *(("flask_app", "flask_app_python", value) for value in PYTHONS),
    *(("flask_app", "flask_app_shared_paths", [value]) for value in PATHS),
    *(("flask_app", "flask_app_static", {"/static/": value}) for value in PATHS),
    *(("flask_app", "flask_app_static", {value: "static"}) for value in ("a/", "", '/"', "/a b/")),
    *(("nginx", "nginx_trusted_proxies", [value]) for value in NETWORKS),
    ("nginx", "nginx_trusted_proxies", ["0.0.0.0/1", "128.0.0.0/1"]),
    ("nginx", "nginx_trusted_proxies", ["::/1", "8000::/2", "c000::/2"]),
    *(("nginx", "nginx_server_name", [value]) for value in HOSTS),
    ("nginx", "nginx_server_name", ["a.example", "a.example"]),
    *(("nginx", "nginx_static", {"/a/": value}) for value in ("/srv/a", "a/", "/a'/", "/$b/")),
    *(("nginx", "nginx_port", value) for value in (0, 65536, -1, "http", "80;")),
    *(("nginx", "nginx_client_max_body_size", value) for value in ("10mb", "-1", "", "1 m")),
    *(("nginx", "nginx_bind", value) for value in ([], ["eth0"], ["a:80"], [""])),
    *(("nginx", "nginx_proxy_read_timeout", value) for value in (0, -1, "long")),
    *(("nginx", "nginx_syslog_server", value) for value in ("log.example", "1.2.3.4:a", "[::1")),
    *(("nginx", "nginx_upstream_method", value) for value in ("fastest", "hash", "random;")),
    *(("nginx", "nginx_config", value) for value in ("gzip on", [1], {"gzip": "on;"})),
    *(("wsgi", "wsgi_bind", value) for value in ("http.sock", "0.0.0.0:0", "0.0.0.0:70000", "a")),
    *(("wsgi", "wsgi_health_path", value) for value in ("health", "/gesund heit", "/prüfung", "")),
    *(("wsgi", "wsgi_health_timeout", value) for value in (0, -1, "soon")),
    *(("wsgi", "wsgi_start_timeout", value) for value in (0, -5)),
    *(("wsgi", "wsgi_health_probes", value) for value in (0, -1)),
    *(("wsgi", "wsgi_keep_generations", value) for value in (0, 1)),
    *(("wsgi", "wsgi_user", value) for value in ("root", "0")),
    *(
        ("wsgi", "wsgi_unit_config", value)
        for value in ("MemoryMax", {"Memory Max": 1}, {"A": "\n"})
    ),
    ("wsgi", "wsgi_background_processes", [{"name": "a", "command": " "}]),
    ("wsgi", "wsgi_timers", [{"name": "a", "command": "", "schedule": "daily"}]),
    *(("gunicorn", "gunicorn_workers", value) for value in (-1, 1001, 100_000, "many")),
    *(("gunicorn", "gunicorn_threads", value) for value in (0, 1001)),
    *(("gunicorn", "gunicorn_config", value) for value in ("a", {"bind": "x"}, {"a b": 1})),
    *(("uwsgi", "uwsgi_processes", value) for value in (-1, 1001)),
    *(("uwsgi", "uwsgi_config", {name: "x"}) for name in ("socket", "exec-as-root", "uid", "A b")),
    *(("uwsgi", "uwsgi_buffer_size", value) for value in (1, 65536)),
    *(("redis", "redis_bind", value) for value in ([], ["eth0"], ["0.0.0.0"])),
    *(("redis", "redis_port", value) for value in (-1, 65536, 0)),
    *(("redis", "redis_maxmemory", value) for value in ("0", "lots", "", "-1mb")),
    *(("redis", "redis_config", {name: "x"}) for name in ("port", "maxmemory")),
    ("redis", "redis_unix_socket", "/tmp/redis.sock"),
    *(("memcached", "memcached_port", value) for value in (-1, 65536)),
    *(("memcached", "memcached_memory", value) for value in (0, -1, "lots")),
    *(("flask_app", "flask_app_env", {name: "x"}) for name in ("A-B", "1A", "A B", "")),
    ("flask_app", "flask_app_env", {"A": "x" * 131_072}),
    ("flask_app", "flask_app_env", {"A": "\0"}),
    ("flask_app", "flask_app_env", {"FLASK_DEBUG": "1"}),
    *(("flask_app", f"flask_app_{name}_commands", [" "]) for name in ("build", "first", "release")),
    *(("flask_app", "flask_app_commands_timeout", value) for value in (0, -1)),
    *(("flask_app", "flask_app_keep_releases", value) for value in (0, -1)),
    *(("flask_app", "flask_app_build_packages", [value]) for value in ("A", "a b", "-y", "")),
    ("flask_app", "flask_app_static_fingerprint", "["),
    ("flask_app", "flask_app_source", "nowhere"),
    ("flask_app", "flask_app_user", "root"),
]


def test_there_are_many() -> None:
    assert len(WRONG) >= 150


@pytest.mark.parametrize(("role", "name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_its_name(role: str, name: str, value: Any) -> None:
    variables = {**defaults(role), **PLAIN[role]}
    if role in ("gunicorn", "uwsgi"):
        variables = {**defaults("wsgi"), **variables}

    def told(**changes: Any) -> list[str]:
        changed = {**variables, **changes}
        return plan_role(role, changed, lambda _, text: text, Controller()).problems

    assert told() == []
    problems = told(**{name: value})
    assert problems
    # Of an environment the name of what is wrong in it.
    assert all(name in problem or "environment variable" in problem for problem in problems)
    for problem in problems:
        assert len(problem.splitlines()) == 1
        assert "Tagged" not in problem
