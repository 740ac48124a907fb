# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static files, published where the web server may read them; the code stays closed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.compression import (
    compress_texts,
    date_by_content,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.trees import tree
from ansible_collections.flaskops.stack.plugins.module_utils.release.venv import site_packages


def publish_code(commands: Commands, given: Mapping[str, str]) -> dict[str, str]:
    """Publish the given directories of the code, or Flask's default one."""
    place = commands.place
    wanted = given or find_static(place.app)
    return publish(commands, place.app, wanted, links_within=place.code)


def publish_package(
    commands: Commands, given: Mapping[str, str], packages: Sequence[str]
) -> dict[str, str]:
    """Publish the given directories of an installed package, or Flask's default one."""
    site = site_packages(commands.place)
    return publish(commands, site, given or static_of(site, packages), links_within=site)


def publish(
    commands: Commands, base: Path, static: Mapping[str, str], *, links_within: Path
) -> dict[str, str]:
    """Copy directories below ``base`` by their URL paths; returns what was published."""
    owner = commands.owner
    for url, folder in static.items():
        source = base / folder
        if not source.is_dir():
            raise ReleaseError(
                f"flask_app_static: {url} names {folder!r}, which is no directory of the source"
            )
        place = commands.place.public / url.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        refuse_links_out(source, links_within)
        place.mkdir(exist_ok=True)
        os.chown(place, owner.uid, owner.gid)
        commands.run("cp", "-RL", "--no-target-directory", "--", str(source), str(place))
        compress_texts(commands, place)
        commands.as_user(partial(date_by_content, place), f"date {place}")
    return dict(static)


def find_static(code: Path) -> dict[str, str]:
    """Where Flask's default static folder is: beside the app, at the top or in a package."""
    for pattern in ("static", "*/static", "src/*/static"):
        for folder in sorted(code.glob(pattern)):
            inside = pattern == "static" or (folder.parent / "__init__.py").is_file()
            if folder.is_dir() and inside:
                return {"/static": str(folder.relative_to(code))}
    return {}


def static_of(site: Path, packages: Iterable[str]) -> dict[str, str]:
    """Flask's default static folder of the first installed package that has one."""
    folders = (f"{name}/static" for name in packages)
    return next(({"/static": folder} for folder in folders if (site / folder).is_dir()), {})


def refuse_links_out(folder: Path, code: Path) -> None:
    """Static files are public; a link could publish any other file with them."""
    inside = os.path.realpath(code) + os.sep
    for path in tree(folder):
        if os.path.islink(path) and not os.path.realpath(path).startswith(inside):
            raise ReleaseError(f"{path} is a link to {os.readlink(path)}, outside of the source")
