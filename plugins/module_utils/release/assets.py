# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprinted static files of all releases in one place.

A page that was opened before a switch finds its files there. They are links to the releases' own
files, so that they take no room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place
from ansible_collections.flaskops.stack.plugins.module_utils.release.trees import tree

#: Endings of compressed twins.
COMPRESSED = (".br", ".gz")


def gather(fingerprint: re.Pattern[str], releases: Iterable[Place], assets: Path) -> None:
    """Have the fingerprinted files of these releases in one place, and no others."""
    wanted: dict[Path, Path] = {}
    for release in releases if fingerprint.pattern else ():
        wanted.update(fingerprinted(fingerprint, release.public))
    try:
        link_all(wanted, assets)
    except OSError as error:
        raise ReleaseError(
            f"{assets}: the static files of all releases cannot be gathered: {error}"
        ) from error


def fingerprinted(fingerprint: re.Pattern[str], public: Path) -> Iterator[tuple[Path, Path]]:
    """Files whose names change with their content: their URL path, and where they are."""
    for path in map(Path, tree(public)):
        part = path.relative_to(public)
        plain = part.with_suffix("") if path.suffix in COMPRESSED else part
        if fingerprint.search(f"/{plain}") and path.is_file() and not path.is_symlink():
            yield part, path


def link_all(wanted: Mapping[Path, Path], place: Path) -> None:
    """Make hard links of ``wanted``, path in ``place`` to file, and remove what else is there."""
    for path in [Path(path) for path in tree(place)] if place.is_dir() else []:
        if path.is_file() and path.relative_to(place) not in wanted:
            path.unlink()
    for part, path in wanted.items():
        target = place / part
        for folder in (place / one for one in reversed(part.parents)):
            if not folder.is_dir():
                folder.mkdir()
                folder.chmod(0o755)
        if not target.exists():
            os.link(path, target)
