"""Module remove: what belongs to an app and goes, and what does not."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import AppFile, AppState
from ansible_collections.flaskops.stack.plugins.module_utils.removal.app import App
from ansible_collections.flaskops.stack.plugins.module_utils.removal.paths import (
    RemoveError,
    discard,
)
from ansible_collections.flaskops.stack.plugins.module_utils.removal.user import User
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, SystemdError


class FakeSystemd(Systemd):
    """Remembers what it is told."""

    def __init__(self, units: Path) -> None:
        super().__init__(units)
        self.calls: list[str] = []
        self.fails = ""

    def call(self, verb: str, *units: str) -> str:
        self.calls.append(" ".join([verb, *units]))
        return "it does not stop" if verb == self.fails else ""


class Host:
    """One host with the apps shop and shop-api, and a unit of the administrator's."""

    def __init__(self, root: Path) -> None:
        self.units = root / "units"
        self.run = root / "run"
        self.srv = root / "srv/apps"
        self.mounts = root / "mountinfo"
        self.apps = root / "apps"
        for folder in (self.units, self.run, self.srv):
            folder.mkdir(parents=True)
        self.mounts.write_text("1 0 0:1 / / rw - ext4 /dev/sda rw\n")
        self.systemd = FakeSystemd(self.units)
        for name in ("shop", "shop-api"):
            self.add(name)
        (self.units / "shop-backup.service").write_text("[Unit]\nPartOf=shop.service\n")

    def add(self, name: str) -> None:
        home, units = self.srv / name, self.units
        for folder in ("releases/r1", "generations/1", "shared/uploads", "cache"):
            (home / folder).mkdir(parents=True)
        (home / "live").symlink_to("generations/1")
        (home / "secret_key").write_text("key")
        (home / "generations/1/generation.json").write_text('{"digest": "d"}')
        self.describe(name)
        for folder, unit in (("multi-user.target", ""), (f"{name}.service", "@1")):
            wants = units / f"{folder}.wants"
            wants.mkdir(exist_ok=True)
            (wants / f"{name}{unit}.service").symlink_to(units / f"{name}{unit}.service")
        (self.run / name).mkdir()
        (self.run / name / "http.sock").touch()
        (self.run / f"flaskops-{name}.build").touch()

    def describe(self, name: str, *companions: str) -> None:
        """Write the app's units, and down that they are its own."""
        state = AppState(
            user=name,
            server="gunicorn",
            protocol="http",
            bind=f"unix:{self.run}/{name}/public",
            health={"path": "/", "host": "localhost", "scheme": "http"},
            name=name,
            home=str(self.srv / name),
            keep=5,
            units=[f"{name}.socket", f"{name}.service"],
            generations={"1": [f"{name}@1.service", f"{name}@1.socket", *companions]},
        )
        AppFile(name, self.apps).write(state)
        for unit in state.all_units:
            (self.units / unit).touch()

    def app(self, name: str = "shop", *, home: Path | None = None, **options: Any) -> App:
        return App(
            name,
            home or self.srv / name,
            "no-such-user",
            self.systemd,
            run=self.run,
            mounts=self.mounts,
            apps=self.apps,
            **options,
        )

    def take_away(self, **options: Any) -> list[str]:
        app = self.app(**options)
        plan = app.plan()
        app.remove(plan)
        return app.told(plan)

    def picture(self) -> set[str]:
        return {
            os.path.join(folder, name)
            for root in (self.units, self.run, self.srv, self.apps)
            for folder, folders, files in os.walk(root)
            for name in (*folders, *files)
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_app_goes_whole_and_its_neighbour_stays(host: Host) -> None:
    before = host.picture()
    told = host.take_away()
    gone = before - host.picture()
    home = f"{host.srv}/shop"
    assert host.picture() < before
    assert home in gone
    assert not [path for path in gone if "shop-" in path and "flaskops-shop." not in path]
    assert not [path for path in host.picture() if path.endswith(("shop", "shop.service"))]
    assert told[:4] == [f"unit {one}" for one in UNITS]
    assert f"directory {home} with cache, generations, live, releases, secret_key, shared" in told
    assert not host.app().plan()


UNITS = ["shop@1.service", "shop@1.socket", "shop.socket", "shop.service"]


def test_sockets_stop_first_and_units_go_before_files(host: Host) -> None:
    host.take_away()
    assert host.systemd.calls[:2] == [
        "stop shop@1.socket shop.socket",
        "stop shop@1.service shop.service",
    ]
    assert "stop flaskops-shop-lease.timer" in host.systemd.calls
    assert host.systemd.calls[-1] == "daemon-reload"


def test_what_does_not_stop_is_not_removed(host: Host) -> None:
    before = host.picture()
    host.systemd.fails = "stop"
    with pytest.raises(SystemdError, match=r"systemctl stop .*: it does not stop"):
        host.take_away()
    assert host.picture() == before


def test_processes_and_timers_of_the_app_go_too(host: Host) -> None:
    kinds = ("worker-1@1.service", "clean@1.service", "clean@1.timer")
    for app in ("shop", "shop-api"):
        host.describe(app, *(f"{app}.{kind}" for kind in kinds))
    (host.units / "shop.service.wants/shop.clean@1.timer").symlink_to("/gone")
    plan = host.app().plan()
    units = plan.units
    parts = {"shop.worker-1@1.service", "shop.clean@1.service", "shop.clean@1.timer"}
    assert parts < set(units)
    assert not [unit for unit in units if "api" in unit or "backup" in unit]
    assert host.units / "shop.service.wants/shop.clean@1.timer" in plan.around
    assert units[-1] == "shop.service"


def test_unit_that_only_has_the_name_stays(host: Host) -> None:
    (host.units / "shop@9.service").write_text("[Service]\nExecStart=/usr/bin/other\n")
    (host.units / "shop.socket").unlink()
    (host.units / "shop.socket").symlink_to("/dev/null")
    assert host.app().plan().units == ["shop@1.service", "shop@1.socket", "shop.service"]


def test_app_whose_units_are_not_known_is_left_alone(host: Host) -> None:
    AppFile("shop", host.apps).remove()
    with pytest.raises(RemoveError, match=r"app\.json is missing, .* run site\.yml first"):
        host.app().plan()
    (host.srv / "shop/generations/1/generation.json").unlink()  # no switch ever succeeded
    assert host.app().plan().home


def test_home_of_another_app_is_refused(host: Host) -> None:
    with pytest.raises(RemoveError, match=r"home: found .*shop-api; shop lives in .*shop; it is"):
        host.app(home=host.srv / "shop-api").plan()


def test_what_was_written_down_goes_last(host: Host) -> None:
    plan = host.app().plan()
    host.app().units.remove(plan.units, plan.around)
    host.app().home.remove(plan.entries)
    assert host.app().plan().file
    host.take_away()
    assert sorted(path.name for path in host.apps.iterdir()) == ["shop-api"]
    assert not host.app().plan()


def test_drop_ins_and_dangling_links_go_with_their_units(host: Host) -> None:
    for folder in ("shop.service.d", "shop@.service.d", "shop-api.service.d"):
        (host.units / folder).mkdir()
    (host.units / "shop.service.wants/shop@9.service").symlink_to("/gone")
    host.take_away()
    left = sorted(path.name for path in host.units.iterdir() if path.name.startswith("shop"))
    assert [name for name in left if not name.startswith("shop-")] == []
    assert "shop-api.service.d" in left


def test_kept_data_stays_with_its_user(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(User, "is_own", lambda _: True)
    monkeypatch.setattr(User, "remove", lambda _: None)
    home = host.srv / "shop"
    told = host.take_away(keep_data=True)
    assert sorted(path.name for path in home.iterdir()) == ["secret_key", "shared"]
    assert f"cache, generations, live, releases in {home}" in told
    assert not host.app(keep_data=True).plan()
    rest = host.app().told(host.app().plan())
    assert rest == [f"directory {home} with secret_key, shared", "user no-such-user"]
    host.take_away()
    assert not home.exists()


def test_killed_removal_is_finished_by_the_next(host: Host) -> None:
    home = host.srv / "shop"
    for name in host.app().plan().entries[:-1]:
        discard(home / name)
        assert host.app().plan().home
    host.take_away()
    assert not home.exists()


@pytest.mark.parametrize(
    "home", ["/", "/srv", "/srv/", "/usr/local", "/var/lib", "/etc/shop", "/srv/../etc/apt"]
)
def test_home_of_the_system_is_refused(host: Host, home: str) -> None:
    with pytest.raises(RemoveError, match="is a directory of the system"):
        host.app(home=Path(home)).plan()


def test_home_of_something_else_is_refused(host: Host) -> None:
    other = host.srv / "site"
    (other / "htdocs").mkdir(parents=True)
    with pytest.raises(RemoveError, match="has neither releases nor generations"):
        host.app(home=other).plan()


def test_link_to_the_system_is_refused(host: Host) -> None:
    (host.srv / "link").symlink_to("/usr")
    with pytest.raises(RemoveError, match="/usr is a directory of the system"):
        host.app(home=host.srv / "link").plan()


def test_what_is_mounted_inside_is_not_emptied(host: Host) -> None:
    point = f"{host.srv}/shop/shared/up\\040loads"
    host.mounts.write_text(f"1 0 0:1 / {point} rw - nfs server:/ rw\n")
    with pytest.raises(RemoveError, match="up loads is mounted there; unmount it first"):
        host.app().plan()
    assert host.app(keep_data=True).plan().home


def test_sockets_of_another_program_stay(host: Host) -> None:
    (host.run / "shop/other").touch()
    assert host.run / "shop" not in host.app().plan().run
    (host.run / "cafe").mkdir()  # of a program that is no app of ours
    assert not host.app("cafe").plan()


@pytest.mark.parametrize(
    ("uid", "home", "goes"),
    [(500, "shop", True), (1000, "shop", False), (0, "shop", False), (500, "other", False)],
)
def test_only_a_user_of_the_apps_own_goes(
    host: Host, monkeypatch: pytest.MonkeyPatch, uid: int, home: str, goes: bool
) -> None:
    entry = pwd.struct_passwd(("shop", "x", uid, 500, "", str(host.srv / home), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda _: entry)
    assert host.app().plan().user is goes
