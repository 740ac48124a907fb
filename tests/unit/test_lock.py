"""The deploy lock: one run at a time, and none for ever."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Timer

import pytest
from ansible_collections.flaskops.stack.plugins.lookup import this_run
from ansible_collections.flaskops.stack.plugins.module_utils import lock as locks
from ansible_collections.flaskops.stack.plugins.module_utils.lock import DeployLock, LockedError

ALL = ["desk/1/run-1/x", "desk/1/run-2/x"]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.take("desk/1/run-1/x", "alice@desk", 30, ALL)
    lock.take("desk/1/run-1/x", "alice@desk", 30, ALL)
    with pytest.raises(LockedError, match=r"alice@desk has been deploying shop since .* in 30 min"):
        lock.take("desk/1/run-2/x", "bob@desk", 30, ALL)
    lock.free("desk/1/run-2/x")
    with pytest.raises(LockedError):
        lock.take("desk/1/run-2/x", "bob@desk", 30, ALL)
    lock.free("desk/1/run-1/x")
    lock.take("desk/1/run-2/x", "bob@desk", 30, ALL)
    assert lock.path.stat().st_mode & 0o777 == 0o600


def test_a_killed_run_does_not_keep_it_for_ever(tmp_path: Path) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.take("desk/1/run-1/x", "alice@desk", 30, ALL)
    old = time.time() - 29 * 60
    os.utime(lock.path, (old, old))
    with pytest.raises(LockedError, match="in 1 min"):
        lock.take("desk/1/run-2/x", "bob@desk", 30, ALL)
    os.utime(lock.path, (old - 61, old - 61))
    lock.take("desk/1/run-2/x", "bob@desk", 30, ALL)


def test_it_can_be_broken(tmp_path: Path) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.take("desk/1/run-1/x", "alice@desk", 30, ALL)
    lock.take("desk/1/run-2/x", "bob@desk", 0, ALL)
    with pytest.raises(LockedError, match="bob@desk"):
        lock.take("desk/1/run-1/x", "alice@desk", 30, ALL)


@pytest.mark.parametrize("text", ["", "[1]", "{}", "no json"])
def test_a_broken_file_is_no_lock(tmp_path: Path, text: str) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.path.write_text(text)
    lock.take("desk/1/run-1/x", "alice@desk", 30, ALL)


def test_a_dead_run_of_the_same_machine_keeps_nobody_out(tmp_path: Path) -> None:
    lock = DeployLock("shop", tmp_path)
    lock.take("desk/1/7/a", "alice@desk", 30, ["desk/1/7/a"])
    with pytest.raises(LockedError, match="alice@desk"):
        lock.take("desk/2/7/a", "bob@desk", 30, ["desk/2/7/a"])  # another machine of that name
    lock.take("desk/1/8/b", "alice@desk", 30, ["desk/1/8/b"])


PS = """
    1     0 Mon Nov 23 00:00:01 2026 /sbin/init
   10     1 Mon Nov 23 00:00:02 2026 /opt/bin/python3 /opt/bin/pytest -q -x --connection ansible
   11    10 Mon Nov 23 00:00:03 2026 /opt/bin/python3 /opt/bin/ansible-playbook site.yml
   12    11 Mon Nov 23 00:00:04 2026 /opt/bin/python3 /opt/bin/ansible-playbook site.yml
   13     1 Mon Nov 23 00:00:05 2026 ansible
   14    12 Mon Nov 23 00:00:06 2026 ps -axo pid=
"""


def test_a_run_is_its_first_process() -> None:
    there = this_run.processes(PS)
    for pid in (11, 12, 14):
        main = this_run.main_process(there, pid)
        assert main is not None
        assert (main.pid, main.started) == (11, "Mon-Nov-23-00:00:03-2026")
    assert [one.pid for one in there.values() if one.of_ansible] == [11, 12, 13]


def test_this_run_is_alive() -> None:
    (told,) = this_run.LookupModule().run([], minutes="3")
    assert told["minutes"] == 3
    assert told["run"].split("/")[0] == os.uname().nodename
    assert "@" in told["who"]


def test_work_is_done_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RUN", tmp_path)
    with locks.alone("shop", "build"), locks.alone("shop", "switch"), locks.alone("other", "build"):
        said = r"^a build of shop is under way \(.*/flaskops-shop\.build is locked\)$"
        with pytest.raises(locks.BusyError, match=said), locks.alone("shop", "build"):
            pytest.fail("two at once")
    with locks.alone("shop", "build"):
        pass
    assert (tmp_path / "flaskops-shop.build").stat().st_mode & 0o7777 == 0o600


def test_work_waits_for_the_same_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RUN", tmp_path)
    other = ExitStack()
    other.enter_context(locks.alone("shop", "switch"))
    Timer(0.2, other.close).start()
    begun = time.monotonic()
    with locks.alone("shop", "switch", wait=20):
        assert time.monotonic() - begun >= 0.2
