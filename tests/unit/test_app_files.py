"""Files that an app is given: from the plan to the generation that finds them."""

from __future__ import annotations

import json
import os
import pwd
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import app_files
from ansible_collections.flaskops.stack.plugins.module_utils.app_files import Shown
from ansible_collections.flaskops.stack.plugins.module_utils.commands.run import (
    Command,
    CommandError,
    run_all,
)
from ansible_collections.flaskops.stack.plugins.module_utils.commands.unit import Unit
from ansible_collections.flaskops.stack.plugins.module_utils.generation.report import by_name
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.app_files import (
    app_files as planned,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller

ME = pwd.getpwuid(os.getuid()).pw_name
ON_THE_CONTROLLER = {"config.py": "KEY = 'hush'\n"}


def read(path: str) -> str:
    if path not in ON_THE_CONTROLLER:
        raise ValueError("there is no such file")
    return ON_THE_CONTROLLER[path]


def plan(*entries: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    options = {"flask_app_files": list(entries), "flask_app_shared_paths": ["instance", "a/b"]}
    problems: list[str] = []
    return planned(options, Controller(read=read), problems), problems


def test_a_file_is_text_or_a_file_of_the_controller() -> None:
    found, problems = plan(
        {"path": "instance/config.py", "src": "config.py"},
        {"path": "a/b/c/d", "content": ""},
    )
    assert problems == []
    assert found == {"instance/config.py": "KEY = 'hush'\n", "a/b/c/d": ""}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"path": "config.py", "content": "x"}, 'entry 1: path: found "config.py"; allowed are'),
        ({"path": "instance", "content": "x"}, "entry 1: path: found"),
        ({"path": "instance/../../x", "content": "x"}, "entry 1: path: found"),
        ({"path": "/srv/instance/x", "content": "x"}, "entry 1: path: found"),
        ({"path": "instance//x", "content": "x"}, "entry 1: path: found"),
        ({"path": "instance/a b", "content": "x"}, "entry 1: path: found"),
        ({"path": "instance/a:b", "content": "x"}, "entry 1: path: found"),
        ({"path": "instance/%i", "content": "x"}, "entry 1: path: found"),
        ({"path": "instance/x"}, "entry 1: give it either content or src"),
        ({"path": "instance/x", "content": "", "src": "a"}, "entry 1: give it either"),
        ({"path": "instance/x", "src": "no.py"}, "entry 1: src: found 'no.py': there is no such"),
    ],
)
def test_what_no_generation_could_find_is_refused(entry: dict[str, Any], told: str) -> None:
    _, problems = plan(entry)
    assert len(problems) == 1
    assert problems[0].startswith(f"flask_app_files, {told}")


def test_two_of_one_path_are_refused_and_no_text_is_told() -> None:
    _, problems = plan(*[{"path": "instance/x", "content": "hush"}] * 2)
    assert problems == [
        "flask_app_files, entry 2: path: found 'instance/x', which an entry before has"
    ]


def test_a_folder_holds_what_is_wanted_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fchown", lambda *_: None)
    folder = tmp_path / "files"
    assert app_files.read(folder) == {}
    for wanted in ({"instance/a": "1", "instance/b/c": "2"}, {"instance/b/c": "é\r\n"}, {}):
        app_files.replace(folder, wanted, 1)
        assert app_files.read(folder) == wanted
        assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} <= {
            0o640
        }
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An app with files of two generations, and of the next one."""
    for folder, text in (("generations/1", "one"), ("generations/2", "two"), ("next", "next")):
        path = tmp_path / folder / "files/instance/config.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    more = tmp_path / "generations/1/files/instance/deep/more.py"
    more.parent.mkdir()
    more.write_text("of one")
    (tmp_path / "shared/instance").mkdir(parents=True)
    return tmp_path


def lead(home: Path, folder: str) -> None:
    shown = Shown(home)
    assert shown.lead(home / folder / "files", ME) == ""
    assert shown.wrong(home / folder / "files") == {}


def test_the_app_finds_the_files_of_one_generation_at_a_time(home: Path) -> None:
    config, more = home / "shared/instance/config.py", home / "shared/instance/deep/more.py"
    for folder, text in (("generations/1", "one"), ("generations/2", "two"), ("next", "next")):
        lead(home, folder)
        assert config.read_text() == text
        assert more.exists() is (folder == "generations/1")
    lead(home, "generations/3")
    assert not config.is_symlink()


def test_what_was_in_the_place_of_a_file_is_kept(home: Path) -> None:
    config = home / "shared/instance/config.py"
    config.write_text("by hand")
    lead(home, "generations/1")
    assert config.read_text() == "one"
    assert config.with_name("config.py.before-flaskops").read_text() == "by hand"


def test_a_link_of_the_apps_own_stays(home: Path) -> None:
    own = home / "shared/instance/config.py"
    own.symlink_to("/etc/hostname")
    assert Shown(home).wrong(home / "generations/3/files") == {}


def test_what_is_in_the_way_is_told(home: Path) -> None:
    (home / "shared/instance/deep").write_text("a file")
    told = Shown(home).lead(home / "generations/1/files", ME)
    assert "File exists" in told


class Runs(Systemd):
    """Commands find the configuration that a test looks for, and end as it says."""

    def __init__(self, config: Path, code: int) -> None:
        super().__init__()
        self.config, self.code, self.found = config, code, ""

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        return {}

    def run(self, *_: Any) -> tuple[int, list[str]]:
        self.found = self.config.read_text()
        return self.code, []


@pytest.mark.parametrize(("code", "after"), [(0, "next"), (1, "two")])
def test_commands_find_those_of_the_next_generation(home: Path, code: int, after: str) -> None:
    """When they fail, the live one finds its own again."""
    (home / "live").symlink_to("generations/2")
    lead(home, "generations/2")
    config = home / "shared/instance/config.py"
    unit, systemd = Unit("shop", home, ME, home / "releases/r1"), Runs(config, code)
    failed: Any = pytest.raises(CommandError) if code else nullcontext()
    with failed:
        run_all(unit, [Command("a", "b")], home / "marker", 9, systemd)
    assert (systemd.found, config.read_text()) == ("next", after)


def test_of_a_change_only_names_are_told() -> None:
    old, new = {"a": "hush", "b": "same", "c": "hush"}, {"a": "hush 2", "b": "same", "d": "hush"}
    assert list(by_name("file", old, new)) == ["~file a", "-file c", "+file d"]
    assert "hush" not in json.dumps(list(by_name("file", old, new)))
