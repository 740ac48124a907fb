# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an app's source is: the one text that people write, told apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

GIT_URL = re.compile(r"(git\+)?(https?|ssh|git|file)://|[^/]+@[^/]+:")
ARCHIVE = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar", ".zip")
#: PEP 427; uv and pip read name and version off the file's name.
WHEEL = re.compile(r"[\w.]+-[\w.!+]+(-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl")
#: One exact version, with extras or without: anything else would be another app tomorrow.
PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?==([0-9][0-9A-Za-z.!+_-]*)")
SHA256 = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
REVISION_LENGTH = 12


def app_source(source: str, checksum: str = "") -> dict[str, Any]:
    """What ``flask_app_source`` names.

    ``kind`` is git, directory, archive, wheel, url (an archive or a wheel), pypi, or empty for what
    is none of these. ``shown`` is the source without what must not be shown. An http address is
    git's unless it ends like an archive or there is a checksum for it.
    """
    source = str(source)
    found = {
        "kind": "",
        "shown": re.sub(r"//[^/@\s]*@", "//", source),
        "address": source,
        "login": "",
        "username": "",
        "password": "",
        "ssh": False,
        "requirement": "",
        "revision": "",
        "file": "",
    }
    if source.startswith("pypi:"):
        return found | _package(source.removeprefix("pypi:").strip())
    if GIT_URL.match(source):
        return found | _address(source, str(checksum))
    path = Path(source).expanduser()
    local = {"address": str(path), "file": path.name}
    if source and path.is_dir():
        return found | local | {"kind": "directory"}
    if source and path.is_file():
        if source.lower().endswith(ARCHIVE):
            return found | local | {"kind": "archive"}
        if WHEEL.fullmatch(path.name):
            return found | local | {"kind": "wheel"}
    return found


def _package(requirement: str) -> dict[str, Any]:
    """A package of an index, when its version is pinned."""
    pinned = PINNED.fullmatch(requirement)
    if not pinned:
        return {}
    return {"kind": "pypi", "requirement": requirement, "revision": pinned[2]}


def _address(source: str, checksum: str) -> dict[str, Any]:
    """An address: git's, or one to download."""
    web = re.match(r"(git\+)?https?://", source) is not None
    ssh = re.match(r"(git\+)?ssh://", source) is not None or "://" not in source
    if not web:
        return {"kind": "git", "ssh": ssh, "address": source.removeprefix("git+")}
    parts = urlsplit(source.removeprefix("git+"))
    bare = _without_login(parts)
    login, _, host = parts.netloc.rpartition("@")
    archive = parts.path.lower().endswith((*ARCHIVE, ".whl"))
    if source.startswith("git+") or not (archive or checksum):
        return {
            "kind": "git",
            "address": urlunsplit(bare),
            "shown": ("git+" if source.startswith("git+") else "") + urlunsplit(bare),
            "login": f"{parts.scheme}://{login}@{host}" if login else "",
        }
    username, _, password = login.partition(":")
    name = parts.path.rsplit("/", 1)[-1]
    digest = SHA256.fullmatch(checksum)
    return {
        "kind": "url",
        "address": urlunsplit(bare._replace(fragment="")),
        # A query can be a token.
        "shown": urlunsplit(bare._replace(query="", fragment="")),
        "username": unquote(username),
        "password": unquote(password),
        "file": name if WHEEL.fullmatch(name) else "archive",
        "revision": digest[1].lower()[:REVISION_LENGTH] if digest else "",
    }


def _without_login(parts: SplitResult) -> SplitResult:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2])


class FilterModule:
    """Filter flaskops.stack.app_source."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"app_source": app_source}
