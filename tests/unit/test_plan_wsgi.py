"""The plans of the roles wsgi, gunicorn and uwsgi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible.parsing import dataloader
from ansible.template import Templar
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults, spec
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import BASES, plan_role
from ansible_collections.flaskops.stack.plugins.plugin_utils.renamed import OLD_NAMES

LOADER: Any = vars(dataloader)["DataLoader"]()
SERVERS = tuple(BASES)


def template(variables: Mapping[str, Any], value: Any) -> Any:
    """As the action plugin does, without the collection's filters."""
    return Templar(loader=LOADER, variables=dict(variables)).template(value)


def planned(role: str, **said: Any) -> Plan:
    """The plan of a role whose other options have their defaults."""
    return plan_role(role, {**defaults(role), **said}, template, Controller())


def wsgi(**said: Any) -> dict[str, Any]:
    """What the role wsgi is told, without problems."""
    plan = planned("wsgi", **{"wsgi_server_command": "{python} -m server"} | said)
    assert plan.problems == []
    return plan.data


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"wsgi_bind": "0.0.0.0:70000"}, 'wsgi_bind: found "0.0.0.0:70000"; allowed are unix:'),
        ({"wsgi_bind": "http.sock"}, 'wsgi_bind: found "http.sock"; allowed are unix:'),
        ({"wsgi_bind": "unix:/run/a b"}, 'wsgi_bind: found "unix:/run/a b"; allowed are unix:'),
        ({"wsgi_bind": "[::1]:0"}, 'wsgi_bind: found "[::1]:0"; allowed are unix:'),
        ({"wsgi_port": 70000}, "wsgi_port: found 70000; allowed are 1 to 65535"),
        ({"wsgi_port": "0"}, "wsgi_port: found 0; allowed are 1 to 65535"),
        ({"wsgi_user": "root"}, "wsgi_user: found root; the app must not run as root"),
        ({"wsgi_user": 0}, "wsgi_user: found root; the app must not run as root"),
        ({"wsgi_name": "Shop"}, 'wsgi_name: found "Shop"; allowed are up to 31 small letters'),
        ({"wsgi_allowed_peers": "web1"}, 'wsgi_allowed_peers: found ["web1"]; allowed are IP'),
        ({"wsgi_proxy_hops": -1}, "wsgi_proxy_hops: found -1; allowed are 0 and more"),
        ({"wsgi_graceful_timeout": 0}, "wsgi_graceful_timeout: found 0; allowed are 1 and more"),
        ({"wsgi_health_timeout": "0"}, "wsgi_health_timeout: found 0; allowed are 1 and more"),
        ({"wsgi_start_timeout": 0}, "wsgi_start_timeout: found 0; allowed are 1 and more"),
        ({"wsgi_keep_generations": 1}, "wsgi_keep_generations: found 1; allowed are 2 and more"),
        ({"wsgi_health_path": "health"}, 'wsgi_health_path: found "health"; allowed is a URL'),
        ({"wsgi_unit_config": "text"}, "wsgi_unit_config"),
        ({"wsgi_unit_config": {"User=x": 1}}, "'User=x' is not the name of a setting"),
        ({"wsgi_health_checks": [{"text": "ok"}]}, "path"),
        ({"wsgi_protocol": "fastcgi"}, "value of wsgi_protocol must be one of"),
    ],
)
def test_what_is_the_same_under_every_server_is_checked_by_its_role(
    server: str, said: dict[str, Any], problem: str
) -> None:
    told = "\n".join(planned(server, **said).problems)
    assert problem in told, told


