from __future__ import annotations

import os
from typing import Any

import pytest
from fakeredis import FakeRedis, FakeServer
from flask import Flask
from redis import Redis

from pulse import create_app


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own environment reaches the app."""
    for name in list(os.environ):
        if name.startswith(("FLASK_", "FLASKOPS_")) or name == "REDIS_URL":
            monkeypatch.delenv(name)


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> FakeRedis:
    """A Redis in memory, which every client made after this talks to."""
    server = FakeServer()

    def from_url(url: str, **options: Any) -> FakeRedis:
        return FakeRedis(server=server)

    monkeypatch.setattr(Redis, "from_url", from_url)
    return FakeRedis(server=server)


@pytest.fixture
def app(redis: FakeRedis) -> Flask:
    return create_app({"TESTING": True, "REDIS_URL": "redis://fake"})
