"""Deploys and rollbacks under load, releases that fail, and runs that are killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

import plays

HERE = Path(__file__).resolve().parent
HOME = "/srv/shop"
SERVERS = ("gunicorn", "uwsgi")
#: Deploys and rollbacks for each server, and how many deploys lie between two rollbacks.
DEPLOYS, ROLLBACKS = 20, 5
EVERY = DEPLOYS // ROLLBACKS
#: hey's options for each kind of visitor: so many at once, each so often a second.
VISITORS = {
    "keep-alive": "-c 8 -q 10 http://127.0.0.1/",
    "new-connections": "-disable-keepalive -c 4 -q 10 http://127.0.0.1/",
    "slow": "-c 4 -t 30 http://127.0.0.1/slow",
    "uploads": "-c 2 -q 2 -m POST -D /opt/body http://127.0.0.1/upload",
}

pytestmark = pytest.mark.units("nginx.service", "shop.service", "shop@*.service")

Source = Callable[..., str]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return what writes a version of the app and gives its place."""

    def write(version: str, *, code: str = "", health: str = '"fine"', more: str = "") -> str:
        folder = tmp_path / "app"
        shutil.copytree(HERE / "files", folder, dirs_exist_ok=True)
        text = (HERE / "files/app.py").read_text()
        text = text.replace('os.environ.get("VERSION", "")', repr(version))
        text = text.replace('return "fine"', f"return {health}")
        (folder / "app.py").write_text(f"{text}\n{code}\n")
        (folder / "requirements.txt").write_text(f"flask==3.1.3\n{more}")
        return str(folder)

    return write


def given(**variables: Any) -> dict[str, Any]:
    common = {
        "cache_server": "none",
        "flask_app_name": "shop",
        "flask_app_health_path": "/healthz",
        "gunicorn_workers": 2,
        "uwsgi_processes": 2,
        "wsgi_health_timeout": 3,
    }
    return common | variables


def run(playbook: str = "deploy.yml", **variables: Any) -> subprocess.CompletedProcess[str]:
    return plays.run(HERE, "all", timeout=240, playbook=playbook, **given(**variables))


def succeeds(playbook: str = "deploy.yml", **variables: Any) -> str:
    return plays.output(run(playbook, **variables))


def fails(playbook: str = "deploy.yml", **variables: Any) -> str:
    """The playbook must fail; its output on one line."""
    return plays.complaint(run(playbook, **variables))


def asked(host: Any) -> dict[str, str]:
    """What the page says of itself, through nginx."""
    told = host.check_output("curl -sSf --max-time 20 http://127.0.0.1/")
    page: dict[str, str] = json.loads(told)
    return page


def generations_up(host: Any) -> list[str]:
    listed = host.check_output("systemctl list-units --plain --no-legend 'shop@*.service'")
    return [line.split()[0] for line in listed.splitlines()]


