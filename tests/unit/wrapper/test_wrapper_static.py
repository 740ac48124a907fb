"""Published files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import (
    health,
    peers,
    static,
)
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import build_application

from wrapped import Connection, app_file, ask, recorded

CSS = "/static/app.css"
HASHED = "/static/app.0123abcd.css"
OLD = "/static/app.00000000.css"
FOR_GOOD = "public, max-age=31536000, immutable"
MADE = 1_700_000_000


def apps_own(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b"the app's own"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A generation whose release publishes files, beside those of releases before."""
    home = tmp_path / "shop"
    public, assets = home / "releases/r/public", home / "assets"
    for root, path, text in (
        (public, CSS, "plain"),
        (public, f"{CSS}.gz", "gzipped"),
        (public, f"{CSS}.br", "brotli"),
        (public, HASHED, "hashed"),
        (public, "/static/logo.svg", "<svg/>"),
        (public, "/static/no-such-type", "bytes"),
        (public, "/static/text.woff2", "font"),
        (public, "/static/caf\u00e9.txt", "latte"),
        (public, "/static/empty.txt", ""),
        (assets, HASHED, "hashed"),
        (assets, OLD, "old"),
        (assets, f"{OLD}.gz", "old gzipped"),
        (home, "releases/r/release.json", "secret"),
    ):
        place = root / path.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        os.utime(place, (MADE, MADE))
    (public / "static/link.css").symlink_to(home / "releases/r/release.json")
    (public / "static/out").symlink_to(home / "releases/r")
    os.mkfifo(public / "static/pipe")
    folder = home / "generations/7"
    folder.mkdir(parents=True)
    (folder / "release").symlink_to(home / "releases/r")
    return folder


def fetch(site: Path, path: str, **extra: Any) -> tuple[str, dict[str, str], bytes]:
    return ask(static.with_published(apps_own, site), path, **extra)


@pytest.mark.parametrize(
    ("path", "kind", "kept", "body"),
    [
        (CSS, "text/css", "public, max-age=300", b"plain"),
        (HASHED, "text/css", FOR_GOOD, b"hashed"),
        (OLD, "text/css", FOR_GOOD, b"old"),
        ("/static/logo.svg", "image/svg+xml", "public, max-age=300", b"<svg/>"),
        ("/static/text.woff2", "font/woff2", "public, max-age=300", b"font"),
        ("/static/no-such-type", "application/octet-stream", "public, max-age=300", b"bytes"),
        ("/static/caf\xc3\xa9.txt", "text/plain", "public, max-age=300", b"latte"),
        ("/static/empty.txt", "text/plain", "public, max-age=300", b""),
        (f"{CSS}.gz", "application/octet-stream", "public, max-age=300", b"gzipped"),
    ],
)
def test_a_published_file_is_answered_for_before_the_app(
    site: Path, path: str, kind: str, kept: str, body: bytes
) -> None:
    status, headers, got = fetch(site, path)
    assert (status, got) == ("200 OK", body)
    assert (headers["Content-Type"], headers["Cache-Control"]) == (kind, kept)
    assert headers["Content-Length"] == str(len(body))
    assert headers["ETag"] == f'"{MADE:x}-{len(body):x}"'
    assert headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert "Content-Encoding" not in headers


