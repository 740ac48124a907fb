# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a release was not built."""

from __future__ import annotations

from collections.abc import Sequence


class ReleaseError(Exception):
    """The release could not be built; nothing that runs was touched.

    ``log`` is the end of what a command has said.
    """

    def __init__(self, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.log = list(log)

    def told(self, before: str) -> ReleaseError:
        """The same with more before its message."""
        return ReleaseError(f"{before}{self}", self.log)
