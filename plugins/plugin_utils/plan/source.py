# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an app's source is: the one text that people write, told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

GIT_URL = re.compile(r"(git\+)?(https?|ssh|git|file)://|[^/]+@[^/]+:")
ARCHIVE = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar", ".zip")
#: PEP 427; uv and pip read name and version off the file's name.
WHEEL = re.compile(r"[\w.]+-[\w.!+]+(-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl")
#: One exact version, with extras or without: anything else would be another app tomorrow.
PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?==([0-9][0-9A-Za-z.!+_-]*)")
SHA256 = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
REVISION_LENGTH = 12
#: Name of a downloaded file whose own name says nothing that pip or uv must know.
DOWNLOAD = "archive"


@dataclass(frozen=True)
class Source:
    """A source.

    ``kind`` is git, directory, archive, wheel, url (an archive or a wheel), pypi, or empty for what
    is none of these. ``shown`` is the source without what must not be shown. ``login`` is what git
    has to know of an https address, ``username`` and ``password`` belong to a download.
    ``revision`` is there where the text alone tells it.
    """

    kind: str = ""
    shown: str = ""
    address: str = ""
    login: str = ""
    username: str = ""
    password: str = ""
    ssh: bool = False
    requirement: str = ""
    revision: str = ""
    file: str = ""

    @property
    def is_package(self) -> bool:
        """Whether it is installed as a whole, so that there is no code beside it."""
        return self.kind in {"pypi", "wheel"} or (self.kind == "url" and self.file != DOWNLOAD)

    @property
    def on_controller(self) -> bool:
        """Whether its files are on the controller."""
        return self.kind in {"directory", "archive", "wheel"}


def read_source(text: str, checksum: str = "") -> Source:
    """What ``flask_app_source`` names.

    An http address is git's unless it ends like an archive or there is a checksum for it.
    """
    source = Source(shown=re.sub(r"//[^/@\s]*@", "//", text), address=text)
    if text.startswith("pypi:"):
        return package(source, text.removeprefix("pypi:").strip())
    if GIT_URL.match(text):
        try:
            return at_address(source, text, checksum)
        except ValueError:  # such as an IPv6 address that is none
            return source
    return on_controller(source, Path(text).expanduser()) if text else source


def on_controller(source: Source, path: Path) -> Source:
    """A directory or a file, when it is there."""
    found = replace(source, address=str(path), file=path.name)
    if path.is_dir():
        return replace(found, kind="directory")
    if path.is_file() and path.name.lower().endswith(ARCHIVE):
        return replace(found, kind="archive")
    if path.is_file() and WHEEL.fullmatch(path.name):
        return replace(found, kind="wheel")
    return source


def package(source: Source, requirement: str) -> Source:
    """A package of an index, when its version is pinned."""
    pinned = PINNED.fullmatch(requirement)
    if not pinned:
        return source
    return replace(source, kind="pypi", requirement=requirement, revision=pinned[2])


def at_address(source: Source, text: str, checksum: str) -> Source:
    """An address: git's, or one to download."""
    web = re.match(r"(git\+)?https?://", text) is not None
    ssh = re.match(r"(git\+)?ssh://", text) is not None or "://" not in text
    if not web:
        return replace(source, kind="git", ssh=ssh, address=text.removeprefix("git+"))
    parts = urlsplit(text.removeprefix("git+"))
    bare = without_login(parts)
    login, _, host = parts.netloc.rpartition("@")
    archive = parts.path.lower().endswith((*ARCHIVE, ".whl"))
    if text.startswith("git+") or not (archive or checksum):
        return replace(
            source,
            kind="git",
            address=urlunsplit(bare),
            shown=("git+" if text.startswith("git+") else "") + urlunsplit(bare),
            login=f"{parts.scheme}://{login}@{host}" if login else "",
        )
    username, _, password = login.partition(":")
    name = parts.path.rsplit("/", 1)[-1]
    digest = SHA256.fullmatch(checksum)
    return replace(
        source,
        kind="url",
        address=urlunsplit(bare._replace(fragment="")),
        # A query can be a token.
        shown=urlunsplit(bare._replace(query="", fragment="")),
        username=unquote(username),
        password=unquote(password),
        file=name if WHEEL.fullmatch(name) else DOWNLOAD,
        revision=digest[1].lower()[:REVISION_LENGTH] if digest else "",
    )


def without_login(parts: SplitResult) -> SplitResult:
    """An address without user and password."""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2])
