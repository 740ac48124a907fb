# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published static files, answered for as nginx does."""

from __future__ import annotations

import io
import mimetypes
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path

from .wsgi import Environ, StartResponse, Wsgi

#: Pattern of the paths whose content never changes, and how many seconds browsers keep any other.
STATIC_FINGERPRINT = "FLASKOPS_STATIC_FINGERPRINT"
STATIC_MAX_AGE = "FLASKOPS_STATIC_MAX_AGE"
#: Without these: what the roles flask_app and nginx have for them.
DEFAULT_FINGERPRINT = r"[.-][0-9a-f]{8,}([.][A-Za-z0-9]+)+$"
DEFAULT_MAX_AGE = "300"
#: What stands compressed beside a file, the smallest first: suffix and Content-Encoding.
COMPRESSED = ((b".br", "br"), (b".gz", "gzip"))
#: Types that not every Python knows.
MORE_TYPES = {
    ".avif": "image/avif",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
#: Bytes of a file that are read at a time.
BLOCK = 65536
#: Status, headers and body.
Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]


def with_published(app: Wsgi, directory: Path) -> Wsgi:
    """The app, with its published files before it when there are any.

    A web host that does not run the app asks it for them.
    """
    published = Published.of(directory)
    if not published.tops:
        return app

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if published.may_have(environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]):
            answer = published.answer(environ)
            if answer:
                status, headers, body = answer
                start_response(status, headers)
                return body
        return app(environ, start_response)

    return application