@pytest.mark.parametrize(
    ("path", "accepted", "coding", "body"),
    [
        (CSS, "gzip, deflate, br", "br", b"brotli"),
        (CSS, "GZIP;q=0.5", "gzip", b"gzipped"),
        (CSS, "br;q=0, gzip", "gzip", b"gzipped"),
        (CSS, "br; q=0.000, gzip;q=0", None, b"plain"),
        (CSS, "", None, b"plain"),
        (OLD, "br, gzip", "gzip", b"old gzipped"),
        (HASHED, "br, gzip", None, b"hashed"),
        (f"{CSS}.gz", "br, gzip", None, b"gzipped"),
    ],
)
def test_the_smallest_variant_that_is_accepted_is_sent(
    site: Path, path: str, accepted: str, coding: str | None, body: bytes
) -> None:
    _, headers, got = fetch(site, path, HTTP_ACCEPT_ENCODING=accepted)
    assert (headers.get("Content-Encoding"), got) == (coding, body)
    assert headers["Content-Length"] == str(len(body))
    assert ("Vary" in headers) == (path in (CSS, OLD))


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"HTTP_IF_NONE_MATCH": '"{tag}"'}, "304 Not Modified"),
        ({"HTTP_IF_NONE_MATCH": '"x", W/"{tag}"'}, "304 Not Modified"),
        ({"HTTP_IF_NONE_MATCH": "*"}, "304 Not Modified"),
        ({"HTTP_IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:20 GMT"}, "304 Not Modified"),
        ({"HTTP_IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:21 GMT"}, "200 OK"),
        (
            {
                "HTTP_IF_NONE_MATCH": '"x"',
                "HTTP_IF_MODIFIED_SINCE": "Tue, 14 Nov 2023 22:13:20 GMT",
            },
            "200 OK",
        ),
    ],
)
def test_what_a_browser_has_is_not_sent_again(
    site: Path, condition: dict[str, str], status: str
) -> None:
    tag = f"{MADE:x}-{len('plain'):x}"
    given = {name: value.format(tag=tag) for name, value in condition.items()}
    got, headers, body = fetch(site, CSS, **given)
    assert (got, body) == (status, b"" if status.startswith("304") else b"plain")
    assert headers["ETag"] == f'"{tag}"'
    assert (headers["Vary"], headers["Cache-Control"]) == ("Accept-Encoding", "public, max-age=300")


def test_head_has_the_headers_of_get(site: Path) -> None:
    status, headers, body = fetch(site, CSS, REQUEST_METHOD="HEAD")
    assert (status, headers, body) == (*fetch(site, CSS)[:2], b"")


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=1-2", "206 Partial Content", b"la", "bytes 1-2/5"),
        ("bytes=3-", "206 Partial Content", b"in", "bytes 3-4/5"),
        ("bytes=-2", "206 Partial Content", b"in", "bytes 3-4/5"),
        ("bytes=0-99", "200 OK", b"plain", None),
        ("bytes=5-", "416 Range Not Satisfiable", b"", "bytes */5"),
        ("bytes=-0", "416 Range Not Satisfiable", b"", "bytes */5"),
        ("bytes=2-1", "200 OK", b"plain", None),
        ("bytes=0-1,3-4", "200 OK", b"plain", None),
        ("bytes=-", "200 OK", b"plain", None),
    ],
)
def test_a_part_of_a_file_can_be_asked_for(
    site: Path, asked: str, status: str, body: bytes, content_range: str | None
) -> None:
    got, headers, sent = fetch(site, CSS, HTTP_RANGE=asked)
    assert (got, sent, headers.get("Content-Range")) == (status, body, content_range)
    assert headers["Content-Length"] == str(len(body))


def test_an_empty_file_has_no_parts(site: Path) -> None:
    status, headers, body = fetch(site, "/static/empty.txt", HTTP_RANGE="bytes=5-")
    assert (status, headers["Content-Length"], body) == ("200 OK", "0", b"")


def test_a_part_of_another_version_is_not_sent(site: Path) -> None:
    status, _, body = fetch(site, CSS, HTTP_RANGE="bytes=1-2", HTTP_IF_RANGE='"x"')
    assert (status, body) == ("200 OK", b"plain")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (CSS, "POST"),
        (CSS, "OPTIONS"),
        ("", "GET"),
        ("/", "GET"),
        ("/static", "GET"),
        ("/static/", "GET"),
        (f"{CSS}/", "GET"),
        ("/static//app.css", "GET"),
        ("/static/./app.css", "GET"),
        ("/static/../static/app.css", "GET"),
        ("/static/../../release.json", "GET"),
        ("/../release.json", "GET"),
        ("/static/app.css\0", "GET"),
        (f"/static/{'x' * 5000}", "GET"),
        ("/static/link.css", "GET"),
        ("/static/out/release.json", "GET"),
        ("/static/pipe", "GET"),
        ("/static/none.css", "GET"),
        ("static/app.css", "GET"),
        ("/static/\u2615", "GET"),
    ],
)
def test_all_else_is_the_apps(site: Path, path: str, method: str) -> None:
    assert fetch(site, path, REQUEST_METHOD=method)[2] == b"the app's own"


