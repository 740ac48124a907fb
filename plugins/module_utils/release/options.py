# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module release is told, with its types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """The module's options of the same names; its documentation says what each is."""

    home: Path
    user: str
    id: str
    recipe: str
    revision: str
    source: str
    archive: str
    archive_name: str
    checkout: str | None
    requirement: str
    subdirectory: str
    environment: str
    environment_defaults: str
    files: str
    key_days: int
    make_key: bool
    installer: str
    uv_version: str
    python: str
    extra_packages: list[str]
    requirements: str
    build_commands: list[str]
    server_package: str
    build_environment: str
    shared_paths: list[str]
    static: dict[str, str]
    fingerprint: str
    keep: int

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Options:
        """The options by a module's parameters."""
        given = {field.name: params[field.name] for field in fields(cls)}
        return cls(**{**given, "home": Path(params["home"])})

    @property
    def comes_along(self) -> bool:
        """Whether the source comes with the options, and needs nothing that was prepared."""
        return bool(self.archive or self.requirement or self.checkout)
