# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of a release: an upload, a checkout or a package becomes what is built from."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.options import Options
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place
from ansible_collections.flaskops.stack.plugins.module_utils.release.requirement import (
    requirement_name,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.trees import give, remove_git
from ansible_collections.flaskops.stack.plugins.module_utils.release.unpack import unpack

WHEEL = ".whl"


@dataclass(frozen=True)
class Package:
    """The app, where it comes as a package and there is no code."""

    #: The distribution that is the app.
    name: str
    #: What the installer is asked for: a requirement, or the path of a wheel.
    wanted: str
    #: The same for people.
    shown: str


def bring(options: Options, place: Place) -> None:
    """Put what comes with the options where an upload would be."""
    if options.checkout:
        copy_checkout(options.checkout, place.code, options.revision)
    if options.archive:
        path = place.upload / os.path.basename(options.archive_name)
        path.write_bytes(base64.b64decode(options.archive))


def copy_checkout(checkout: str, code: Path, revision: str) -> None:
    """Take the code that git fetched; another run may have fetched another revision meanwhile."""
    copy = ["cp", "--archive", "--no-target-directory", checkout, str(code)]
    ask = ["git", f"--git-dir={checkout}.git", "rev-parse", "HEAD"]
    try:
        subprocess.run(copy, capture_output=True, text=True, check=True)
        head = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except subprocess.CalledProcessError as error:
        raise ReleaseError(f"{checkout}: {error.stderr.strip()}") from error
    if head != revision:
        raise ReleaseError("another run has fetched another revision meanwhile; try again")


def uploaded(place: Place) -> Path | None:
    """What was uploaded instead of code."""
    return next(iter(place.upload.glob("*")), None)


def package_of(upload: Path | None, requirement: str) -> Package | None:
    """The package that is the app, None where there is code."""
    if upload is not None:
        if upload.suffix != WHEEL:
            return None
        return Package(requirement_name(upload.name.split("-")[0]), str(upload), upload.name)
    if requirement:
        return Package(requirement_name(requirement), requirement, requirement)
    return None


def open_up(place: Place, commands: Commands, requirement: str) -> Package | None:
    """Make code of an uploaded archive; of a package, say which it is."""
    owner, upload = commands.owner, uploaded(place)
    remove_git(place.code)
    give(place.code, owner.uid, owner.gid)
    if upload is not None:
        give(upload.parent, owner.uid, owner.gid)
    package = package_of(upload, requirement)
    if upload is not None and package is None:
        action = partial(unpack, upload, place.code, place.subdirectory)
        commands.as_user(action, "flask_app_source")
        remove_git(place.code)
    check_subdirectory(place)
    return package


def check_subdirectory(place: Place) -> None:
    """Refuse a subdirectory that is none, or that a link leads out of the code."""
    if not place.app.is_dir() or not place.contains(place.app):
        there = sorted(path.name for path in place.code.iterdir() if path.is_dir())
        raise ReleaseError(
            f"flask_app_subdirectory: found {place.subdirectory!r}, which is no "
            f"directory of the source; at its top are {', '.join(there) or 'none'}"
        )
