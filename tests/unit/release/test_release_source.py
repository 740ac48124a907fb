"""The source of a release: files, archives, packages, a checkout, a subdirectory."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError

from release_shop import Shop

SUB: dict[str, Any] = {"subdirectory": "services/shop"}


def test_git_leaves_nothing_in_a_release(shop: Shop, home: Path) -> None:
    files = {
        "requirements.txt": "",
        ".git": "gitdir: x",
        "sub/.git": "gitdir: y",
        "deep/.git/x": "",
    }
    shop.build(files)
    code = home / "releases/abc-1/code"
    assert not list(code.rglob(".git"))


def test_everything_of_the_app_is_in_its_subdirectory(shop: Shop, home: Path) -> None:
    files = {
        "requirements.txt": "none --hash=sha256:00",
        "static/all.css": "",
        ".flaskenv": "CACHE_TYPE=all\n",
        "services/shop/setup.py": "",
        "services/shop/static/shop.css": "x",
        "services/shop/.env": "REDIS_URL=shop\n",
        "services/shop/instance/config.py": "shipped",
    }
    defaults = json.dumps({"CACHE_TYPE": "x", "REDIS_URL": "y", "OTHER": "z"})
    commands = shop.build(files, environment_defaults=defaults, **SUB)
    release_ = home / "releases/abc-1"
    assert "uv pip install --python venv ." in commands
    assert "uv pip install --python venv python-dotenv==1.2.4" in commands
    record = json.loads((release_ / "release.json").read_text())
    assert (record["manifest"], record["subdirectory"]) == ("setup.py", "services/shop")
    assert [path.name for path in (release_ / "public/static").iterdir()] == ["shop.css"]
    assert (release_ / "code/services/shop/instance").is_symlink()
    assert (home / "shared/instance/config.py").read_text() == "shipped"
    assert not (release_ / "code/instance").exists()
    found = shop.environment()
    assert "OTHER" in found
    assert {"CACHE_TYPE", "REDIS_URL"}.isdisjoint(found), "Flask looks upwards for these files"


@pytest.mark.parametrize("link", ["", "/etc", "../../../../.."])
def test_a_subdirectory_that_is_none_is_named(shop: Shop, link: str) -> None:
    prepared = shop.prepared(**SUB)
    services = prepared.place.path / "code/services"
    services.mkdir()
    if link:
        (services / "shop").symlink_to(link)
    with pytest.raises(ReleaseError, match=r"found 'services/shop', .* are services"):
        prepared.build()


@pytest.mark.parametrize(
    ("name", "changes", "command", "manifest"),
    [
        ("", {"requirement": "corner-shop[x]==1.2"}, "corner-shop[x]==1.2", "corner-shop[x]==1.2"),
        ("corner_shop-1.2-py3-none-any.whl", {}, "corner_shop-1.2-py3-none-any.whl", None),
        (
            "corner_shop-1.2-py3-none-any.whl",
            {"installer": "pip", "extra_packages": ["redis"]},
            "corner_shop-1.2-py3-none-any.whl",
            None,
        ),
    ],
    ids=["pypi", "wheel", "pip"],
)
def test_a_package_is_the_app(
    shop: Shop, home: Path, name: str, changes: dict[str, Any], command: str, manifest: str | None
) -> None:
    commands = shop.upload(name, b"", **changes)
    assert any(line.endswith(f" {command}") for line in commands)
    assert any(line.endswith(" redis") for line in commands) is bool(changes.get("extra_packages"))
    path = home / "releases/abc-1"
    record = json.loads((path / "release.json").read_text())
    assert record["manifest"] == (manifest or name)
    assert (path / "public/static/a.css").read_text() == "x"
    assert (path / "venv/var/corner-instance").is_symlink()
    assert not (path / "upload").exists()


def test_an_archive_becomes_the_code(shop: Shop, home: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name in ("shop-1/requirements.txt", "shop-1/.git/config"):
            made.addfile(tarfile.TarInfo(name), io.BytesIO())
    shop.upload("shop.tar.gz", buffer.getvalue())
    path = home / "releases/abc-1"
    assert (path / "code/requirements.txt").exists()
    assert not (path / "code/.git").exists()
    assert not (path / "upload").exists()


def test_a_small_archive_comes_with_the_options_and_needs_nothing_prepared(
    shop: Shop, home: Path
) -> None:
    left = home / "releases/abc-1/code/left-by-a-killed-run"
    left.mkdir(parents=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("shop-1/requirements.txt"), io.BytesIO())
    content = base64.b64encode(buffer.getvalue()).decode()
    shop.upload("", b"", archive=content, archive_name="shop.tar.gz")
    path = home / "releases/abc-1"
    assert (path / "code/requirements.txt").exists()
    assert not left.exists()
    assert not (path / "upload").exists()


def test_a_bad_archive_is_named_with_the_variable(shop: Shop, home: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^flask_app_source: shop\.tar\.gz: "):
        shop.upload("shop.tar.gz", b"half")
    assert not (home / "releases/abc-1/release.json").exists()


def test_what_git_fetched_becomes_the_code_in_one_call(
    shop: Shop, home: Path, tmp_path: Path
) -> None:
    checkout = tmp_path / "source"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(checkout)]
    init = ["git", "init", "-q", f"--separate-git-dir={checkout}.git", str(checkout)]
    subprocess.run(init, check=True)
    (checkout / "requirements.txt").touch()
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    given = {"checkout": str(checkout)}
    with pytest.raises(ReleaseError, match="another run has fetched another revision"):
        shop.upload("", b"", **given)
    shop.upload("", b"", revision=head.stdout.strip(), **given)
    assert (home / "releases/abc-1/code/requirements.txt").exists()
    assert not (home / "releases/abc-1/code/.git").exists()