@pytest.mark.parametrize(
    ("server", "said", "problem"),
    [
        ("gunicorn", {"gunicorn_workers": -1}, "gunicorn_workers: found -1; allowed are 0 and"),
        ("gunicorn", {"gunicorn_threads": "many"}, "gunicorn_threads"),
        ("gunicorn", {"gunicorn_threads": 0}, "gunicorn_threads: found 0; allowed are 1 and more"),
        ("gunicorn", {"gunicorn_worker_class": "x"}, "value of gunicorn_worker_class must be one"),
        ("gunicorn", {"gunicorn_config": "text"}, "gunicorn_config"),
        ("gunicorn", {"gunicorn_config": {"a b": 1}}, "'a b' is not the name of a setting"),
        (
            "gunicorn",
            {"gunicorn_config": {"bind": "0.0.0.0:80", "chdir": "/"}},
            "gunicorn_config: found bind, chdir; the role decides these, some by a variable of its"
            " own such as wsgi_bind",
        ),
        ("uwsgi", {"uwsgi_package": "source"}, "value of uwsgi_package must be one of"),
        ("uwsgi", {"uwsgi_processes": -1}, "uwsgi_processes: found -1; allowed are 0 and more"),
        (
            "uwsgi",
            {"uwsgi_buffer_size": 70000},
            "uwsgi_buffer_size: found 70000; allowed are 4096 to 65535",
        ),
        ("uwsgi", {"uwsgi_buffer_size": 1}, "uwsgi_buffer_size: found 1; allowed are 4096 and"),
        (
            "uwsgi",
            {"wsgi_bind": "0.0.0.0:8000", "wsgi_protocol": "uwsgi"},
            'wsgi_bind: found "0.0.0.0:8000" with wsgi_protocol uwsgi; allowed are a unix socket',
        ),
        ("uwsgi", {"uwsgi_config": {"socket": ":80"}}, "uwsgi_config: found socket; the role"),
        ("uwsgi", {"uwsgi_config": {"die_on_term": True}}, "'die_on_term' is not the name of a"),
    ],
)
def test_a_servers_own_options_are_checked(server: str, said: dict[str, Any], problem: str) -> None:
    told = "\n".join(planned(server, **said).problems)
    assert problem in told, told


@pytest.mark.parametrize("server", SERVERS)
def test_all_problems_are_told_at_once(server: str) -> None:
    said = {f"{server}_threads": 0, "wsgi_bind": "nowhere", "wsgi_health_path": "x"}
    told = planned(server, **said).problems
    assert [text.partition(":")[0] for text in told] == [
        "wsgi_bind",
        "wsgi_health_path",
        f"{server}_threads",
    ]


@pytest.mark.parametrize("bind", ["unix:/run/shop/http.sock", "127.0.0.1:1", "[::1]:65535"])
def test_uwsgi_is_spoken_where_only_the_host_itself_can(bind: str) -> None:
    assert planned("uwsgi", wsgi_bind=bind, wsgi_protocol="uwsgi").problems == []


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_old_name_is_refused_with_the_new_one(old: str, new: str) -> None:
    assert new in spec("wsgi")
    for server in SERVERS:
        assert planned(server, **{old: "anything"}).problems == [f"{old} was renamed to {new}"]


def test_an_app_of_the_role_flask_app_needs_no_option() -> None:
    data = wsgi(
        flask_app_name="shop",
        flask_app_subdirectory="services/shop",
        flask_app_entrypoint="shop:app",
        flask_app_health_path="/healthz",
        flask_app_processes=[{"name": "worker", "command": "work"}],
        flask_app_timers=[{"name": "night", "command": "report", "schedule": "daily"}],
    )
    unit = data["unit"]
    assert (data["name"], data["home"], data["user"]) == ("shop", "/srv/shop", "shop")
    assert data["release"] == "/srv/shop/next/release"
    assert data["environment_file"] == "/srv/shop/next/env"
    assert data["entrypoint"] == "shop:app"
    assert data["health"]["path"] == "/healthz"
    assert data["background_processes"][0]["count"] == 1
    assert data["timers"][0]["timeout"] == 3600
    assert unit["listen"] == "/run/shop/http.sock"
    assert unit["code"] == "/srv/shop/generations/%i/release/code/services/shop"
    assert unit["command"] == "/srv/shop/generations/%i/release/venv/bin/python -m server"
    assert "ReadWritePaths=-/srv/shop/shared" in unit["settings"]
    assert data["install"] == {}


@pytest.mark.parametrize(("code", "end"), [("", ""), (".", ""), ("code/", "/code"), ("a", "/a")])
def test_the_app_runs_in_its_code(code: str, end: str) -> None:
    place = wsgi(wsgi_code=code)["unit"]["code"]
    assert place == f"/srv/app/generations/%i/release{end}"


