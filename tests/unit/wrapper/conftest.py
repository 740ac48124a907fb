"""What each test of the wrapper has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import workers


@pytest.fixture(autouse=True)
def clean_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test has a directory of its own for its app, and leaves no module behind."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("FLASK_APP", raising=False)
    workers._shared[:] = bytes(len(workers._shared))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit of an app that two addresses and a network may ask."""
    path = tmp_path / "shop.service"
    path.write_text("[X-Flaskops]\nAllowedPeers=192.0.2.10 2001:db8::10 198.51.100.0/24\n")
    return path
