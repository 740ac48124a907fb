# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workers of a generation share: who has passed, and whether a failure was told."""

from __future__ import annotations

import mmap
import os
import socket
import sys
import traceback

from .gate import NotReadyError
from .launch import NOTIFY_SOCKET, SHARED_FD

#: How the line begins that says why a generation refuses to serve; the last is uWSGI's own.
REASONS = (
    "The app cannot be loaded: ",
    "Health check failed: ",
    "A worker died before it could answer: ",
    "[strict-mode] unknown config directive: ",
)
#: Memory of all workers: byte 0 is set by the first that could not load the app, byte n by worker n
#: when it has passed, and byte n of the second half when it begins. Shared by fork; in uWSGI, whose
#: workers import this file each for itself, by the descriptor that ``launch`` left open.
HALF = mmap.PAGESIZE // 2
_shared = mmap.mmap(int(os.environ.pop(SHARED_FD, "-1")), mmap.PAGESIZE)


#: Where Flask looks for the app.
FINDS = os.path.join("flask", "cli.py")


class WorkerDiedError(Exception):
    """A worker has ended before all of them had passed the gate."""


def report(error: Exception) -> None:
    """Say once, not once a worker, why the generation refuses to serve."""
    if _shared[0]:
        return
    _shared[0] = 1
    if isinstance(error, NotReadyError):
        sys.stderr.write(f"{REASONS[1]}{error}\n")
    elif isinstance(error, WorkerDiedError):
        sys.stderr.write(f"{REASONS[2]}the lines above say how\n")
    else:  # with the app's own frames, not ours and not the import system's
        frames = traceback.extract_tb(error.__traceback__)
        foreign = (os.path.dirname(__file__), "<frozen")
        own = [
            frame
            for frame in frames
            if not frame.filename.startswith(foreign) and not frame.filename.endswith(FINDS)
        ]
        sys.stderr.write("".join(traceback.format_list(own)))
        text = str(error).strip().splitlines() or [""]
        if len(text) > 1:  # Flask quotes the traceback of a failed import: its last line says why
            sys.stderr.write("".join(f"{line}\n" for line in text))
            text = [text[0], text[-1]]
        sys.stderr.write(f"{REASONS[0]}{type(error).__name__}: {' '.join(text)}\n")
    sys.stderr.flush()


class Readiness:
    """Tells systemd that the unit is up once every worker has passed the gate.

    The servers say READY=1 before a worker has loaded the app; so NOTIFY_SOCKET is taken from them,
    and the worker that completes the number speaks instead.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.address = os.environ.pop("NOTIFY_SOCKET", "") or os.environ.pop(NOTIFY_SOCKET, "")

    def worker_begins(self, number: int) -> None:
        """Worker ``number`` (from 1) loads the app; WorkerDiedError when that has ended it before.

        For a server that replaces such a worker without asking.
        """
        if _shared[HALF + number] and not self.complete():
            raise WorkerDiedError
        _shared[HALF + number] = 1

    def worker_passed(self, number: int) -> bool:
        """Count worker ``number`` (from 1); True when all have passed and systemd was told.

        A higher number replaces a worker that died before it passed.
        """
        slot = number if number <= self.workers else _shared.find(b"\0", 1, self.workers + 1)
        if slot > 0:
            _shared[slot] = 1
        if not self.complete():
            return False
        self._notify(f"READY=1\nSTATUS=serving with {self.workers} workers")
        return True

    def complete(self) -> bool:
        """Whether all workers have passed."""
        return sum(_shared[1 : self.workers + 1]) >= self.workers

    def _notify(self, state: str) -> None:
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall(state.encode())
