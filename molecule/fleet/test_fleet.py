"""Three hosts that switch together or not at all, asked while they do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import testinfra

import plays
import testbed

HERE = Path(__file__).resolve().parent
NAMES = ("app1", "app2", "app3")
HOME = "/srv/shop"
INVENTORY = testbed.STATE / "fleet" / "inventory.yml"

APP = """
import os, socket, time
from flask import Flask
app = Flask(__name__)
VERSION = {version!r}
HERE = socket.gethostname()
{code}
@app.get("/")
def index():
    return dict(version=VERSION, host=HERE, release=os.environ["FLASKOPS_RELEASE"])
@app.get("/healthz")
def healthz():
    {health}
    return "fine"
@app.route("/slow", methods=["GET", "POST"])
def slow():
    time.sleep(2)
    return "slow"
@app.post("/")
def post():
    return "posted"
"""

Source = Callable[..., str]


@pytest.fixture(scope="module")
def hosts() -> dict[str, Any]:
    """All hosts at once; checks that use it run once."""
    found = {
        name: testinfra.get_host(f"ansible://{name}?ansible_inventory={INVENTORY}&sudo=true")
        for name in NAMES
    }
    for host in found.values():
        host.check_output("command -v curl || apt-get -qq install -y curl >/dev/null 2>&1")
    return found


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return what writes a version of the app and gives its place."""

    def write(version: str, *, code: str = "", health: str = "", requirements: str = "") -> str:
        folder = tmp_path / "app"
        folder.mkdir(exist_ok=True)
        text = APP.format(version=version, code=code, health=health or "pass")
        (folder / "app.py").write_text(text)
        (folder / "requirements.txt").write_text(f"flask==3.1.3\n{requirements}")
        return str(folder)

    return write


def given(**variables: Any) -> dict[str, Any]:
    common = {
        "cache_server": "none",
        "flask_app_name": "shop",
        "flask_app_health_path": "/healthz",
        "gunicorn_workers": 2,
        "wsgi_health_timeout": 3,
    }
    return common | variables


def run(
    *options: str, playbook: str = "deploy.yml", **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run a playbook on all three."""
    return plays.run(HERE, "all", *options, timeout=240, playbook=playbook, **given(**variables))


def succeeds(*options: str, **variables: Any) -> str:
    return plays.output(run(*options, **variables))


def fails(*options: str, **variables: Any) -> str:
    """The playbook must fail; its output on one line."""
    return plays.complaint(run(*options, **variables))


def picture(hosts: dict[str, Any]) -> dict[str, str]:
    """What must not change when a deploy fails: the link, the processes, the units."""
    script = f"""
        readlink {HOME}/live; ls {HOME}/generations /etc/systemd/system
        ls /run/flaskops-shop.deploy /run/flaskops-shop.lease 2>/dev/null
        systemctl list-units --all --plain --no-legend 'shop*' 'flaskops*' | awk '{{print $1, $3}}'
        systemctl show -P MainPID 'shop@*.service'
    """
    return {name: host.run(script).stdout for name, host in hosts.items()}


def versions(hosts: dict[str, Any]) -> list[str]:
    """What each host's app says that it is."""
    ask = "curl -sSf --max-time 10 --unix-socket /run/shop/http.sock http://localhost/"
    return [json.loads(host.check_output(ask))["version"] for host in hosts.values()]


def wait_for(host: Any, state: str, number: int) -> None:
    """Wait until so many generations of a host are in a state."""
    units = f"systemctl list-units --all --plain --no-legend --state={state} 'shop@*.service'"
    for _ in range(240):
        if len(host.run(units).stdout.splitlines()) == number:
            return
        time.sleep(0.25)
    pytest.fail(f"there never were {number} generations {state}")


def one_generation_each(hosts: dict[str, Any]) -> None:
    """Nothing is left of a run that did not end."""
    for host in hosts.values():
        up = host.check_output("systemctl list-units --all --plain --no-legend 'shop@*.service'")
        assert len(up.splitlines()) == 1
        assert host.run("systemctl list-timers --all --no-legend 'flaskops-shop*'").stdout == ""


def test_deploys_and_rollbacks_under_load_lose_nothing(
    hosts: dict[str, Any], source: Source
) -> None:
    script = (testbed.ROOT / "molecule/shared/files/load.py").read_text()
    succeeds(flask_app_source=source("one"))
    for host in hosts.values():
        host.check_output(f"cat > /opt/load.py <<'SCRIPT'\n{script}\nSCRIPT")
        host.check_output(
            "systemd-run --quiet --unit=load --remain-after-exit "
            "-p StandardOutput=file:/run/load.json python3 /opt/load.py /run/shop/http.sock 50"
        )
    try:
        succeeds(flask_app_source=source("two"))
        assert versions(hosts) == ["two"] * 3
        fails(flask_app_source=source("bad", health="return 'sick', 500"))
        assert versions(hosts) == ["two"] * 3
        succeeds(playbook="rollback.yml")
        assert versions(hosts) == ["one"] * 3
        succeeds(flask_app_source=source("three"))
        assert versions(hosts) == ["three"] * 3
        for host in hosts.values():
            for _ in range(160):
                told = host.check_output("systemctl show -P SubState load.service")
                if told == "exited":
                    break
                time.sleep(0.5)
            counts = json.loads(host.check_output("cat /run/load.json"))
            assert list(counts) == ["200"], counts
            assert counts["200"] > 500
    finally:
        for host in hosts.values():
            host.run("systemctl stop load.service")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"code": "if HERE == 'app2': import no_such_module"},
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            {"health": "if HERE == 'app2': return 'the disk is sick', 503"},
            "answered 503, wanted below 500: the disk is sick",
        ),
        ({"health": "if HERE == 'app2': time.sleep(60)"}, "did not answer within 3 s"),
        (
            {"requirements": 'no-such-package-of-ours==1; python_version < "3.12"\n'},
            "The release was not built.",
        ),
    ],
    ids=["import", "health", "hang", "build"],
)
def test_one_host_that_fails_leaves_all_as_they_were(
    hosts: dict[str, Any], source: Source, change: dict[str, str], said: str
) -> None:
    before, served = picture(hosts), versions(hosts)
    told = fails(flask_app_source=source("broken", **change))
    assert said in told
    assert f"fatal: [{'app3' if 'requirements' in change else 'app2'}]: FAILED!" in told
    assert "Not switched: another host failed" in told
    assert picture(hosts) == before
    assert versions(hosts) == served


