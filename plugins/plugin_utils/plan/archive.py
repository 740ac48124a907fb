# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Source on the controller as one file whose revision is its content."""

from __future__ import annotations

import base64
import hashlib
import io
import lzma
import os
import stat
import subprocess
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

#: Never part of an app, in a directory that git does not know.
SKIPPED = {
    ".git",
    ".hg",
    ".venv",
    "venv",
    "__pycache__",
    "node_modules",
    "instance",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
}
REVISION_LENGTH = 12
#: Bytes of an archive that still goes with a module's options.
SMALL = 256 * 1024


@dataclass(frozen=True)
class Archive:
    """A file to upload; ``content`` is Base64, and empty for a file that is not small.

    A small one can go with a module's options and spares the round trips of a copy.
    """

    revision: str = ""
    path: str = ""
    content: str = ""


def archive_of(source: Path, folder: Path) -> Archive:
    """A directory as an archive in ``folder``, or a file as it is; OSError says what is wrong.

    Of a git checkout a directory's files are what git tracks, with the changes of the work tree; of
    any other directory everything but caches and virtualenvs.
    """
    if source.is_file():
        return archive(digest_of(source), source)
    revision, packed = pack(source)
    path = folder / f"source-{revision}.tar.gz"
    # Other hosts' plans write the same file at the same time.
    draft = folder / f"source-{revision}.{os.getpid()}"
    draft.write_bytes(packed)
    draft.replace(path)
    return archive(revision, path)


def archive(revision: str, path: Path) -> Archive:
    """A file that is there, with its content when it is small."""
    small = path.stat().st_size <= SMALL
    content = base64.b64encode(path.read_bytes()).decode() if small else ""
    return Archive(revision, str(path), content)


def pack(root: Path) -> tuple[str, bytes]:
    """Revision and gzipped tar of a directory; the same files give the same bytes.

    The archive has an entry for its own top, which says that it holds the source itself.
    """
    try:
        names = listed_by_git(root)
    except FileNotFoundError:  # no git on the controller
        names = None
    if not names:
        names = listed_by_walk(root)
    digest = hashlib.sha256()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        top = tarfile.TarInfo(".")
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(top)
        for name in sorted(set(names)):
            path = root / name
            try:
                status = path.lstat()
            except FileNotFoundError:  # tracked, but deleted in the work tree
                continue
            mode = status.st_mode
            info = tarfile.TarInfo(name)
            info.mtime = int(status.st_mtime)
            if stat.S_ISLNK(mode):
                info.type, info.linkname, content = tarfile.SYMTYPE, os.readlink(path), b""
            elif stat.S_ISREG(mode):
                content = path.read_bytes()
                info.mode = 0o755 if mode & stat.S_IXUSR else 0o644
                info.size = len(content)
            else:
                continue
            head = f"{name}\0{info.mode:o}\0{info.linkname}\0{len(content)}\0"
            digest.update(os.fsencode(head) + content)
            tar.addfile(info, io.BytesIO(content))
    return digest.hexdigest()[:REVISION_LENGTH], buffer.getvalue()


def listed_by_git(root: Path) -> list[str] | None:
    """What git tracks below ``root``, None where it is no checkout."""
    done = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--recurse-submodules", "--", "."],
        capture_output=True,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )
    if b"not a git repository" in done.stderr:
        return None
    if done.returncode != 0:
        raise OSError(f"{root}: git says: {os.fsdecode(done.stderr).strip()}")
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def listed_by_walk(root: Path) -> list[str]:
    """Every file below ``root`` that can belong to an app."""
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        kept = (name for name in [*files, *links] if not name.endswith(".pyc"))
        found.extend(os.path.relpath(os.path.join(folder, name), root) for name in kept)
    return found


def digest_of(path: Path) -> str:
    """Revision of a file; OSError says when it is none that could be unpacked or installed."""
    content = path.read_bytes()
    try:
        known = zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (EOFError, lzma.LZMAError, zlib.error):
        known = False
    if not known:
        raise OSError(f"{path} is neither a tar nor a zip archive, or it is damaged")
    return hashlib.sha256(content).hexdigest()[:REVISION_LENGTH]
