"""How uWSGI is started."""

from __future__ import annotations

import mmap
import os
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import launch


def test_uwsgi_is_started_without_systemds_socket_and_with_memory_to_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Any] = []
    for name in (launch.SHARED_FD, launch.NOTIFY_SOCKET, launch.PROCESSES):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setattr(os, "execv", lambda path, argv: started.append((path, argv)))
    launch.launch("/usr/bin/uwsgi-core", ["--ini", "x"])
    assert started == [("/usr/bin/uwsgi-core", ["/usr/bin/uwsgi-core", "--ini", "x"])]
    assert "NOTIFY_SOCKET" not in os.environ
    assert os.environ[launch.NOTIFY_SOCKET] == "/run/notify"
    assert int(os.environ[launch.PROCESSES]) == launch.default_workers()
    descriptor = int(os.environ[launch.SHARED_FD])
    assert os.get_inheritable(descriptor)
    with mmap.mmap(descriptor, mmap.PAGESIZE) as memory:
        assert memory[0] == 0
    os.close(descriptor)


def test_default_workers_follow_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {1: 3, 2: 5, 4: 9, 64: 12}
    for cores, workers in counts.items():
        monkeypatch.setattr(launch, "cores", lambda cores=cores: cores)
        assert launch.default_workers() == workers
