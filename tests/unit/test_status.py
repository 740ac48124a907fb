"""Module status against generations on the disk, and the table that people read."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskops.stack.plugins.filter import status as table
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import AppFile, AppState
from ansible_collections.flaskops.stack.plugins.module_utils.generation import store
from ansible_collections.flaskops.stack.plugins.module_utils.status import probe
from ansible_collections.flaskops.stack.plugins.module_utils.status.app import App
from ansible_collections.flaskops.stack.plugins.module_utils.status.found import find_apps
from ansible_collections.flaskops.stack.plugins.module_utils.status.pages import pages
from ansible_collections.flaskops.stack.plugins.module_utils.status.services import services
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.health import RELEASE_HEADER
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.record import SETTINGS_FILE

TOKEN = "token-that-nobody-sees"
HEALTH = {
    "path": "/healthz",
    "host": "localhost",
    "scheme": "http",
    "status": [],
    "text": "",
    "timeout": 5,
    "probes": 1,
}


class FakeSystemd(Systemd):
    """Units with the properties that a test gives them."""

    def __init__(self, units: Path) -> None:
        super().__init__(units)
        self.shown: dict[str, dict[str, str]] = {}

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        return {"ActiveState": "inactive", **self.shown.get(unit, {})}

    def instances(self, name: str) -> dict[int, str]:
        shown = {unit: told["ActiveState"] for unit, told in self.shown.items()}
        return {
            int(unit.partition("@")[2].removesuffix(".service")): state
            for unit, state in shown.items()
            if unit.startswith(f"{name}@") and unit.endswith(".service") and state != "inactive"
        }


class Host:
    """One host with the app shop; its processes answer as a test says."""

    def __init__(self, root: Path) -> None:
        self.root = root / "srv"
        self.home = self.root / "shop"
        self.apps = root / "apps"
        self.units = root / "units"
        (self.home / "generations").mkdir(parents=True)
        self.units.mkdir()
        self.systemd = FakeSystemd(self.units)
        self.open = ["probe-2.sock", "http.sock"]
        self.asked = ""
        self.answer: Any = (200, b"ok", {RELEASE_HEADER: "r2-b"})

    def generation(self, number: int, release: str, *, served: bool = True) -> None:
        built = self.home / "releases" / release
        site = built / "venv/lib/python3.13/site-packages/gunicorn-27.0.1.dist-info"
        site.mkdir(parents=True, exist_ok=True)
        told = {"revision": release[:2], "source": "https://me:hush@git.example.org/shop.git"}
        (built / "release.json").write_text(json.dumps(told))
        folder = self.home / "generations" / str(number)
        folder.mkdir()
        record = {"digest": "d", "token": TOKEN, "release": release, "health": HEALTH}
        (folder / SETTINGS_FILE).write_text(json.dumps({**record, "proxy_hops": 1}))
        (folder / "env").write_text('SECRET_KEY="hush"\n')
        (folder / "release").symlink_to(built)
        if served:
            (folder / store.SERVED_FILE).touch()

    def describe(self, name: str = "shop", home: Path | None = None, *companions: str) -> None:
        """Write down how an app runs."""
        state = AppState(
            user=name,
            server="gunicorn",
            protocol="http",
            bind=f"unix:/run/{name}/http.sock",
            health={"path": "/healthz", "host": "shop.example.org", "scheme": "https"},
            name=name,
            home=str(home or self.home),
            keep=5,
            units=[f"{name}.socket", f"{name}.service"],
            generations={"2": [f"{name}@2.service", f"{name}@2.socket", *companions]},
        )
        AppFile(name, self.apps).write(state)

    def live(self, number: int) -> None:
        store.Generations(self.home).make_live(number)

    def up(self, number: int, **properties: str) -> None:
        self.systemd.shown |= {
            "shop.socket": {"ActiveState": "active", "Listen": "/run/shop/http.sock (Stream)"},
            f"shop@{number}.service": {
                "ActiveState": "active",
                "MainPID": str(os.getpid()),
                "MemoryCurrent": "84934656",
                "NRestarts": "0",
                "ActiveEnterTimestampMonotonic": str(int((time.monotonic() - 90) * 1_000_000)),
                **properties,
            },
        }

    def look(self) -> dict[str, Any]:
        return App("shop", self.home, self.systemd, 5, self.apps).look()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)

    def ask(place: Path | str, target: str, headers: dict[str, str], *_: Any) -> Any:
        assert target == "/healthz"
        if Path(place).name not in made.open:
            raise FileNotFoundError(2, "No such file or directory")
        assert headers["X-Flaskops-Token"] == TOKEN
        assert headers["Host"] in ("shop.example.org", "localhost")
        made.asked = headers["Host"]
        if isinstance(made.answer, Exception):
            raise made.answer
        return made.answer

    monkeypatch.setattr(probe, "ask", ask)
    made.generation(1, "r1-a")
    made.generation(2, "r2-b")
    made.live(2)
    made.up(2)
    made.describe()
    return made


def test_serving_app_is_told_whole(host: Host) -> None:
    found = host.look()
    assert found["state"] == "serving"
    assert found["problems"] == []
    assert (found["generation"], found["release"], found["revision"]) == (2, "r2-b", "r2")
    assert (found["server"], found["server_version"]) == ("gunicorn", "27.0.1")
    assert found["answered_release"] == "r2-b"
    assert 90 <= found["uptime"] < 100
    assert found["memory"] == 84934656
    assert time.strptime(found["deployed"], table.TIME_FORMAT)
    assert found["rollback"] == {"generation": 1, "release": "r1-a", "revision": "r1"}


def test_no_secret_is_told(host: Host) -> None:
    told = json.dumps(host.look())
    assert TOKEN not in told
    assert "hush" not in told
    assert "https://git.example.org/shop.git" in told


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b"secret page", {RELEASE_HEADER: "r2-b"}), "GET /healthz answered 500"),
        ((200, b"", {RELEASE_HEADER: "r1-a"}), "release r1-a answers, r2-b is live"),
        ((200, b"", {}), "release (none) answers, r2-b is live"),
        (TimeoutError("timed out"), "no answer to GET /healthz (timed out)"),
    ],
)
def test_what_is_up_but_does_not_answer_well_is_broken(host: Host, answer: Any, said: str) -> None:
    host.answer = answer
    found = host.look()
    assert found["state"] == "broken"
    assert found["problems"][0].startswith(f"shop is broken: {said}")
    assert "secret page" not in found["problems"][0]


@pytest.mark.parametrize(
    ("properties", "state", "said"),
    [
        ({"ActiveState": "failed"}, "failed", "journalctl -u shop@2"),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "failed", "journalctl"),
        ({"ActiveState": "activating", "NRestarts": "3"}, "failed", "journalctl"),
        ({"ActiveState": "activating", "SubState": "start"}, "starting", ""),
        ({"ActiveState": "deactivating"}, "stopping", ""),
        ({"ActiveState": "inactive"}, "stopped", "systemctl start shop"),
    ],
)
def test_state_is_what_systemd_says(
    host: Host, properties: dict[str, str], state: str, said: str
) -> None:
    host.up(2, **properties)
    host.answer = AssertionError("it is not up, so it is not asked")
    found = host.look()
    assert found["state"] == state
    assert said in "".join(found["problems"])
    assert bool(found["problems"]) == bool(said)
    assert (found["uptime"], found["memory"], found["workers"]) == (0, 0, 0)


def test_public_socket_is_asked_where_the_generations_own_is_gone(host: Host) -> None:
    host.open = ["http.sock"]
    assert (host.look()["state"], host.look()["answered_release"]) == ("serving", "r2-b")
    host.systemd.shown["shop.socket"]["Listen"] = "127.0.0.1:8000 (Stream)"
    assert host.look()["state"] == "broken"
    host.open = ["127.0.0.1:8000"]
    assert host.look()["state"] == "serving"


def test_public_socket_with_nobody_behind_it_is_no_serving(host: Host) -> None:
    host.open = ["probe-2.sock"]
    found = host.look()
    assert found["state"] == "broken"
    assert "no answer at /run/shop/http.sock" in found["problems"][0]
    assert "systemctl restart shop" in found["problems"][0]


def test_closed_socket_is_no_serving(host: Host) -> None:
    host.systemd.shown["shop.socket"] = {"ActiveState": "inactive"}
    found = host.look()
    assert (found["state"], found["problems"]) == (
        "broken",
        ["shop is broken: shop.socket is not open: systemctl restart shop"],
    )


def test_nothing_live_is_told_from_a_lost_generation(host: Host) -> None:
    host.live(9)
    found = host.look()
    assert (found["state"], found["generation"], found["rollback"]) == ("broken", 0, None)
    (host.home / "live").unlink()
    host.systemd.shown = {}
    found = host.look()
    assert (found["state"], found["problems"]) == ("not deployed", [])


def test_generation_that_a_switch_left_is_named(host: Host) -> None:
    host.systemd.shown["shop@1.service"] = {"ActiveState": "active"}
    found = host.look()
    assert found["others"] == [1]
    assert "shop has generation 1 too, active" in found["problems"][0]


RUNNING = {"ActiveState": "active", "SubState": "running"}
LOOPING = {"ActiveState": "activating", "SubState": "auto-restart"}
IDLE = {"ActiveState": "inactive", "SubState": "dead"}


@pytest.mark.parametrize(
    ("worker", "command", "timer", "state", "problem"),
    [
        (RUNNING, IDLE, RUNNING, "serving", ""),
        (LOOPING, IDLE, RUNNING, "degraded", "shop.worker@2 of shop is failed"),
        (IDLE, IDLE, RUNNING, "degraded", "shop.worker@2 of shop is stopped"),
        (RUNNING, {"ActiveState": "failed"}, RUNNING, "degraded", "shop.clean@2 of shop is failed"),
        (RUNNING, IDLE, IDLE, "degraded", "shop.clean@2.timer of shop is stopped"),
    ],
)
def test_what_runs_beside_the_server_counts(
    host: Host,
    worker: dict[str, str],
    command: dict[str, str],
    timer: dict[str, str],
    state: str,
    problem: str,
) -> None:
    units = ("shop.worker@2.service", "shop.clean@2.service", "shop.clean@2.timer")
    host.describe("shop", host.home, *units)
    host.systemd.shown |= dict(zip(units, (worker, command, timer), strict=True))
    found = host.look()
    assert found["state"] == state
    assert [text.partition(":")[0] for text in found["problems"]] == ([problem] if problem else [])
    shown = [one["unit"] for one in found["companions"]]
    assert ("shop.worker@2" in shown, "shop.clean@2.timer" in shown) == (True, True)


def test_a_key_of_the_apps_own_is_a_problem(host: Host) -> None:
    host.answer = (200, b"ok", {RELEASE_HEADER: "r2-b", "X-Flaskops-Key": "own"})
    found = host.look()
    assert found["state"] == "serving"
    assert found["problems"][0].startswith("shop signs with a SECRET_KEY of its own")


@pytest.mark.parametrize("counted", ["[not set]", str(2**64 - 1), ""])
def test_memory_is_counted_by_process_where_systemd_does_not(host: Host, counted: str) -> None:
    host.up(2, MemoryCurrent=counted)
    assert host.look()["memory"] > 1_000_000


def test_rollback_goes_to_what_was_live_before(host: Host) -> None:
    known = store.Generations(host.home)
    host.generation(3, "r3-c")
    assert known.rollback_target() == 3  # nobody has said what was before
    (host.home / "previous").symlink_to("generations/1")
    assert known.rollback_target() == 1
    (host.home / "generations/1" / store.SERVED_FILE).unlink()
    assert known.rollback_target() == 3
    (host.home / "generations/3/release").unlink()
    assert known.rollback_target() == 0


def test_apps_are_found_on_the_disk_and_where_they_are_written_down(host: Host) -> None:
    (host.root / "data").mkdir()
    host.describe("cafe", Path("/opt/cafe"))
    (host.apps / "broken").mkdir()
    (host.apps / "broken/app.json").write_text("{")
    found = find_apps(host.root, "", host.apps)
    assert found == {"cafe": Path("/opt/cafe"), "shop": host.home}
    assert find_apps(host.root, "cafe", host.apps) == {"cafe": Path("/opt/cafe")}


def test_it_is_asked_by_the_name_that_the_site_has_now(host: Host) -> None:
    host.look()
    assert host.asked == "shop.example.org"


def test_an_app_that_nothing_is_written_down_of_is_told(host: Host) -> None:
    AppFile("shop", host.apps).remove()
    found = host.look()
    assert (found["state"], found["server"], host.asked) == ("serving", "", "localhost")
    assert found["problems"] == [
        f"shop has no {host.apps}/shop/app.json, so its processes, timers and server are not "
        "known: run site.yml"
    ]


def test_app_that_is_not_there_is_not_deployed(host: Host) -> None:
    ((name, home),) = find_apps(host.root, "cafe", host.apps).items()
    assert App(name, home, host.systemd, 5, host.apps).look()["state"] == "not deployed"


# The table ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min"),
        (5 * 3600 + 600, "5 h 10 min"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
        (86400, "1 d"),
    ],
)
def test_duration_has_two_units_at_most(seconds: int, text: str) -> None:
    assert table.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 B"), (1000, "1 kB"), (81_400_000, "81 MB"), (999_700, "1 MB"), (3e12, "3.0 TB")],
)
def test_size_has_three_digits_at_most(count: float, text: str) -> None:
    assert table.size(count) == text


def test_moment_names_the_year_only_when_it_is_another() -> None:
    year = time.gmtime().tm_year
    assert table.moment(f"{year}-03-09T01:02:03Z") == "9 Mar 01:02"
    assert table.moment("2020-11-23T01:02:03Z") == "23 Nov 2020"


def test_every_host_has_its_row() -> None:
    results = {
        "app1": {"apps": [{"name": "shop", "state": "serving", "problems": []}]},
        "app2": {"unreachable": True, "msg": "Failed to connect: no route\nmore"},
        "app3": {"apps": []},
        "app4": {"msg": "MODULE FAILURE"},
    }
    rows = table.status_rows(results)
    assert [(row["host"], row["state"]) for row in rows] == [
        ("app1", "serving"),
        ("app2", "unreachable"),
        ("app3", "no apps"),
        ("app4", "unknown"),
    ]
    assert rows[1]["problems"] == ["Failed to connect: no route"]
    with pytest.raises(AnsibleFilterError, match="a dict by host, found list"):
        table.status_rows([])


def test_table_is_aligned_and_problems_come_after_it(host: Host) -> None:
    host.answer = (500, b"", {})
    results = {"app1.example.org": {"apps": [host.look()]}, "app2": {"apps": []}}
    lines = table.status_table(table.status_rows(results))
    head, first, second, problem = lines
    assert first.split()[:6] == ["app1.example.org", "shop", "broken", "2", "r2-b", "r2"]
    assert "gunicorn 27.0.1" in first
    assert "85 MB" in first
    assert first.endswith("1 r1")
    for line in (first, second):
        assert all(line[: head.index(name)].endswith("  ") for name in ("APP", "STATE", "SERVER"))
    assert second.split() == ["app2", "-", "no", "apps", *["-"] * 9]
    assert problem.startswith("app1.example.org: shop is broken: GET /healthz answered 500")
    assert max(map(len, lines)) < 160


@pytest.mark.parametrize(
    ("state", "kind", "wrong"),
    [
        ("active", "forking", False),
        ("reloading", "forking", False),
        ("failed", "forking", True),
        ("inactive", "forking", True),
        ("activating", "forking", True),
        ("inactive", "oneshot", False),
        ("activating", "oneshot", False),
        ("failed", "oneshot", True),
    ],
)
def test_what_the_roles_run_is_looked_at(host: Host, state: str, kind: str, wrong: bool) -> None:
    (host.units / "other.service.d").mkdir()
    dropin = host.units / "nginx.service.d" / "flaskops.conf"
    dropin.parent.mkdir()
    dropin.touch()
    host.systemd.shown["nginx.service"] = {"ActiveState": state, "Type": kind}
    told = [f"nginx.service is {state}: journalctl -u nginx.service"] if wrong else []
    assert list(services(host.systemd)) == told
    rows = table.status_rows({"web1": {"apps": [], "problems": told}})
    assert [line for line in table.status_table(rows) if "nginx" in line] == [
        f"web1: {one}" for one in told
    ]


def test_a_certificate_that_is_not_fetched_any_more_is_told(host: Host) -> None:
    for name, state in (("flaskops-tls", "inactive"), ("flaskops-tls-fetch", "failed")):
        (host.units / f"{name}.service").touch()
        host.systemd.shown[f"{name}.service"] = {"ActiveState": state, "Type": "oneshot"}
    told = "flaskops-tls-fetch.service is failed: journalctl -u flaskops-tls-fetch.service"
    assert list(services(host.systemd)) == [told]


def test_certificates_are_told_below_the_table() -> None:
    found = [
        {"name": "shop", "source": "acme", "days_left": 59},
        {"name": "old", "source": "self_signed", "days_left": -1},
    ]
    results: dict[str, Any] = {
        "web1": {"apps": [], "certificates": found},
        "web2": {"unreachable": True, "msg": "gone"},
    }
    assert table.status_table(table.status_rows(results))[-3:] == [
        "web2: gone",
        "web1: certificate shop, by ACME, ends in 59 days",
        "web1: certificate old, self-signed, has ended: run site.yml",
    ]


def test_kept_pages_are_counted_by_site(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    lines = [("shop", "HIT")] * 2 + [("shop", "MISS"), ("shop", ""), ("blog", "EXPIRED")]
    log.write_text("".join(f'{{"site":"{one}","x":1,"cache":"{said}"}}\n' for one, said in lines))
    found = [{"site": "blog", "asked": 1, "kept": 0}, {"site": "shop", "asked": 3, "kept": 2}]
    assert pages(log) == found
    assert pages(tmp_path / "none") == []
    rows = table.status_rows({"web1": {"apps": [], "pages": found}})
    assert table.status_table(rows)[-1] == (
        "web1: shop answered 66 % of its latest 3 requests for cached pages from the cache"
    )
