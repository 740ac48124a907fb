"""Module util unpack: archives from anywhere, nothing written outside of one directory."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release.unpack import (
    ArchiveError,
    unpack,
)

NOW = 1_700_000_000
LINK_MODE = 0o120777 << 16
SETUID_MODE = 0o104755 << 16


def tar(path: Path, *members: tuple[str, bytes | str], mode: str = "w", mtime: int = NOW) -> Path:
    """A tar of members; text is where a link leads, bytes are content, a trailing / a directory."""
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name.rstrip("/") or "/")
            info.mtime, info.mode = mtime, 0o4755
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
                made.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                made.addfile(info)
            else:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
    return path


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "release" / "code"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_every_compression_is_read(tmp_path: Path, target: Path, mode: str) -> None:
    unpack(tar(tmp_path / "archive", ("app.py", b"x"), mode=mode), target)
    assert (target / "app.py").read_bytes() == b"x"
    assert (target / "app.py").stat().st_mtime == NOW


@pytest.mark.parametrize(
    ("members", "subdirectory", "found"),
    [
        (
            [("shop-1/", b""), ("shop-1/app.py", b""), ("shop-1/a/b.py", b"")],
            "",
            ["a/b.py", "app.py"],
        ),
        ([("shop-1/app.py", b"")], "", ["app.py"]),
        ([("./shop/app.py", b""), ("./app.py", b"")], "", ["app.py", "shop/app.py"]),
        ([("./", b""), ("./shop/app.py", b"")], "", ["shop/app.py"]),
        ([("app.py", b"")], "", ["app.py"]),
        ([("services/shop/app.py", b"")], "services/shop", ["services/shop/app.py"]),
        ([("all-1/services/shop/app.py", b"")], "services/shop", ["services/shop/app.py"]),
        ([("shop-1/app.py", b""), ("shop-1/link", "app.py")], "", ["app.py", "link"]),
    ],
)
def test_a_single_top_directory_is_left_out(
    tmp_path: Path,
    target: Path,
    members: list[tuple[str, bytes | str]],
    subdirectory: str,
    found: list[str],
) -> None:
    unpack(tar(tmp_path / "archive", *members), target, subdirectory)
    assert files(target) == found


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("/etc/cron.d/x", b"x")], "'/etc/cron.d/x' leads out of the archive"),
        ([("a/../../x", b"x")], r"'a/\.\./\.\./x' leads out of the archive"),
        ([("out", ".."), ("out/x", b"x")], "'out/x' leads through a link"),
        ([("out/x", b"x"), ("out", "..")], "'out/x' leads through a link"),
        ([("a", b""), ("a/b", b"")], "archive: "),
    ],
    ids=["absolute", "parent", "link", "later-link", "nonsense"],
)
def test_nothing_is_written_outside(
    tmp_path: Path, target: Path, members: list[tuple[str, bytes | str]], said: str
) -> None:
    with pytest.raises(ArchiveError, match=said):
        unpack(tar(tmp_path / "archive", *members), target)
    assert files(target.parent) in ([], ["code/a"])


def test_a_file_that_replaces_a_link_is_not_written_through_it(
    tmp_path: Path, target: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    unpack(tar(tmp_path / "archive", ("a", str(victim)), ("a", b"theirs"), ("b", b"")), target)
    assert victim.read_text() == "mine"
    assert (target / "a").read_bytes() == b"theirs"


def test_hard_links_become_files_and_lead_nowhere_else(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "archive"
    for name, said in (
        ("shop/app.py", ""),
        ("shop/none", "not in the archive"),
        ("../x", "out of"),
    ):
        with tarfile.open(path, "w") as made:
            info = tarfile.TarInfo("shop/app.py")
            made.addfile(info, io.BytesIO())
            twin = tarfile.TarInfo("shop/twin.py")
            twin.type, twin.linkname = tarfile.LNKTYPE, name
            made.addfile(twin)
        folder = target / said.replace(" ", "")
        folder.mkdir(exist_ok=True)
        if said:
            with pytest.raises(ArchiveError, match=said):
                unpack(path, folder)
        else:
            unpack(path, folder)
            assert files(folder) == ["app.py", "twin.py"]
            assert (folder / "twin.py").stat().st_nlink == 1


def test_devices_are_refused(tmp_path: Path, target: Path) -> None:
    with tarfile.open(tmp_path / "archive", "w") as made:
        info = tarfile.TarInfo("disk")
        info.type = tarfile.BLKTYPE
        made.addfile(info)
    with pytest.raises(ArchiveError, match="'disk' is neither a file, a directory nor a link"):
        unpack(tmp_path / "archive", target)


@pytest.mark.parametrize("mtime", [0, 2**33])
def test_times_are_such_that_a_wheel_can_be_built(tmp_path: Path, target: Path, mtime: int) -> None:
    unpack(tar(tmp_path / "archive", ("app.py", b"x"), mtime=mtime), target)
    assert zipfile.ZipInfo.from_file(target / "app.py").date_time[0] in (1980, 2038)


def test_modes_are_plain(tmp_path: Path, target: Path) -> None:
    unpack(tar(tmp_path / "archive", ("run", b"")), target)
    assert (target / "run").stat().st_mode & 0o7777 == 0o755


def test_a_zip_keeps_links_and_what_can_be_run(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as made:
        for name, attributes, text in (
            ("shop/run", SETUID_MODE, "x"),
            ("shop/link", LINK_MODE, "run"),
            ("shop/plain", 0, "y"),
            ("shop/empty/", 0, ""),
        ):
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes
            made.writestr(info, text)
    unpack(tmp_path / "archive", target)
    assert files(target) == ["link", "plain", "run"]
    assert (target / "empty").is_dir()
    assert os.readlink(target / "link") == "run"
    assert [(target / name).stat().st_mode & 0o7777 for name in ("run", "plain")] == [0o755, 0o644]


def test_a_zip_cannot_lead_out_either(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as made:
        made.writestr("../x", "x")
    with pytest.raises(ArchiveError, match="leads out of the archive"):
        unpack(tmp_path / "archive", target)


@pytest.mark.parametrize("kept", [0, 30, -300])
def test_a_damaged_archive_is_named(tmp_path: Path, target: Path, kept: int) -> None:
    path = tar(tmp_path / "archive", ("app.py", os.urandom(4096)), ("b.py", b""), mode="w:gz")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArchiveError, match="archive: "):
        unpack(path, target)
