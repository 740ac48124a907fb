#!/usr/bin/env python3
"""Measure how fast it is, against yardsticks taken in the same run, in turn.

Timings of one machine at one time say little; their ratios say more. Everything is run
alternately and the median counts. `bench/run.py [cold|again|deploy|web]`: all without a word.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "testbed"))

import testbed  # noqa: E402 - it lies beside, not on the path

NAME = "bench"
HTTP_PORT = 80
PORTS = ((0, testbed.SSH_PORT), (0, HTTP_PORT))
INVENTORY = testbed.STATE / NAME / "inventory.yml"
BIN = ROOT / ".venv" / "bin"
APP = ROOT / "examples" / "pulse"
VARIABLES = ["-e", "flask_app_name=pulse", "-e", f"flask_app_source={APP}"]
COLD_ROUNDS = 3
AGAIN_ROUNDS = 5
#: What we aim at: at most this many times the yardstick, and so many module calls.
COLD_LIMIT, AGAIN_LIMIT, CALLS_LIMIT = 1.5, 5.0, 25
DEPLOY_LIMIT, ROLLBACK_LIMIT = 8.0, 4.0
#: At least this share of the requests a second of the yardstick.
PROXY_SHARE, CACHE_SHARE = 0.9, 0.8
#: Short and many, because what else the machine does changes from second to second. Connections are
#: opened before the window: what counts is the rate they have once they are there.
WEB_WARM_UP, WEB_WINDOW, WEB_ROUNDS, OTHER_ROUNDS, CLIENTS = "1s", "1s", 20, 6, 16
PROXY_HEADERS = (
    "X-Request-ID: 5f0c2b0e1d9a4c7b8e3f6a1d2c4b5e6f",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: localhost",
)
SOCKET = "/run/pulse/http.sock"
CACHED_PAGE, STATIC_FILE = "/count", "/bench/count.json"
WEB_VARIABLES = {
    "flask_app_env": {"FLASK_TEST_VIEWS": True},
    "nginx_cache": {f"= {CACHED_PAGE}": "1h"},
    "nginx_static": {
        "/static/": "/srv/pulse/live/release/public/static/",
        "/bench/": "/srv/bench/",
    },
}


def ansible(program: str, *words: str) -> str:
    """Run an Ansible program on the bench's host; its output."""
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


def site() -> str:
    """Converge the host with site.yml."""
    return ansible("ansible-playbook", "site.yml", *VARIABLES)


def ping() -> str:
    """Do the least that Ansible can do."""
    return ansible("ansible", "all", "-m", "ping")


def ssh(command: str, data: bytes = b"") -> str:
    """Run a command on the bench's host with data as its input; its output."""
    (host,) = testbed.containers(NAME)
    argv = [*testbed.ssh_argv(NAME, host), command]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command} failed:\n{done.stderr.decode()[-3000:]}")
    return done.stdout.decode()


