"""Static files: published, compressed, dated, gathered."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release import compression, static
from ansible_collections.flaskops.stack.plugins.module_utils.release.compression import (
    compress,
    date_by_content,
    worth_compressing,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError

from release_shop import Shop

FINGERPRINT = r"[.-][0-9a-f]{8,}([.][A-Za-z0-9]+)+$"


@pytest.mark.parametrize(
    ("files", "static", "url"),
    [
        ({"static/a.css": "x"}, {}, "static/a.css"),
        ({"shop/__init__.py": "", "shop/static/a.css": "x"}, {}, "static/a.css"),
        ({"src/shop/__init__.py": "", "src/shop/static/a.css": "x"}, {}, "static/a.css"),
        ({"assets/a.css": "x"}, {"/files/": "assets"}, "files/a.css"),
    ],
)
def test_static_files_are_published_by_url(
    shop: Shop, home: Path, files: dict[str, str], static: dict[str, str], url: str
) -> None:
    shop.build({"requirements.txt": "", **files}, static=static)
    published = home / "releases/abc-1/public" / url
    assert published.read_text() == "x"
    assert published.stat().st_mode & 0o777 == 0o644


def test_static_directory_that_is_not_there_is_named(shop: Shop) -> None:
    with pytest.raises(ReleaseError, match=r"flask_app_static: /s names 'nowhere'"):
        shop.build({"requirements.txt": ""}, static={"/s": "nowhere"})


@pytest.mark.parametrize("link", ["/etc/hostname", "../../../../next/env"])
def test_static_link_out_of_the_source_is_refused(shop: Shop, link: str) -> None:
    prepared = shop.prepared()
    folder = prepared.place.path / "code/static"
    folder.mkdir()
    (folder / "leak.txt").symlink_to(link)
    commands = shop.real_commands(prepared)
    with pytest.raises(ReleaseError, match=r"leak\.txt is a link to .* outside"):
        static.publish_code(commands, {})
    assert not (prepared.place.path / "public/static/leak.txt").exists()


def test_texts_are_compressed_once_and_only_where_it_pays(tmp_path: Path) -> None:
    files = {"a.css": "x" * 5000, "small.css": "x", "photo.jpg": "x" * 5000, "own.js": "y" * 5000}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "own.js.gz").write_text("the app's own")
    (tmp_path / "noise.js").write_bytes(os.urandom(5000))
    texts = [path for path in sorted(tmp_path.iterdir()) if worth_compressing(path)]
    assert [path.name for path in texts] == ["a.css", "noise.js", "own.js"]
    compress(texts)
    assert gzip.decompress((tmp_path / "a.css.gz").read_bytes()) == b"x" * 5000
    assert (tmp_path / "own.js.gz").read_text() == "the app's own"
    assert not (tmp_path / "noise.js.gz").exists()


def test_files_of_the_same_content_have_the_same_time(tmp_path: Path) -> None:
    for folder, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "x.css").write_text(text)
        date_by_content(tmp_path / folder)
    (tmp_path / "d").symlink_to("nowhere")
    date_by_content(tmp_path)
    first, same, other = ((tmp_path / name / "deep/x.css").stat().st_mtime for name in "abc")
    assert first == same != other
    assert min(first, other) >= compression.FIRST_DATE
    assert max(first, other) < compression.FIRST_DATE + compression.DATES < time.time()


def test_brotli_compresses_what_gzip_did(
    shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "brotli"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr(compression, "BROTLI", str(program))
    files = {"requirements.txt": "", "static/a.css": "x" * 5000, "static/b.css": "x"}
    done = shop.build(files)
    assert [command for command in done if "brotli" in command] == ["brotli --keep -- a.css"]
    assert (home / "releases/abc-1/public/static/a.css.gz").is_file()


def test_fingerprinted_files_stay_as_long_as_their_release(shop: Shop, home: Path) -> None:
    for number in (1, 2, 3):
        css = f"static/app.{number}2345678.css"
        files = {"requirements.txt": "", css: str(number) * 2000, "static/plain.css": str(number)}
        shop.build(files, id=f"abc-{number}", fingerprint=FINGERPRINT)
        os.utime(home / f"releases/abc-{number}/release.json", (number, number))
    assets = home / "assets/static"
    # Two releases are kept.
    names = [f"app.{number}2345678.css{more}" for number in (2, 3) for more in ("", ".gz")]
    assert sorted(path.name for path in assets.iterdir()) == names
    assert (assets / "app.22345678.css").read_text() == "2" * 2000
    assert assets.stat().st_mode & 0o777 == 0o755
    shop.build({"requirements.txt": ""}, id="abc-4", fingerprint="")
    assert list(assets.iterdir()) == []


def test_static_files_that_cannot_be_gathered_are_named(
    shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "link", full)
    files = {"requirements.txt": "", "static/app.12345678.css": "x"}
    said = r"/assets: the static files of all releases cannot be gathered: .*No space left"
    with pytest.raises(ReleaseError, match=said):
        shop.build(files, fingerprint=FINGERPRINT)
    assert not (home / "releases/abc-1/release.json").exists()
