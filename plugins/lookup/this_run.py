# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which run of Ansible this is, who started it, and which others are alive on this controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: this_run
short_description: Name this run of Ansible, for a lock
version_added: 0.1.0
author: The flaskops.stack authors
description:
  - Names the run by the controller and the process, so that no two runs have one name.
  - Tells which runs are alive on this controller, so that the lock of a dead one need not be
    respected.
options:
  minutes:
    description: Minutes for which a lock of this run counts, which the result hands on.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Show who deploys
  ansible.builtin.debug:
    msg: "{{ lookup('flaskops.stack.this_run').who }}"
"""

RETURN = r"""
_raw:
  description:
    - One dict with the run (str), who started it (str), the runs that are alive (list) and the
      minutes (int).
  type: list
  elements: dict
"""

import getpass
import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

#: Minutes for which the lock of a run counts that nobody can ask.
MINUTES = 10
#: Words of a command line that name the program: interpreter, its options, the script.
PROGRAM = 4


@dataclass(frozen=True)
class Process:
    """A process of this machine, as ps tells it."""

    pid: int
    parent: int
    started: str
    words: tuple[str, ...]

    @property
    def of_ansible(self) -> bool:
        return any(PurePath(word).name.startswith("ansible") for word in self.words[:PROGRAM])


#: pid, parent and the five words of the time it was started.
COLUMNS = 7


def processes(text: str) -> dict[int, Process]:
    """The lines of ``ps -axo pid=,ppid=,lstart=,args=``."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > COLUMNS:
            pid, parent, started = int(words[0]), int(words[1]), "-".join(words[2:COLUMNS])
            found[pid] = Process(pid, parent, started, tuple(words[COLUMNS:]))
    return found


def main_process(there: dict[int, Process], pid: int) -> Process | None:
    """The first of the processes of Ansible above one, which lives as long as the run."""
    found = None
    while pid in there and (found is None or there[pid].of_ansible):
        found, pid = there[pid], there[pid].parent
    return found


class LookupModule(LookupBase):
    """Lookup flaskops.stack.this_run."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Name the run; AnsibleLookupError where ps does not work."""
        columns = ["pid=", "ppid=", "lstart=", "args="]
        try:
            told = subprocess.run(
                ["ps", "-axo", ",".join(columns)],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | {"LC_ALL": "C"},
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise AnsibleLookupError(f"this_run: {error}") from error
        there = processes(told.stdout)
        main = main_process(there, os.getpid())
        machine = f"{os.uname().nodename}/{uuid.getnode():x}"

        def name(process: Process) -> str:
            return f"{machine}/{process.pid}/{process.started}"

        return [
            {
                "run": name(main) if main else f"{machine}/{os.getpid()}",
                "who": f"{getpass.getuser()}@{os.uname().nodename}",
                "minutes": int(kwargs.get("minutes", MINUTES)),
                "alive": [name(one) for one in there.values() if one.of_ansible],
            }
        ]
