"""Files that an app is given: from the plan to the generation that finds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.commands.unit import Unit
from ansible_collections.flaskops.stack.plugins.module_utils.generation.report import by_name
from ansible_collections.flaskops.stack.plugins.module_utils.release import app_files
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.app_files import (
    app_files as planned,
)
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.sandbox import service_settings

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


def test_a_generation_finds_them_below_shared() -> None:
    mount = "/srv/shop/generations/%i/files/instance/a:/srv/shop/shared/instance/a"
    found = service_settings("/srv/shop", ["instance/a"], {})
    assert found["BindReadOnlyPaths"] == [mount]
    for given in ("/opt/a", ["/opt/a"]):
        found = service_settings("/srv/shop", ["instance/a"], {"BindReadOnlyPaths": given})
        assert found["BindReadOnlyPaths"] == [mount, "/opt/a"]
        found = service_settings("/srv/shop", [], {"BindReadOnlyPaths": given})
        assert found["BindReadOnlyPaths"] == given


def test_commands_find_them_before_there_is_a_generation(tmp_path: Path) -> None:
    path = tmp_path / "next/files/instance/a"
    path.parent.mkdir(parents=True)
    path.touch()
    unit = Unit("shop", tmp_path, "shop", tmp_path / "releases/r1")
    wanted = f"BindReadOnlyPaths={path}:{tmp_path}/shared/instance/a"
    assert wanted in list(unit.properties(60, None))


def test_of_a_change_only_names_are_told() -> None:
    old, new = {"a": "hush", "b": "same", "c": "hush"}, {"a": "hush 2", "b": "same", "d": "hush"}
    assert list(by_name("file", old, new)) == ["~file a", "-file c", "+file d"]
    assert "hush" not in json.dumps(list(by_name("file", old, new)))
