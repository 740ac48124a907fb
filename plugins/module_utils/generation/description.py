# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the switch writes down of an app: how it runs, and which unit files are its own.

A unit is written down before its file is there, so that whoever removes the app after a run that
was killed finds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.flaskops.stack.plugins.module_utils.app_state import (
    AppFile,
    AppState,
    Facts,
)
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.generation.units import Units
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import App


class Description:
    """The file app.json of one app, kept up with what is on the disk."""

    def __init__(self, app: App, store: Generations, units: Units) -> None:
        self.app = app
        self.store = store
        self.units = units
        self.file = AppFile(app.name, app.apps_folder)

    def is_current(self, facts: Facts) -> bool:
        """Whether it says what is the case."""
        known = self.file.read()
        return known == self._state(known, facts, {})

    def claim(self, facts: Facts, number: int, units: Iterable[str]) -> None:
        """Write down units before their files are there; 0 stands for those that are shared.

        ``facts`` count only where nothing is known of the app: they are those of a generation that
        is not live yet.
        """
        known = self.file.read()
        state = self._state(known, known.facts if known else facts, {number: units})
        self.file.write(state)

    def settle(self, facts: Facts) -> None:
        """Write down how the app runs now, and the units that are there."""
        self.file.write(self._state(self.file.read(), facts, {}))

    def forget_what_is_gone(self) -> None:
        """After a failure only the units that are there count; without any there is no app."""
        known = self.file.read()
        if known is None:
            return
        state = self._state(known, known.facts, {})
        if state.all_units:
            self.file.write(state)
        else:
            self.file.remove()

    def _state(
        self, known: AppState | None, facts: Facts, more: Mapping[int, Iterable[str]]
    ) -> AppState:
        numbers = {*self.store.numbers(), *(number for number in more if number)}
        if known:
            numbers |= {int(number) for number in known.generations}
        generations = {
            number: self._of(self.units.of(number), more.get(number, ()))
            for number in sorted(numbers)
        }
        return AppState(
            **vars(facts),
            name=self.app.name,
            home=str(self.app.home),
            keep=self.app.keep,
            units=self._of(self.units.shared, more.get(0, ())),
            generations={str(number): units for number, units in generations.items() if units},
        )

    def _of(self, possible: Iterable[str], more: Iterable[str]) -> list[str]:
        """Those of some units that have a file, and others that will have one."""
        there = [unit for unit in possible if self.units.read(unit) is not None]
        return list(dict.fromkeys([*there, *more]))
