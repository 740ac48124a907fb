"""Playbooks run on a testbed's hosts as a user in the checkout would run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import testbed


def user_environment(scenario: Path) -> dict[str, str]:
    """Return the environment of a user in the checkout: without what Molecule tells Ansible.

    Where a scenario has installed the collection, that of a stranger, without an ansible.cfg.
    """
    molecule = ("ANSIBLE_", "MOLECULE_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(molecule)}
    own["ANSIBLE_NOCOLOR"] = "1"
    installed = testbed.STATE / scenario.name / "collections"
    if installed.is_dir():
        config = str(scenario / "nothing.cfg")
        return own | {"ANSIBLE_CONFIG": config, "ANSIBLE_COLLECTIONS_PATH": str(installed)}
    return own | {"ANSIBLE_CONFIG": str(testbed.ROOT / "ansible.cfg")}


def command(
    scenario: Path, limit: str, *options: str, playbook: str, **variables: Any
) -> list[str]:
    """Return the words that run a playbook of a scenario, with variables over its own."""
    return [
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={testbed.STATE / scenario.name / 'inventory.yml'}",
        f"--limit={limit}",
        f"--extra-vars={json.dumps(variables)}",
        *options,
        str(scenario / playbook),
    ]


def start(
    scenario: Path, limit: str, *, playbook: str, **variables: Any
) -> subprocess.Popen[bytes]:
    """Start a playbook in a session of its own, to be killed; nobody reads what it says."""
    return subprocess.Popen(
        command(scenario, limit, playbook=playbook, **variables),
        cwd=testbed.ROOT,
        env=user_environment(scenario),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run(
    scenario: Path,
    limit: str,
    *options: str,
    timeout: int,
    playbook: str = "converge.yml",
    **variables: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a playbook of a scenario, with variables over its own, for at most `timeout` seconds."""
    return subprocess.run(
        command(scenario, limit, *options, playbook=playbook, **variables),
        cwd=testbed.ROOT,
        env=user_environment(scenario),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def output(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a playbook said, which must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a playbook said, which must have failed, on one line, as wide as it likes."""
    assert done.returncode != 0, done.stdout
    return " ".join((done.stdout + done.stderr).split())


def changes(said: str) -> int:
    """Return the number of changes in the recap of a playbook that ran on one host."""
    (number,) = re.findall(r"changed=(\d+)", said)
    return int(number)
