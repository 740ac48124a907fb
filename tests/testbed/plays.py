"""Playbooks run on a testbed's hosts as a user in the checkout would run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import testbed


def user_environment() -> dict[str, str]:
    """Return the environment of a user in the checkout: without what Molecule tells Ansible."""
    molecule = ("ANSIBLE_", "MOLECULE_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(molecule)}
    return own | {"ANSIBLE_CONFIG": str(testbed.ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


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
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={testbed.STATE / scenario.name / 'inventory.yml'}",
            f"--limit={limit}",
            f"--extra-vars={json.dumps(variables)}",
            *options,
            str(scenario / playbook),
        ],
        cwd=testbed.ROOT,
        env=user_environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
