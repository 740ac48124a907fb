"""What is installed: the manifest that counts, and what is added to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.hints import hint, python_hint

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


def test_extra_packages_are_enough_of_a_manifest(shop: Shop, home: Path) -> None:
    commands = shop.build({"app.py": ""}, extra_packages=["flask==3.1.2"])
    assert [line for line in commands if "install" in line] == [
        "uv pip install --python venv flask==3.1.2"
    ]
    assert json.loads((home / "releases/abc-1/release.json").read_text())["manifest"] == ""


def test_a_requirements_file_can_have_any_name(shop: Shop, home: Path) -> None:
    files = {
        "requirements/live.txt": "flask --hash=sha256:00\n",
        "uv.lock": "",
        "pyproject.toml": "",
    }
    commands = shop.build(files, requirements="requirements/live.txt")
    assert "uv pip install --python venv -r live.txt --require-hashes" in commands
    assert not any("sync" in line for line in commands)
    record = json.loads((home / "releases/abc-1/release.json").read_text())
    assert record["manifest"] == "requirements/live.txt"


def test_a_requirements_file_that_is_not_there_is_named(shop: Shop) -> None:
    with pytest.raises(
        ReleaseError, match=r"flask_app_requirements: found 'live\.txt'; there is no"
    ):
        shop.build({"requirements.txt": ""}, requirements="live.txt")


def test_build_commands_run_in_the_filled_virtualenv_before_the_release_is_sealed(
    shop: Shop,
) -> None:
    lines = ["flask translate compile", "npm ci && npm run build"]
    commands = shop.build({"requirements.txt": ""}, build_commands=lines)
    own = [commands.index(f"sh -c {line}") for line in lines]
    assert own == sorted(own)
    assert commands.index("uv pip install --python venv -r requirements.txt") < own[0]
    # The code is compiled after that, with what they have written.
    assert own[1] == len(commands) - 2


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
    ("brings", "added"),
    [((), "gunicorn[gevent]==27.0.1"), (("gunicorn-26.0.0",), "gunicorn[gevent]")],
)
def test_what_a_kind_of_worker_needs_is_added_to_the_apps_own_server(
    shop: Shop, brings: tuple[str, ...], added: str
) -> None:
    files = {"requirements.txt": ""}
    commands = shop.build(files, brings, server_package="gunicorn[gevent]==27.0.1")
    assert [line.split()[5:] for line in commands if "gevent" in line] == [[added]]


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


@pytest.mark.parametrize(
    ("output", "package"),
    [
        ("Error: pg_config executable not found.", "libpq-dev"),
        (
            "./psycopg/psycopg.h:35:10: fatal error: libpq-fe.h: No such file or directory",
            "libpq-dev",
        ),
        ("/bin/sh: 1: mysql_config: not found", "default-libmysqlclient-dev"),
        ("Exception: Can not find valid pkg-config name.", "default-libmysqlclient-dev"),
        ("Error: Please make sure the libxml2 and libxslt development packages", "libxml2-dev"),
        ("RequiredDependencyException: jpeg", "libjpeg-dev"),
        ("error: can't find Rust compiler", "cargo"),
        ("c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory", "libffi-dev"),
        ("src/a.c:1:10: fatal error: Python.h: No such file or directory", "python3-dev"),
        (
            "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
            "build-essential",
        ),
        ("error: command 'gcc' failed: No such file or directory", "build-essential"),
        ("unable to execute 'gcc': No such file or directory", "build-essential"),
        ("error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", "build-essential"),
        ("Exception: you need a C compiler to build uWSGI", "build-essential"),
        ("a.c:1:10: fatal error: rare/thing.h: No such file or directory", "has rare/thing.h"),
    ],
)
def test_a_build_that_lacks_a_package_says_which(output: str, package: str) -> None:
    told = hint(f"Building\n{output}\nfailed")
    assert told.startswith("flask_app_build_packages: ")
    assert package in told


@pytest.mark.parametrize(
    "output", ["", "No matching distribution found for flask==99", "pg_config"]
)
def test_nothing_is_guessed(output: str) -> None:
    assert hint(output) == ""


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "  x Failed to build `psycopg2==2.9.1`",
            "flask_app_python: psycopg2 2.9.1 has no wheel for this version of Python",
        ),
        ("  x Failed to download and build `lxml==4.9`", "flask_app_python: lxml 4.9 has no"),
        ("ERROR: Failed building wheel for lxml", "flask_app_python: lxml has no wheel"),
        (
            "Because the current Python version (3.11.2) does not satisfy Python>=3.12",
            "flask_app_python: a package asks for another version",
        ),
        (
            "ERROR: Package 'a' requires a different Python: 3.11.2 not in '>=3.12'",
            "flask_app_python: a package asks for another version",
        ),
        ("  x No solution found when resolving dependencies", ""),
    ],
)
def test_another_python_is_named_where_it_would_help(output: str, told: str) -> None:
    found = python_hint(f"Building\n{output}\nfailed")
    assert found.startswith(told)
    assert bool(found) == bool(told)
