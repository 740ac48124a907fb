"""Figures: how long something takes, how often it is done, and whether that reaches an aim."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence

RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) .*? skipped=(\d+) ", re.MULTILINE)
MODULE = re.compile(r"^Using module file (?!.*/(?:set_fact|assert)\.py)", re.MULTILINE)


def seconds(*actions: Callable[[], object]) -> float:
    """How long it takes to do one thing after the other."""
    start = time.monotonic()
    for action in actions:
        action()
    return time.monotonic() - start


def in_turn(rounds: int, *ways: Callable[[], object]) -> list[list[float]]:
    """Do each thing in turn, so many times; the seconds of each."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, times in zip(ways, found, strict=True):
            times.append(seconds(way))
    return found


def report(what: str, mine: list[float], other: str, yardstick: list[float], limit: float) -> bool:
    """Print one line of the result; True when it reaches the aim."""
    ratio = statistics.median(mine) / statistics.median(yardstick)
    figures = [" ".join(f"{value:.1f}" for value in values) for values in (mine, yardstick)]
    said = "reached" if ratio <= limit else "not reached"
    print(f"{what}: {ratio:.2f} times {other}; the aim, {limit:.1f}, is {said}")
    print(f"  {what}: {figures[0]} s\n  {other}: {figures[1]} s", flush=True)
    return ratio <= limit


def module_calls(verbose: str) -> int:
    """Module calls in the output of a run with -vvv: one for each module that was started."""
    return len(MODULE.findall(verbose))


def tasks(output: str) -> int:
    """Tasks that ran or were skipped on the host that had most of them, by the run's recap."""
    return max(int(ok) + int(skipped) for _, ok, _, skipped in RECAP.findall(output))


def changed(output: str) -> list[str]:
    """Hosts on which a run changed something, by its recap."""
    return [host for host, _, count, _ in RECAP.findall(output) if count != "0"]


def at_most(what: str, count: int, limit: int) -> bool:
    """Print a count; True when it reaches the aim."""
    said = "reached" if count <= limit else "not reached"
    print(f"{what}: {count}; the aim, {limit}, is {said}", flush=True)
    return count <= limit


def per_host(times: dict[int, Sequence[float]]) -> float:
    """Seconds that each further host costs, from the fewest hosts to the most."""
    few, most = min(times), max(times)
    return (statistics.median(times[most]) - statistics.median(times[few])) / (most - few)
