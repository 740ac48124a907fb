"""The figures of the bench, read from the output of runs."""

from __future__ import annotations

from bench import figures

RECAP = """\
PLAY RECAP *********************************************************************
bench0  : ok=20   changed=0    unreachable=0    failed=0    skipped=50   rescued=0    ignored=0
bench1  : ok=22   changed=3    unreachable=0    failed=0    skipped=51   rescued=0    ignored=0
"""
VERBOSE = """\
Using module file /x/ansible/modules/ping.py
Using module file /x/ansible/modules/set_fact.py
<10.0.0.1> Using module file is not at the beginning
Using module file /x/plugins/modules/switch.py
"""


def test_tasks_and_changes_are_read_from_the_recap() -> None:
    assert figures.tasks(RECAP) == 73
    assert figures.changed(RECAP) == ["bench1"]


def test_module_calls_are_counted() -> None:
    assert figures.module_calls(VERBOSE) == 2


def test_what_a_further_host_costs() -> None:
    assert figures.per_host({1: [2.0, 1.0, 3.0], 3: [9.0], 10: [11.0]}) == 1.0


def test_things_are_done_in_turn() -> None:
    done: list[str] = []
    times = figures.in_turn(2, lambda: done.append("a"), lambda: done.append("b"))
    assert done == ["a", "b", "a", "b"]
    assert [len(one) for one in times] == [2, 2]
