"""Gunicorn asked over its socket: what serves, how it is fenced in, and how one hands over."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

pytestmark = pytest.mark.units("shop.socket", "shop.service", "shop@*.service")

SOCKET = "/run/shop/http.sock"
HOME = "/srv/shop"
#: The kernel's EPERM and EACCES say the same in other words.
DENIED = ("Permission denied", "Read-only file system", "Operation not permitted")


def ask(host: Any, path: str = "/", seconds: int = 40) -> dict[str, Any]:
    command = f"curl -sSf --max-time {seconds} --unix-socket {SOCKET} http://localhost{path}"
    told: dict[str, Any] = json.loads(host.check_output(command))
    return told


def live(host: Any) -> int:
    return int(host.check_output(f"readlink {HOME}/live").removeprefix("generations/"))


def unit(host: Any, name: str, prop: str) -> str:
    told: str = host.check_output(f"systemctl show --value -p {prop} {name}")
    return told


def master(host: Any) -> int:
    return int(unit(host, f"shop@{live(host)}.service", "MainPID"))


def wait_until_active(host: Any, name: str, seconds: int = 60) -> None:
    for _ in range(seconds * 2):
        if unit(host, name, "ActiveState") == "active":
            return
        time.sleep(0.5)
    raise AssertionError(f"{name} is {unit(host, name, 'ActiveState')}")


def serves(host: Any) -> None:
    """The live generation, and no other, is up and answers."""
    number = live(host)
    up = host.check_output("systemctl list-units --plain --no-legend 'shop@*.service'").split("\n")
    assert [line.split()[0] for line in up] == [f"shop@{number}.service"]
    assert ask(host)["generation"] == str(number)


def test_live_generation_answers_as_the_apps_user(host: Any) -> None:
    serves(host)
    told = ask(host)
    assert told["uid"] == host.user("shop").uid != 0
    assert told["greeting"] == "hello"
    assert told["server"].startswith("gunicorn/27")
    assert told["multithread"] is True
    assert told["python"].startswith(f"{HOME}/generations/{live(host)}/release/.venv")


def test_workers_and_settings_are_the_ones_asked_for(host: Any) -> None:
    workers = host.check_output(f"pgrep -c -P {master(host)}")
    assert workers == "2"
    python = f"{HOME}/live/release/.venv/bin/python"
    config = host.check_output(
        f"cd /opt/shop && FLASKOPS_GENERATION=0 {python} -m gunicorn --print-config "
        f"-c {HOME}/live/gunicorn.conf.py"
    )
    for name, value in {"keepalive": "5", "threads": "4", "worker_class": ".*gthread.*"}.items():
        assert re.search(rf"^{name}\s*= {value}$", config, re.MULTILINE), name


def test_only_the_web_server_may_connect(host: Any) -> None:
    socket = host.file(SOCKET)
    assert (socket.user, socket.group, socket.mode) == ("root", "www-data", 0o660)
    asked = f"curl -sS --unix-socket {SOCKET} http://localhost/"
    assert host.run(f"runuser -u www-data -- {asked}").succeeded
    assert host.run(f"runuser -u nobody -- {asked}").failed


def test_no_port_is_open_to_the_network(host: Any) -> None:
    listening = host.check_output("ss -Hltnp")
    assert "gunicorn" not in listening
    assert "python" not in listening


def test_requests_are_in_the_journal_under_the_apps_name(host: Any) -> None:
    ask(host, "/found-in-the-journal?secret=hush")
    host.check_output("journalctl --sync")
    log = host.check_output("journalctl -t shop -o cat -n 50")
    assert '"GET /found-in-the-journal" 200' in log
    assert "hush" not in log


def test_process_is_fenced_in(host: Any) -> None:
    status = host.check_output(f"cat /proc/{master(host)}/status")
    for line in ("NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Seccomp:\t2"):
        assert line in status
    mount = f"nsenter -t {master(host)} -m --"
    for path in ("/etc/x", f"{HOME}/x", "/opt/shop/x"):
        assert any(said in host.run(f"{mount} touch {path}").stderr for said in DENIED), path


def test_unit_scores_well(host: Any) -> None:
    told = host.check_output(f"systemd-analyze security --no-pager shop@{live(host)}.service")
    score = re.search(r"Overall exposure level for .*: ([\d.]+)", told)
    assert score is not None
    assert float(score[1]) < 2.0


def test_units_are_free_of_mistakes(host: Any) -> None:
    told = host.run(f"systemd-analyze verify shop.socket shop.service shop@{live(host)}.service")
    assert "shop" not in told.stderr
    assert told.succeeded


def test_switch_under_load_loses_no_request(host: Any, play: Any) -> None:
    before = live(host)
    host.check_output(
        "systemd-run --quiet --unit=load --remain-after-exit -p StandardOutput=file:/run/load.json "
        f"python3 /opt/load.py {SOCKET} 20"
    )
    try:
        for threads in (5, 6, 7):
            play.succeeds(gunicorn_threads=threads)
        for _ in range(100):
            if unit(host, "load.service", "SubState") == "exited":
                break
            time.sleep(0.5)
        counts = json.loads(host.check_output("cat /run/load.json"))
    finally:
        host.run("systemctl stop load.service")
    assert live(host) == before + 3
    assert list(counts) == ["200"], counts
    assert counts["200"] > 500
    serves(host)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("BROKEN=import", "ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "HEALTH=503 Sick",
            "GET /health (Host: localhost, http) answered 503, wanted 200: ok",
        ),
        ("BROKEN=hang", "did not answer within 2 s"),
    ],
    ids=["import", "health", "hang"],
)
def test_broken_generation_never_serves(host: Any, play: Any, environment: str, said: str) -> None:
    before, pid = live(host), ask(host)["pid"]
    name, value = environment.split("=", 1)
    host.check_output(f"printf '{name}=\"{value}\"\\n' > /opt/broken")
    output = play.fails(gunicorn_environment_file="/opt/broken", gunicorn_health_timeout=2)
    assert said in output
    assert f"Generation {before} (release shop) was not touched and serves on." in output
    assert live(host) == before
    assert master(host) > 0
    assert host.run(f"kill -0 {pid}").succeeded, "the very same worker still serves"
    serves(host)


def test_unknown_setting_is_named(host: Any, play: Any) -> None:
    before = live(host)
    said = play.fails(gunicorn_config={"workerz": 3})
    assert "gunicorn_config: found workerz; Gunicorn knows no such setting" in said
    assert live(host) == before
    serves(host)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"gunicorn_bind": "0.0.0.0:70000"}, 'gunicorn_bind: found "0.0.0.0:70000"; allowed are'),
        ({"gunicorn_bind": "http.sock"}, 'gunicorn_bind: found "http.sock"; allowed are'),
        ({"gunicorn_worker_class": "eventlet"}, "value of gunicorn_worker_class must be one of"),
        ({"gunicorn_user": "root"}, "gunicorn_user: found root"),
        ({"gunicorn_config": '{"keepalive": 1}'}, "gunicorn_config, gunicorn_unit_config: found"),
        ({"gunicorn_workers": -1}, "gunicorn_workers: found -1; allowed are 0 and more"),
        ({"gunicorn_threads": "many"}, "gunicorn_threads"),
        (
            {"gunicorn_config": {"bind": "0.0.0.0:80"}},
            "gunicorn_config: found bind; the role decides these",
        ),
        ({"gunicorn_health_path": "health"}, 'gunicorn_health_path: found "health"; allowed is'),
    ],
    ids=["port", "relative", "class", "root", "text", "negative", "type", "bind", "path"],
)
def test_bad_input_is_named_before_anything_changes(
    host: Any, play: Any, variables: dict[str, Any], said: str
) -> None:
    before = live(host)
    assert said in play.fails(**variables)
    assert live(host) == before
    serves(host)


def test_tcp_address_can_be_served_instead(host: Any, play: Any) -> None:
    play.succeeds(gunicorn_bind="127.0.0.1:8000")
    told = json.loads(host.check_output("curl -sSf http://127.0.0.1:8000/"))
    assert told["generation"] == str(live(host))
    assert "127.0.0.1:8000" in host.check_output("ss -Hltn")
    play.succeeds()
    serves(host)
    assert "127.0.0.1:8000" not in host.check_output("ss -Hltn")


def test_stop_means_stop_and_start_brings_it_back(host: Any) -> None:
    host.check_output("systemctl stop shop")
    asked = f"curl -sS --max-time 5 --unix-socket {SOCKET} http://localhost/"
    for _ in range(3):
        assert host.run(asked).failed
    assert unit(host, "shop.service", "ActiveState") == "inactive"
    host.check_output("systemctl start shop")
    serves(host)


def test_restart_makes_requests_wait_and_loses_none(host: Any) -> None:
    pid = master(host)
    asked = f"curl -sSf --max-time 30 --unix-socket {SOCKET} http://localhost/"
    restart = "(sleep 0.2; systemctl restart shop)"
    script = f"{restart} & for i in $(seq 40); do {asked} || exit 1; done; wait"
    host.check_output(script)
    serves(host)
    assert master(host) != pid


def test_killed_master_comes_back(host: Any) -> None:
    name = f"shop@{live(host)}.service"
    wait_until_active(host, name)
    host.check_output(f"kill -9 {master(host)}")
    # On cgroup v1, systemd 252 in a container waits TimeoutStopSec before it notices.
    told = ask(host, seconds=60)
    assert told["generation"] == str(live(host))
    wait_until_active(host, name)
    assert int(unit(host, name, "NRestarts")) > 0


def test_nothing_changes_in_the_end(play: Any) -> None:
    assert "changed=0" in play.succeeds()
