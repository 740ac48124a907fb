# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python of a release: on the host already, or installed by uv for all apps of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import tomllib
from ansible_collections.flaskops.stack.plugins.module_utils.release import uv
from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.manifest import PROJECT

#: Where uv's Pythons are, out of the apps' reach.
ROOT = uv.ROOT / "python"
#: Where the host's own are.
OWN = (Path("/usr/bin"), Path("/usr/local/bin"))
#: A release of Python, or all of a minor version.
VERSION = re.compile(r"(?P<minor>3\.[0-9]+)(\.[0-9]+)?")
#: Prints the version of the interpreter that runs it, and whether a text that is to be compared as
#: PEP 440 has it allows that. pip brings what compares.
ASK = """
import platform, sys
sys.path.insert(0, sys.argv[1])
from pip._vendor.packaging.specifiers import SpecifierSet
version = platform.python_version()
print(version, SpecifierSet(sys.argv[2]).contains(version, prereleases=True))
"""


def interpreter(commands: Commands, wanted: str, uv_version: str) -> str:
    """The path of the Python that ``wanted`` is, or names by its version; ReleaseError."""
    version = VERSION.fullmatch(wanted)
    if not version:
        return wanted
    for path in own(version["minor"]):
        if version["minor"] == wanted or version_of(commands, path) == wanted:
            return str(path)
    return managed(wanted, version["minor"]) or installed(
        commands, wanted, version["minor"], uv_version
    )


def own(minor: str) -> Iterator[Path]:
    """The host's own Pythons of a minor version."""
    return (path for folder in OWN if (path := folder / f"python{minor}").exists())


def version_of(commands: Commands, path: Path) -> str:
    """The version of an interpreter."""
    said = commands.run_as_root(
        str(path), "-I", "-c", "import platform as p;print(p.python_version())"
    )
    return said.strip()


def managed(wanted: str, minor: str) -> str:
    """The newest of uv's Pythons that is wanted, nothing when there is none."""
    exact = wanted if wanted != minor else f"{minor}.*"
    found = [path for path in ROOT.glob(f"cpython-{exact}-*/bin/python{minor}") if path.exists()]
    # A minor version's own directory is a link that uv moves on.
    kept = [path for path in found if not path.parent.parent.is_symlink()]
    newest = max(kept, key=_patch, default=None)
    return str(newest) if newest else ""


def installed(commands: Commands, wanted: str, minor: str, uv_version: str) -> str:
    """A Python that uv has just installed."""
    install = ("python", "install", "--no-bin", "--no-cache", "--install-dir", str(ROOT))
    try:
        commands.run_as_root(uv.program(commands, uv_version), *install, wanted)
    except ReleaseError as error:
        raise ReleaseError(
            f"flask_app_python: found {wanted!r}, which this host does not have and uv could not"
            " install; UV_PYTHON_INSTALL_MIRROR in flask_app_build_env names a mirror that the"
            f" host can reach. {error}"
        ) from None
    found = managed(wanted, minor)
    if not found:
        raise ReleaseError(f"flask_app_python: uv has installed {wanted}, but not in {ROOT}")
    return found


def check(commands: Commands, wanted: str, app: Path) -> None:
    """ReleaseError when the app's own requires-python does not allow its interpreter."""
    asked = requires(app)
    pips = sorted(uv.WHEELS.glob("pip-*.whl"))
    if not asked or not pips:  # then pip or uv says it, a little later
        return
    said = commands.run(commands.python, "-I", "-c", ASK, str(pips[-1]), asked)
    version, allowed = said.split()
    if allowed != "True":
        raise ReleaseError(
            f"flask_app_python: found {wanted!r}, which is Python {version}; allowed by"
            f" requires-python in the app's {PROJECT} is {asked}. Set it to a version such as"
            ' "3.13"'
        )


def requires(app: Path) -> str:
    """What the app's pyproject.toml says of Python; nothing when it says nothing."""
    path = app / PROJECT
    if not path.is_file():
        return ""
    try:
        project = tomllib.loads(path.read_text("utf-8")).get("project", {})
    except ValueError:  # whoever installs it says what is wrong with it
        return ""
    return str(project.get("requires-python", ""))


def _patch(path: Path) -> int:
    found = re.match(r"cpython-3\.[0-9]+\.([0-9]+)", path.parent.parent.name)
    return int(found[1]) if found else -1
