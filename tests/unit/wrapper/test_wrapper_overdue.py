"""Requests that hang."""

from __future__ import annotations

import threading
import types
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import overdue as hanging
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.app import build_application

from wrapped import app_file, ask, recorded

ENVIRON = {"REQUEST_METHOD": "POST"}


def worker(limit: float, threads: int) -> Any:
    return types.SimpleNamespace(cfg=types.SimpleNamespace(timeout=limit, threads=threads))


class Hung:
    """Threads in the middle of a request, until the test is over."""

    def __init__(self, requests: hanging.Overdue, count: int) -> None:
        self.over = threading.Event()
        begun = threading.Barrier(count + 1)

        def hang(number: int) -> None:
            requests.begins(ENVIRON, f"/slow/{number}")
            begun.wait()
            self.over.wait(10)

        for number in range(count):
            threading.Thread(target=hang, args=(number,), daemon=True).start()
        begun.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging, "LOOK", 0.01)


def test_a_worker_whose_threads_all_hang_ends_and_says_where(
    capsys: pytest.CaptureFixture[str],
) -> None:
    requests = hanging.Overdue()
    hung = Hung(requests, 2)
    ended: list[int] = []
    requests._watch(worker(0.05, 2), ended.append)
    hung.over.set()
    said = capsys.readouterr().err
    assert ended == [1]
    for number in range(2):
        assert (
            said.count(f"POST /slow/{number} has taken longer than 0.05 s (gunicorn_timeout):") == 1
        )
    assert "self.over.wait(10)" in said
    assert said.endswith("All 2 threads hang: the worker is replaced\n")


def test_one_that_hangs_is_told_once_and_the_worker_serves_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    requests = hanging.Overdue()
    hung = Hung(requests, 1)
    ended: list[int] = []
    watching = threading.Thread(
        target=requests._watch, args=(worker(0.05, 2), ended.append), daemon=True
    )
    watching.start()
    watching.join(0.4)
    assert ended == []
    assert capsys.readouterr().err.count("has taken longer") == 1
    more = Hung(requests, 1)
    watching.join(2)
    assert ended == [1]
    hung.over.set()
    more.over.set()


@pytest.mark.parametrize(("name", "limit"), [("SyncWorker", 30), ("ThreadWorker", 0)])
def test_a_worker_without_threads_or_a_limit_is_not_watched(
    monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    monkeypatch.setattr(threading, "Thread", lambda **_: pytest.fail("it is watched"))
    kind = type(name, (), {"cfg": types.SimpleNamespace(timeout=limit, threads=4)})
    hanging.Overdue().watch(kind())


def test_a_request_counts_until_its_answer_is_there() -> None:
    app_file(
        "plain.py",
        "from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import overdue\n"
        "def serve(environ, start_response):\n"
        "    running = list(overdue.overdue.running.values())\n"
        "    start_response('200 OK', [('X-Running', str(len(running)) + running[0][1])])\n"
        "    return []\n",
    )
    app = build_application(recorded("plain:serve"))
    assert ask(app, "/a b")[1]["X-Running"] == "1GET /a%20b"
    assert not hanging.overdue.running
