"""A run with nothing to change on one host, against a ping."""

from __future__ import annotations

from bench.figures import at_most, in_turn, module_calls, report, tasks
from bench.host import one, ping, site

ROUNDS = 5
#: At most this many times a ping, so many module calls, so many tasks that run or are skipped.
LIMIT, CALLS, TASKS = 3.5, 4, 25


def measure() -> bool:
    """Time it, and count what it does."""
    one()
    pings, mine = in_turn(ROUNDS, ping, site)
    verbose = site("-vvv")
    return all(
        [
            report("no-change site.yml", mine, "ansible -m ping", pings, LIMIT),
            at_most("module calls of a no-change run", module_calls(verbose), CALLS),
            at_most("tasks of a no-change run, run or skipped", tasks(verbose), TASKS),
        ]
    )
