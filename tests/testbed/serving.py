"""What the scenarios of the WSGI servers share: the app shop, asked, and what holds for any server.

A scenario's test module has a class that inherits `Serving` and says which role it is about.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, ClassVar

import pytest

UNITS = ("shop.socket", "shop.service", "shop@*.service")
SOCKET = "/run/shop/http.sock"
HOME = "/srv/shop"
#: The kernel's EPERM and EACCES say the same in other words.
DENIED = ("Permission denied", "Read-only file system", "Operation not permitted")
#: Seconds for the clients, which are told when it is enough.
LONG_ENOUGH = 150
#: Seconds for a play whose generation fails; far below the role's start_timeout.
QUICK = 45


def ask(host: Any, path: str = "/", seconds: int = 40) -> dict[str, Any]:
    """Return what the app tells of itself."""
    command = f"curl -sSf --max-time {seconds} --unix-socket {SOCKET} 'http://localhost{path}'"
    told: dict[str, Any] = json.loads(host.check_output(command))
    return told


def live(host: Any) -> int:
    """Return the number of the live generation."""
    return int(host.check_output(f"readlink {HOME}/live").removeprefix("generations/"))


def unit(host: Any, name: str, prop: str) -> str:
    """Return a property of a unit."""
    told: str = host.check_output(f"systemctl show --value -p {prop} {name}")
    return told


def master(host: Any) -> int:
    """Return the process of the live generation that started the workers."""
    return int(unit(host, f"shop@{live(host)}.service", "MainPID"))


def wait_until_active(host: Any, name: str, seconds: int = 60) -> None:
    """Wait until a unit is up."""
    for _ in range(seconds * 2):
        if unit(host, name, "ActiveState") == "active":
            return
        time.sleep(0.5)
    raise AssertionError(f"{name} is {unit(host, name, 'ActiveState')}")


def only_live_is_up(host: Any) -> int:
    """Return the live generation, which must be the only one that is up."""
    number = live(host)
    up = host.check_output("systemctl list-units --plain --no-legend 'shop@*.service'").split("\n")
    found = [line.split()[0] for line in up]
    assert found == [f"shop@{number}.service"], found
    return number


def serves(host: Any) -> None:
    """The live generation, and no other, is up and answers."""
    number = only_live_is_up(host)
    assert ask(host)["generation"] == str(number)


class Load:
    """Clients that ask all the time between entering and leaving; every one must get a 200."""

    def __init__(self, host: Any, address: str = SOCKET, least: int = 500) -> None:
        """Least: how many answers there have to be."""
        self.host = host
        self.address = address
        self.least = least

    def __enter__(self) -> None:
        self.host.check_output(
            "systemd-run --quiet --unit=load --remain-after-exit --property=KillMode=process "
            "--property=StandardOutput=file:/run/load.json "
            f"python3 /opt/load.py {self.address} {LONG_ENOUGH}"
        )

    def __exit__(self, kind: object, *_rest: object) -> None:
        try:
            self.host.check_output("systemctl kill --signal=TERM load.service")
            for _ in range(240):
                if unit(self.host, "load.service", "SubState") != "running":
                    break
                time.sleep(0.5)
            if kind is None:
                counts = json.loads(self.host.check_output("cat /run/load.json"))
                assert list(counts) == ["200"], counts
                assert counts["200"] > self.least, counts
        finally:
            self.host.run("systemctl stop load.service; rm -f /run/load.json")


class Serving:
    """What holds whichever server runs the app; the scenario's own class says which it is."""

    #: The role, with which its variables begin.
    role: ClassVar[str]
    #: What the app finds as its server, and the settings that differ from what converge.yml says.
    software: ClassVar[str]

    def named(self, **variables: Any) -> dict[str, Any]:
        """Return variables of the server's role."""
        return {f"{self.role}_{name}": value for name, value in variables.items()}

    def test_live_generation_answers_as_the_apps_user(self, host: Any) -> None:
        serves(host)
        told = ask(host)
        assert told["uid"] == host.user("shop").uid != 0
        assert told["greeting"] == "hello"
        assert told["server"].startswith(self.software)
        assert told["multithread"] is True
        assert told["python"].startswith(f"{HOME}/generations/{live(host)}/release/.venv")

    def test_no_process_is_root(self, host: Any) -> None:
        owners = host.check_output(
            f"ps -o user= -p {master(host)}; ps -o user= --ppid {master(host)}"
        )
        assert set(owners.split()) == {"shop"}

    def test_so_many_threads_of_so_many_workers_work_at_a_time(self, host: Any) -> None:
        """Two workers of four threads: five requests take not much longer than one.

        Which worker accepts a request is the kernel's choice, so it may take more than one try.
        """
        assert host.check_output(f"pgrep -c -P {master(host)}") == "2"
        one = f"curl -sSf --max-time 30 --unix-socket {SOCKET} 'http://localhost/slow?s=3'"
        pids: set[str] = set()
        quickest = 60.0
        for _ in range(5):
            started = time.monotonic()
            told = host.check_output(f"for i in $(seq 5); do {one} & done; wait")
            quickest = min(quickest, time.monotonic() - started)
            pids |= set(re.findall(r'"pid": (\d+)', told))
            if len(pids) == 2 and quickest < 6:
                return
        raise AssertionError(f"{pids} took {quickest:.1f} s at best")

    def test_only_the_web_server_may_connect(self, host: Any) -> None:
        socket = host.file(SOCKET)
        assert (socket.user, socket.group, socket.mode) == ("root", "www-data", 0o660)
        asked = f"curl -sS --unix-socket {SOCKET} http://localhost/"
        assert host.run(f"runuser -u www-data -- {asked}").succeeded
        assert host.run(f"runuser -u nobody -- {asked}").failed

    def test_no_port_is_open_to_the_network(self, host: Any) -> None:
        listening = host.check_output("ss -Hltnp")
        for name in ("gunicorn", "uwsgi", "python"):
            assert name not in listening

    def test_requests_are_in_the_journal_under_the_apps_name(self, host: Any) -> None:
        ask(host, "/found-in-the-journal%0aforged?secret=hush")
        host.check_output("journalctl --sync")
        log = host.check_output("journalctl -t shop -o cat -n 50")
        assert '"GET /found-in-the-journal%0Aforged" 200' in log
        assert "hush" not in log

    def test_health_checks_are_not_in_the_journal(self, host: Any) -> None:
        since = host.check_output("date +%s.%N")
        asked = f"curl -sSf --unix-socket {SOCKET} http://localhost/health"
        assert host.check_output(asked) == "ok"
        ask(host, "/after-the-health-check")
        host.check_output("journalctl --sync")
        log = host.check_output(f"journalctl -t shop -o cat --since=@{since}")
        assert '"GET /after-the-health-check" 200' in log
        assert "/health" not in log.replace("/after-the-health-check", "")

    def test_process_is_fenced_in(self, host: Any) -> None:
        status = host.check_output(f"cat /proc/{master(host)}/status")
        for line in ("NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Seccomp:\t2"):
            assert line in status
        mount = f"nsenter -t {master(host)} -m --"
        for path in ("/etc/x", f"{HOME}/x", "/opt/shop/x"):
            assert any(said in host.run(f"{mount} touch {path}").stderr for said in DENIED), path

    def test_a_refused_system_call_is_an_error_of_the_app(self, host: Any) -> None:
        assert ask(host, "/nice")["nice"] == "Operation not permitted"

    def test_unit_scores_well(self, host: Any) -> None:
        told = host.check_output(f"systemd-analyze security --no-pager shop@{live(host)}.service")
        score = re.search(r"Overall exposure level for .*: ([\d.]+)", told)
        assert score is not None
        assert float(score[1]) < 2.0

    def test_units_are_free_of_mistakes(self, host: Any) -> None:
        names = f"shop.socket shop.service shop@{live(host)}.service"
        told = host.run(f"systemd-analyze verify {names}")
        assert "shop" not in told.stderr
        assert told.succeeded

    def test_switch_under_load_loses_no_request(self, host: Any, play: Any) -> None:
        before = live(host)
        with Load(host):
            for threads in (5, 6, 7):
                play.succeeds(**self.named(threads=threads))
        assert live(host) == before + 3
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
    def test_broken_generation_never_serves(
        self, host: Any, play: Any, environment: str, said: str
    ) -> None:
        before, pid = live(host), ask(host)["pid"]
        name, value = environment.split("=", 1)
        host.check_output(f"printf '{name}=\"{value}\"\\n' > /opt/broken")
        broken = {"wsgi_environment_file": "/opt/broken", "wsgi_health_timeout": 2}
        started = time.monotonic()
        output = play.fails(**broken)
        assert time.monotonic() - started < QUICK, "it fails at once, not when the time is over"
        assert said in output
        assert f"Generation {before} (release shop) was not touched and serves on." in output
        assert live(host) == before
        assert master(host) > 0
        assert host.run(f"kill -0 {pid}").succeeded, "the very same worker still serves"
        serves(host)

    def test_tcp_address_can_be_served_instead(self, host: Any, play: Any) -> None:
        play.succeeds(wsgi_bind="127.0.0.1:8000")
        told = json.loads(host.check_output("curl -sSf http://127.0.0.1:8000/"))
        assert told["generation"] == str(live(host))
        assert "127.0.0.1:8000" in host.check_output("ss -Hltn")
        play.succeeds()
        serves(host)
        assert "127.0.0.1:8000" not in host.check_output("ss -Hltn")

    def test_stop_means_stop_and_start_brings_it_back(self, host: Any) -> None:
        host.check_output("systemctl stop shop")
        asked = f"curl -sS --max-time 5 --unix-socket {SOCKET} http://localhost/"
        for _ in range(3):
            assert host.run(asked).failed
        assert unit(host, "shop.service", "ActiveState") == "inactive"
        host.check_output("systemctl start shop")
        serves(host)

    def test_restart_makes_requests_wait_and_loses_none(self, host: Any) -> None:
        pid = master(host)
        asked = f"curl -sSf --max-time 30 --unix-socket {SOCKET} http://localhost/"
        restart = "(sleep 0.2; systemctl restart shop)"
        script = f"{restart} & for i in $(seq 40); do {asked} || exit 1; done; wait"
        host.check_output(script)
        serves(host)
        assert master(host) != pid

    def test_killed_master_comes_back(self, host: Any) -> None:
        name = f"shop@{live(host)}.service"
        wait_until_active(host, name)
        host.check_output(f"kill -9 {master(host)}")
        # On cgroup v1, systemd 252 in a container waits TimeoutStopSec before it notices.
        told = ask(host, seconds=60)
        assert told["generation"] == str(live(host))
        wait_until_active(host, name)
        assert int(unit(host, name, "NRestarts")) > 0
