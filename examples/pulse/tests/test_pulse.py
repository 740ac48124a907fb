from __future__ import annotations

import hashlib
import socket
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakeredis import FakeRedis
from flask import Flask

from pulse import create_app, store

RUNNING = ("release", "revision", "generation")


def test_page_shows_who_answered(app: Flask) -> None:
    answer = app.test_client().get("/")
    assert answer.status_code == 200
    assert "<b data-fact>1</b> visit" in answer.text
    assert "counted in Redis" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_release_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, redis: FakeRedis
) -> None:
    monkeypatch.setenv("FLASKOPS_RELEASE", "20260101-abc")
    monkeypatch.setenv("FLASKOPS_REVISION", "abc")
    monkeypatch.setenv("FLASKOPS_GENERATION", "7")
    client = create_app({"TESTING": True}).test_client()
    facts = client.get("/about.json").get_json()
    assert [facts[name] for name in RUNNING] == ["20260101-abc", "abc", "7"]
    assert client.get("/healthz").get_json() == {"status": "ok", "release": "20260101-abc"}
    assert "pulse.css?v=20260101-abc" in client.get("/").text


def test_without_a_release_it_is_development(app: Flask) -> None:
    facts = app.test_client().get("/about.json").get_json()
    assert [facts[name] for name in RUNNING] == ["development", "development", None]


def test_visits_are_counted_in_redis_for_all_and_in_the_session_for_one(
    app: Flask, redis: FakeRedis
) -> None:
    first, second = app.test_client(), app.test_client()
    first.get("/")
    first.get("/about.json")
    facts = second.get("/about.json").get_json()
    assert facts["cache"] == {"ok": True, "visits": 3, "error": None}
    assert facts["session"] == {"visits": 1}
    assert first.get("/about.json").get_json()["session"] == {"visits": 3}
    assert redis.get("pulse:visits") == b"4"


def test_a_forged_session_is_ignored(app: Flask) -> None:
    client = app.test_client()
    client.set_cookie("session", "eyJ2aXNpdHMiOjk5fQ.aaaaaa.forged")
    assert client.get("/about.json").get_json()["session"] == {"visits": 1}


def test_the_value_is_computed_once_and_shared_through_redis(app: Flask, redis: FakeRedis) -> None:
    first = app.test_client().get("/about.json").get_json()["cached"]
    other = create_app({"TESTING": True, "REDIS_URL": "redis://fake"})
    second = other.test_client().get("/about.json").get_json()["cached"]
    assert (first["hit"], second["hit"]) == (False, True)
    assert first["value"] == second["value"]
    assert 0 < redis.ttl("pulse:reading") <= store.READING_SECONDS


def test_a_key_prefix_separates_apps(monkeypatch: pytest.MonkeyPatch, redis: FakeRedis) -> None:
    monkeypatch.setenv("FLASK_CACHE_KEY_PREFIX", "other:")
    app = create_app({"TESTING": True, "REDIS_URL": "redis://fake"})
    app.test_client().get("/")
    assert set(redis.keys()) == {b"other:visits", b"other:reading"}


def test_without_redis_the_app_works_and_says_so() -> None:
    client = create_app({"TESTING": True}).test_client()
    first = client.get("/about.json").get_json()
    assert first["cache"] == {"ok": False, "visits": None, "error": "NotConfigured"}
    assert first["cached"]["type"] == "SimpleCache"
    assert client.get("/about.json").get_json()["cached"]["hit"]
    assert "No Redis is configured" in client.get("/").text