def test_a_release_that_failed_is_no_rollback_target(hosts: dict[str, Any]) -> None:
    record = hosts["app2"].check_output(f"cat {HOME}/next/release/release.json")
    failed = json.loads(record)["id"]
    before = picture(hosts)
    told = fails(playbook="rollback.yml", rollback_to=failed)
    assert f"rollback: found '{failed}'; of releases that have served, there are" in told
    assert picture(hosts) == before


def commands(hosts: dict[str, Any]) -> list[str]:
    """What the one-time commands have noted, of all hosts together."""
    texts = [h.run(f"cat {HOME}/shared/instance/log").stdout for h in hosts.values()]
    return [line for text in texts for line in text.splitlines()]


def test_one_time_commands_run_once_before_traffic(hosts: dict[str, Any], source: Source) -> None:
    for host in hosts.values():
        host.check_output(f"rm -f {HOME}/shared/instance/log")
    version = "$(python -c 'import app; print(app.VERSION)')"
    note = f'echo "$MOTTO $(id -un) {version}" >> {HOME}/shared/instance/log'
    given = {
        "flask_app_migrate_command": note,
        "flask_app_release_commands": ["flask --version >/dev/null"],
        "flask_app_env": {"MOTTO": "it's  $new"},
    }
    succeeds(flask_app_source=source("migrated"), **given)
    assert commands(hosts) == ["it's  $new shop migrated"]
    assert versions(hosts) == ["migrated"] * 3
    assert "changed=0" in succeeds(flask_app_source=source("migrated"), **given)
    assert len(commands(hosts)) == 1


def test_a_command_that_fails_stops_the_deploy(hosts: dict[str, Any], source: Source) -> None:
    before = picture(hosts)
    told = fails(
        flask_app_source=source("unmigrated"),
        flask_app_migrate_command="echo working; echo 'no such table: shop' >&2; exit 7",
    )
    assert "flask_app_migrate_command ended with 7, so nothing was switched" in told
    assert "working no such table: shop" in told
    assert "Not switched: another host failed" in told
    assert picture(hosts) == before
    assert versions(hosts) == ["migrated"] * 3


