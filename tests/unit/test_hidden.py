"""Secrets that a failing command or app prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.environment import to_file
from ansible_collections.flaskops.stack.plugins.module_utils.hidden import hide


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder, environment in (
        ("next", {"DATABASE_URL": "postgresql://shop:hunter2@db/shop", "GREETING": "hello there"}),
        (
            "generations/3",
            {"STRIPE_API_KEY": 'sk "quoted" $1', "PIN": "1234", "DB_PASSWORD": "abc"},
        ),
        ("generations/4", {"PRIVATE_KEY": "-----BEGIN\nMIIEvQ\n-----END"}),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "env").write_text(to_file(environment))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "could not connect to postgresql://shop:hunter2@db/shop",
            "could not connect to postgresql://shop:********@db/shop",
        ),
        ("GREETING=hello there", "GREETING=hello there"),
        ('STRIPE_API_KEY=sk "quoted" $1', "STRIPE_API_KEY=********"),
        ("MIIEvQ", "********"),
        ("the alphabet begins with abc", "the alphabet begins with abc"),
    ],
)
def test_what_is_given_as_a_secret_is_in_no_message(home: Path, line: str, told: str) -> None:
    assert hide(home, [line, "other"]) == [told, "other"]


def test_an_app_without_an_environment_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    (tmp_path / "next/env").write_bytes(b"\xff")
    assert hide(tmp_path, ["a"]) == ["a"]
