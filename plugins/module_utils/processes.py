# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


class Processes:
    """Processes of the host, by their parents."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = root
        self.parents = dict(self._read())

    def _read(self) -> Iterator[tuple[int, int]]:
        for entry in self.root.iterdir():
            if entry.name.isdigit():
                try:
                    text = (entry / "stat").read_text("utf-8", errors="replace")
                except OSError:  # it has ended meanwhile
                    continue
                yield int(entry.name), int(text.rpartition(")")[2].split()[1])

    def children(self, pid: int) -> list[int]:
        """Direct children."""
        return sorted(child for child, parent in self.parents.items() if parent == pid and pid)

    def memory(self, pid: int) -> int:
        """Bytes of a process and its children, what they share counted once."""
        total = 0
        for one in (pid, *self.children(pid)):
            try:
                text = (self.root / str(one) / "smaps_rollup").read_text("utf-8")
            except OSError:
                continue
            found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
        return total
