"""Releases on the disk: complete or not, selected, sealed, removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import files as host_files
from ansible_collections.flaskops.stack.plugins.module_utils.release import source
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import MARKER
from ansible_collections.flaskops.stack.plugins.module_utils.release.trees import tree

from release_shop import Shop

FINGERPRINT = r"[.-][0-9a-f]{8,}([.][A-Za-z0-9]+)+$"


def test_code_is_closed_to_others_and_to_the_apps_own_pen(shop: Shop, home: Path) -> None:
    shop.build({"requirements.txt": "", "app.py": "", "bin/run": ""})
    for path in tree(home / "releases/abc-1/code"):
        if not os.path.islink(path):
            assert os.stat(path).st_mode & 0o027 == 0, path


def test_a_complete_release_is_found_and_selected(shop: Shop, home: Path) -> None:
    shop.build({"requirements.txt": ""})
    assert os.readlink(home / "next/release") == "../releases/abc-1"
    again = shop.prepared()
    again.select()
    assert not again.store.changed


def test_an_incomplete_release_is_removed_and_never_selected(shop: Shop, home: Path) -> None:
    shop.build({"requirements.txt": ""})
    shop.prepared(id="bad-1")
    assert os.readlink(home / "next/release") == "../releases/abc-1"
    again = shop.prepared()
    assert again.store.removed == ["bad-1"]
    assert sorted(path.name for path in (home / "releases").iterdir()) == ["abc-1"]


def test_a_release_that_cannot_be_built_goes_at_once(shop: Shop, home: Path) -> None:
    """The next run may be days away, and the disk full."""
    shop.build({"requirements.txt": ""})
    with pytest.raises(ReleaseError):
        shop.build({}, id="bad-1")
    assert [path.name for path in (home / "releases").iterdir()] == ["abc-1"]


def test_pruning_spares_what_a_generation_runs(shop: Shop, home: Path) -> None:
    for number in range(1, 5):
        shop.build({"requirements.txt": ""}, id=f"r-{number}")
        marker = home / f"releases/r-{number}/release.json"
        os.utime(marker, (number, number))
        if number == 1:
            (home / "generations/1").mkdir()
            (home / "generations/1/release").symlink_to(home / "releases/r-1")
    assert sorted(path.name for path in (home / "releases").iterdir()) == ["r-1", "r-4"]


def test_no_id_means_the_release_that_is_live(shop: Shop, home: Path) -> None:
    with pytest.raises(ReleaseError, match="nothing is live there yet"):
        shop.releases(id="")
    for number in (1, 2):
        shop.build({"requirements.txt": ""}, id=f"r-{number}")
    (home / "generations/1").mkdir()
    (home / "generations/1/release").symlink_to(home / "releases/r-1")
    (home / "live").symlink_to("generations/1")
    releases = shop.prepared(id="", revision="")
    releases.select()
    assert os.readlink(home / "next/release") == "../releases/r-1"
    assert shop.environment()["FLASKOPS_RELEASE"] == "r-1"
    assert shop.environment()["FLASKOPS_REVISION"] == "abc"


def test_check_mode_changes_nothing(shop: Shop, home: Path) -> None:
    releases = shop.prepared(check_mode=True)
    assert releases.store.changed
    assert not home.exists()


def test_a_release_another_run_has_completed_is_not_touched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.build({"requirements.txt": ""})
    monkeypatch.setattr(source, "give", lambda *_: pytest.fail("touched a complete release"))
    shop.releases().build()


def test_a_build_killed_before_its_marker_lacks_nothing_when_it_has_one(
    shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker is the last thing but the removal of others."""
    files = {"requirements.txt": "", "static/app.12345678.css": "x"}
    shop.build(files, id="abc-1", fingerprint=FINGERPRINT, keep=1)
    seen: list[Any] = []
    write = host_files.write

    def written(path: Path, *rest: Any, **owner: Any) -> None:
        if path.name == MARKER:
            mode = path.parent.stat().st_mode & 0o777
            seen[:] = [mode, *sorted(p.name for p in (home / "assets/static").iterdir())]
            seen.append((home / "releases/abc-1").exists())
        write(path, *rest, **owner)

    monkeypatch.setattr(host_files, "write", written)
    files = {"requirements.txt": "", "static/app.87654321.css": "x"}
    shop.build(files, id="abc-2", fingerprint=FINGERPRINT, keep=1)
    assert seen == [0o755, "app.87654321.css", True]
    assert not (home / "releases/abc-1").exists()


def test_the_name_is_made_of_revision_and_recipe(shop: Shop) -> None:
    named = shop.releases(id="", revision="0123456789abcdef", recipe="5e1f9a2c").place.id
    assert named == "0123456789ab-5e1f9a2c"
    assert shop.releases(id="", revision="1.2+local", recipe="5e1f").place.id == "1.2_local-5e1f"
    unknown = shop.releases(id="", revision="", recipe="5e1f", check_mode=True)
    assert unknown.place.id == "unknown-5e1f"