@contextmanager
def out_of_reach(name: str) -> Iterator[None]:
    """Cut a host's connections, and have no new ones."""
    (there,) = (item for item in testbed.containers("fleet") if item.host == name)
    testbed.podman("exec", there.name, "systemctl", "stop", "ssh.socket", "ssh.service")
    testbed.podman("exec", there.name, "sh", "-c", "pkill -f '[s]shd.*@' || true")
    try:
        yield
    finally:
        testbed.podman("exec", there.name, "systemctl", "start", "ssh.service")


def test_a_host_that_is_not_there_leaves_the_others_as_they_were(
    hosts: dict[str, Any], source: Source
) -> None:
    before, served = picture(hosts), versions(hosts)
    with out_of_reach("app3"):
        told = fails(flask_app_source=source("half"))
    assert "fatal: [app3]: UNREACHABLE!" in told
    assert "Not switched: another host failed" in told
    assert versions(hosts) == served
    assert picture(hosts) == before


def test_a_host_that_is_cut_off_while_it_switches_leaves_the_others_as_they_were(
    hosts: dict[str, Any], source: Source
) -> None:
    """It may have two generations until the next run, or for as long as its lease lasts."""
    before, served = picture(hosts), versions(hosts)
    slow = source("cut", code="if HERE == 'app3': time.sleep(8)")
    process = plays.start(HERE, "all", playbook="deploy.yml", **given(flask_app_source=slow))
    try:
        wait_for(hosts["app3"], "activating", 1)
        with out_of_reach("app3"):
            assert process.wait(timeout=120) != 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    after = picture(hosts)
    assert {name: after[name] for name in ("app1", "app2")} == {
        name: before[name] for name in ("app1", "app2")
    }
    now = versions(hosts)
    assert now[:2] == served[:2]
    assert now[2] in (served[2], "cut")
    succeeds(flask_app_source=source("joined"))
    assert versions(hosts) == ["joined"] * 3
    one_generation_each(hosts)


def started_on(
    hosts: dict[str, Any], name: str, source: Source, version: str
) -> subprocess.Popen[bytes]:
    """A deploy that has started the new generation on a host, and waits for the slow app3."""
    slow = source(version, code="if HERE == 'app3': time.sleep(10)")
    process = plays.start(HERE, "all", playbook="deploy.yml", **given(flask_app_source=slow))
    wait_for(hosts[name], "active", 2)
    # The switch is over when its lock is free.
    hosts[name].check_output("flock --timeout 20 /run/flaskops-shop.switch true")
    return process


def test_a_host_that_is_lost_when_it_has_started_leaves_the_others_as_they_were(
    hosts: dict[str, Any], source: Source
) -> None:
    """What it started stops by itself when its lease ends."""
    before, served = picture(hosts), versions(hosts)
    process = started_on(hosts, "app2", source, "lost")
    with out_of_reach("app2"):
        assert process.wait(timeout=120) != 0
    after, now = picture(hosts), versions(hosts)
    for number, name in ((0, "app1"), (2, "app3")):
        assert (after[name], now[number]) == (before[name], served[number])
    assert now[1] in (served[1], "lost")
    timer = hosts["app2"].check_output("systemctl list-timers --all --no-legend 'flaskops-shop*'")
    assert "flaskops-shop-lease.timer" in timer
    succeeds(flask_app_source=source("found"))
    assert versions(hosts) == ["found"] * 3
    one_generation_each(hosts)


def test_a_host_that_cannot_finish_is_told_and_healed(
    hosts: dict[str, Any], source: Source
) -> None:
    """The others have retired the old generation by then: the run fails, and the next one heals."""
    process = started_on(hosts, "app2", source, "late")
    lock = {"run": "other", "who": "alice@desk", "since": int(time.time())}
    hosts["app2"].check_output(f"echo '{json.dumps(lock)}' > /run/flaskops-shop.deploy")
    assert process.wait(timeout=120) != 0
    now = versions(hosts)
    assert (now[0], now[2]) == ("late", "late")
    assert now[1] in ("found", "late")
    succeeds(flask_app_source=source("healthy"), flask_app_lock_minutes=0)
    assert versions(hosts) == ["healthy"] * 3
    one_generation_each(hosts)


def test_one_deploy_at_a_time(hosts: dict[str, Any], source: Source) -> None:
    lock = {"run": "other", "who": "alice@desk", "since": int(time.time()) - 60}
    hosts["app2"].check_output(f"echo '{json.dumps(lock)}' > /run/flaskops-shop.deploy")
    before = picture(hosts)
    told = fails(flask_app_source=source("locked"))
    assert "alice@desk has been deploying shop since" in told
    assert "in 10 min; -e flask_app_lock_minutes=0 goes on at once" in told
    assert picture(hosts) == before
    succeeds(flask_app_source=source("locked"), flask_app_lock_minutes=0)
    assert versions(hosts) == ["locked"] * 3
    for host in hosts.values():
        assert not host.file("/run/flaskops-shop.deploy").exists