class Load:
    """All visitors at once, as units of the host, until they are stopped."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.told: dict[str, str] = {}

    def __enter__(self) -> Self:
        for name, options in VISITORS.items():
            self.host.check_output(
                f"rm -f /run/{name}.txt; systemd-run --quiet --collect --unit=load-{name} "
                f"-p StandardOutput=file:/run/{name}.txt hey -z 1500s {options}"
            )
        return self

    def __exit__(self, *_exc: object) -> None:
        for name in VISITORS:
            self.host.check_output(f"systemctl kill --signal=INT load-{name}.service")
        for name in VISITORS:
            for _ in range(80):
                if self.host.run(f"systemctl is-active load-{name}").stdout.strip() != "active":
                    break
                time.sleep(0.5)
            self.told[name] = self.host.check_output(f"cat /run/{name}.txt")

    def statuses(self) -> dict[str, int]:
        """How many answers of each status, and of each error."""
        found: dict[str, int] = {}
        for text in self.told.values():
            for status, count in re.findall(r"\[(\d{3})\]\s+(\d+) responses", text):
                found[status] = found.get(status, 0) + int(count)
            if "Error distribution" in text:
                for count, error in re.findall(
                    r"\[(\d+)\]\s+(.*)", text.split("Error distribution")[1]
                ):
                    found[error] = found.get(error, 0) + int(count)
        return found

    def p99(self) -> dict[str, float]:
        """Seconds within which 99 of 100 answers came."""
        found = {}
        for name, text in self.told.items():
            # Of few answers hey tells the slowest only.
            line = re.search(r"99% in ([\d.]+) secs", text) or re.search(r"Slowest:\s+(\S+)", text)
            assert line is not None, text
            found[name] = float(line[1])
        return found


def lost_nothing(load: Load, at_least: int) -> None:
    counts = load.statuses()
    assert list(counts) == ["200"], counts
    assert counts["200"] > at_least, counts


@pytest.mark.parametrize("server", SERVERS)
def test_deploys_and_rollbacks_under_load_lose_nothing(
    host: Any, source: Source, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    succeeds(flask_app_source=source("start"), wsgi_server=server)
    with Load(host) as rest:
        time.sleep(15)
    lost_nothing(rest, 500)
    with Load(host) as load:
        before = "start"
        for number in range(1, DEPLOYS + 1):
            version = f"{server}-{number}"
            succeeds(flask_app_source=source(version), wsgi_server=server)
            page = asked(host)
            assert (page["version"], page["server"]) == (version, server)
            if number % EVERY == 0:
                succeeds("rollback.yml")
                assert asked(host)["version"] == before
            before = version
    lost_nothing(load, 5000)
    assert len(generations_up(host)) == 1
    with capsys.disabled():
        print(f"\n{server}: {load.statuses()['200']} requests, none failed; p99 in seconds:")
        for name, during in load.p99().items():
            print(f"  {name:16} {rest.p99()[name]:.3f} at rest, {during:.3f} during deploys")


def test_from_one_server_to_the_other_and_back_under_load(host: Any, source: Source) -> None:
    place = source("servers")
    with Load(host) as load:
        for server in ("gunicorn", "uwsgi", "gunicorn", "uwsgi"):
            succeeds("site.yml", flask_app_source=place, wsgi_server=server)
            assert asked(host)["server"] == server
        succeeds("rollback.yml")
        assert asked(host)["server"] == "gunicorn"
    lost_nothing(load, 500)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("change", "variables", "said"),
    [
        (
            {"code": "import no_such_module"},
            {},
            "an ImportError was raised: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            {"health": '("no disk left", 507)'},
            {},
            "GET /healthz (Host: localhost, http) answered 507, wanted below 500: no disk left",
        ),
        ({"health": "time.sleep(60) or 'late'"}, {}, "did not answer within 3 s"),
        (
            {},
            {"flask_app_migrate_command": "echo 'table is locked' >&2; false"},
            "flask_app_migrate_command ended with 1, so nothing was switched",
        ),
        (
            {},
            {"wsgi_health_checks": [{"path": "/", "text": "no such text"}]},
            "GET / (Host: localhost, http) answered 200 without the text 'no such text'",
        ),
    ],
    ids=["import", "health", "hang", "migration", "second-check"],
)
def test_a_release_that_fails_never_served(
    host: Any,
    source: Source,
    server: str,
    change: dict[str, str],
    variables: dict[str, Any],
    said: str,
) -> None:
    before, up = asked(host), generations_up(host)
    pids = host.check_output("systemctl show -P MainPID 'shop@*.service'")
    told = fails(flask_app_source=source("bad", **change), wsgi_server=server, **variables)
    assert said in told
    assert asked(host) == before
    assert generations_up(host) == up
    assert host.check_output("systemctl show -P MainPID 'shop@*.service'") == pids
    assert not host.file("/run/flaskops-shop.deploy").exists
    served = host.run("grep -c '\"bad\"' /var/log/nginx/access.log").stdout.strip()
    assert served in ("", "0")


def test_dollars_of_a_one_time_command_are_its_shells(host: Any, source: Source) -> None:
    """Also no value of the environment is in a command line, which anybody on the host can read."""
    noted = f"{HOME}/shared/instance/noted"
    command = (
        f'for word in one two; do echo "${{word}} ${{TOKEN}} $TOKEN $(id -un)"; done > {noted};'
        f" tr '\\0' ' ' < /proc/$$/cmdline >> {noted}; true"
    )
    succeeds(
        flask_app_source=source("dollars"),
        flask_app_env={"TOKEN": "hush"},
        flask_app_migrate_command=command,
    )
    *words, shell = host.check_output(f"cat {noted}").splitlines()
    assert words == ["one hush hush shop", "two hush hush shop"]
    assert shell.startswith("/bin/sh -ec for word in one two")
    assert "hush" not in shell


# Runs that are killed ----------------------------------------------------------------------------


def killed_after(seconds: float, **variables: Any) -> bool:
    """Start a deploy and kill it with all its processes; whether it was still at work."""
    process = plays.start(HERE, "all", playbook="deploy.yml", **given(**variables))
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # Its workers have sessions of their own and end with the module they wait for.
        for _ in range(60):
            left = subprocess.run(["pgrep", "-f", variables["flask_app_source"]], check=False)
            if left.returncode != 0:
                break
            time.sleep(0.5)
        return True
    return False


def test_killed_at_any_moment_the_old_site_serves_and_the_next_run_heals(
    host: Any, source: Source
) -> None:
    def deploy(version: str) -> float:
        started = time.monotonic()
        succeeds(flask_app_source=source(version))
        return time.monotonic() - started

    duration = min(deploy("whole"), deploy("again"))
    for point in (0.25, 0.45, 0.6, 0.75, 0.9):
        before = asked(host)["version"]
        version = f"killed-at-{point}"
        assert killed_after(duration * point, flask_app_source=source(version))
        assert asked(host)["version"] in (before, version)
        # What else the machine does makes deploys longer; the shortest one is to be hit.
        duration = min(duration, deploy(f"after-{point}"))
        assert asked(host)["version"] == f"after-{point}"
        assert len(generations_up(host)) == 1
        incomplete = host.check_output(
            f"for r in {HOME}/releases/*; do [ -e $r/release.json ] || echo $r; done"
        )
        assert incomplete == ""


def test_a_full_disk_while_building_leaves_the_old_site(host: Any, source: Source) -> None:
    before, shm = asked(host), "/dev/shm/full"
    # The only file system of the container that is small enough to be filled.
    host.check_output(
        f"rm -rf {HOME}/cache; install -d -o shop {shm} && ln -s {shm} {HOME}/cache;"
        f"dd if=/dev/zero of={shm}/zeros bs=64k 2>/dev/null; true"
    )
    try:
        told = fails(flask_app_source=source("big", more="babel==2.17.0\n"))
        assert "The release was not built." in told
        assert "No space left on device" in told
        assert asked(host) == before
    finally:
        host.check_output(f"rm -rf {HOME}/cache {shm}")
    succeeds(flask_app_source=source("fits", more="babel==2.17.0\n"))
    assert asked(host)["version"] == "fits"


# Processes and timers ----------------------------------------------------------------------------

WORKER = """
import os, signal, sys, time
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
log = open(f"/srv/shop/shared/instance/{sys.argv[1]}", "a", buffering=1)
print("start", os.environ["FLASKOPS_GENERATION"], file=log)
while not stopping:
    time.sleep(0.1)
