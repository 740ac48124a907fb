"""The units of the roles, as their templates write them."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing import dataloader
from ansible.template import Templar
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.render import Renderer
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role

ROOT = Path(__file__).resolve().parents[2]
LOADER: Any = vars(dataloader)["DataLoader"]()
UNITS = ROOT / "roles/wsgi/templates/etc/systemd/system"


@pytest.mark.parametrize("name", ["app.service.j2", "app@.service.j2"])
def test_no_unit_makes_the_shared_socket_blocking(name: str) -> None:
    """Systemd hands the socket to both, and sets it to blocking for all unless it is told."""
    lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
    service = lines[lines.index("[Service]") :]
    assert "NonBlocking=true" in service


def redis_dropin(**variables: Any) -> tuple[str, configparser.ConfigParser]:
    """The drop-in's path and text for some variables of the role."""
    options = {**defaults("redis"), **variables}
    controller = Controller(render=Renderer("managed"))
    plan = plan_role("redis", options, lambda _variables, value: value, controller)
    file = plan.data["files"][-1]
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=["="])
    unit.read_string(file["content"])
    return file["path"], unit


@pytest.mark.parametrize(("name", "other"), [("redis", "valkey"), ("valkey", "redis")])
def test_redis_comes_back_when_its_address_is_late(name: str, other: str) -> None:
    """Such as one of DHCP after a reboot; and it never gives up."""
    path, unit = redis_dropin(
        redis_implementation=name, redis_bind=["127.0.0.1", "192.0.2.1"], redis_password="secret"
    )
    assert path == f"/etc/systemd/system/{name}-server.service.d/flaskops.conf"
    assert unit["Unit"]["After"] == unit["Unit"]["Wants"] == "network-online.target"
    assert (unit["Unit"]["StartLimitIntervalSec"], unit["Service"]["RestartSec"]) == ("0", "1")
    assert unit["Unit"]["ConditionPathExists"] == f"!{path.replace(name, other)}"


@pytest.mark.parametrize("bind", [["127.0.0.1", "-::1"], "localhost,127.0.0.2"])
def test_redis_on_loopback_does_not_wait_for_the_network(bind: Any) -> None:
    unit = redis_dropin(redis_bind=bind)[1]["Unit"]
    assert "After" not in unit
    assert unit["StartLimitIntervalSec"] == "0"


def test_every_template_is_rendered_by_the_plan() -> None:
    """With nothing but what the plan gives it."""
    rendered: set[str] = set()
    renderer = Renderer("managed")

    def render(role: str, template: str, **variables: Any) -> str:
        text = renderer(role, template, **variables)
        assert "managed" in text
        rendered.add(f"{role}/templates/{template}")
        return text

    controller = Controller(render=render)
    role_of: dict[str, dict[str, Any]] = {
        "nginx": {"nginx_site": "shop", "nginx_url_prefix": "/shop", "nginx_static": {}},
        "wsgi": {"wsgi_server_command": "x", "wsgi_allowed_peers": ["192.0.2.1"]},
    }
    for role in ("nginx", "redis", "memcached", "gunicorn", "uwsgi", "wsgi"):
        variables = {**defaults("wsgi"), **defaults(role), **role_of.get(role, {})}

        def template(known: Mapping[str, Any], value: Any) -> Any:
            return Templar(loader=LOADER, variables=dict(known)).template(value)

        assert plan_role(role, variables, template, controller).problems == []
    there = ROOT.glob("roles/*/templates/**/*.j2")
    assert rendered == {str(path.relative_to(ROOT / "roles")) for path in there}
