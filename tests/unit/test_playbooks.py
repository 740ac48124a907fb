"""The playbooks without a host: all problems first, and what a part of a site needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = ["-e", "ansible_host=127.0.0.1", "-e", "ansible_port=1"]
SOURCE = ROOT / "examples" / "pulse"


def play(
    playbook: str, *words: str, inventory: str = "a.example,"
) -> subprocess.CompletedProcess[str]:
    """Run a playbook for hosts that nobody can reach."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", inventory]
    command += [playbook, *NOWHERE, "-e", f"flask_app_source={SOURCE}", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("redis_maxmemory=lots", 'redis_maxmemory: found "lots"'),
        ("flask_app_name=Shop", 'flask_app_name: found "Shop"'),
        ("certificate_source=acme", "certificate_domains: found []"),
        ("nginx_port=0", "nginx_port: found 0"),
    ],
)
def test_site_tells_a_problem_of_any_tier_first(given: str, problem: str) -> None:
    done = play("site.yml", "-e", given)
    told = " ".join(done.stdout.split())
    assert done.returncode == 2
    assert problem in told
    assert "unreachable=0 failed=1" in told


def test_the_plan_asks_no_host() -> None:
    done = play("playbooks/plan.yml")
    told = " ".join(done.stdout.split())
    assert done.returncode == 0, told
    assert "changed=0 unreachable=0 failed=0" in told


def test_a_host_that_is_away_is_no_wrong_variable(tmp_path: Path) -> None:
    """That it is away, the tier itself says, and the run ends there."""
    groups = {"cache": {"hosts": {"c": None}}, "app": {"hosts": {"a": None}}}
    given = {
        "redis_implementation": "valkey",
        "redis_password": "pw",
        "private_address": "192.0.2.1",
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"children": groups, "vars": given}}))
    done = play("site.yml", inventory=str(tmp_path / "hosts.json"))
    told = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "UNREACHABLE" in told.partition("PLAY [Cache]")[2]
    assert "PLAY [App]" not in told
    assert "failed=0" in told


def test_checks_follow_tags() -> None:
    done = play("playbooks/plan.yml", "--tags=nginx", "-e", "redis_maxmemory=lots")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("tag", ["certificate", "nginx_install"])
def test_a_part_of_the_site_needs_nothing_of_the_others(tag: str) -> None:
    """Nobody can reach the host; what is asked of it is skipped or the first thing to fail."""
    done = play("site.yml", f"--tags={tag}")
    told = " ".join(done.stdout.split())
    assert "failed=0" in told, told
