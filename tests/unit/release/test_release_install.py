"""What is installed: the manifest that counts, and what is added to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError

from release_shop import Shop

SUB: dict[str, Any] = {"subdirectory": "services/shop"}


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (["uv.lock", "pyproject.toml", "requirements.txt"], "uv sync --locked --no-dev"),
        (["requirements.txt", "pyproject.toml"], "-r requirements.txt"),
        (["pyproject.toml"], "uv pip install --python venv ."),
        (["setup.py"], "uv pip install --python venv ."),
    ],
)
def test_most_exact_manifest_wins(shop: Shop, home: Path, files: list[str], command: str) -> None:
    commands = shop.build(dict.fromkeys(files, ""))
    assert any(command in line for line in commands)
    record = json.loads((home / "releases/abc-1/release.json").read_text())
    assert record["manifest"] == files[0]


def test_source_that_says_nothing_of_its_needs_is_refused(shop: Shop, home: Path) -> None:
    with pytest.raises(ReleaseError, match=r"uv\.lock, requirements\.txt"):
        shop.build({"app.py": ""})
    assert not (home / "releases/abc-1/release.json").exists()


@pytest.mark.parametrize(
    ("text", "locked"),
    [
        ("flask==3.1.2\n", False),
        ("flask==3.1.2 \\\n    --hash=sha256:00\n", True),
        ("flask==3.1.2 --hash=sha256:00\n", True),
        ("# say --hash= to lock\nflask\n", False),
    ],
)
def test_hashes_once_given_are_required_of_all(shop: Shop, text: str, locked: bool) -> None:
    commands = shop.build({"requirements.txt": text})
    assert any("--require-hashes" in line for line in commands) is locked


@pytest.mark.parametrize(
    ("pyproject", "installed"), [("[build-system]\n", True), ("[tool.x]\n", False)]
)
def test_project_beside_requirements_is_installed_if_it_can_be(
    shop: Shop, pyproject: str, installed: bool
) -> None:
    files = {"requirements.txt": "", "pyproject.toml": pyproject}
    commands = shop.build(files)
    assert ("uv pip install --python venv --no-deps ." in commands) is installed


def test_pip_is_the_fallback(shop: Shop) -> None:
    commands = shop.build({"requirements.txt": ""}, installer="pip")
    assert commands[:2] == [
        "python3 -m venv venv",
        "python -m pip install --quiet -r requirements.txt",
    ]


def test_pip_says_that_it_cannot_read_a_uv_lock(shop: Shop) -> None:
    with pytest.raises(ReleaseError, match=r"found pip, but a uv\.lock needs uv"):
        shop.build({"uv.lock": "", "pyproject.toml": ""}, installer="pip")


@pytest.mark.parametrize(
    ("brings", "files", "added"),
    [
        ((), {}, ["gunicorn==27.0.1"]),
        (("gunicorn-23.0.0",), {}, []),
        (("gunicorn-23.0.0",), {".flaskenv": ""}, ["python-dotenv==1.2.4"]),
        (("gunicorn-23.0.0", "python_dotenv-1.0.0"), {".env": ""}, []),
    ],
)
def test_server_and_dotenv_are_added_unless_the_app_brings_them(
    shop: Shop, brings: tuple[str, ...], files: dict[str, str], added: list[str]
) -> None:
    files = {"requirements.txt": "", **files}
    commands = shop.build(files, brings, server_package="gunicorn==27.0.1")
    last = [line for line in commands if "pip install" in line and "==" in line]
    assert last == ([f"uv pip install --python venv {' '.join(added)}"] if added else [])


@pytest.mark.parametrize(
    ("root", "manifest"),
    [
        ("[tool.uv.workspace]\nmembers = ['services/*']\n", "uv.lock"),
        ("[project]\n", "pyproject.toml"),
    ],
)
def test_the_lock_of_a_workspace_locks_its_members(
    shop: Shop, home: Path, root: str, manifest: str
) -> None:
    files = {"uv.lock": "", "pyproject.toml": root, "services/shop/pyproject.toml": ""}
    shop.build(files, **SUB)
    assert json.loads((home / "releases/abc-1/release.json").read_text())["manifest"] == manifest
