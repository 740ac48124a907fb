"""The environment that connects an app to its cache, and when Redis would turn it away."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import cache_settings as cache
from hypothesis import given as every
from hypothesis import strategies as st


def redis(given: dict[str, Any] | None = None, **words: Any) -> dict[str, Any]:
    return cache.redis_environment(given or {}, "shop", "fd00::7", 7000, **words)


@every(st.text(min_size=1), st.booleans())
def test_any_password_arrives_as_it_is(password: str, own: bool) -> None:
    words = {"users": {"shop": password}} if own else {"password": password}
    for name in ("REDIS_URL", "CACHE_REDIS_URL"):
        url = urlsplit(redis(**words)[name])
        assert (url.hostname, url.port, url.path) == ("fd00::7", 7000, "/0")
        assert unquote(url.password or "") == password
        assert url.username == ("shop" if own else "")


def test_settings_have_both_names() -> None:
    for found in (redis(), cache.memcached_environment("shop", "192.0.2.7", 11211)):
        settings = {name: value for name, value in found.items() if name.startswith("CACHE_")}
        assert settings["CACHE_KEY_PREFIX"] == "shop:"
        doubled = {name: value for name, value in found.items() if name.startswith("FLASK_")}
        assert doubled == {f"FLASK_{name}": value for name, value in settings.items()}


@pytest.mark.parametrize(
    ("given", "users", "password", "turned_away"),
    [
        ({}, None, "", False),
        ({}, {}, "", False),
        ({}, {"blog": "pw"}, "", True),
        ({}, {"blog": "pw"}, "all", False),
        ({}, {"blog": "pw", "shop": {"password": "own"}}, "", False),
        ({}, {"shop": {"keys": ["shop:*"]}}, "", True),
        ({"REDIS_URL": ""}, {"blog": "pw"}, "", True),
        ({"FLASK_REDIS_URL": "redis://x"}, {"blog": "pw"}, "", False),
        ({"CACHE_REDIS_URL": "redis://x"}, {"blog": "pw"}, "", False),
        ({}, "blog", "", False),
    ],
)
def test_an_app_without_a_login_is_named(
    given: dict[str, str], users: Any, password: str, turned_away: bool
) -> None:
    told = cache.redis_login_problem(given, "shop", users, password)
    assert ("Redis would let shop in no more" in told) is turned_away
    assert "pw" not in told
