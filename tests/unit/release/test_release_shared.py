"""Paths that outlive a release."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.shared import link_shared

from release_shop import Shop


def test_shared_paths_outlive_a_release(shop: Shop, home: Path) -> None:
    shipped = {"requirements.txt": "", "instance/config.py": "shipped", "instance/new.py": "new"}
    shop.build(shipped | {"instance/new.py": "first"})
    kept = home / "shared/instance"
    (kept / "config.py").write_text("edited on the host")
    shop.build(shipped, id="abc-2")
    code = home / "releases/abc-2/code"
    assert os.readlink(code / "instance") == str(kept)
    assert (code / "instance/config.py").read_text() == "edited on the host"
    assert (code / "instance/new.py").read_text() == "first"
    assert (code / "uploads").resolve() == home / "shared/uploads"


def test_instance_folder_of_an_installed_package_is_shared(
    shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installs(self: Commands, *command: str) -> str:
        site = self.place.venv / "lib/python3.11/site-packages"
        info = site / "shop-1.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (site / "shop").mkdir(exist_ok=True)
        (site / "shop/__init__.py").touch()
        url = self.place.code.resolve().as_uri()
        (info / "direct_url.json").write_text(json.dumps({"url": url, "dir_info": {}}))
        (info / "RECORD").write_text("shop/__init__.py,,\nshop-1.dist-info/RECORD,,\n")
        return ""

    monkeypatch.setattr(Commands, "run", installs)
    releases = shop.prepared()
    (releases.place.path / "code/pyproject.toml").write_text("[build-system]\n")
    releases.build()
    link = home / "releases/abc-1/venv/var/shop-instance"
    assert os.readlink(link) == str(home / "shared/instance")


def test_a_shared_path_through_a_link_is_refused(shop: Shop, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "uploads").mkdir(parents=True)
    prepared = shop.prepared(shared_paths=["var/uploads"])
    (prepared.place.path / "code/var").symlink_to(victim)
    commands = shop.real_commands(prepared)
    with pytest.raises(ReleaseError, match="var/uploads leads out of the source"):
        link_shared(commands, ["var/uploads"], [])
    assert (victim / "uploads").is_dir()
