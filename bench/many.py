"""A run with nothing to change on several hosts, against a ping of the same hosts."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from functools import partial

from bench import host
from bench.figures import changed, in_turn, per_host, report

ROUNDS = 3
#: At most this many times a ping, by the number of hosts.
LIMITS = {1: 3.5, 3: 5.0, 10: 5.0}


def measure() -> bool:
    """Time both on few and on many hosts, and tell what each further host costs."""
    host.fresh(max(LIMITS))
    host.site()
    runs: dict[int, Sequence[float]] = {}
    pings: dict[int, Sequence[float]] = {}
    kept = []
    for count, limit in LIMITS.items():
        few = ["--limit", f"all[0:{count - 1}]"]
        if hosts := changed(host.site(*few)):
            sys.exit(f"a run with nothing to change has changed {', '.join(hosts)}")
        pinged, run = in_turn(ROUNDS, partial(host.ping, *few), partial(host.site, *few))
        pings[count], runs[count] = pinged, run
        kept.append(
            report(f"no-change site.yml, {count} hosts", run, "a ping of them", pinged, limit)
        )
    for what, times in (("a run", runs), ("a ping", pings)):
        alone = statistics.median(times[1])
        print(f"{what}: {alone:.2f} s for one host, {per_host(times):.2f} s for each further host")
    return all(kept)
