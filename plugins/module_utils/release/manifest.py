# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of an app that says what to install."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.dotenv_files import upwards
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError

LOCK, PROJECT, SETUP = "uv.lock", "pyproject.toml", "setup.py"
#: The most exact first.
MANIFESTS = (LOCK, "requirements.txt", PROJECT, SETUP)
HASH = re.compile(r"^[^#\n]*\s--hash=", re.MULTILINE)
BUILD_SYSTEM = re.compile(r"^\[build-system\]", re.MULTILINE)
WORKSPACE = "[tool.uv.workspace]"


def manifest_of(app: Path, code: Path, requirements: str, *, extra: bool) -> str:
    """The file that says what to install, the given one or the first that is there.

    None, as an empty text, is enough where extra packages are given. Raises ReleaseError.
    """
    where = "at the top of the source" if app == code else f"in {app.relative_to(code)}"
    if requirements:
        if not (app / requirements).is_file():
            raise ReleaseError(
                f"flask_app_requirements: found {requirements!r}; there is no such file {where}"
            )
        return requirements
    for name in MANIFESTS:
        if (app / name).is_file():
            if name == LOCK and not (app / PROJECT).is_file():
                continue
            if name == PROJECT and in_workspace(app, code):
                return LOCK
            return name
    if extra:
        return ""
    raise ReleaseError(
        f"flask_app_source: found none of {', '.join(MANIFESTS)} {where}, so nothing says what to "
        "install; name a file of another name with flask_app_requirements, or the packages "
        "themselves with flask_app_extra_packages"
    )


def in_workspace(app: Path, code: Path) -> bool:
    """True when a directory above the app's locks it, as uv does for the members of a workspace."""
    for folder in upwards(app, code)[1:]:
        project = folder / PROJECT
        locked = (folder / LOCK).is_file() and project.is_file()
        if locked and WORKSPACE in project.read_text("utf-8").splitlines():
            return True
    return False


def hash_locked(requirements: str) -> bool:
    """True when a requirements file pins hashes; then every requirement must have one."""
    return HASH.search(requirements) is not None


def is_project(code: Path) -> bool:
    """True when pyproject.toml names a build system, uv's own rule for an installable project."""
    path = code / PROJECT
    return path.is_file() and BUILD_SYSTEM.search(path.read_text("utf-8")) is not None
