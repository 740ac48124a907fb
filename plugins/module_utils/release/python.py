# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python of a release: on the host already, or installed by uv for all apps of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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
#: Prints the version of the interpreter that runs it, what a pyproject.toml asks for, and whether
#: that allows it as PEP 440 compares. pip brings what is needed.
ASK = """
import json, platform, sys
sys.path.insert(0, sys.argv[1])
from pip._vendor.packaging.specifiers import SpecifierSet
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
version = platform.python_version()
try:
    with open(sys.argv[2], "rb") as file:
        asked = str(tomllib.load(file).get("project", {}).get("requires-python", ""))
    allowed = SpecifierSet(asked).contains(version, prereleases=True)
except ValueError:  # whoever installs the project says what is wrong with it
    asked, allowed = "", True
print(json.dumps([version, asked, allowed]))
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
        raise error.told(
            f"flask_app_python: found {wanted!r}, which this host does not have and uv could not"
            " install; UV_PYTHON_INSTALL_MIRROR in flask_app_build_env names a mirror that the"
            " host can reach. "
        ) from None
    with suppress(OSError):  # a lock that everybody may hold
        (ROOT / ".lock").chmod(0o600)
    found = managed(wanted, minor)
    if not found:
        raise ReleaseError(f"flask_app_python: uv has installed {wanted}, but not in {ROOT}")
    return found


def check(commands: Commands, wanted: str, app: Path) -> None:
    """ReleaseError when the app's own requires-python does not allow its interpreter."""
    project, pips = app / PROJECT, sorted(uv.WHEELS.glob("pip-*.whl"))
    if not project.is_file() or not pips:
        return
    said = commands.run(commands.python, "-I", "-c", ASK, str(pips[-1]), str(project))
    version, asked, allowed = json.loads(said)
    if not allowed:
        raise ReleaseError(
            f"flask_app_python: found {wanted!r}, which is Python {version}; allowed by"
            f" requires-python in the app's {PROJECT} is {asked}. Set it to a version such as"
            ' "3.13"'
        )


def _patch(path: Path) -> int:
    found = re.match(r"cpython-3\.[0-9]+\.([0-9]+)", path.parent.parent.name)
    return int(found[1]) if found else -1
