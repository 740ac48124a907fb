"""The environment that a release is selected with, and its SECRET_KEY."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import app_files

from release_shop import Shop


def test_environment_is_completed_on_the_host(shop: Shop, home: Path) -> None:
    shop.build({"requirements.txt": ""})
    lines = (home / "next/env").read_text().splitlines()
    key = (home / "secret_key").read_text().strip()
    assert len(key) >= 64
    assert lines == [
        'GREETING="hi"',
        'FLASKOPS_RELEASE="abc-1"',
        'FLASKOPS_REVISION="abc"',
        f'FLASK_SECRET_KEY="{key}"',
        f'SECRET_KEY="{key}"',
    ]
    assert (home / "next/env").stat().st_mode & 0o777 == 0o640
    assert (home / "secret_key").stat().st_mode & 0o777 == 0o600


def test_files_are_left_for_the_switch(shop: Shop, home: Path) -> None:
    given = {"instance/config.py": "A = 1\n"}
    other = {"instance/config.py": "A = 2\n"}
    shop.build({"requirements.txt": ""})
    path = home / "next/files/instance/config.py"
    for files, changed in ((given, True), (given, False), (other, True), ({}, True)):
        releases = shop.releases(files=json.dumps(files))
        releases.select()
        assert releases.store.changed is changed
        assert app_files.read(path.parents[1]) == files
    assert not (home / "next/files").exists()


@pytest.mark.parametrize("name", ["SECRET_KEY", "FLASK_SECRET_KEY"])
def test_a_given_secret_key_is_not_replaced(shop: Shop, home: Path, name: str) -> None:
    shop.build({"requirements.txt": ""}, environment=json.dumps({name: "given"}))
    text = (home / "next/env").read_text()
    assert text.count("SECRET_KEY") == 1
    assert not (home / "secret_key").exists()


@pytest.mark.parametrize("days", [31, 0])
def test_earlier_keys_are_accepted_for_their_time(shop: Shop, home: Path, days: int) -> None:
    home.mkdir()
    now = int(time.time())
    lines = ["signs", "waits", f"recent {now - 86400}", f"old {now - 32 * 86400}"]
    (home / "secret_key").write_text("\n".join(lines) + "\n")
    shop.build({"requirements.txt": ""}, key_days=days)
    found = shop.environment()
    assert found["SECRET_KEY"] == found["FLASK_SECRET_KEY"] == "signs"
    for name in ("SECRET_KEY_FALLBACKS", "FLASK_SECRET_KEY_FALLBACKS"):
        assert json.loads(found[name]) == (["waits", "recent"] if days else ["waits"])


def test_a_key_that_still_signs_is_accepted_however_old(shop: Shop, home: Path) -> None:
    (home / "live").mkdir(parents=True)
    (home / "live/env").write_text('SECRET_KEY="old"\n')
    (home / "secret_key").write_text(f"new\nold {int(time.time()) - 90 * 86400}\n")
    shop.build({"requirements.txt": ""})
    assert json.loads(shop.environment()["SECRET_KEY_FALLBACKS"]) == ["old"]
    shop.build({"requirements.txt": ""}, key_days=0)
    assert "SECRET_KEY_FALLBACKS" not in shop.environment()


def test_a_carriage_return_is_kept(shop: Shop, home: Path) -> None:
    for _ in range(2):
        shop.build({"requirements.txt": ""}, environment=json.dumps({"PEM": "a\r\nb"}))
    assert b'PEM="a\r\nb"\n' in (home / "next/env").read_bytes()


@pytest.mark.parametrize(
    ("given", "shipped", "left"),
    [
        ("", {}, {"CACHE_TYPE": "Redis", "FLASK_CACHE_TYPE": "Redis", "REDIS_URL": 'r"$'}),
        ('{"CACHE_TYPE": "x"}', {}, {"CACHE_TYPE": "x", "REDIS_URL": 'r"$'}),
        ('{"FLASK_CACHE_TYPE": "x"}', {}, {"FLASK_CACHE_TYPE": "x", "REDIS_URL": 'r"$'}),
        ("", {".flaskenv": "FLASK_CACHE_TYPE=mine\n"}, {"REDIS_URL": 'r"$'}),
        ("", {".env": "# REDIS_URL=x\nexport REDIS_URL = mine\n'CACHE_TYPE'=1"}, {}),
        ("", {".env": "SECRET_KEY=mine\n"}, {"CACHE_TYPE": "Redis", "REDIS_URL": 'r"$'}),
        (
            "",
            {".env": "TEXT='\nREDIS_URL=none\n'\nno statement\nCACHE_TYPE=mine\n"},
            {"REDIS_URL": 'r"$'},
        ),
    ],
    ids=["nothing", "bare", "prefixed", "flaskenv", "both", "key", "in-a-value"],
)
def test_defaults_give_way_to_what_anybody_set(
    shop: Shop, given: str, shipped: dict[str, str], left: dict[str, str]
) -> None:
    defaults = json.dumps({"CACHE_TYPE": "Redis", "FLASK_CACHE_TYPE": "Redis", "REDIS_URL": 'r"$'})
    shop.build(
        {"requirements.txt": "", **shipped},
        environment=given,
        environment_defaults=defaults,
    )
    found = shop.environment()
    names = ("CACHE_TYPE", "FLASK_CACHE_TYPE", "REDIS_URL")
    if "SECRET_KEY" in str(shipped):
        assert "SECRET_KEY" not in found
        left = {**left, "FLASK_CACHE_TYPE": "Redis"}
    else:
        assert "SECRET_KEY" in found
    assert {name: found[name] for name in names if name in found} == left


def test_check_mode_sees_a_changed_environment(shop: Shop, home: Path) -> None:
    shop.build({"requirements.txt": ""})
    before = (home / "next/env").read_text()
    releases = shop.prepared(environment='{"GREETING": "ho"}', check_mode=True)
    releases.select()
    assert releases.store.changed
    assert (home / "next/env").read_text() == before


def test_a_release_without_a_key_waits_for_the_other_hosts(shop: Shop, home: Path) -> None:
    shop.build({"requirements.txt": ""})
    releases = shop.releases(make_key=False)
    assert releases.may_select()
    assert len(releases.keys.digest()) == 16
    (home / "secret_key").unlink()
    assert not releases.may_select()
    assert releases.keys.digest() == ""
    assert not shop.releases(id="bad-1").may_select()
