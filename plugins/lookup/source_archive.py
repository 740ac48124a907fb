# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Source on the controller as one file whose revision is its content."""

from __future__ import annotations

DOCUMENTATION = r"""
name: source_archive
short_description: Pack source on the controller for deployment
version_added: 0.1.0
author: The flaskops.stack authors
description:
  - Packs a directory of the controller into a tar archive. Of a git checkout that is what git
    tracks, with the changes of the work tree; of any other directory everything but caches and
    virtualenvs.
  - The revision is a digest of names, modes and content, so the same files give the same one.
  - The archive has an entry for its own top, which says that it holds the source itself. It lies in
    Ansible's temporary directory and goes away with it.
  - A file is taken as it is, an archive or a wheel; its revision is a digest of its content.
options:
  _terms:
    description: Directories and files; relative ones start at the current directory.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Show what would be deployed
  ansible.builtin.debug:
    msg: "{{ lookup('flaskops.stack.source_archive', './shop').revision }}"
"""

RETURN = r"""
_raw:
  description:
    - One dict each, with its revision (str), the path of the archive (path) and whether it is
      small (bool), up to 256 KiB.
    - Of a small one also the content (str), in Base64, empty for a larger one. It can go with a
      module's options and spares the round trips of a copy.
  type: list
  elements: dict
"""

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
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

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


def pack(root: Path) -> tuple[str, bytes]:
    """Revision and gzipped tar of a directory; the same files give the same bytes."""
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


def found(revision: str, path: Path) -> dict[str, Any]:
    """What the lookup says of an archive."""
    small = path.stat().st_size <= SMALL
    content = base64.b64encode(path.read_bytes()).decode() if small else ""
    return {"revision": revision, "path": str(path), "small": small, "content": content}


class LookupModule(LookupBase):
    """Lookup flaskops.stack.source_archive."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Pack each directory; AnsibleLookupError names what cannot be read."""
        archives = []
        for term in terms:
            root = Path(term).expanduser().absolute()
            try:
                if root.is_file():
                    archives.append(found(digest_of(root), root))
                    continue
                if not root.is_dir():
                    raise AnsibleLookupError(f"source_archive: {root} is not a directory")
                revision, archive = pack(root)
            except OSError as error:
                raise AnsibleLookupError(f"source_archive: {error}") from error
            path = Path(vars(C)["DEFAULT_LOCAL_TMP"]) / f"source-{revision}.tar.gz"
            path.write_bytes(archive)
            archives.append(found(revision, path))
        return archives
