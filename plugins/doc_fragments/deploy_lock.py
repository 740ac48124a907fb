# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``lock`` of the modules that take part in a deploy."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of module_utils.lock.LOCK_OPTIONS."""

    DOCUMENTATION = r"""
options:
  lock:
    description:
      - The deploy lock of the run, taken before anything is changed. The module switch lets go of
        it when the switch is over, and any module when it fails. Without it none is needed.
    type: dict
    suboptions:
      run:
        description: The run's name, MACHINE/PROCESS/TIME, that no other has.
        type: str
        required: true
      who:
        description: Who runs it, for people.
        type: str
        required: true
      minutes:
        description: How long the lock of a run counts that was killed, 0 to take it over.
        type: int
        default: 10
      alive:
        description: Runs that are alive on the same controller; no other of its locks counts.
        type: list
        elements: str
        default: []
"""
