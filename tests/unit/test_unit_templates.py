"""The units of the roles, as their templates write them."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "roles/wsgi/templates/etc/systemd/system"

# In a process of its own, as in test_nginx_templates.py.
REDIS = """
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

root = sys.argv[1]
init_plugin_loader([f"{root}/collections"])
loader = DataLoader()
role = f"{root}/roles/redis"
known = {"ansible_search_path": [role], "ansible_managed": "managed"}
known |= loader.load_from_file(f"{role}/vars/main.yml", trusted_as_template=True)
known["__redis_plan"] = json.loads(sys.argv[2])
files = Templar(loader=loader, variables=known).template(known["__redis_files"])
print(json.dumps(files[-1]))
"""


@pytest.mark.parametrize("name", ["app.service.j2", "app@.service.j2"])
def test_no_unit_makes_the_shared_socket_blocking(name: str) -> None:
    """Systemd hands the socket to both, and sets it to blocking for all unless it is told."""
    lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
    service = lines[lines.index("[Service]") :]
    assert "NonBlocking=true" in service


def redis_dropin(**variables: Any) -> tuple[str, configparser.ConfigParser]:
    """The drop-in's path and text for some variables of the role."""
    options = {**defaults("redis"), **variables}
    plan = plan_role("redis", options, lambda _variables, value: value, Controller())
    argv = [sys.executable, "-c", REDIS, str(ROOT), json.dumps(plan.data)]
    file = json.loads(subprocess.run(argv, capture_output=True, check=True, text=True).stdout)
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
