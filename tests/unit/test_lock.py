"""The deploy lock: one run at a time, and none for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.lock import DeployLock, LockedError


def test_one_run_at_a_time(tmp_path: Path) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.take("run-1", "alice@desk", 30)
    lock.take("run-1", "alice@desk", 30)
    with pytest.raises(LockedError, match=r"alice@desk has been deploying shop since .* in 30 min"):
        lock.take("run-2", "bob@desk", 30)
    lock.free("run-2")
    with pytest.raises(LockedError):
        lock.take("run-2", "bob@desk", 30)
    lock.free("run-1")
    lock.take("run-2", "bob@desk", 30)
    assert lock.path.stat().st_mode & 0o777 == 0o600


def test_a_killed_run_does_not_keep_it_for_ever(tmp_path: Path) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.take("run-1", "alice@desk", 30)
    old = time.time() - 29 * 60
    os.utime(lock.path, (old, old))
    with pytest.raises(LockedError, match="in 1 min"):
        lock.take("run-2", "bob@desk", 30)
    os.utime(lock.path, (old - 61, old - 61))
    lock.take("run-2", "bob@desk", 30)


def test_it_can_be_broken(tmp_path: Path) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.take("run-1", "alice@desk", 30)
    lock.take("run-2", "bob@desk", 0)
    with pytest.raises(LockedError, match="bob@desk"):
        lock.take("run-1", "alice@desk", 30)


@pytest.mark.parametrize("text", ["", "[1]", "{}", "no json"])
def test_a_broken_file_is_no_lock(tmp_path: Path, text: str) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.path.write_text(text)
    lock.take("run-1", "alice@desk", 30)