def by_hand() -> None:
    """Bring the same programs up with a plain shell script."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("pulse", "pyproject.toml", "uv.lock", "README.md", ".flaskenv"):
            if (APP / name).exists():
                tar.add(APP / name, name)
    ssh("cat > /tmp/app.tar.gz", packed.getvalue())
    ssh("sudo sh -s", (ROOT / "bench/by_hand.sh").read_bytes())


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


def seconds(*actions: Callable[[], object]) -> float:
    """How long it takes to do one thing after the other."""
    start = time.monotonic()
    for action in actions:
        action()
    return time.monotonic() - start


def fresh_host() -> None:
    """Have a host that holds nothing yet."""
    testbed.down(NAME)
    testbed.up(NAME, [testbed.Host("bench", "trixie", PORTS)], {})


def report(what: str, mine: list[float], other: str, yardstick: list[float], limit: float) -> bool:
    """Print one line of the result; True when it reaches the aim."""
    ratio = statistics.median(mine) / statistics.median(yardstick)
    figures = [" ".join(f"{value:.1f}" for value in values) for values in (mine, yardstick)]
    said = "reached" if ratio <= limit else "not reached"
    print(f"{what}: {ratio:.2f} times {other}; the aim, {limit:.1f}, is {said}")
    print(f"  {what}: {figures[0]} s\n  {other}: {figures[1]} s", flush=True)
    return ratio <= limit


def measure_cold() -> bool:
    """Time the first run on an empty host against the shell script."""
    mine: list[float] = []
    hand: list[float] = []
    for _ in range(COLD_ROUNDS):
        for action, results in ((by_hand, hand), (site, mine)):
            fresh_host()
            results.append(seconds(action, answers))
    return report("cold site.yml", mine, "a plain shell script", hand, COLD_LIMIT)


def module_calls(verbose: str) -> int:
    """Module calls on the host in the output of a run with -vvv: one for each started module."""
    return len(
        re.findall(r"^Using module file (?!.*/(?:set_fact|assert)\.py)", verbose, re.MULTILINE)
    )


def measure_again() -> bool:
    """Time a run with nothing to change against a ping."""
    if not testbed.containers(NAME):
        fresh_host()
    site()
    mine, pings = [], []
    for _ in range(AGAIN_ROUNDS):
        pings.append(seconds(ping))
        mine.append(seconds(site))
    kept = report("no-change site.yml", mine, "ansible -m ping", pings, AGAIN_LIMIT)
    calls = module_calls(ansible("ansible-playbook", "-vvv", "site.yml", *VARIABLES))
    print(f"module calls of a no-change run: {calls}, aim {CALLS_LIMIT}")
    return kept and calls <= CALLS_LIMIT


def measure_deploy() -> bool:
    """Time a deploy of changed code, and a rollback, against a ping."""
    if not testbed.containers(NAME):
        fresh_host()
    site()
    deploys, rollbacks, pings = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app"
        skipped = shutil.ignore_patterns(".venv", "__pycache__")
        shutil.copytree(APP, app, ignore=skipped)
        words = ["-e", "flask_app_name=pulse", "-e", f"flask_app_source={app}"]
        for number in range(AGAIN_ROUNDS):
            with (app / "pulse/views.py").open("a", encoding="utf-8") as file:
                file.write(f"# {number}\n")
            pings.append(seconds(ping))
            deploys.append(
                seconds(lambda: ansible("ansible-playbook", "playbooks/deploy.yml", *words))
            )
            rollbacks.append(
                seconds(lambda: ansible("ansible-playbook", "playbooks/rollback.yml", *words))
            )
    answers()
    kept = report("deploy.yml, changed code", deploys, "ansible -m ping", pings, DEPLOY_LIMIT)
    return report("rollback.yml", rollbacks, "ansible -m ping", pings, ROLLBACK_LIMIT) and kept


def rate(path: str, socket: str = "") -> float:
    """Requests a second that a page can be asked for, over TCP or over a Unix socket.

    The same program asks either way, on connections that it keeps. A socket gets the headers that
    Nginx would send, so that the app has the same work.
    """
    base = f"--base-uri=unix:{socket}" if socket else "--base-uri=http://127.0.0.1"
    headers = " ".join(f"--header='{one}'" for one in PROXY_HEADERS) if socket else ""
    said = ssh(
        f"sudo h2load --h1 --clients={CLIENTS} --warm-up-time={WEB_WARM_UP} "
        f"--duration={WEB_WINDOW} {base} {headers} http://localhost{path}"
    )
    found = re.search(r"([0-9.]+) req/s", said)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
    statuses = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", said)
    if not found or not statuses or not failed or failed.groups() != ("0", "0", "0"):
        sys.exit(f"{path} was not answered as it should be:\n{said}")
    return float(found[1])


def share(
    what: str,
    mine: Callable[[], float],
    other: str,
    yardstick: Callable[[], float],
    rounds: int,
) -> float:
    """Ask both ways in turn, there and back; the share of the requests.

    It is printed with both rates and how far apart their quarters are: Gunicorn's own socket gives
    each worker the connections it happened to take, for the whole window.
    """
    asked: dict[Callable[[], float], list[float]] = {mine: [], yardstick: []}
    for _ in range(rounds):
        for way in (yardstick, mine, mine, yardstick):
            asked[way].append(way())
    rates = [statistics.median(asked[way]) for way in (mine, yardstick)]
    found = rates[0] / rates[1]
    print(f"{what}: {found:.2f} of {other} ({rates[0]:.0f} of {rates[1]:.0f} requests/s)")
    for name, way in ((what, mine), (other, yardstick)):
        low, _, high = statistics.quantiles(asked[way], n=4)
        print(f"  {name}: half of the windows between {low:.0f} and {high:.0f} requests/s")
    return found


def reached(found: float, limit: float) -> bool:
    """Say whether a share reaches the aim."""
    print(
        f"  the aim, {limit:.1f}, is {'reached' if found >= limit else 'not reached'}", flush=True
    )
    return found >= limit


def measure_web() -> bool:
    """Count what Nginx costs an app, and what a cached page costs more than a file."""
    if not testbed.containers(NAME):
        fresh_host()
    ansible("ansible-playbook", "site.yml", *VARIABLES, "-e", json.dumps(WEB_VARIABLES))
    ssh("sudo apt-get install -qq --no-install-recommends nghttp2-client curl >/dev/null")
    ssh(
        "sudo mkdir -p /srv/bench && "
        f"curl -sSf http://127.0.0.1{CACHED_PAGE} | sudo tee /srv/bench/count.json"
    )
    direct, nginx = partial(rate, "/", SOCKET), partial(rate, "/")
    kept = reached(
        share("the app's page through nginx", nginx, "its socket", direct, WEB_ROUNDS), PROXY_SHARE
    )
    # What the app does in no time shows best what nginx takes; there is no aim for it.
    direct, nginx = partial(rate, "/healthz", SOCKET), partial(rate, "/healthz")
    share("its smallest view through nginx", nginx, "its socket", direct, OTHER_ROUNDS)
    file, page = partial(rate, STATIC_FILE), partial(rate, CACHED_PAGE)
    cached = share("a cached page", page, "a static file of its size", file, OTHER_ROUNDS)
    return reached(cached, CACHE_SHARE) and kept


def main() -> int:
    """Run the wanted measurements; 1 when an aim is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["cold", "again", "deploy", "web"])
    what = parser.parse_args().what
    measures = {
        "cold": measure_cold,
        "again": measure_again,
        "deploy": measure_deploy,
        "web": measure_web,
    }
    wanted = [what] if what else list(measures)
    try:
        kept = [measures[name]() for name in wanted]
    finally:
        testbed.down(NAME)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
