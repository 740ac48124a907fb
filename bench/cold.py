"""The first run on an empty host, against a shell script."""

from __future__ import annotations

from bench.figures import report, seconds
from bench.host import answers, by_hand, fresh, site

ROUNDS = 3
#: At most this many times the script.
LIMIT = 1.8


def measure() -> bool:
    """Time both on empty hosts, in turn."""
    mine: list[float] = []
    hand: list[float] = []
    for _ in range(ROUNDS):
        for action, results in ((by_hand, hand), (site, mine)):
            fresh()
            results.append(seconds(action, answers))
    return report("cold site.yml", mine, "a plain shell script", hand, LIMIT)