def test_an_app_that_was_built_elsewhere_gets_the_server() -> None:
    said = {"wsgi_server_requirement": "server==1", "wsgi_server_program": "serve"}
    assert wsgi(**said, wsgi_release="/opt/shop", wsgi_venv=".venv")["install"] == {
        "requirement": "server==1",
        "python": "/opt/shop/.venv/bin/python",
        "creates": "/opt/shop/.venv/bin/serve",
    }
    assert wsgi(**said)["install"] == {}
    assert wsgi(wsgi_release="/opt/shop", wsgi_server_requirement="")["install"] == {}


def test_others_may_be_let_in_besides_the_web_hosts() -> None:
    said = {"wsgi_web_addresses": ["10.0.1.1"], "wsgi_allowed_peers": "10.0.9.0/24,10.0.1.1"}
    assert wsgi(**said)["unit"]["allowed_peers"] == ["10.0.1.1", "10.0.9.0/24"]
    assert wsgi()["unit"]["allowed_peers"] == []


def test_a_sandbox_can_be_opened() -> None:
    lines = wsgi(wsgi_unit_config={"MemoryMax": "512M", "PrivateTmp": False})["unit"]["settings"]
    assert "MemoryMax=512M" in lines
    assert "PrivateTmp=no" in lines
    assert "NoNewPrivileges=yes" in lines


def test_a_refused_call_is_an_error_and_not_the_end() -> None:
    assert "SystemCallErrorNumber=EPERM" in wsgi()["unit"]["settings"]


def test_a_health_check_says_only_what_it_was_given() -> None:
    health = wsgi(wsgi_health_checks=[{"path": "/db", "status": "200,204"}])["health"]
    assert health["more"] == [{"path": "/db", "status": [200, 204]}]


def test_without_a_server_there_is_nothing_to_run() -> None:
    (told,) = planned("wsgi").problems
    assert told.startswith("wsgi_server_command: found nothing; the role of a server")


def test_what_a_server_hands_over() -> None:
    gunicorn, uwsgi = planned("gunicorn").data, planned("uwsgi").data
    assert gunicorn["requirement"].startswith("gunicorn==")
    assert uwsgi["requirement"].startswith("pyuwsgi==")
    assert gunicorn["command"] == "{python} -m gunicorn --config {generation}/gunicorn.conf.py"
    assert uwsgi["command"].endswith(" pyuwsgi --ini {generation}/uwsgi.ini")


def test_asgi_is_served_by_http_alone_and_has_no_threads() -> None:
    told = planned("gunicorn", gunicorn_worker_class="asgi", wsgi_protocol="uwsgi").problems
    assert told == ['wsgi_protocol: found "uwsgi"; allowed with ASGI is http']
    data = planned("gunicorn", gunicorn_worker_class="asgi", gunicorn_threads=8).data
    assert (data["application"], data["threads"]) == ("asgi_application", 1)
    data = planned("gunicorn", gunicorn_worker_class="gevent", gunicorn_threads=8).data
    assert (data["application"], data["threads"]) == ("application", 8)


def test_uwsgi_of_the_distribution() -> None:
    plan = planned("uwsgi", uwsgi_package="distribution", wsgi_venv=".venv")
    assert plan.packages == ["uwsgi-core", "uwsgi-plugin-python3"]
    assert (plan.data["requirement"], plan.data["virtualenv"]) == ("", "release/.venv")
    assert "/usr/bin/uwsgi-core" in plan.data["command"]
    assert planned("uwsgi").packages == []


def test_uwsgis_own_settings_are_merged_over_the_roles() -> None:
    said = {"cheaper": 1, "thunder-lock": None, "disable-logging": True}
    data = planned("uwsgi", uwsgi_config=said, uwsgi_threads="7").data
    lines = data["settings"].splitlines()
    assert {"cheaper = 1", "threads = 7", "lazy-apps = true"} <= set(lines)
    assert not [line for line in lines if line.startswith("thunder-lock")]
    assert not data["role_logs"]


def test_text_of_the_command_line_means_what_the_types_say() -> None:
    data = planned("gunicorn", gunicorn_workers="3", gunicorn_config='{"keepalive": 1}').data
    assert (data["workers"], data["config_names"]) == (3, ["keepalive"])
