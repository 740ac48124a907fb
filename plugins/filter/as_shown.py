# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message for people or programs, in the form in which Ansible's output leaves it readable."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def as_shown(value: Any, result_format: str) -> Any:
    """Where Ansible prints YAML, one text: lines joined, data as JSON. Else the value as it is.

    A text with line breaks shows well in YAML; in JSON it would be one long line.
    """
    if result_format != "yaml":
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False)


class FilterModule:
    """Filters of flaskops.stack."""

    def filters(self) -> dict[str, Callable[[Any, str], Any]]:
        """Filters by name."""
        return {"as_shown": as_shown}
