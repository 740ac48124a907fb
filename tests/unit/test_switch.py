"""Module switch, against a systemd that is played by a class and real HTTP answers."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import payload, wrapper
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import AppFile, AppState
from ansible_collections.flaskops.stack.plugins.module_utils.generation import (
    companions,
    finish,
    report,
    request,
    rollback,
    store,
    trial,
)
from ansible_collections.flaskops.stack.plugins.module_utils.generation.error import SwitchError
from ansible_collections.flaskops.stack.plugins.module_utils.generation.lifecycle import Lifecycle
from ansible_collections.flaskops.stack.plugins.module_utils.generation.switch import Switch
from ansible_collections.flaskops.stack.plugins.module_utils.generation.units import Units
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import (
    App,
    Draft,
    Wanted,
    digest,
)
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.record import SETTINGS_FILE

HEALTH = {
    "path": "/healthz",
    "host": "localhost",
    "scheme": "http",
    "status": [],
    "text": "",
    "timeout": 5,
    "probes": 2,
}


class FakeSystemd(Systemd):
    """Units as a table of states; a started generation answers HTTP on its own socket."""

    def __init__(self, units: Path, home: Path) -> None:
        super().__init__(units)
        self.shipped = (units.parent / "shipped",)
        self.home = home
        self.states: dict[str, str] = {}
        self.calls: list[str] = []
        self.servers: dict[str, socketserver.BaseServer] = {}
        self.fails_to_start: set[int] = set()
        self.taken: set[str] = set()  # where another program listens
        self.dies: set[str] = set()  # units that end as soon as they have started
        self.answer = 200
        self.own_key = False
        self.release_told: str | None = None
        self.restarts = "0"

    def call(self, verb: str, *units: str) -> str:
        self.calls.append(" ".join([verb, *units]))
        for unit in units:
            if verb == "start":
                path = self.units / unit
                if path.is_file() and path.read_text() in self.taken:
                    self.states[unit] = "failed"
                    return "Job failed. See the journal."
                number = unit.partition("@")[2].removesuffix(".service")
                if number.isdigit() and int(number) in self.fails_to_start:
                    self.states[unit] = "activating"  # Restart=always tries for ever
                    return "Job failed. See the journal."
                self.states[unit] = "failed" if unit in self.dies else "active"
                if number.isdigit() and unit.endswith(".service"):
                    self._serve(int(number))
            elif verb == "stop" and self.states.get(unit) != "failed":
                self.states.pop(unit, None)
            elif verb == "reset-failed" and self.states.get(unit) == "failed":
                self.states.pop(unit)
        return ""

    def later(self, name: str, seconds: int, *units: str) -> None:
        self.states[f"{name}.timer"] = "active"
        self.calls.append(f"in {seconds} s stop {' '.join(units)}")

    def _serve(self, number: int) -> None:
        folder = self.home / "generations" / str(number)
        record = json.loads((folder / SETTINGS_FILE).read_text())
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.answer)
                if self.headers["X-Flaskops-Token"] == record["token"]:
                    told = outer.release_told or record["release"]
                    self.send_header("X-Flaskops-Release", told)
                    if outer.own_key:
                        self.send_header("X-Flaskops-Key", "own")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

            def address_string(self) -> str:
                return "unix"

        path = str(self.home / f"probe-{number}.sock")
        if not os.path.exists(path):
            server = socketserver.ThreadingUnixStreamServer(path, Handler)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            self.servers[path] = server

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        state = self.states.get(unit, "inactive")
        return {"ActiveState": state, "NRestarts": self.restarts}

    def instances(self, name: str) -> dict[int, str]:
        cut = len(name) + 1
        return {
            int(unit[cut : -len(".service")]): state
            for unit, state in self.states.items()
            if unit.startswith("shop@") and unit.endswith(".service")
        }

    def log(self, unit: str, since: float) -> list[str]:
        return [f"log of {unit}"]


class Host:
    """One host with one app."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = root / "srv"
        self.apps = root / "apps"
        self.units = root / "units"
        self.units.mkdir(parents=True)
        self.home.mkdir()
        self.systemd = FakeSystemd(self.units, self.home)
        self.generations = store.Generations(self.home)
        monkeypatch.setattr(os, "fchown", lambda *_: None)
        monkeypatch.setattr(Units, "probe_path", lambda _, n: self.home / f"probe-{n}.sock")

    def life(self, keep: int = 3) -> Lifecycle:
        return Lifecycle(App("shop", self.home, keep, self.home.parent, self.apps), self.systemd)

    def wanted(self, release: str = "r1", **changes: Any) -> tuple[Wanted, Draft]:
        path = self.home / "releases" / release
        path.mkdir(parents=True, exist_ok=True)
        values: dict[str, Any] = {
            "release": path,
            "socket": "[Socket]\n",
            "service": "[Service]\n",
            "generation": "[Unit]\n",
            "companions": {},
            "environment": 'A="1"\n',
            "proxy_hops": 1,
            "protocol": "http",
            "health": HEALTH,
            "user": "root",
            "server": "gunicorn",
            "bind": "unix:/run/shop/http.sock",
            "digest": "",
        }
        content: dict[str, Any] = {
            "files": {"gunicorn.conf.py": "workers = 2\n"},
            "entrypoint": "",
        }
        draft = Draft(**{name: changes.pop(name, value) for name, value in content.items()})
        wanted = Wanted(**values | changes)
        return replace(wanted, digest=digest(wanted, draft)), draft

    def run(
        self,
        release: str = "r1",
        *,
        check: bool = False,
        phase: str = "whole",
        keep: int = 3,
        **changes: Any,
    ) -> dict[str, Any]:
        life = self.life(keep)
        if phase == "finish":
            return finish.finish(life)
        if phase == "withdraw":
            return finish.withdraw(life)
        lease = 60 if phase == "start" else None
        wanted, draft = self.wanted(release, **changes)
        return Switch(life, wanted, draft, lease=lease, check_mode=check).run()

    def back(self, wish: str, phase: str = "whole") -> dict[str, Any]:
        life = self.life()
        lease = 60 if phase == "start" else None
        return Switch(life, rollback.recorded(life, wish), lease=lease).run()

    def running(self) -> list[int]:
        return sorted(self.systemd.instances("shop"))

    def enabled(self) -> list[str]:
        wants = self.units / "shop.service.wants"
        return sorted(path.name for path in wants.iterdir()) if wants.is_dir() else []

    def app(self) -> AppState:
        """What app.json says."""
        found = AppFile("shop", self.apps).read()
        assert found is not None
        return found

    def picture(self) -> dict[str, str]:
        """Every file, link and unit state, to compare before and after."""
        seen = {
            str(path): os.readlink(path) if path.is_symlink() else path.read_text()
            for root in (self.home / "generations", self.units, self.apps)
            for path in sorted(root.rglob("*"))
            if path.is_symlink() or path.is_file()
        }
        live = self.home / "live"
        return seen | self.systemd.states | {"live": os.readlink(live) if live.is_symlink() else ""}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path, monkeypatch)
    yield made
    for server in made.systemd.servers.values():
        server.shutdown()
        server.server_close()


