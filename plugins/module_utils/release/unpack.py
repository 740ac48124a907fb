# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of an app's source, unpacked so that nothing is written outside of one directory.

Not with the standard library's own extraction: its filters are missing in Debian 12's Python, and
``zipfile`` forgets modes and links.
"""

from __future__ import annotations

import calendar
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: Times that a wheel built of the files can hold too, in Unix seconds: a zip begins in 1980, and
#: archives made to be the same every time often say 1970.
EARLIEST = calendar.timegm((1980, 1, 2, 0, 0, 0))
LATEST = 2**31 - 1


class ArchiveError(Exception):
    """The archive cannot be unpacked, or must not be."""


Parts = tuple[str, ...]
Opener = Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Entry:
    """What an archive holds under one name; just one of content, link and twin is set."""

    parts: Parts
    executable: bool = False
    mtime: int = 0
    content: Opener | None = None
    #: Where a symbolic link leads.
    link: str = ""
    #: The entry that a hard link is another name of.
    twin: Parts = ()

    @property
    def is_directory(self) -> bool:
        return not (self.content or self.link or self.twin)


def unpack(archive: Path, target: Path, subdirectory: str = "") -> None:
    """Fill ``target``, which is empty, with what an archive holds.

    A single directory that everything lies in is left out, as the archives of forges and of
    ``git archive --prefix`` have one, but not where the archive has an entry for its own top, as
    ``tar -C shop .`` makes it, nor where ``subdirectory`` is found beside it. Raises ArchiveError
    for a damaged archive, a device, and a name that leads out of the archive or through a link.
    """
    try:
        with _opened(archive) as found:
            entries = _without_top({entry.parts: entry for entry in found}, subdirectory)
            _refuse_ways_through_links(entries)
            _write(entries, target)
    except ArchiveError:
        raise
    except Exception as error:  # what a damaged archive makes the standard library raise
        raise ArchiveError(f"{archive.name}: {error}") from error


@contextmanager
def _opened(archive: Path) -> Iterator[list[Entry]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield [_from_zip(file, info) for info in file.infolist()]
    else:
        with tarfile.open(archive) as tar:
            yield [_from_tar(tar, member) for member in tar]


def _from_tar(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    parts, mtime = _parts(member.name), int(member.mtime)
    if member.isdir():
        return Entry(parts)
    if member.issym():
        return Entry(parts, link=member.linkname)
    if member.islnk():
        return Entry(parts, bool(member.mode & stat.S_IXUSR), mtime, twin=_parts(member.linkname))
    if not member.isreg():
        raise ArchiveError(f"{member.name!r} is neither a file, a directory nor a link")

    def content() -> IO[bytes]:
        return tar.extractfile(member) or io.BytesIO()

    return Entry(parts, bool(member.mode & stat.S_IXUSR), mtime, content)


def _from_zip(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    parts, mode = _parts(info.filename), info.external_attr >> 16
    if info.is_dir():
        return Entry(parts)
    if info.flag_bits & 1:
        raise ArchiveError(f"{info.filename!r} is encrypted")
    if stat.S_ISLNK(mode):
        return Entry(parts, link=os.fsdecode(file.read(info)))
    mtime = calendar.timegm((*info.date_time, 0, 0, 0))
    return Entry(parts, bool(mode & stat.S_IXUSR), mtime, lambda: file.open(info))


def _parts(name: str) -> Parts:
    """A name's components; ArchiveError when it leads out of the archive."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts:
        raise ArchiveError(f"{name!r} leads out of the archive")
    return parts


def _without_top(entries: dict[Parts, Entry], subdirectory: str) -> dict[Parts, Entry]:
    """Entries by their place in the source."""
    tops = {parts[:1] for parts in entries}
    wanted = tuple(part for part in subdirectory.split("/") if part not in ("", "."))
    beside = wanted and any(parts[: len(wanted)] == wanted for parts in entries)
    alone = all(entry.is_directory for parts, entry in entries.items() if parts in tops)
    if len(tops) != 1 or () in tops or beside or not alone:
        return entries
    return {parts[1:]: entry for parts, entry in entries.items()}


def _refuse_ways_through_links(entries: dict[Parts, Entry]) -> None:
    links = {parts for parts, entry in entries.items() if entry.link}
    for parts in entries:
        if any(parts[:length] in links for length in range(len(parts))):
            raise ArchiveError(f"{'/'.join(parts)!r} leads through a link")


def _write(entries: dict[Parts, Entry], target: Path) -> None:
    """Directories and files first, links last: so no link is there to be followed."""
    files = {entry.parts: entry for entry in entries.values() if entry.content}
    for parts, entry in entries.items():
        place = target.joinpath(*parts)
        if entry.link:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        source = files.get(entry.twin) if entry.twin else entry
        if source is None:
            raise ArchiveError(f"{'/'.join(parts)!r} is a link to what is not in the archive")
        if source.content is None:
            place.mkdir(exist_ok=True)
            continue
        with source.content() as reader, place.open("xb") as writer:
            shutil.copyfileobj(reader, writer)
        place.chmod(0o755 if entry.executable else 0o644)
        mtime = min(max(entry.mtime, EARLIEST), LATEST)
        os.utime(place, (mtime, mtime))
    for parts, entry in entries.items():
        if entry.link:
            place = target.joinpath(*parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(entry.link)
