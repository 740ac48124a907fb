"""An app's source: one text, many kinds of sources, and no secret shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.source import read_source

SUM = "sha256:" + "AB" * 32


@pytest.mark.parametrize(
    ("source", "checksum", "kind", "address"),
    [
        ("https://git.example.org/shop.git", "", "git", "https://git.example.org/shop.git"),
        ("https://git.example.org/shop", "", "git", "https://git.example.org/shop"),
        ("git+https://x.org/shop.zip", "", "git", "https://x.org/shop.zip"),
        ("git+ssh://git@x.org/shop", "", "git", "ssh://git@x.org/shop"),
        ("git@x.org:me/shop.tar.gz", "", "git", "git@x.org:me/shop.tar.gz"),
        ("file:///opt/shop.git", "", "git", "file:///opt/shop.git"),
        ("https://x.org/shop-1.TAR.GZ", SUM, "url", "https://x.org/shop-1.TAR.GZ"),
        ("https://x.org/shop.zip", "", "url", "https://x.org/shop.zip"),
        ("https://x.org/tar.gz/v1", SUM, "url", "https://x.org/tar.gz/v1"),
        ("https://x.org/a.zip?token=t#here", SUM, "url", "https://x.org/a.zip?token=t"),
        ("pypi:shop==1.2", "", "pypi", "pypi:shop==1.2"),
        ("pypi:shop", "", "", "pypi:shop"),
        ("pypi:shop==1.*", "", "", "pypi:shop==1.*"),
        ("pypi:shop>=1", "", "", "pypi:shop>=1"),
        ("pypi:shop==1 --index-url=x", "", "", "pypi:shop==1 --index-url=x"),
        ("", "", "", ""),
        ("/no/such/place", "", "", "/no/such/place"),
    ],
)
def test_kinds_are_told_apart(source: str, checksum: str, kind: str, address: str) -> None:
    found = read_source(source, checksum)
    assert found.kind == kind
    if kind:
        assert found.address == address


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("shop.tar.gz", "archive"),
        ("shop.tgz", "archive"),
        ("shop.tar.xz", "archive"),
        ("shop.tar.bz2", "archive"),
        ("shop.tar", "archive"),
        ("shop.zip", "archive"),
        ("shop-1.2-py3-none-any.whl", "wheel"),
        ("shop.whl", ""),
        ("shop.rar", ""),
    ],
)
def test_files_on_the_controller(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).touch()
    assert read_source(str(tmp_path / name)).kind == kind


def test_a_directory_may_be_called_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "shop.zip").mkdir()
    assert read_source(str(tmp_path / "shop.zip")).kind == "directory"


def test_the_login_of_git_is_kept_apart() -> None:
    found = read_source("https://me:p%2Fw-hush@x.org:8443/shop.git")
    assert found.login == "https://me:p%2Fw-hush@x.org:8443"
    assert found.address == found.shown == "https://x.org:8443/shop.git"


def test_neither_login_nor_query_of_a_download_is_shown() -> None:
    found = read_source("https://me:p%2Fw-hush@x.org/shop.zip?token=hush", SUM)
    assert (found.username, found.password) == ("me", "p/w-hush")
    assert found.shown == "https://x.org/shop.zip"
    assert "w-hush" not in found.address


@pytest.mark.parametrize(
    ("source", "checksum", "revision"),
    [
        ("pypi:shop[redis, x]==1.2.post1", "", "1.2.post1"),
        ("https://x.org/shop.zip", SUM, "abababababab"),
        ("https://x.org/shop.zip", "sha256:12", ""),
        ("https://x.org/shop.zip", "md5:" + "a" * 32, ""),
    ],
)
def test_revision_where_the_text_tells_it(source: str, checksum: str, revision: str) -> None:
    assert read_source(source, checksum).revision == revision


def test_a_wheel_keeps_its_name_through_a_download() -> None:
    assert read_source("https://x.org/shop-1-py3-none-any.whl?a=b").file == (
        "shop-1-py3-none-any.whl"
    )
    assert read_source("https://x.org/%2e%2e%2fshop.tar.gz").file == "archive"
