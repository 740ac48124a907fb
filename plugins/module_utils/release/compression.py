# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static files as a web server hands them out: compressed beforehand, dated by their content."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.trees import tree

#: Files that a browser gets compressed, and the size in bytes from which that is worth it.
TEXT = (".css", ".html", ".ico", ".js", ".json", ".mjs", ".svg", ".txt", ".wasm", ".webmanifest")
WORTH_COMPRESSING = 1024
BROTLI = "/usr/bin/brotli"
#: Paths on one command line.
PATHS_AT_A_TIME = 500
#: Times of static files lie within 17 years from September 2001: past for every clock.
FIRST_DATE = 1_000_000_000
DATES = 2**29


def compress_texts(commands: Commands, folder: Path) -> None:
    """Put compressed texts beside the texts."""
    texts = [path for path in map(Path, tree(folder)) if worth_compressing(path)]
    if not texts:
        return
    commands.as_user(partial(compress, texts), f"compress {folder}")
    if not os.access(BROTLI, os.X_OK):
        return
    wanted = [str(path) for path in texts if not path.with_name(f"{path.name}.br").exists()]
    for start in range(0, len(wanted), PATHS_AT_A_TIME):
        commands.run(BROTLI, "--keep", "--", *wanted[start : start + PATHS_AT_A_TIME])


def worth_compressing(path: Path) -> bool:
    """Whether a browser would get a file faster if it were compressed."""
    return (
        path.suffix.lower() in TEXT
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size >= WORTH_COMPRESSING
    )


def compress(texts: Iterable[Path]) -> None:
    """Write what gzip makes of each text beside it, unless that is there or no smaller."""
    for path in texts:
        place = path.with_name(f"{path.name}.gz")
        if place.exists():
            continue
        data = path.read_bytes()
        packed = gzip.compress(data, mtime=0)
        if len(packed) < len(data):
            place.write_bytes(packed)


def date_by_content(root: Path) -> None:
    """Give each file a time that follows from what is in it.

    Web servers make an ETag of time and size. So a browser that has a file keeps it over a deploy,
    and from whichever host it came.
    """
    for path in map(Path, tree(root)):
        if path.is_file() and not path.is_symlink():
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
            moment = FIRST_DATE + int(digest.hexdigest(), 16) % DATES
            os.utime(path, (moment, moment))
