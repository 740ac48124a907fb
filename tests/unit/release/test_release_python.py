"""The Python of a release."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release import python, uv
from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError

from release_shop import Shop

UV_PYTHONS = ("cpython-3.12.4-linux-x86_64-gnu", "cpython-3.12.11-linux-x86_64-gnu")


@pytest.fixture
def pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with Pythons of its own and of uv's."""
    own, root = tmp_path / "bin", tmp_path / "python"
    own.mkdir()
    (own / "python3.11").touch()
    for name in UV_PYTHONS:
        (root / name / "bin").mkdir(parents=True)
        (root / name / "bin/python3.12").touch()
    (root / "cpython-3.12-linux-x86_64-gnu").symlink_to(UV_PYTHONS[1])
    monkeypatch.setattr(python, "OWN", (own,))
    monkeypatch.setattr(python, "ROOT", root)
    return tmp_path


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that root runs; an interpreter says that it is 3.11.2."""
    commands: list[str] = []

    def run(_self: Commands, *command: str) -> str:
        commands.append(" ".join(command))
        return "3.11.2\n"

    monkeypatch.setattr(Commands, "run_as_root", run)
    return commands


def found(shop: Shop, wanted: str) -> str:
    return python.interpreter(shop.real_commands(shop.releases()), wanted, "1.2.3")


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/opt/own/python", "/opt/own/python"),
        ("3.11", "bin/python3.11"),
        ("3.11.2", "bin/python3.11"),
        ("3.12", f"python/{UV_PYTHONS[1]}/bin/python3.12"),
        ("3.12.4", f"python/{UV_PYTHONS[0]}/bin/python3.12"),
    ],
)
def test_what_the_host_has_is_taken(
    shop: Shop, pythons: Path, as_root: list[str], wanted: str, path: str
) -> None:
    assert found(shop, wanted) == str(pythons / path)
    assert not [command for command in as_root if "install" in command]


def test_what_it_does_not_have_uv_installs(
    shop: Shop, pythons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_self: Commands, *command: str) -> str:
        assert command[:3] == ("uv", "python", "install")
        assert command[-1] == "3.13.1"
        made = Path(command[command.index("--install-dir") + 1]) / "cpython-3.13.1-linux-x"
        (made / "bin").mkdir(parents=True)
        (made / "bin/python3.13").touch()
        return ""

    monkeypatch.setattr(Commands, "run_as_root", run)
    expected = str(pythons / "python/cpython-3.13.1-linux-x/bin/python3.13")
    assert found(shop, "3.13.1") == expected


def test_a_python_that_cannot_be_had_is_named(
    shop: Shop, pythons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any) -> str:
        raise ReleaseError("`uv python install 3.13` ended with 2:\n  | no route to host")

    monkeypatch.setattr(Commands, "run_as_root", run)
    with pytest.raises(
        ReleaseError, match=r"flask_app_python: found '3\.13'.*MIRROR.*flask_app_build_env"
    ) as failed:
        found(shop, "3.13")
    assert "no route to host" in str(failed.value)


@pytest.mark.parametrize(
    ("project", "allowed"),
    [
        ("[project]\nname = 'a'\n", True),
        ("[project]\nrequires-python = '>=3.9,<4'\n", True),
        ("[project]\nrequires-python = '~=3.8'\n", True),
        ("[project]\nrequires-python = '>=3.99'\n", False),
        ("[project]\nrequires-python = '<3'\n", False),
        ("[tool.x]\n", True),
        ("not toml", True),
    ],
)
def test_the_app_says_which_python_it_runs_with(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: str, *, allowed: bool
) -> None:
    """By the real comparison of PEP 440, in a wheel of pip as Debian has it."""
    pip = pytest.importorskip("pip")
    (tmp_path / "pip-1-py3-none-any.whl").symlink_to(Path(pip.__file__).parents[1])
    monkeypatch.setattr(uv, "WHEELS", tmp_path)
    commands = shop.real_commands(shop.prepared())
    commands.python = sys.executable
    app = commands.place.app
    monkeypatch.setattr(Commands, "_environment", lambda _self: {})
    (app / "pyproject.toml").write_text(project)
    if allowed:
        python.check(commands, "3.11", app)
        return
    with pytest.raises(ReleaseError, match=r"flask_app_python: found '3\.11', which is Python 3"):
        python.check(commands, "3.11", app)


def test_an_app_without_a_project_is_not_asked(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Commands, "run", lambda *_: pytest.fail("it was asked"))
    python.check(shop.real_commands(shop.releases()), "3.11", tmp_path)