def test_a_file_that_cannot_be_read_is_the_apps(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_place: bytes) -> None:
        raise PermissionError

    monkeypatch.setattr(io, "FileIO", refused)
    assert fetch(site, CSS)[2] == b"the app's own"


def test_the_servers_own_way_to_send_a_file_is_used_for_a_whole_one(site: Path) -> None:
    sent: list[Any] = []

    def wrapper(file: Any, size: int) -> list[bytes]:
        sent.append(file.fileno())
        return [file.read(size)]

    given: dict[str, Any] = {"wsgi.file_wrapper": wrapper}
    assert fetch(site, CSS, **given)[2] == b"plain"
    assert fetch(site, CSS, HTTP_RANGE="bytes=1-2", **given)[2] == b"la"
    assert fetch(site, CSS, REQUEST_METHOD="HEAD", **given)[2] == b""
    assert len(sent) == 1


def test_an_app_that_publishes_nothing_is_served_as_it_is(tmp_path: Path) -> None:
    assert static.with_published(apps_own, tmp_path / "generations/1") is apps_own


def test_other_paths_cost_no_look_at_the_disk(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = static.with_published(apps_own, site)

    def asked(_place: bytes) -> None:
        raise AssertionError("asked the disk")

    monkeypatch.setattr(static, "_regular", asked)
    assert ask(app, "/about.json")[2] == b"the app's own"
    with pytest.raises(AssertionError, match="asked the disk"):
        ask(app, CSS)


def test_files_gathered_after_the_start_are_found(site: Path) -> None:
    app = static.with_published(apps_own, site)
    (site.parent.parent / "assets/static/new.11112222.css").write_text("of the next release")
    assert ask(app, "/static/new.11112222.css")[2] == b"of the next release"


@pytest.mark.parametrize(
    ("pattern", "path", "kept"),
    [
        ("", HASHED, "public, max-age=60"),
        ("^/static/app", CSS, FOR_GOOD),
        ("^/static/app", "/static/logo.svg", "public, max-age=60"),
    ],
)
def test_the_environment_says_what_is_kept_and_how_long(
    site: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, path: str, kept: str
) -> None:
    monkeypatch.setenv("FLASKOPS_STATIC_FINGERPRINT", pattern)
    monkeypatch.setenv("FLASKOPS_STATIC_MAX_AGE", "60")
    assert fetch(site, path)[1]["Cache-Control"] == kept


def test_without_an_environment_it_is_as_the_roles_have_it() -> None:
    roles = Path(__file__).resolve().parents[3] / "roles"
    app, web = (
        yaml.safe_load((roles / name / "defaults/main.yml").read_text())
        for name in ("flask_app", "nginx")
    )
    assert app["flask_app_static_fingerprint"] == static.DEFAULT_FINGERPRINT
    assert str(web["nginx_static_max_age"]) == static.DEFAULT_MAX_AGE
    assert str(app["flask_app_static_max_age"]) == static.DEFAULT_MAX_AGE


def test_a_path_below_a_prefix_is_the_one_without_it(site: Path) -> None:
    extra = {"SCRIPT_NAME": "/shop", "HTTP_X_FORWARDED_PREFIX": "/shop"}
    assert fetch(site, CSS, **extra)[2] == b"plain"
    assert fetch(site, f"/shop{CSS}", **extra)[2] == b"the app's own"


@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
def test_who_may_not_ask_gets_no_file_and_the_token_is_heard(
    site: Path, unit: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    app_file("plain.py", "def serve(environ, start_response):\n    raise AssertionError\n")
    monkeypatch.setenv(peers.UNIT, str(unit))
    config = recorded("plain:serve", proxy_hops=1)
    app = build_application(config | {"protocol": protocol}, site)
    asked: dict[str, Any] = {"HTTP_X_FLASKOPS_TOKEN": "t"}
    if protocol == "uwsgi":
        asked["RAW_URI"] = CSS
    stranger: Any = {"gunicorn.socket": Connection(("203.0.113.5", 1))}
    assert ask(app, CSS, **asked, **stranger)[0] == "403 Forbidden"
    member: Any = {"gunicorn.socket": Connection(("192.0.2.10", 1))}
    _, headers, body = ask(app, CSS, **asked, **member)
    assert (headers[health.RELEASE_HEADER], body) == ("r", b"plain")
