"""The hosts that are measured on, and what is run on them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "testbed"))

import testbed  # noqa: E402 - it lies beside, not on the path

NAME = "bench"
HTTP_PORT = 80
PORTS = ((0, testbed.SSH_PORT), (0, HTTP_PORT))
#: A server has its sites on a plain file system; in a container's each link costs twice as much.
VOLUMES = ("/srv",)
INVENTORY = testbed.STATE / NAME / "inventory.yml"
BIN = ROOT / ".venv" / "bin"
APP = ROOT / "examples" / "pulse"
VARIABLES = ["-e", "flask_app_name=pulse", "-e", f"flask_app_source={APP}"]


def ansible(program: str, *words: str) -> str:
    """Run an Ansible program on the bench's hosts; its output."""
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        [str(BIN / program), "-i", str(INVENTORY), *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{program} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return done.stdout


def site(*words: str) -> str:
    """Converge the hosts with site.yml."""
    return ansible("ansible-playbook", "site.yml", *VARIABLES, *words)


def ping(*words: str) -> str:
    """Do the least that Ansible can do."""
    return ansible("ansible", "all", "-m", "ping", *words)


def ssh(command: str, data: bytes = b"", number: int = 0) -> str:
    """Run a command on one of the bench's hosts with data as its input; its output."""
    host = sorted(testbed.containers(NAME), key=lambda each: each.host)[number]
    argv = [*testbed.ssh_argv(NAME, host), command]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command} failed:\n{done.stderr.decode()[-3000:]}")
    return done.stdout.decode()


def by_hand(number: int = 0) -> None:
    """Bring the same programs up on a host with a plain shell script."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("pulse", "pyproject.toml", "uv.lock", "README.md", ".flaskenv"):
            if (APP / name).exists():
                tar.add(APP / name, name)
    ssh("cat > /tmp/app.tar.gz", packed.getvalue(), number)
    ssh("sudo sh -s", (ROOT / "bench/by_hand.sh").read_bytes(), number)


def fresh(count: int = 1) -> None:
    """Have so many hosts that hold nothing yet."""
    testbed.down(NAME)
    names = [f"{NAME}{number}" for number in range(count)] if count > 1 else [NAME]
    testbed.up(NAME, [testbed.Host(name, "trixie", PORTS, VOLUMES) for name in names], {})


def one() -> None:
    """Have one host that is converged, the one that is there or a fresh one."""
    if len(testbed.containers(NAME)) != 1:
        fresh()
    site()


def gone() -> None:
    """Have no host any more."""
    testbed.down(NAME)


def answers(patience: float = 10) -> None:
    """Wait until the site answers, so that a broken one is not measured."""
    (host,) = testbed.containers(NAME)
    until = time.monotonic() + patience
    url = f"http://127.0.0.1:{host.ports[HTTP_PORT]}/healthz"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            if time.monotonic() > until:
                sys.exit(f"{url} does not answer")
            time.sleep(0.2)