class Published:
    """Answers for the files of the release, and for the fingerprinted ones of all that are kept.

    As nginx does where it has them: roles/nginx/templates/parts/pages.jinja.
    """

    @classmethod
    def of(cls, directory: Path) -> Published:
        """The files of a generation, and those that its app keeps for pages that are open."""
        roots = (directory / "release" / "public", directory.parent.parent / "assets")
        return cls(*(os.fsencode(os.path.realpath(root)) for root in roots))

    def __init__(self, *roots: bytes) -> None:
        self.roots = roots
        #: What stands at the top: no other path costs more than a look in here.
        self.tops = {name.decode("latin-1") for root in roots for name in _listed(root)}
        self.fingerprint = re.compile(os.environ.get(STATIC_FINGERPRINT, DEFAULT_FINGERPRINT))
        self.max_age = os.environ.get(STATIC_MAX_AGE, DEFAULT_MAX_AGE)

    def may_have(self, path: str, method: str) -> bool:
        """Whether it is worth a look."""
        return path[1:].partition("/")[0] in self.tops and method in ("GET", "HEAD")

    def answer(self, environ: Environ) -> Answer | None:
        """The answer where there is such a file that can be read."""
        found = self._find(environ["PATH_INFO"])
        if found:
            with suppress(OSError):
                return self._answer(*found, environ)
        return None

    def _find(self, path: str) -> tuple[bytes, os.stat_result] | None:
        """Place and status of the file that a path names."""
        if not path.startswith("/") or "\0" in path:
            return None
        if not {"", ".", ".."}.isdisjoint(path[1:].split("/")):
            return None
        with suppress(UnicodeEncodeError):  # never by PEP 3333
            name = path.encode("latin-1")
            for root in self.roots:
                place = root + name
                status = _regular(place)
                folder = os.path.dirname(place)
                if status and os.path.realpath(folder) == folder:
                    return place, status
        return None

    def _answer(
        self,
        place: bytes,
        status: os.stat_result,
        environ: Environ,
    ) -> Answer:
        """The answer, or OSError."""
        path = environ["PATH_INFO"]
        headers = [("Content-Type", _type(path)), ("Cache-Control", self._cache_control(path))]
        accepted = _accepted(environ.get("HTTP_ACCEPT_ENCODING", ""))
        variants = [(suffix, name, _regular(place + suffix)) for suffix, name in COMPRESSED]
        if any(variant for _, _, variant in variants):
            headers.append(("Vary", "Accept-Encoding"))
        for suffix, name, variant in variants:
            if variant and name in accepted:
                place, status = place + suffix, variant
                headers.append(("Content-Encoding", name))
                break
        # As nginx writes them, so that it does not matter who is asked.
        size, tag = status.st_size, f'"{int(status.st_mtime):x}-{status.st_size:x}"'
        modified = formatdate(int(status.st_mtime), usegmt=True)
        headers += [("ETag", tag), ("Last-Modified", modified), ("Accept-Ranges", "bytes")]
        if _known(environ, tag, modified):
            return "304 Not Modified", headers[1:], ()
        begin, end = _range(environ, size, tag, modified)
        if begin >= end and size:
            headers = [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")]
            return "416 Range Not Satisfiable", headers, ()
        headers.append(("Content-Length", str(end - begin)))
        whole = (begin, end) == (0, size)
        if not whole:
            headers.append(("Content-Range", f"bytes {begin}-{end - 1}/{size}"))
        file = io.FileIO(place)
        status_line = "200 OK" if whole else "206 Partial Content"
        if environ["REQUEST_METHOD"] == "HEAD" or not size:
            file.close()
            return status_line, headers, ()
        if whole and "wsgi.file_wrapper" in environ:
            return status_line, headers, environ["wsgi.file_wrapper"](file, BLOCK)
        return status_line, headers, _blocks(file, begin, end)

    def _cache_control(self, path: str) -> str:
        if self.fingerprint.pattern and self.fingerprint.search(path):
            return "public, max-age=31536000, immutable"
        return f"public, max-age={self.max_age}"


def _type(path: str) -> str:
    """The Content-Type of a file; one that is compressed is not told to be what is in it."""
    kind, packed = mimetypes.guess_type(path)
    kind = kind or MORE_TYPES.get(os.path.splitext(path)[1].lower())
    return kind if kind and not packed else "application/octet-stream"


def _listed(root: bytes) -> list[bytes]:
    """What is in a directory, nothing when there is none."""
    try:
        return os.listdir(root)
    except OSError:
        return []


def _regular(place: bytes) -> os.stat_result | None:
    """The status of a regular file, which is no link itself."""
    try:
        status = os.lstat(place)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _accepted(header: str) -> set[str]:
    """Codings that an Accept-Encoding names and does not rule out."""
    found = set()
    for one in header.lower().split(","):
        coding, _, quality = one.partition(";")
        if not re.fullmatch(r"\s*q=0(\.0*)?\s*", quality):
            found.add(coding.strip())
    return found


def _known(environ: Environ, tag: str, modified: str) -> bool:
    """Whether the client has it already. nginx makes a tag weak when it compresses."""
    tags = environ.get("HTTP_IF_NONE_MATCH")
    if tags is None:
        return bool(environ.get("HTTP_IF_MODIFIED_SINCE") == modified)
    given = {one.strip().removeprefix("W/") for one in tags.split(",")}
    return not given.isdisjoint({tag, "*"})


def _range(environ: Environ, size: int, tag: str, modified: str) -> tuple[int, int]:
    """First byte and the one behind the last; all of them unless one range is asked for."""
    asked = re.fullmatch(
        r"bytes=([0-9]{0,18})-([0-9]{0,18})", environ.get("HTTP_RANGE", "").strip()
    )
    condition = environ.get("HTTP_IF_RANGE", tag)
    if environ["REQUEST_METHOD"] == "HEAD" or condition not in (tag, modified):
        return 0, size
    if not asked or not size:
        return 0, size
    first, last = asked.groups()
    if not first:
        return (max(size - int(last), 0), size) if last else (0, size)
    if last and int(last) < int(first):
        return 0, size
    return int(first), min(int(last) + 1, size) if last else size


def _blocks(file: io.FileIO, begin: int, end: int) -> Iterator[bytes]:
    """A part of a file, which is closed after it."""
    with file:
        file.seek(begin)
        while begin < end:
            block = file.read(min(BLOCK, end - begin))
            if not block:
                return
            begin += len(block)
            yield block