def test_a_run_killed_between_the_phases_is_healed(hosts: dict[str, Any], source: Source) -> None:
    slow = source("killed", code="if HERE == 'app3': time.sleep(8)")
    process = plays.start(HERE, "all", playbook="deploy.yml", **given(flask_app_source=slow))
    try:
        wait_for(hosts["app1"], "active", 2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    timer = hosts["app1"].check_output("systemctl list-timers --all --no-legend 'flaskops-shop*'")
    assert "flaskops-shop-lease.timer" in timer
    assert hosts["app1"].check_output(f"cat {HOME}/live/release/release.json") != ""
    assert hosts["app1"].file("/run/flaskops-shop.deploy").exists
    succeeds(flask_app_source=source("healed"))  # the lock is a dead run's
    assert versions(hosts) == ["healed"] * 3
    one_generation_each(hosts)


def released(hosts: dict[str, Any], link: str) -> str:
    """The release that a link of the first host leads to."""
    told = json.loads(hosts["app1"].check_output(f"cat {HOME}/{link}/release/release.json"))
    return str(told["id"])


def test_hosts_can_go_one_after_the_other(hosts: dict[str, Any], source: Source) -> None:
    succeeds(flask_app_source=source("serial"), deploy_serial=1)
    assert versions(hosts) == ["serial"] * 3
    told = fails(playbook="rollback.yml", deploy_serial=1)
    assert "rollback_to: found nothing, and deploy_serial is 1" in told
    before = released(hosts, "previous")
    succeeds(playbook="rollback.yml", deploy_serial=2, rollback_to=before)
    assert versions(hosts) == ["healed"] * 3
    succeeds(playbook="rollback.yml")
    assert versions(hosts) == ["serial"] * 3


def test_hosts_go_back_to_one_release_only(hosts: dict[str, Any]) -> None:
    succeeds(playbook="rollback.yml")
    assert versions(hosts) == ["healed"] * 3
    hosts["app2"].check_output(
        f"ln -sfn generations/$(ls {HOME}/generations | sort -n | head -1) {HOME}/previous"
    )
    before = picture(hosts)
    told = fails(playbook="rollback.yml")
    assert "rollback_to: the previous release is" in told
    assert picture(hosts) == before
    succeeds(playbook="rollback.yml", rollback_to=released(hosts, "previous"))
    assert versions(hosts) == ["serial"] * 3


def keys(hosts: dict[str, Any]) -> dict[str, list[str]]:
    """The SECRET_KEY that each host's app signs with, and what else it accepts."""
    script = (
        "import os; print(os.environ['SECRET_KEY'], os.environ.get('SECRET_KEY_FALLBACKS', '[]'))"
    )
    unit = f"systemd-run --quiet --wait --pipe -p EnvironmentFile={HOME}/live/env python3 -c"
    found = {}
    for name, host in hosts.items():
        signs, others = host.check_output(f'{unit} "{script}"').split(" ", 1)
        found[name] = [signs, *json.loads(others)]
    return found


def test_all_hosts_change_their_secret_key_together(hosts: dict[str, Any]) -> None:
    before = keys(hosts)
    assert len({tuple(found) for found in before.values()}) == 1
    served = versions(hosts)
    succeeds(playbook="rotate.yml")
    after = keys(hosts)
    assert len({tuple(found) for found in after.values()}) == 1
    assert after["app1"][0] != before["app1"][0]
    assert after["app1"][1:] == before["app1"]
    assert versions(hosts) == served
    # Without all of them nothing is changed.
    done = plays.run(
        HERE, "app1", timeout=240, playbook="rotate.yml", cache_server="none", flask_app_name="shop"
    )
    assert done.returncode != 0
    assert "--limit: left out app2, app3" in " ".join(done.stdout.split())
    assert keys(hosts) == after


def test_nothing_is_left_behind(hosts: dict[str, Any]) -> None:
    for host in hosts.values():
        assert host.run("ls /run/flaskops-*.deploy /run/flaskops-*.lease").stdout == ""
        failed = host.check_output("systemctl list-units --failed --plain --no-legend 'shop*'")
        assert failed == ""
