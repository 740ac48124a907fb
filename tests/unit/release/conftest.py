"""What each test of a release has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release import uv
from ansible_collections.flaskops.stack.plugins.module_utils.release.account import Owner

from release_shop import ME, Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(Owner, "named", classmethod(lambda cls, name: ME))
    monkeypatch.setattr(uv, "program", lambda *_: "uv")
    monkeypatch.setattr(uv, "WHEELS", tmp_path / "no-wheels")
    for name in ("chown", "fchown", "lchown"):
        monkeypatch.setattr(os, name, lambda *_: None)
    return Shop(tmp_path / "shop", monkeypatch)


@pytest.fixture
def home(shop: Shop) -> Path:
    return shop.home
