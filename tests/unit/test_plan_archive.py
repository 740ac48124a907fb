"""A directory of the controller as one archive named by its content."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import archive as source_archive


@pytest.fixture
def app(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    (root / "shop").mkdir(parents=True)
    (root / "shop/__init__.py").write_text("app = 1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("run.sh")
    for litter in (".venv/bin/python", "shop/__pycache__/x.pyc", "instance/app.db", "old.pyc"):
        (root / litter).parent.mkdir(parents=True, exist_ok=True)
        (root / litter).write_text("litter")
    return root


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        first, *found = tar.getmembers()
        assert (first.name, first.isdir()) == (".", True)
        return {member.name: member for member in found}


def git(root: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)


def test_a_plain_directory_comes_without_litter(app: Path) -> None:
    found = members(source_archive.pack(app)[1])
    assert sorted(found) == ["link", "run.sh", "shop/__init__.py"]
    assert found["run.sh"].mode == 0o755
    assert found["link"].linkname == "run.sh"


def test_a_checkout_comes_as_git_tracks_it(app: Path) -> None:
    git(app, "init")
    git(app, "add", "shop/__init__.py", "run.sh")
    git(app, "commit", "-m", "x")
    (app / "shop/__init__.py").write_text("app = 2\n")  # not committed, but tracked
    (app / "secret.txt").write_text("not tracked")
    (app / "run.sh").unlink()
    archive = source_archive.pack(app)[1]
    assert sorted(members(archive)) == ["shop/__init__.py"]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile("shop/__init__.py")
        assert file is not None
        assert file.read() == b"app = 2\n"


def test_a_directory_inside_a_checkout_is_packed_alone(app: Path) -> None:
    git(app, "init")
    git(app, "add", "shop/__init__.py", "run.sh")
    assert sorted(members(source_archive.pack(app / "shop")[1])) == ["__init__.py"]


def test_revision_follows_content_mode_and_name_but_not_time(app: Path) -> None:
    first = source_archive.pack(app)[0]
    os.utime(app / "run.sh", (1, 1))
    assert source_archive.pack(app)[0] == first
    revisions = {first}
    (app / "run.sh").chmod(0o644)
    revisions.add(source_archive.pack(app)[0])
    (app / "run.sh").write_text("#!/bin/bash\n")
    revisions.add(source_archive.pack(app)[0])
    (app / "run.sh").rename(app / "start.sh")
    revisions.add(source_archive.pack(app)[0])
    assert len(revisions) == 4


def test_a_file_is_taken_as_it_is_and_named_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "shop.zip"
    revisions = set()
    for text in ("one", "two", "one"):
        with zipfile.ZipFile(path, "w") as made:
            made.writestr(zipfile.ZipInfo("app.py"), text)
        found = source_archive.archive_of(path, tmp_path)
        assert found.path == str(path)
        revisions.add(found.revision)
    assert len(revisions) == 2


def test_only_a_small_archive_comes_with_its_content(app: Path, tmp_path: Path) -> None:
    found = source_archive.archive_of(app, tmp_path)
    assert base64.b64decode(found.content) == Path(found.path).read_bytes()
    (app / "large.bin").write_bytes(os.urandom(source_archive.SMALL))
    found = source_archive.archive_of(app, tmp_path)
    assert found.content == ""
    assert Path(found.path).stat().st_size > source_archive.SMALL


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop.tar.gz").write_bytes(b"\x1f\x8bno")
    with pytest.raises(OSError, match=r"shop\.tar\.gz is neither a tar nor a zip"):
        source_archive.archive_of(tmp_path / "shop.tar.gz", tmp_path)
