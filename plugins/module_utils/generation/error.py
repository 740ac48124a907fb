# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a switch was not made."""

from __future__ import annotations


class SwitchError(Exception):
    """The switch could not be made; the live generation still serves."""

    def __init__(self, message: str, log: list[str] | None = None) -> None:
        super().__init__(message)
        self.log = log or []