def test_first_generation_goes_live(host: Host) -> None:
    result = host.run()
    assert result["changed"]
    assert (result["generation"], result["previous"], result["release"]) == (1, 0, "r1")
    assert host.running() == [1]
    assert host.enabled() == ["shop@1.service"]
    assert (host.home / "live/release").resolve().name == "r1"
    assert host.systemd.states["shop.socket"] == host.systemd.states["shop.service"] == "active"


def test_a_key_of_the_apps_own_is_told(host: Host) -> None:
    assert host.run()["notes"] == []
    host.systemd.own_key = True
    (note,) = host.run("r2")["notes"]
    assert note.startswith("shop signs with a SECRET_KEY of its own, not with the one it was given")


def test_nothing_changes_when_the_same_is_live(host: Host) -> None:
    host.run()
    before = host.picture()
    host.systemd.calls.clear()
    result = host.run()
    assert not result["changed"]
    assert result["actions"] == []
    assert host.picture() == before
    assert host.systemd.calls == []


@pytest.mark.parametrize(
    "change",
    [
        {"release": "r2"},
        {"environment": 'A="2"\n'},
        {"files": {"gunicorn.conf.py": "workers = 3\n"}},
        {"entrypoint": "shop:app"},
        {"proxy_hops": 2},
        {"health": HEALTH | {"path": "/"}},
        {"generation": "[X]\n"},
        {"given": {"instance/config.py": "A = 2\n"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_makes_a_generation_means_a_switch(host: Host, change: dict[str, Any]) -> None:
    host.run()
    result = host.run(**change)
    assert (result["generation"], result["previous"]) == (2, 1)
    assert host.running() == [2]
    assert host.enabled() == ["shop@2.service"]


def test_files_of_the_app_go_with_the_generation_and_come_back(host: Host) -> None:
    host.run(given={"instance/a/b.py": "old"})
    host.run(given={"instance/a/b.py": "new"})
    live = host.home / "live/files/instance/a/b.py"
    found = host.home / "shared/instance/a/b.py"
    assert found.read_text() == live.read_text() == "new"
    assert live.stat().st_mode & 0o777 == 0o640
    host.systemd.fails_to_start = {3}
    with pytest.raises(SwitchError):
        host.run(given={"instance/a/b.py": "bad"})
    host.systemd.fails_to_start = set()
    assert found.read_text() == "new"
    host.back("previous")
    assert found.read_text() == live.read_text() == "old"
    host.run(given={"instance/a/b.py": "old"})
    found.unlink()
    host.run(given={"instance/a/b.py": "old"})
    assert found.read_text() == "old"
    host.run()
    assert not found.is_symlink()


def test_another_name_of_the_site_restarts_nothing(host: Host) -> None:
    host.run()
    before = host.picture()
    host.systemd.calls.clear()
    named = HEALTH | {"host": "www.example.org", "scheme": "https"}
    result = host.run(health=named, check=True)
    assert (result["changed"], host.picture()) == (True, before)
    result = host.run(health=named)
    assert result["actions"] == [f"{host.apps}/shop/app.json written"]
    assert host.systemd.calls == []
    after = host.picture()
    assert {path for path in after if after[path] != before[path]} == {f"{host.apps}/shop/app.json"}
    assert (host.app().health["host"], host.app().health["scheme"]) == ("www.example.org", "https")
    assert not host.run(health=named)["changed"]
    host.run("r2", health=named)
    assert host.generations.record(2)["health"]["host"] == "www.example.org"


def test_the_wrapper_counts_by_its_version(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    monkeypatch.setattr(payload, "files", lambda: {"flaskops_wsgi/__init__.py": "# new"})
    assert not host.run()["changed"]
    monkeypatch.setattr(wrapper, "VERSION", wrapper.VERSION + 1)
    assert host.run()["generation"] == 2


def test_new_one_runs_before_the_old_one_stops_and_the_socket_stays_open(host: Host) -> None:
    host.run()
    host.systemd.calls.clear()
    host.run("r2")
    calls = host.systemd.calls
    assert calls.index("start shop@2.service") < calls.index("stop shop@1.service shop@1.socket")
    assert not [call for call in calls if call.startswith(("stop shop.", "restart"))]


@pytest.mark.parametrize("trouble", ["start", "status", "release", "restarts"])
def test_a_failing_generation_leaves_everything_as_it_was(host: Host, trouble: str) -> None:
    host.run()
    before = host.picture()
    reasons = {
        "start": "did not start",
        "status": "answered 500",
        "release": "answered for release r0, wanted r2",
        "restarts": "was restarted 2 times",
    }
    if trouble == "start":
        host.systemd.fails_to_start = {2}
    host.systemd.answer = 500 if trouble == "status" else 200
    host.systemd.release_told = "r0" if trouble == "release" else None
    host.systemd.restarts = "2" if trouble == "restarts" else "0"
    with pytest.raises(SwitchError, match=reasons[trouble]) as failed:
        host.run("r2")
    assert failed.value.log == ["log of shop@2.service"]
    assert host.picture() == before


def test_a_failing_first_generation_leaves_no_socket_that_nobody_answers(host: Host) -> None:
    host.systemd.fails_to_start = {1}
    with pytest.raises(SwitchError):
        host.run()
    assert host.systemd.states == {}
    assert host.generations.numbers() == []


def test_a_live_generation_that_is_down_is_started_again(host: Host) -> None:
    host.run()
    host.systemd.call("stop", "shop@1.service", "shop.service", "shop.socket")
    result = host.run()
    assert result["changed"]
    assert result["generation"] == 1
    assert host.running() == [1]


def test_a_live_generation_that_does_not_come_back_is_not_taken_away(host: Host) -> None:
    host.run()
    host.systemd.states["shop@1.service"] = "failed"
    host.systemd.fails_to_start = {1}
    with pytest.raises(SwitchError):
        host.run()
    assert host.generations.live() == 1
    assert host.enabled() == ["shop@1.service"]


def test_going_back_has_to_be_proved_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("r1")
    host.run("r2")
    seen = []
    start = host.systemd.call

    def call(verb: str, *units: str) -> str:
        if verb == "start" and units == ("shop@1.service",):
            seen.append(host.generations.proved(1))
        return start(verb, *units)

    monkeypatch.setattr(host.systemd, "call", call)
    host.run("r1")
    assert seen == [False]
    assert host.generations.proved(1)


def test_going_back_to_one_that_fails_now_keeps_both(host: Host) -> None:
    host.run("r1")
    host.run("r2")
    host.systemd.fails_to_start = {1}
    with pytest.raises(SwitchError):
        host.run("r1")
    assert host.generations.numbers() == [1, 2]
    assert host.generations.live() == 2
    assert host.running() == [2]


def test_a_stopped_app_is_not_left_half_open_by_a_failure(host: Host) -> None:
    host.run("r1")
    host.systemd.call("stop", "shop@1.service", "shop.service", "shop.socket")
    host.systemd.fails_to_start = {2}
    with pytest.raises(SwitchError):
        host.run("r2")
    assert host.systemd.states == {}
    said = report.aftermath(host.generations, host.systemd, "shop")
    assert said.startswith("Generation 1 (release r1) was live before, but is not running")


@pytest.mark.parametrize("unit", ["shop.service", "shop.socket"])
def test_a_name_of_the_systems_is_refused(host: Host, unit: str) -> None:
    shipped = host.systemd.shipped[0]
    shipped.mkdir()
    (shipped / unit).touch()
    before = host.picture()
    with pytest.raises(SwitchError, match="'shop' is taken"):
        host.run()
    assert host.picture() == before


def test_a_record_that_a_power_cut_emptied_is_not_counted(host: Host) -> None:
    host.run("r1")
    host.run("r2")
    (host.generations.path(1) / SETTINGS_FILE).write_text("")
    assert not host.run("r2")["changed"]
    assert host.run("r3")["generation"] == 3


def test_going_back_takes_the_generation_that_is_still_there(host: Host) -> None:
    host.run("r1")
    host.run("r2")
    result = host.run("r1")
    assert (result["generation"], result["previous"]) == (1, 2)
    assert host.generations.numbers() == [1, 2]


def test_a_generation_that_never_served_is_not_gone_back_to(host: Host) -> None:
    host.run("r1")
    host.run("r2")
    (host.generations.path(1) / store.SERVED_FILE).unlink()
    assert host.run("r1")["generation"] == 3


@pytest.mark.parametrize("moment", ["built", "started", "proved", "live"])
def test_a_killed_run_is_healed_by_the_next(
    host: Host, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    place = {
        "built": (Switch, "_start"),
        "started": (trial.Trial, "answers"),
        "proved": (store.Generations, "make_live"),
        "live": (Lifecycle, "retire"),
    }[moment]
    host.run("r1")
    with monkeypatch.context() as patch:
        original = getattr(*place)
        patch.setattr(*place, die)
        if moment == "live":  # the first call retires strangers, of which there are none
            patch.setattr(*place, lambda self, ns: die() if ns else original(self, ns))
        with pytest.raises(Killed):
            host.run("r2")
    assert 1 in host.running()
    host.run("r2")
    live = host.generations.live()
    assert host.generations.record(live)["release"] == "r2"
    assert host.running() == [live]
    assert host.enabled() == [f"shop@{live}.service"]
    assert not host.run("r2")["changed"]


def test_a_half_written_generation_is_never_counted(host: Host) -> None:
    host.run()
    (host.home / "generations/2").mkdir()
    (host.home / "generations/.3.draft").mkdir()
    assert host.generations.numbers() == [1]
    assert host.run("r2")["generation"] == 2


def test_old_generations_are_pruned_but_not_the_predecessor(host: Host) -> None:
    for number in range(1, 7):
        host.systemd.calls.clear()
        host.run(f"r{number}")
    # Each costs time: one for the new units, one for what is enabled and gone.
    assert host.systemd.calls.count("daemon-reload") == 2
    assert host.generations.numbers() == [4, 5, 6]
    units = {path.name for path in host.units.glob("shop@*")}
    assert units == {f"shop@{n}.{kind}" for n in (4, 5, 6) for kind in ("service", "socket")}


def test_a_moved_socket_is_closed_and_opened_once(host: Host) -> None:
    host.run()
    host.systemd.calls.clear()
    units: dict[str, Any] = {"socket": "[Socket]\nX=1\n"}
    result = host.run(**units)
    assert result["changed"]
    assert host.systemd.calls[0] == "stop shop.service shop.socket"
    assert (host.units / "shop.socket").read_text() == units["socket"]
    assert not host.run(**units)["changed"]


def test_a_wrong_address_is_found_before_anything_is_stopped(host: Host) -> None:
    host.run()
    before = host.picture()
    host.systemd.calls.clear()
    wrong = "[Socket]\nListenStream=/run/a.sock\nSocketGroup=no-such-group\n"
    with pytest.raises(SwitchError, match=r"shop\.socket cannot listen on .*no group no-such-gro"):
        host.run(socket=wrong)
    assert host.picture() == before
    assert not [call for call in host.systemd.calls if call.startswith("stop")]


def test_an_address_that_is_taken_is_named_before_anything_is_live(host: Host) -> None:
    socket_unit = "[Socket]\nListenStream=192.0.2.1:8000\n"
    units: dict[str, Any] = {"socket": socket_unit, "bind": "192.0.2.1:8000"}
    host.systemd.taken = {socket_unit}
    with pytest.raises(SwitchError, match=r"shop\.socket cannot listen on 192\.0\.2\.1:8000"):
        host.run(**units)
    assert host.running() == []
    assert not (host.home / "live").exists()
    assert not (host.units / "shop.socket").exists()
    host.systemd.taken = set()
    assert host.run(**units)["generation"] == 1
    assert host.systemd.states["shop.socket"] == "active"


def test_a_socket_that_cannot_move_stays_where_it_was(host: Host) -> None:
    """The generation is the same: only where it listens has changed."""
    host.run()
    units: dict[str, Any] = {"socket": "[Socket]\nX=1\n"}
    host.systemd.taken = {units["socket"]}
    with pytest.raises(SwitchError, match=r"shop\.socket cannot listen"):
        host.run(**units)
    assert (host.units / "shop.socket").read_text() == "[Socket]\n"
    assert host.systemd.calls[-1] == "start shop.service shop@1.service"
    assert host.running() == [1]


def test_a_generation_that_missed_the_socket_starts_anew(host: Host) -> None:
    """It runs, and nobody reaches it, until it is handed the socket."""
    host.run()
    host.systemd.call("stop", "shop.socket")
    host.systemd.calls.clear()
    host.run()
    calls = host.systemd.calls
    opened = calls.index("start shop.socket")
    stopped = calls.index("stop shop@1.service")
    assert opened < stopped < calls.index("start shop@1.service")


def test_what_nobody_reaches_is_not_said_to_serve(host: Host) -> None:
    host.run()
    host.systemd.call("stop", "shop.socket")
    told = report.aftermath(host.generations, host.systemd, "shop")
    assert told.endswith("runs, but shop.socket is not open: nobody reaches it.")


def test_a_failure_while_the_socket_moves_brings_the_live_one_back(host: Host) -> None:
    host.run()
    host.systemd.calls.clear()
    host.systemd.fails_to_start = {2}
    units: dict[str, Any] = {"socket": "[Socket]\nX=1\n"}
    with pytest.raises(SwitchError):
        host.run("r2", **units)
    assert host.systemd.calls[-1] == "start shop.service shop@1.service"
    assert host.enabled() == ["shop@1.service"]


def test_a_live_generation_that_crashed_before_is_taken_as_it_answers(host: Host) -> None:
    host.run()
    host.systemd.states["shop@1.service"] = "activating"
    host.systemd.restarts = "3"
    assert host.run()["generation"] == 1
    assert host.running() == [1]


def test_check_mode_touches_nothing_and_tells_the_truth(host: Host) -> None:
    assert host.run(check=True)["changed"]
    assert host.picture() == {"live": ""}
    host.run()
    before = host.picture()
    assert not host.run(check=True)["changed"]
    assert host.run("r2", check=True)["changed"]
    assert host.picture() == before


def test_environment_is_for_the_app_and_root_only(host: Host) -> None:
    host.run()
    assert (host.generations.path(1) / "env").stat().st_mode & 0o777 == 0o640


def test_diff_names_variables_and_never_shows_a_value(host: Host) -> None:
    host.run(environment='GONE="hush1"\nKEPT="same"\nSECRET="hush2\nhush3=\\"x\\""\n')
    wanted, draft = host.wanted("r2", environment='KEPT="same"\nNEW="hush4"\nSECRET="hush5"\n')
    diff = report.differences(host.generations, wanted, draft)
    assert "hush" not in diff
    assert {"-environment GONE", "+environment NEW", "~environment SECRET"} <= set(diff.split("\n"))
    assert "-release r1\n+release r2\n" in diff
    assert "KEPT" not in diff


def test_log_excerpt_ends_with_the_reason() -> None:
    noise = [f"[1] [INFO] worker {n}" for n in range(50)]
    after = ["Traceback of the server", "unit failed"]
    reason = "The app cannot be loaded: ImportError: x"
    assert report.excerpt([*noise, "frame", reason, *after]) == ["frame", reason]
    assert report.excerpt([*noise, *after]) == after


# Two phases --------------------------------------------------------------------------------------


def test_started_is_beside_the_live_one_until_it_is_finished(host: Host) -> None:
    host.run()
    told = host.run("r2", phase="start")
    assert (told["pending"], told["generation"], told["previous"]) == (True, 2, 1)
    assert host.running() == [1, 2]
    assert host.generations.live() == 1
    assert "in 60 s stop shop@2.service shop@2.socket" in host.systemd.calls
    told = host.run("r2", phase="finish")
    assert (told["pending"], told["generation"], told["previous"]) == (False, 2, 1)
    assert host.running() == [2]
    assert host.generations.live() == 2
    assert host.generations.previous() == 1
    assert "flaskops-shop-lease.timer" not in host.systemd.states
    assert not host.run("r2", phase="start")["changed"]


def test_withdrawn_leaves_all_as_it_was(host: Host) -> None:
    host.run()
    before = host.picture()
    assert host.run("r2", phase="start")["pending"]
    assert host.run("r2", phase="withdraw")["actions"] == ["generation 2 withdrawn"]
    assert host.picture() == before
    assert not list(host.home.parent.glob("flaskops-*"))
    assert not host.run("r2", phase="withdraw")["changed"]


def test_a_first_one_withdrawn_leaves_nothing_running(host: Host) -> None:
    assert host.run(phase="start")["pending"]
    host.run(phase="withdraw")
    assert host.running() == []
    assert "shop.socket" not in host.systemd.states
    assert host.generations.numbers() == []


def test_an_app_that_was_stopped_is_so_after_a_withdrawal(host: Host) -> None:
    host.run()
    host.systemd.call("stop", "shop@1.service", "shop.service", "shop.socket")
    assert host.run("r2", phase="start")["pending"]
    host.run("r2", phase="withdraw")
    assert host.running() == []
    assert "shop.socket" not in host.systemd.states


def test_an_earlier_one_withdrawn_is_kept(host: Host) -> None:
    for release in ("r1", "r2"):
        host.run(release)
    host.back("previous", phase="start")
    assert host.running() == [1, 2]
    host.run(phase="withdraw")
    assert host.running() == [2]
    assert 1 in host.generations.numbers()


def test_a_start_that_failed_is_cleaned_up_at_once(host: Host) -> None:
    host.run()
    before = host.picture()
    host.systemd.fails_to_start = {2}
    with pytest.raises(SwitchError, match="did not start"):
        host.run("r2", phase="start")
    assert host.picture() == before
    assert not list(host.home.parent.glob("flaskops-*"))


def test_finishing_what_runs_no_more_is_an_error(host: Host) -> None:
    host.run()
    host.run("r2", phase="start")
    host.systemd.call("stop", "shop@2.service")
    with pytest.raises(SwitchError, match="runs no more"):
        host.run("r2", phase="finish")
    assert host.generations.live() == 1


def test_what_was_started_and_left_is_retired_by_the_next_run(host: Host) -> None:
    host.run()
    host.run("r2", phase="start")
    host.run("r3")
    assert host.running() == [3]
    assert host.generations.previous() == 1


def test_a_failed_deploy_does_not_start_an_app_that_was_stopped(host: Host) -> None:
    host.run()
    host.systemd.call("stop", "shop@1.service", "shop.service", "shop.socket")
    assert not host.run("r2", phase="withdraw")["changed"]
    assert host.running() == []


def test_a_socket_that_moved_is_back_where_it_was_after_a_failure(host: Host) -> None:
    host.run()
    units: dict[str, Any] = {"socket": "[Socket]\nX=1\n"}
    host.systemd.fails_to_start = {2}
    with pytest.raises(SwitchError):
        host.run("r2", **units)
    assert (host.units / "shop.socket").read_text() == "[Socket]\n"
    host.systemd.fails_to_start = set()
    host.systemd.call("start", "shop.socket")  # as shop.service, which requires it, did
    assert host.run("r2", phase="start", **units)["pending"]
    assert (host.units / "shop.socket").read_text() == "[Socket]\nX=1\n"
    host.run("r2", phase="withdraw")
    assert (host.units / "shop.socket").read_text() == "[Socket]\n"
    assert host.systemd.states["shop.service"] == "active"
    assert "start shop.service shop@1.service" in host.systemd.calls
    assert host.running() == [1]


def test_a_timer_may_be_named_like_its_kind(host: Host) -> None:
    host.run(**with_parts(NIGHTLY | {"name": "timer-x"}))
    assert "shop.timer-x@1.timer" in host.systemd.states
    assert "shop.timer-x@1.service" not in host.systemd.states


# Going back --------------------------------------------------------------------------------------


def test_back_to_the_previous_one_and_forth_again(host: Host) -> None:
    for release in ("r1", "r2", "r3"):
        host.run(release)
    assert host.back("previous")["release"] == "r2"
    assert host.running() == [2]
    assert host.back("previous")["release"] == "r3"
    assert host.back("r1")["release"] == "r1"
    assert not host.run("r1")["changed"]


def test_back_in_two_phases(host: Host) -> None:
    for release in ("r1", "r2"):
        host.run(release)
    assert host.back("previous", phase="start")["pending"]
    assert host.run(phase="finish")["generation"] == 1
    assert host.generations.previous() == 2


def test_a_host_that_is_there_already_stays(host: Host) -> None:
    for release in ("r1", "r2"):
        host.run(release)
    assert host.back("r2") | {"actions": []} == {
        "changed": False,
        "pending": False,
        "generation": 2,
        "previous": 2,
        "release": "r2",
        "actions": [],
        "notes": [],
    }


def test_no_way_back_to_another_protocol(host: Host) -> None:
    host.run("r1")
    host.run("r2")
    path = host.generations.path(1) / SETTINGS_FILE
    path.write_text(path.read_text().replace('"protocol": "http"', '"protocol": "uwsgi"'))
    with pytest.raises(SwitchError, match="generation 1 speaks uwsgi, and the web server http"):
        host.back("previous")


def test_a_release_that_failed_is_nothing_to_go_back_to(host: Host) -> None:
    host.run("r1")
    host.systemd.fails_to_start = {2}
    with pytest.raises(SwitchError):
        host.run("r2")
    with pytest.raises(SwitchError, match=r"'r2'; of releases .* there is none"):
        host.back("r2")
    with pytest.raises(SwitchError, match=r"'previous'; .* there is none"):
        host.back("previous")
    host.systemd.fails_to_start = set()
    host.run("r3")
    with pytest.raises(SwitchError, match=r"'r2'; .* there are r1$"):
        host.back("r2")


def test_pruning_keeps_the_predecessor(host: Host) -> None:
    for number in range(1, 8):
        host.run(f"r{number}")
    assert host.generations.numbers() == [5, 6, 7]
    host.back("r5")
    host.run("r8")
    assert host.generations.previous() == 5
    assert {5, 8} <= set(host.generations.numbers())


# Processes and timers ----------------------------------------------------------------------------

SERVER = (
    "[Unit]\nDescription=x\nPartOf=shop.service\n\n[Service]\nType=notify\nUser=shop\nExecStart=a\n"
)
WORKER = {"name": "worker", "command": "celery worker", "count": 2, "stop_timeout": 9}
NIGHTLY = {"name": "nightly", "command": "flask tidy", "schedule": "daily", "timeout": 60}


def with_parts(*timers: dict[str, Any]) -> dict[str, Any]:
    units = companions.companions("shop", SERVER, [WORKER], timers)
    return {"generation": SERVER, "companions": units}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SETTLE", 0.0)


def test_processes_start_with_a_generation_and_stop_with_it(host: Host) -> None:
    host.run(**with_parts(NIGHTLY))
    up = {f"shop.worker-{n}@1.service" for n in (1, 2)}
    assert up < set(host.systemd.states)
    assert "shop.nightly@1.timer" in host.systemd.states
    assert "shop.nightly@1.service" not in host.systemd.states
    assert {*up, "shop@1.service", "shop.nightly@1.timer"} == set(host.enabled())
    assert not host.run(**with_parts(NIGHTLY))["changed"]
    host.run("r2", **with_parts(NIGHTLY))
    assert not up & set(host.systemd.states)
    assert "shop.nightly@1.timer" not in host.systemd.states
    assert {"shop.worker-1@2.service", "shop.nightly@2.timer"} < set(host.systemd.states)
    assert "stop --no-block shop.worker-1@1.service shop.worker-2@1.service" in host.systemd.calls
    host.back("previous")
    assert up < set(host.systemd.states)


def test_the_lease_ends_processes_too(host: Host) -> None:
    host.run(**with_parts())
    host.run("r2", phase="start", **with_parts())
    units = "shop@2.service shop@2.socket shop.worker-1@2.service shop.worker-2@2.service"
    assert f"in 60 s stop {units}" in host.systemd.calls


def test_a_live_one_that_crashed_is_not_asked_on_a_socket_that_is_gone(host: Host) -> None:
    host.run(**with_parts())
    (host.home / "probe-1.sock").unlink()
    host.systemd.restarts = "1"
    host.systemd.call("stop", "shop.service")
    assert host.run(**with_parts())["changed"]
    assert host.systemd.states["shop.service"] == "active"


def test_timers_wait_until_the_generation_is_live(host: Host) -> None:
    host.run(**with_parts(NIGHTLY))
    host.run("r2", phase="start", **with_parts(NIGHTLY))
    assert "shop.nightly@2.timer" not in host.systemd.states
    assert "shop.nightly@1.timer" in host.systemd.states
    host.run("r2", phase="withdraw")
    assert not [unit for unit in host.systemd.states if "@2" in unit]
    assert not list(host.units.glob("*@2*"))


def test_a_process_that_dies_is_started_again_by_the_next_run(host: Host) -> None:
    host.run(**with_parts())
    host.systemd.call("stop", "shop.worker-1@1.service")
    assert host.run(**with_parts())["changed"]
    assert "shop.worker-1@1.service" in host.systemd.states
    assert host.running() == [1]


def test_a_process_that_does_not_start_is_a_failed_switch(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run()
    before, call = host.picture(), host.systemd.call

    def fails(verb: str, *units: str) -> str:
        return "no" if verb == "start" and "worker" in units[0] else call(verb, *units)

    monkeypatch.setattr(host.systemd, "call", fails)
    with pytest.raises(SwitchError, match=r"shop\.worker-1@2\.service did not start"):
        host.run("r2", **with_parts())
    assert host.picture() == before


def test_of_a_process_that_ended_at_once_nothing_is_left(host: Host) -> None:
    host.run()
    before = host.picture()
    host.systemd.dies.add("shop.worker-2@2.service")
    with pytest.raises(SwitchError, match=r"shop\.worker-2@2\.service ended at once"):
        host.run("r2", **with_parts())
    assert host.picture() == before
    assert not [unit for unit in host.systemd.states if "@2" in unit]


def test_the_protocol_is_recorded_and_asked_in(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = []
    real = request.ask

    def ask(*arguments: Any) -> Any:
        spoken.append(arguments[4])
        return real(*arguments[:4])  # the played server speaks HTTP only

    monkeypatch.setattr(trial, "ask", ask)
    host.run("r1")
    host.run("r1", protocol="uwsgi")
    assert spoken == ["http"] * 2 + ["uwsgi"] * 2
    assert host.generations.record(2)["protocol"] == "uwsgi"


def test_what_uwsgi_says_of_itself_is_not_in_the_way_of_the_reason() -> None:
    log = ["*** Starting uWSGI", 'running "unix_signal:15 x" (master-start)...', "  File a.py"]
    reason = "The app cannot be loaded: ImportError"
    assert report.excerpt([*log, reason, "OOPS !"]) == ["  File a.py", reason]
    assert report.excerpt(log) == log


@pytest.mark.parametrize("several", [False, True])
def test_a_run_that_is_killed_at_any_call_of_systemd_is_healed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, several: bool
) -> None:
    class Killed(BaseException):
        pass

    def deploy(host: Host, release: str) -> None:
        changes = with_parts(NIGHTLY)
        if not several:
            host.run(release, **changes)
        elif host.run(release, phase="start", **changes)["pending"]:
            host.run(release, phase="finish", **changes)

    for moment in range(1, 100):
        host = Host(tmp_path / str(moment), monkeypatch)
        deploy(host, "r1")
        left = moment
        call = host.systemd.call

        def counted(verb: str, *units: str, call: Any = call) -> str:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return str(call(verb, *units))

        with monkeypatch.context() as patch:
            patch.setattr(host.systemd, "call", counted)
            try:
                deploy(host, "r2")
            except Killed:
                pass
            else:
                assert moment > 10, "it was killed at each of them"
                return
        assert host.generations.live() in host.running()
        deploy(host, "r2")
        live = host.generations.live()
        assert host.generations.record(live)["release"] == "r2"
        assert host.running() == [live]
        # No part of another generation runs on, and nothing is left that would stop this one.
        up = {unit.partition("@")[2].partition(".")[0] for unit in host.systemd.states}
        assert up <= {"", str(live)}, moment
        assert not (host.home.parent / "flaskops-shop.lease").exists()
    raise AssertionError("it ends")


# app.json ----------------------------------------------------------------------------------------


def test_it_is_written_down_how_the_app_runs(host: Host) -> None:
    host.run()
    app = host.app()
    assert (app.name, app.home, app.user, app.server) == (
        "shop",
        str(host.home),
        "root",
        "gunicorn",
    )
    assert (app.bind, app.protocol, app.keep) == ("unix:/run/shop/http.sock", "http", 3)
    assert app.health == {"path": "/healthz", "host": "localhost", "scheme": "http"}
    assert app.units == ["shop.socket", "shop.service"]
    assert app.generations == {"1": ["shop@1.service", "shop@1.socket"]}
    assert (host.apps / "shop/app.json").stat().st_mode & 0o777 == 0o644


def test_processes_and_timers_are_written_down_and_go_with_their_generation(host: Host) -> None:
    host.run(**with_parts(NIGHTLY))
    parts = {"shop.worker-1@1.service", "shop.nightly@1.service", "shop.nightly@1.timer"}
    assert parts <= set(host.app().companions(1))
    for number in range(2, 5):
        host.run(f"r{number}")
    assert "1" not in host.app().generations
    assert host.app().companions(4) == []
    assert {unit for unit in host.app().all_units if not (host.units / unit).exists()} == set()


def test_units_are_written_down_before_they_are_there(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Units.write

    def write(units: Units, unit: str, text: str) -> bool:
        assert unit in host.app().all_units
        return written(units, unit, text)

    monkeypatch.setattr(Units, "write", write)
    host.run(**with_parts(NIGHTLY))
    host.run("r2", phase="start")


def test_what_is_started_is_described_when_it_is_live(host: Host) -> None:
    host.run()
    host.run("r2", phase="start", server="uwsgi")
    assert host.app().server == "gunicorn"
    assert "2" in host.app().generations
    host.run(phase="finish")
    assert host.app().server == "uwsgi"
    host.back("previous")
    assert host.app().server == "gunicorn"


def test_what_is_withdrawn_is_not_described(host: Host) -> None:
    host.run()
    before = host.app()
    host.run("r2", phase="start", server="uwsgi")
    host.run(phase="withdraw")
    assert host.app() == before


def test_a_first_one_withdrawn_is_no_app(host: Host) -> None:
    host.run("r1", phase="start")
    assert host.app().generations == {"1": ["shop@1.service", "shop@1.socket"]}
    host.run(phase="withdraw")
    assert not host.apps.exists()


def test_an_app_that_was_there_before_is_described_by_the_next_run(host: Host) -> None:
    host.run()
    host.run("r2")
    before = host.app()
    (host.apps / "shop/app.json").unlink()
    with pytest.raises(SwitchError, match=r"app\.json is missing: deploy instead"):
        host.back("previous")
    host.systemd.calls.clear()
    assert host.run("r2")["changed"]
    assert (host.app(), host.systemd.calls) == (before, [])
