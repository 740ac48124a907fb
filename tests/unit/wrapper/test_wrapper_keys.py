"""Whether an app signs with the key that it was given."""

from __future__ import annotations

import types
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import health
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import build_application
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.keys import has_own_key

from wrapped import app_file, ask, recorded


@pytest.mark.parametrize(
    ("given", "key", "own"),
    [
        ({"SECRET_KEY": "long"}, "long", False),
        ({"FLASK_SECRET_KEY": "long"}, b"long", False),
        ({"SECRET_KEY": "a", "FLASK_SECRET_KEY": "b"}, "b", False),
        ({"SECRET_KEY": "long"}, "dev", True),
        ({"SECRET_KEY": "long"}, b"\xff", True),
        ({"SECRET_KEY": "long"}, None, False),
        ({}, "dev", False),
    ],
)
def test_a_key_in_the_code_is_seen(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], key: Any, *, own: bool
) -> None:
    for name in ("SECRET_KEY", "FLASK_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert has_own_key(types.SimpleNamespace(config={"SECRET_KEY": key})) is own
    assert not has_own_key(types.SimpleNamespace())


@pytest.mark.parametrize(("key", "own"), [("dev", True), ("given", False)])
def test_only_the_switch_is_told(monkeypatch: pytest.MonkeyPatch, key: str, *, own: bool) -> None:
    monkeypatch.setenv("SECRET_KEY", "given")
    app_file("app.py", f"import flask\napp = flask.Flask('x')\napp.secret_key = {key!r}\n")
    app = build_application(recorded(""))
    told = ask(app, HTTP_X_FLASKOPS_TOKEN="t")[1]
    assert (told.get(health.KEY_HEADER) == health.OWN_KEY) is own
    assert health.KEY_HEADER not in ask(app)[1]
