# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the parts of one release are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: A release is complete when it has this file, which is written last.
MARKER = "release.json"


@dataclass(frozen=True)
class Place:
    """The directory of one release of an app, and what is in it."""

    home: Path
    id: str
    subdirectory: str = ""

    @property
    def path(self) -> Path:
        """The release itself."""
        return self.home / "releases" / self.id

    @property
    def code(self) -> Path:
        """All of the source."""
        return self.path / "code"

    @property
    def app(self) -> Path:
        """The app's own directory in the code."""
        return self.code / self.subdirectory

    @property
    def venv(self) -> Path:
        """The virtualenv."""
        return self.path / "venv"

    @property
    def public(self) -> Path:
        """Static files, which the web server may read."""
        return self.path / "public"

    @property
    def upload(self) -> Path:
        """Where an archive or a wheel is brought to."""
        return self.path / "upload"

    @property
    def marker(self) -> Path:
        """The file that says that the release is complete."""
        return self.path / MARKER

    @property
    def shared(self) -> Path:
        """What outlives the release."""
        return self.home / "shared"

    @property
    def cache(self) -> Path:
        """What the commands of a build keep for the next one."""
        return self.home / "cache"

    @property
    def complete(self) -> bool:
        """Whether the release can be run."""
        return self.marker.is_file()

    def contains(self, path: Path) -> bool:
        """Whether a path is in the code when all links are followed."""
        return path.resolve().is_relative_to(self.code.resolve())
