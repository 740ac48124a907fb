"""What the modules do alike on a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import host


def test_a_file_is_replaced_in_one_step_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    draft = tmp_path / ".file.draft"
    draft.write_text("what a killed run left, readable to all")
    draft.chmod(0o644)
    before = path.open()
    host.write(path, "new", 0o640)
    assert before.read() == "old", "who has it open reads on"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert not draft.exists()


def test_a_link_is_replaced_although_a_killed_run_left_its_draft(tmp_path: Path) -> None:
    link = tmp_path / "live"
    link.symlink_to("one")
    (tmp_path / ".live.draft").symlink_to("two")
    host.link(link, "three")
    assert os.readlink(link) == "three"
    assert os.listdir(tmp_path) == ["live"]


def test_work_is_done_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "RUN", tmp_path)
    with host.alone("shop", "build"), host.alone("shop", "switch"), host.alone("other", "build"):
        said = r"^a build of shop is under way \(.*/flaskops-shop\.build is locked\)$"
        with pytest.raises(host.BusyError, match=said), host.alone("shop", "build"):
            pytest.fail("two at once")
    with host.alone("shop", "build"):
        pass
    assert (tmp_path / "flaskops-shop.build").stat().st_mode & 0o7777 == 0o600