@pytest.fixture(params=["refused", "silent"])
def dead_cache(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a cache that refuses connections, and of one that takes them and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if request.param == "refused":
            listener.close()
        yield f"redis://127.0.0.1:{port}"


def test_with_redis_away_every_page_answers_soon(dead_cache: str) -> None:
    client = create_app({"TESTING": True, "REDIS_URL": dead_cache}).test_client()
    for path in ("/", "/about.json", "/healthz"):
        start = time.monotonic()
        answer = client.get(path)
        assert (answer.status_code, time.monotonic() - start < 0.9) == (200, True), path
    facts = client.get("/about.json").get_json()
    assert not facts["cache"]["ok"]
    assert facts["cache"]["error"] in ("ConnectionError", "TimeoutError")
    assert not facts["cached"]["hit"]
    assert facts["session"]["visits"] == 3
    assert "The cache is away" in client.get("/").text


def test_with_memcached_away_every_page_answers_soon(dead_cache: str) -> None:
    settings = {
        "TESTING": True,
        "CACHE_TYPE": "MemcachedCache",
        "CACHE_MEMCACHED_SERVERS": [dead_cache.removeprefix("redis://")],
    }
    client = create_app(settings).test_client()
    for path in ("/", "/about.json", "/healthz"):
        start = time.monotonic()
        answer = client.get(path)
        assert (answer.status_code, time.monotonic() - start < 0.9) == (200, True), path
    cached = client.get("/about.json").get_json()["cached"]
    assert (cached["type"], cached["hit"]) == ("MemcachedCache", False)


def test_health_does_not_ask_redis(app: Flask, redis: FakeRedis) -> None:
    assert app.test_client().get("/healthz").status_code == 200
    assert redis.keys() == []


def test_the_server_is_read_from_the_process(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    environ = {"SERVER_SOFTWARE": "gunicorn/27.0.1"}
    facts = client.get("/about.json", environ_overrides=environ).get_json()
    assert (facts["server"], facts["server_version"]) == ("gunicorn", "27.0.1")
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(version=b"2.0.31"))
    facts = client.get("/about.json").get_json()
    assert (facts["server"], facts["server_version"]) == ("uwsgi", "2.0.31")


def test_only_headers_of_proxies_are_shown(app: Flask) -> None:
    sent = {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "r1", "Authorization": "Basic eA=="}
    facts = app.test_client().get("/about.json", headers=sent).get_json()
    assert facts["request"]["headers"] == {"X-Forwarded-For": "203.0.113.9", "X-Request-Id": "r1"}


def test_what_a_client_sends_is_escaped(app: Flask) -> None:
    page = app.test_client().get("/", headers={"X-Forwarded-Host": "<script>alert(1)</script>"})
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


def test_refuses_to_start_without_a_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="set FLASK_SECRET_KEY"):
        create_app()
    monkeypatch.setenv("FLASK_SECRET_KEY", "given")
    assert create_app().secret_key == "given"


def test_static_files_are_in_the_package(app: Flask) -> None:
    client = app.test_client()
    for name in ("pulse.css", "pulse.js", "pulse.svg"):
        with client.get(f"/static/{name}") as answer:
            assert answer.status_code == 200, name


def test_probes_are_off_unless_asked_for(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/slow").status_code == 404
    assert client.post("/upload").status_code == 404


class TestProbes:
    @pytest.fixture
    def app(self, monkeypatch: pytest.MonkeyPatch, redis: FakeRedis, tmp_path: Path) -> Flask:
        monkeypatch.setenv("FLASK_TEST_VIEWS", "true")
        monkeypatch.setenv("FLASK_MAX_CONTENT_LENGTH", "1000")
        app = create_app({"TESTING": True, "REDIS_URL": "redis://fake"})
        app.instance_path = str(tmp_path)
        return app

    def test_slow_waits_as_long_as_asked(self, app: Flask) -> None:
        start = time.monotonic()
        assert app.test_client().get("/slow?s=0.1").status_code == 200
        assert 0.1 <= time.monotonic() - start < 1

    @pytest.mark.parametrize("seconds", ["11", "-1", "nan"])
    def test_slow_refuses_what_is_out_of_range(self, app: Flask, seconds: str) -> None:
        assert app.test_client().get(f"/slow?s={seconds}").status_code == 400

    @pytest.mark.parametrize("form", [True, False])
    def test_an_upload_is_kept_whole(self, app: Flask, tmp_path: Path, form: bool) -> None:
        body = b"\x00pulse" * 100
        digest = hashlib.sha256(body).hexdigest()
        client = app.test_client()
        if form:
            answer = client.post("/upload", data={"file": (BytesIO(body), "../x")})
        else:
            answer = client.post("/upload", data=body)
        assert (answer.status_code, answer.get_json()) == (201, {"size": 600, "sha256": digest})
        assert [path.name for path in (tmp_path / "uploads").iterdir()] == [digest]
        assert (tmp_path / "uploads" / digest).read_bytes() == body

    def test_an_upload_over_the_limit_is_refused(self, app: Flask, tmp_path: Path) -> None:
        assert app.test_client().post("/upload", data=b"x" * 1001).status_code == 413
        assert list((tmp_path / "uploads").iterdir()) == []

    def test_echo_says_what_arrived(self, app: Flask) -> None:
        answer = app.test_client().put("/echo?a=1", data=b"abc", headers={"X-Test": "yes"})
        facts = answer.get_json()
        assert (facts["method"], facts["body_size"]) == ("PUT", 3)
        assert facts["url"] == "http://localhost/echo?a=1"
        assert facts["headers"]["X-Test"] == "yes"

    def test_posts_are_counted_and_read(self, app: Flask, redis: FakeRedis) -> None:
        client = app.test_client()
        assert [client.post("/count").get_json()["count"] for _ in range(3)] == [1, 2, 3]
        assert client.get("/count").get_json() == {"count": 3, "error": None}
        assert redis.get("pulse:posts") == b"3"

    def test_posts_are_counted_without_redis_too(self, app: Flask) -> None:
        client = create_app({"TESTING": True}).test_client()
        before = client.get("/count").get_json()["count"]
        client.post("/count")
        assert client.get("/count").get_json() == {"count": before + 1, "error": None}
