"""The health check within a worker."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import gate, record
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import build_application

from wrapped import app_file, generation, plain, recorded


@pytest.mark.parametrize(
    ("status", "body", "health"),
    [
        ("200 OK", b"", {}),
        ("404 Not Found", b"", {}),
        ("302 Found", b"", {"status": [200, 302]}),
        ("200 OK", b"all is well", {"text": "is well"}),
    ],
)
def test_gate_opens(tmp_path: Path, status: str, body: bytes, health: dict[str, Any]) -> None:
    gate.gate(plain(status, body), generation(tmp_path, **health))


@pytest.mark.parametrize(
    ("status", "body", "health", "reason"),
    [
        ("500 Oops", b"no database", {}, "answered 500, wanted below 500: no database"),
        ("404 Not Found", b"", {"status": [200]}, "answered 404, wanted 200: (empty body)"),
        ("200 OK", b"sick", {"text": "well"}, "answered 200 without the text 'well': sick"),
    ],
)
def test_gate_stays_shut_and_says_why(
    tmp_path: Path, status: str, body: bytes, health: dict[str, Any], reason: str
) -> None:
    with pytest.raises(gate.NotReadyError) as refused:
        gate.gate(plain(status, body), generation(tmp_path, **health))
    assert str(refused.value) == f"GET /healthz (Host: shop.example.org, https) {reason}"


def test_gate_does_not_wait_for_ever(tmp_path: Path) -> None:
    def hangs(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        time.sleep(30)
        return []

    started = time.monotonic()
    with pytest.raises(gate.NotReadyError, match="did not answer within 1 s"):
        gate.gate(hangs, generation(tmp_path))
    assert time.monotonic() - started < 5


def test_gate_asks_with_the_sites_own_name_and_scheme(tmp_path: Path) -> None:
    app_file(
        "app.py",
        "import flask\napp = flask.Flask('x')\n"
        "app.add_url_rule('/healthz', view_func=lambda: flask.request.url)\n",
    )
    config = recorded("", proxy_hops=1)
    app = build_application(config)
    gate.gate(app, generation(tmp_path, text="https://shop.example.org/healthz"))


def test_a_proved_generation_is_not_asked_again(tmp_path: Path) -> None:
    folder = generation(tmp_path)
    (folder / record.PROVED_FILE).touch()
    gate.gate(plain("500 Oops"), folder)