time.sleep(2)
print("end", os.environ["FLASKOPS_GENERATION"], file=log)
"""


def test_processes_follow_the_release_and_finish_their_work(
    host: Any, source: Source, tmp_path: Path
) -> None:
    place = Path(source("workers"))
    (place / "worker.py").write_text(WORKER)
    host.check_output(f"rm -f {HOME}/shared/instance/*")
    variables: dict[str, Any] = {
        "flask_app_processes": [
            {"name": "mail", "command": "python worker.py mail"},
            {"name": "queue", "command": "python worker.py queue", "count": 2},
        ],
        "flask_app_timers": [
            {
                "name": "tick",
                "command": f'echo "tick $FLASKOPS_GENERATION" >> {HOME}/shared/instance/tick',
                "schedule": "*:*:0/2",
            }
        ],
    }
    succeeds(flask_app_source=str(place), **variables)
    first = asked(host)["generation"]
    for name in ("mail", "queue-1", "queue-2"):
        assert host.service(f"shop.{name}@{first}").is_running
    assert "changed=0" in succeeds(flask_app_source=str(place), **variables)
    owner = host.check_output(f"systemctl show -P MainPID shop.mail@{first}")
    assert host.check_output(f"ps -o user= -p {owner}") == "shop"
    (place / "worker.py").write_text(WORKER + "# two\n")
    succeeds(flask_app_source=str(place), **variables)
    second = asked(host)["generation"]
    time.sleep(5)
    log = host.check_output(f"cat {HOME}/shared/instance/mail").splitlines()
    assert log == [f"start {first}", f"start {second}", f"end {first}"]
    assert len(host.check_output(f"cat {HOME}/shared/instance/queue").splitlines()) == 6
    ticks = host.check_output(f"cat {HOME}/shared/instance/tick").splitlines()
    assert {f"tick {first}", f"tick {second}"} == set(ticks)
    assert ticks == sorted(ticks, key=lambda line: int(line.split()[1]))
    host.check_output("systemctl stop shop")
    assert not host.service(f"shop.mail@{second}").is_running
    # Processes start after the app, and the command does not wait for them.
    host.check_output(
        f"systemctl start shop; timeout 20 sh -c "
        f"'until systemctl is-active --quiet shop.mail@{second}; do sleep 0.2; done'"
    )
    bad: dict[str, Any] = {
        "flask_app_processes": [{"name": "mail", "command": "python nowhere.py"}]
    }
    told = fails(flask_app_source=str(place), **bad)
    assert "shop.mail@" in told
    assert "can't open file" in told
    assert asked(host)["generation"] == second
    bad = {"flask_app_timers": [{"name": "t", "command": "true", "schedule": "every noon"}]}
    assert "schedule of timer t" in fails(flask_app_source=str(place), **bad)
    succeeds(flask_app_source=str(place))
    time.sleep(5)
    listed = host.check_output("systemctl list-units --plain --no-legend 'shop.*@*'")
    assert listed == ""
