"""Files and links replaced in one step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import files


def test_a_file_is_replaced_in_one_step_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    draft = tmp_path / ".file.draft"
    draft.write_text("what a killed run left, readable to all")
    draft.chmod(0o644)
    before = path.open()
    files.write(path, "new", 0o640)
    assert before.read() == "old", "who has it open reads on"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert not draft.exists()


def test_a_link_is_replaced_although_a_killed_run_left_its_draft(tmp_path: Path) -> None:
    link = tmp_path / "live"
    link.symlink_to("one")
    (tmp_path / ".live.draft").symlink_to("two")
    files.link(link, "three")
    assert os.readlink(link) == "three"
    assert os.listdir(tmp_path) == ["live"]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def refuse(_: str) -> None:
        raise OSError("no label")

    with pytest.raises(OSError, match="no label"):
        files.write(path, b"new", 0o640, label=refuse)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_with_the_same_text_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert files.update(path, "text", 0o644)
    before = path.stat().st_ino
    assert not files.update(path, "text", 0o644)
    assert path.stat().st_ino == before
    assert files.update(path, "other", 0o644)
