# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start uWSGI, and say how many workers a host has by default.

The unit runs this file by its path, so it imports nothing of this package.
"""

from __future__ import annotations

import mmap
import os
import sys

#: Environment variables that ``launch`` sets for uWSGI and its workers.
SHARED_FD = "FLASKOPS_SHARED_FD"
NOTIFY_SOCKET = "FLASKOPS_NOTIFY_SOCKET"
PROCESSES = "FLASKOPS_PROCESSES"
#: Gunicorn documents (2 x cores) + 1 as the number of workers to start with.
WORKERS_PER_CORE = 2
#: Most workers that Gunicorn's design notes call useful for one app.
MOST_WORKERS = 12


def cores() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def default_workers() -> int:
    """Worker processes for this host: two per core and one more, at most twelve."""
    return min(WORKERS_PER_CORE * cores() + 1, MOST_WORKERS)


def launch(server: str, arguments: list[str]) -> None:
    """Become uWSGI: the module of this virtualenv when ``server`` is pyuwsgi, else that program.

    What the workers share is made here, because with ``lazy-apps`` uWSGI itself runs no Python
    before it forks.
    """
    memory = os.memfd_create("flaskops", 0)
    os.ftruncate(memory, mmap.PAGESIZE)
    os.environ[SHARED_FD] = str(memory)
    os.environ[NOTIFY_SOCKET] = os.environ.pop("NOTIFY_SOCKET", "")
    os.environ[PROCESSES] = str(default_workers())
    if server == "pyuwsgi":
        import pyuwsgi

        pyuwsgi.run(arguments)
    os.execv(server, [server, *arguments])


if __name__ == "__main__":
    # Python has put this directory first; the app's own modules may have the same names as these.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    launch(sys.argv[1], sys.argv[2:])
