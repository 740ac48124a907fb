"""The app as a server calls it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import health, peers
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import (
    _decoded_once,
    build_application,
    logged_path,
)

from wrapped import FLASK, Connection, app_file, ask, recorded


@pytest.mark.parametrize(("hops", "address"), [(0, "127.0.0.1"), (1, "2.2.2.2"), (2, "1.1.1.1")])
def test_as_many_proxies_are_trusted_as_there_are(hops: int, address: str) -> None:
    app_file(
        "app.py",
        "import flask\napp = flask.Flask('x')\n"
        "app.add_url_rule('/', view_func=lambda: flask.request.remote_addr)\n",
    )
    config = recorded("", proxy_hops=hops)
    app = build_application(config)
    assert ask(app, HTTP_X_FORWARDED_FOR="1.1.1.1, 2.2.2.2")[2].decode() == address


def test_release_is_told_only_to_who_knows_the_token() -> None:
    app_file("app.py", FLASK.format(name="app", say="x"))
    config = recorded("", proxy_hops=0, token="secret", release="abc")
    app = build_application(config)
    assert ask(app, HTTP_X_FLASKOPS_TOKEN="secret")[1]["X-Flaskops-Release"] == "abc"
    assert "X-Flaskops-Release" not in ask(app, HTTP_X_FLASKOPS_TOKEN="guess")[1]
    assert "X-Flaskops-Release" not in ask(app)[1]


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/a/b.css", "/a/b.css"),
        ("/caf\xc3\xa9", "/caf%C3%A9"),
        ("/a\n127.0.0.1 forged", "/a%0A127.0.0.1%20forged"),
        ('/"', "/%22"),
        ("/%41", "/%2541"),
        ("", ""),
    ],
)
def test_a_path_cannot_forge_lines_of_the_log(path: str, logged: str) -> None:
    assert logged_path({"PATH_INFO": path, "QUERY_STRING": "secret=1"}) == logged


def test_gunicorn_finds_the_path_for_its_log() -> None:
    app_file(
        "plain.py",
        "def serve(environ, start_response):\n"
        "    start_response('200 OK', [('X-Path', environ['flaskops.path'])])\n    return []\n",
    )
    config = recorded("plain:serve", proxy_hops=0)
    seen = ask(build_application(config), "/a\nb")[1]
    assert seen["X-Path"] == "/a%0Ab"


@pytest.mark.parametrize(
    ("raw", "query", "script", "path"),
    [
        ("/caf\xc3\xa9 %41?a=%20", "a=%20", "", "/caf\xc3\xa9 %41"),
        ("/a?b", "", "", "/a?b"),
        ("/shop/a?b=1", "b=1", "/shop", "/a"),
    ],
)
def test_a_path_over_the_uwsgi_protocol_is_decoded_once(
    raw: str, query: str, script: str, path: str
) -> None:
    seen = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return []

    environ = {"RAW_URI": raw, "QUERY_STRING": query, "SCRIPT_NAME": script}
    ask(_decoded_once(app), "/decoded twice", **environ)
    ask(_decoded_once(app), "/of uWSGI")
    assert seen == [path, "/of uWSGI"]


def test_who_may_not_ask_never_reaches_the_app(
    unit: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app_file("shop.py", FLASK.format(name="app", say="secret"))
    monkeypatch.setenv(peers.UNIT, str(unit))
    config = recorded("shop:app", proxy_hops=1)
    app = build_application(config)
    forged = {"HTTP_X_FORWARDED_FOR": "192.0.2.10", "HTTP_X_FLASKOPS_TOKEN": "t"}
    stranger: Any = {"gunicorn.socket": Connection(("203.0.113.5", 1)), **forged}
    for _ in range(2):
        status, headers, body = ask(app, **stranger)
        assert (status, b"secret" in body) == ("403 Forbidden", False)
        assert health.RELEASE_HEADER not in headers
    assert capsys.readouterr().err.count("Refused 203.0.113.5") == 1
    member: Any = {"gunicorn.socket": Connection(("192.0.2.10", 1))}
    assert ask(app, **member)[2] == b"secret"


@pytest.mark.parametrize(("level", "expected"), [("info", logging.INFO), ("", logging.WARNING)])
def test_the_log_level_of_the_environment_is_the_apps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, level: str, expected: int
) -> None:
    (tmp_path / "plain.py").write_text("def app(environ, start_response):\n    return [b'']\n")
    monkeypatch.setenv("FLASKOPS_LOG_LEVEL", level)
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.WARNING)
    try:
        config = recorded("plain:app", proxy_hops=0)
        build_application(config)
        assert root.level == expected
    finally:
        root.setLevel(before)
