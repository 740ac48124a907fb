#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of an app: immutable directories with the code and a virtualenv of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Prepare and build the release directories of an app
description:
  - A release is the directory C(releases/<id>) with the C(code), a C(venv) of its own, the static
    files in C(public), and C(release.json), written last. A release without that file is
    incomplete, is never run, and is removed by the next call.
  - With O(state=prepared) the directories around the releases exist, and the result says whether
    the release O(id) is complete. Where it is not, its C(code) directory is there to be filled,
    or its C(upload) directory, for one file, an archive of the code or a wheel of the app.
  - With O(state=built) the release is completed in one remote call, from what was put there since,
    or from O(archive) or O(requirement) alone. The archive is unpacked, the virtualenv made
    and filled, bytecode compiled, paths that outlive a release linked, static files published, old
    releases pruned. Every command runs as O(user), never as root; afterwards
    nothing in the release can be written by the app.
  - Either way, a complete release is then selected. C(next/release) links to it and C(next/env) is
    its environment, for the WSGI server's role to run.
  - Where O(packages) or the user are missing, nothing is built, and the result names what is
    missing. So one call is enough on a host where everything is there.
version_added: 0.1.0
author: The flaskops.stack authors
extends_documentation_fragment:
  - flaskops.stack.app
  - flaskops.stack.deploy_lock
  - flaskops.stack.packages
options:
  account:
    description: Home and shell that O(user) must have; what is left out may be anything.
    type: dict
    default: {}
    suboptions:
      home:
        description: Home directory.
        type: path
      shell:
        description: Login shell.
        type: path
  id:
    description:
      - Name of the release.
      - When empty, the one that is live, to give it another environment.
    type: str
    default: ''
  state:
    description: See above.
    type: str
    choices: [prepared, built]
    default: prepared
  revision:
    description: Revision of the source, for people and for C(FLASKOPS_REVISION).
    type: str
    default: ''
  source:
    description: Where the code came from, for people.
    type: str
    default: ''
  archive:
    description:
      - A small archive or a wheel in Base64, instead of a file in the directory RV(upload), for
        O(state=built).
    type: str
    default: ''
  archive_name:
    description: Name of the file that O(archive) is.
    type: str
    default: ''
  checkout:
    description:
      - Work tree on the host that git fetched O(revision) into, with the repository in a directory
        of that name and C(.git); for O(state=built).
    type: path
  requirement:
    description: Package of an index that is the app, C(shop==1.2) say; there is no code then.
    type: str
    default: ''
  subdirectory:
    description:
      - Directory of the app in the code, where that holds more than the app. What else is said of
        the code, its manifest and its static files say, is then said of this directory.
    type: str
    default: ''
  environment:
    description:
      - The app's environment, an object in JSON. As text, made with C(to_json), because of a dict
        every single value would be masked wherever it occurs in the result.
    type: str
    default: ''
  environment_defaults:
    description:
      - Like O(environment), of what is only set when nobody else does.
      - A name is left out when O(environment) or the app's own C(.flaskenv) or C(.env) has it, with
        the prefix C(FLASK_) or without.
    type: str
    default: ''
  key_days:
    description: Days for which a retired SECRET_KEY goes on being accepted.
    type: int
    default: 31
  make_key:
    description:
      - Whether a SECRET_KEY is made where there is none. If not, nothing is selected without one.
    type: bool
    default: true
  marker:
    description: Name of a file in the release that RV(marked) tells of.
    type: str
    default: ''
  installer:
    description: Program that fills the virtualenv.
    type: str
    choices: [uv, pip]
    default: uv
  uv_version:
    description: Version of uv, installed from PyPI under C(/opt/uv) when it is not there yet.
    type: str
    default: 0.13.9
  python:
    description: Python interpreter of the virtualenv.
    type: path
    default: /usr/bin/python3
  extra_packages:
    description: Requirements to install beside the app's own.
    type: list
    elements: str
    default: []
  server_package:
    description:
      - Requirement of the WSGI server, installed unless the app's own dependencies bring it.
    type: str
    default: ''
  build_environment:
    description:
      - Environment of the commands that build, such as the address of a package index, in the
        form of O(environment).
    type: str
    default: ''
  shared_paths:
    description: Paths in the code that are kept in C(shared) and outlive a release.
    type: list
    elements: str
    default: [instance]
  static:
    description:
      - URL path and directory in the code of the static files to publish; of a package, the
        directory in C(site-packages).
      - When empty, a directory C(static) of the code or of its packages is published as C(/static).
    type: dict
    default: {}
  fingerprint:
    description:
      - Regular expression for the paths of static files whose names change with their content. Of
        all releases that are kept these are in C(assets), by URL path, so that a page that was
        opened before a switch finds them. None when empty.
    type: str
    default: ''
  keep:
    description: Complete releases to keep; what a generation runs is always kept.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: Look for the release
  flaskops.stack.release:
    name: shop
    home: /srv/shop
    user: shop
    id: 3f2a91c04d1b-5e1f9a2c
  register: shop_release

- name: Fill it
  ansible.builtin.copy:
    src: shop.tar.gz
    dest: "{{ shop_release.upload }}/"
    mode: "0600"
  when: not shop_release.complete

- name: Complete it
  flaskops.stack.release:
    name: shop
    home: /srv/shop
    user: shop
    id: 3f2a91c04d1b-5e1f9a2c
    state: built
  when: not shop_release.complete
"""

RETURN = r"""
complete:
  description: The release can be run.
  returned: success
  type: bool
settled:
  description: Packages, user and release are there, and the release is selected.
  returned: success
  type: bool
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: success
  type: list
  elements: str
user_settled:
  description: The user is there, as O(account) says.
  returned: success
  type: bool
marked:
  description: The release has the file O(marker), or none was asked for.
  returned: success
  type: bool
key_digest:
  description: A digest of the file with the SECRET_KEY, empty where there is none.
  returned: success
  type: str
path:
  description: Directory of the release.
  returned: success
  type: str
code:
  description: Directory of its code.
  returned: success
  type: str
upload:
  description: Directory for an archive or a wheel; it is gone when the release is complete.
  returned: success
  type: str
app:
  description: The directory O(subdirectory) of its code.
  returned: success
  type: str
own_key:
  description: The SECRET_KEY is the one that was made here, and the release was selected with it.
  returned: success
  type: bool
removed:
  description: Releases that were removed, incomplete or surplus ones.
  returned: success
  type: list
  elements: str
"""

import base64
import gzip
import hashlib
import json
import math
import os
import pwd
import re
import secrets
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import dotenv, files
from ansible_collections.flaskops.stack.plugins.module_utils.app_name import APP_OPTIONS
from ansible_collections.flaskops.stack.plugins.module_utils.environment import (
    EnvironmentFormatError,
    from_file,
    from_json,
    to_file,
)
from ansible_collections.flaskops.stack.plugins.module_utils.lock import (
    LOCK_OPTIONS,
    DeployLock,
    LockedError,
    alone,
)
from ansible_collections.flaskops.stack.plugins.module_utils.packages import (
    PACKAGES_OPTION,
    missing,
)
from ansible_collections.flaskops.stack.plugins.module_utils.unpack import ArchiveError, unpack

MARKER = "release.json"
UPLOAD = "upload"
WHEEL = ".whl"
#: Lines of a failed command in the error: one screen.
OUTPUT_LINES = 40
#: Without it Flask does not read the .flaskenv and .env that an app ships.
DOTENV = "python-dotenv==1.2.4"
#: Static files that a browser gets compressed, and the size in bytes from which that is worth it.
TEXT = (".css", ".html", ".ico", ".js", ".json", ".mjs", ".svg", ".txt", ".wasm", ".webmanifest")
WORTH_COMPRESSING = 1024
BROTLI = "/usr/bin/brotli"
#: Times of static files lie within 17 years from September 2001: past for every clock.
FIRST_DATE = 1_000_000_000
DATES = 2**29
#: Paths on one command line.
PATHS_AT_A_TIME = 500
#: Values at least this long are kept out of messages.
SECRET_LENGTH = 8
PIP_ENVIRONMENT = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
UV_ROOT = Path("/opt/uv")
PIP_WHEELS = Path("/usr/share/python-wheels")
SECRET_FILE = "secret_key"
SECRET_BYTES = 48
KEY_DIGEST_LENGTH = 16
SECONDS_A_DAY = 86400
#: What an app ships for Flask to read.
DOTENV_FILES = (".flaskenv", ".env")
PREFIX = "FLASK_"
#: What says what to install, the most exact first.
MANIFESTS = ("uv.lock", "requirements.txt", "pyproject.toml", "setup.py")


class ReleaseError(Exception):
    """The release could not be built; nothing that runs was touched."""


@dataclass(frozen=True)
class Owner:
    """The app's system user."""

    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> Owner:
        entry = pwd.getpwnam(name)
        return cls(entry.pw_uid, entry.pw_gid)


def manifest_of(app: Path, code: Path) -> str:
    """The file that says what to install; raises ReleaseError when there is none."""
    for name in MANIFESTS:
        if (app / name).is_file():
            if name == "uv.lock" and not (app / "pyproject.toml").is_file():
                continue
            if name == "pyproject.toml" and in_workspace(app, code):
                return "uv.lock"
            return name
    where = "at the top of the source" if app == code else f"in {app.relative_to(code)}"
    raise ReleaseError(
        f"flask_app_source: found none of {', '.join(MANIFESTS)} {where}, "
        "so nothing says what to install"
    )


def in_workspace(app: Path, code: Path) -> bool:
    """True when a directory above the app's locks it, as uv does for the members of a workspace."""
    for folder in upwards(app, code)[1:]:
        project = folder / "pyproject.toml"
        locked = (folder / "uv.lock").is_file() and project.is_file()
        if locked and "[tool.uv.workspace]" in project.read_text("utf-8").splitlines():
            return True
    return False


def upwards(app: Path, code: Path) -> list[Path]:
    """The app's directory and those it lies in, up to the top of the code."""
    return [app, *(folder for folder in app.parents if folder.is_relative_to(code))]


def dotenv_files(app: Path, code: Path) -> list[Path]:
    """The .flaskenv and .env that Flask reads: it looks upwards for each."""
    found = []
    for name in DOTENV_FILES:
        paths = (folder / name for folder in upwards(app, code))
        found += [path for path in paths if path.is_file()][:1]
    return found


def hash_locked(requirements: str) -> bool:
    """True when a requirements file pins hashes; then every requirement must have one."""
    return re.search(r"^[^#\n]*\s--hash=", requirements, re.MULTILINE) is not None


def is_package(code: Path) -> bool:
    """True when pyproject.toml names a build system, uv's own rule for an installable project."""
    path = code / "pyproject.toml"
    if not path.is_file():
        return False
    return re.search(r"^\[build-system\]", path.read_text("utf-8"), re.MULTILINE) is not None


def requirement_name(requirement: str) -> str:
    """The distribution that a requirement asks for, in the normal form of PEP 503."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def distribution(info: Path) -> str:
    """The distribution that a .dist-info directory describes, in the same form."""
    return requirement_name(info.name.partition("-")[0])


class Builder:
    """Fills one release."""

    def __init__(self, params: dict[str, Any], release: Path, owner: Owner) -> None:
        self.params = params
        self.release = release
        self.code = release / "code"
        #: What was uploaded instead of code.
        self.uploaded = next(iter((release / UPLOAD).glob("*")), None)
        #: The app's own directory in the code.
        self.app = self.code / params["subdirectory"]
        self.venv = release / "venv"
        self.cache = Path(params["home"]) / "cache"
        self.owner = owner
        self.given = from_json(params["build_environment"])

    # commands ------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        """What the app's own commands get: everything they write is the app's."""
        return {
            "PATH": f"{self.venv}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.cache),
            "LANG": "C.UTF-8",
            "VIRTUAL_ENV": str(self.venv),
            **PIP_ENVIRONMENT,
            "PIP_CACHE_DIR": str(self.cache / "pip"),
            "UV_CACHE_DIR": str(self.cache / "uv"),
            "UV_COMPILE_BYTECODE": "1",
            "UV_LINK_MODE": "copy",
            "UV_NO_PROGRESS": "1",
            "UV_PROJECT_ENVIRONMENT": str(self.venv),
            "UV_PYTHON": self.params["python"],
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_SYSTEM_CERTS": "1",
            **self.given,
        }

    def run(self, *command: str) -> str:
        """Run a command as the app's user, in its code; ReleaseError shows the output's end."""
        return self._execute(command, self.app, self._environment(), self.owner)

    def run_as_root(self, *command: str) -> str:
        """Run a command where nothing of the app's can come in its way."""
        path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        environment = {**path, "HOME": "/root", "LANG": "C.UTF-8", **PIP_ENVIRONMENT, **self.given}
        return self._execute(command, Path("/"), environment, Owner(0, 0))

    def _execute(
        self, command: tuple[str, ...], folder: Path, environment: dict[str, str], owner: Owner
    ) -> str:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                user=owner.uid,
                group=owner.gid,
                extra_groups=[],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                umask=0o022,
            )
        except OSError as error:
            raise ReleaseError(f"{command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            tail = "\n".join(f"  | {line}" for line in done.stdout.splitlines()[-OUTPUT_LINES:])
            text = f"`{' '.join(command)}` ended with {done.returncode}:\n{tail}"
            for value in self.given.values():
                if len(value) >= SECRET_LENGTH:  # an index's address can hold a password
                    text = text.replace(value, "********")
            raise ReleaseError(text)
        return done.stdout

    def as_user(self, action: Callable[[], None], said: str) -> None:
        """Do something on files as the app's user, so that no link leads root astray."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(self.owner.gid)
                    os.setuid(self.owner.uid)
                action()
                status = 0
            except (ArchiveError, OSError) as error:
                os.write(writer, str(error).encode(errors="replace")[: select.PIPE_BUF])
            finally:
                os._exit(status)
        os.close(writer)
        with open(reader, "rb") as pipe:
            reason = pipe.read().decode(errors="replace")
        if os.waitpid(child, 0)[1] != 0:
            why = reason or "not possible as the app's user"
            raise ReleaseError(f"{said}: {why}")

    # steps ---------------------------------------------------------------------------------------

    def build(self) -> dict[str, Any]:
        """Do everything but mark the release complete; returns what release.json should say."""
        for folder in (self.cache, self.venv):
            folder.mkdir(mode=0o700, exist_ok=True)
            os.chown(folder, self.owner.uid, self.owner.gid)
        remove_git(self.code)
        give(self.code, self.owner.uid, self.owner.gid)
        package = self._unpack()
        self._check_subdirectory()
        manifest = package or manifest_of(self.app, self.code)
        install = self._with_uv if self.params["installer"] == "uv" else self._with_pip
        install(manifest)
        # A file that is not Python, a template say, is no reason to fail: the app will be asked.
        python = str(self.venv / "bin/python")
        code = shlex.quote(str(self.code))
        self.run("sh", "-c", f"{python} -m compileall -q -j 0 {code} || true")
        self._link_shared()
        published = self._publish_static()
        packages = self._packages()
        shutil.rmtree(self.release / UPLOAD, ignore_errors=True)
        seal(self.release, self.owner.gid)
        return {
            "manifest": manifest,
            "subdirectory": self.params["subdirectory"],
            "installer": self.params["installer"],
            "packages": packages,
            "static": published,
        }

    def _unpack(self) -> str:
        """Make code of an uploaded archive; of a package, its requirement or its wheel's name."""
        if self.uploaded is None:
            return str(self.params["requirement"])
        give(self.uploaded.parent, self.owner.uid, self.owner.gid)
        if self.uploaded.suffix == WHEEL:
            return self.uploaded.name
        action = partial(unpack, self.uploaded, self.code, self.params["subdirectory"])
        self.as_user(action, "flask_app_source")
        remove_git(self.code)
        return ""

    def _check_subdirectory(self) -> None:
        if not self.app.is_dir() or not self._inside(self.app):
            there = sorted(path.name for path in self.code.iterdir() if path.is_dir())
            raise ReleaseError(
                f"flask_app_subdirectory: found {self.params['subdirectory']!r}, which is no "
                f"directory of the source; at its top are {', '.join(there) or 'none'}"
            )

    def _inside(self, path: Path) -> bool:
        """Whether a path is in the code when all links are followed."""
        return path.resolve().is_relative_to(self.code.resolve())

    @property
    def _is_package(self) -> bool:
        """True when the app comes as a package, without code."""
        return bool(self._own_name)

    @property
    def _own_name(self) -> str:
        """The distribution that is the app, where it comes as a package."""
        if self.uploaded is not None:
            wheel = self.uploaded.suffix == WHEEL
            return requirement_name(self.uploaded.name.split("-")[0]) if wheel else ""
        return requirement_name(self.params["requirement"])

    def _with_uv(self, manifest: str) -> None:
        uv, python = self._bootstrap_uv(), self.params["python"]
        self.run(uv, "venv", "--quiet", "--allow-existing", "--python", python, str(self.venv))
        add = (uv, "pip", "install", "--python", str(self.venv))
        if manifest == "uv.lock":
            self.run(uv, "sync", "--locked", "--no-dev", "--no-editable")
        else:
            self._install(manifest, add)
        self._add_packages(add)

    def _bootstrap_uv(self) -> str:
        """The uv of the wanted version, for all apps of the host, out of their reach."""
        home = UV_ROOT / self.params["uv_version"]
        if not (home / "bin/uv").exists():
            draft = home.with_name(f".{home.name}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            pips = sorted(PIP_WHEELS.glob("pip-*.whl"))
            if not pips:
                raise ReleaseError(
                    f"{PIP_WHEELS}: no pip there; Debian's python3-pip-whl brings it"
                )
            pip = ("/usr/bin/python3", "-I", str(pips[-1] / "pip"), "install", "--quiet")
            options = ("--only-binary=:all:", "--no-cache-dir", "--target", str(draft))
            wheel = f"uv=={self.params['uv_version']}"
            self.run_as_root(*pip, *options, wheel)
            draft.rename(home)
        return str(home / "bin/uv")

    def _with_pip(self, manifest: str) -> None:
        if manifest == "uv.lock":
            raise ReleaseError("flask_app_installer: found pip, but a uv.lock needs uv")
        self.run(self.params["python"], "-m", "venv", str(self.venv))
        add = (str(self.venv / "bin/python"), "-m", "pip", "install", "--quiet")
        self._install(manifest, add)
        self._add_packages(add)

    def _install(self, manifest: str, add: tuple[str, ...]) -> None:
        """What a manifest asks for that uv and pip read alike."""
        if self._is_package:
            self.run(*add, str(self.uploaded or manifest))
            return
        if manifest != "requirements.txt":
            self.run(*add, ".")
            return
        self.run(*add, *self._requirements())
        if is_package(self.app):
            self.run(*add, "--no-deps", ".")

    def _requirements(self) -> list[str]:
        locked = hash_locked((self.app / "requirements.txt").read_text("utf-8"))
        return ["-r", "requirements.txt", *(["--require-hashes"] if locked else [])]

    def _add_packages(self, add: tuple[str, ...]) -> None:
        reads_files = bool(dotenv_files(self.app, self.code))
        unless_there = (self.params["server_package"], DOTENV if reads_files else "")
        there = self._packages()
        missing = [one for one in unless_there if one and requirement_name(one) not in there]
        wanted = [*self.params["extra_packages"], *missing]
        if wanted:
            self.run(*add, *wanted)

    def _packages(self) -> dict[str, str]:
        """Installed distributions and their versions."""
        found = {}
        for info in self.venv.glob("lib/python3*/site-packages/*.dist-info"):
            found[distribution(info)] = info.name.removesuffix(".dist-info").partition("-")[2]
        return dict(sorted(found.items()))

    def _link_shared(self) -> None:
        """Paths that outlive releases become links; what the source ships is only ever added."""
        shared = Path(self.params["home"]) / "shared"
        for name in self.params["shared_paths"]:
            keep, path = shared / name, self.app / name
            if not self._inside(path.parent):
                raise ReleaseError(f"flask_app_shared_paths: {name} leads out of the source")
            if path.is_dir() and not path.is_symlink():
                self.as_user(partial(seed, path, keep), f"copy {path}")
                shutil.rmtree(path)
            elif path.is_symlink() or path.exists():
                path.unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(keep)
        if "instance" in self.params["shared_paths"]:
            # Flask looks for the instance folder of an installed package in the virtualenv.
            for package in self._own_packages():
                link = self.venv / "var" / f"{package}-instance"
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(shared / "instance")

    def _own_packages(self) -> Iterator[str]:
        """Import packages that are the app: installed from the code, or instead of code."""
        here = self.code.resolve().as_uri()
        for info in self.venv.glob("lib/python3*/site-packages/*.dist-info"):
            origin, record = info / "direct_url.json", info / "RECORD"
            own = bool(self._own_name) and distribution(info) == self._own_name
            if not own and origin.is_file():
                own = json.loads(origin.read_text("utf-8")).get("url", "").startswith(here)
            if not own or not record.is_file():
                continue
            tops = {line.split("/", 1)[0] for line in record.read_text("utf-8").splitlines()}
            packages = (name for name in tops if (info.parent / name / "__init__.py").exists())
            yield from sorted(packages)

    def _publish_static(self) -> dict[str, str]:
        """Copy static files where the web server may read them; the code stays closed."""
        base, static = self.app, self.params["static"]
        if self._is_package:
            base = next(iter(self.venv.glob("lib/python3*/site-packages")))
            static = static or static_of(base, self._own_packages())
        static = static or find_static(self.app)
        for url, folder in static.items():
            source = base / folder
            if not source.is_dir():
                raise ReleaseError(
                    f"flask_app_static: {url} names {folder!r}, which is no directory of the source"
                )
            place = self.release / "public" / url.strip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            refuse_links_out(source, base if self._is_package else self.code)
            place.mkdir(exist_ok=True)
            os.chown(place, self.owner.uid, self.owner.gid)
            self.run("cp", "-RL", "--no-target-directory", "--", str(source), str(place))
            self._compress(place)
            self.as_user(partial(date_by_content, place), f"date {place}")
        return dict(static)

    def _compress(self, place: Path) -> None:
        """Put compressed texts beside the texts, for web servers that hand them out as they are."""
        texts = [path for path in map(Path, tree(place)) if worth_compressing(path)]
        if not texts:
            return
        self.as_user(partial(compress, texts), f"compress {place}")
        if not os.access(BROTLI, os.X_OK):
            return
        wanted = [str(path) for path in texts if not path.with_name(f"{path.name}.br").exists()]
        for start in range(0, len(wanted), PATHS_AT_A_TIME):
            self.run(BROTLI, "--keep", "--", *wanted[start : start + PATHS_AT_A_TIME])


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


def worth_compressing(path: Path) -> bool:
    """Whether a browser would get a file faster if it were compressed."""
    return (
        path.suffix.lower() in TEXT
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size >= WORTH_COMPRESSING
    )


def compress(texts: Iterable[Path]) -> None:
    """Write what gzip makes of each text beside it, unless that is there or no smaller."""
    for path in texts:
        place = path.with_name(f"{path.name}.gz")
        if place.exists():
            continue
        data = path.read_bytes()
        packed = gzip.compress(data, mtime=0)
        if len(packed) < len(data):
            place.write_bytes(packed)


def date_by_content(root: Path) -> None:
    """Give each file a time that follows from what is in it.

    Web servers make an ETag of time and size. So a browser that has a file keeps it over a deploy,
    and from whichever host it came.
    """
    for path in map(Path, tree(root)):
        if path.is_file() and not path.is_symlink():
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
            moment = FIRST_DATE + int(digest.hexdigest(), 16) % DATES
            os.utime(path, (moment, moment))


def remove_git(code: Path) -> None:
    """What git keeps for itself, submodules' links included."""
    for path in [path for path in tree(code) if os.path.basename(path) == ".git"]:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def seed(source: Path, target: Path) -> None:
    """Copy what the target does not have yet."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        place = target / entry.name
        if entry.is_dir() and not entry.is_symlink():
            seed(entry, place)
        elif not os.path.lexists(place):
            shutil.copy2(entry, place, follow_symlinks=False)


def tree(root: Path) -> Iterator[str]:
    """Every path below and including ``root``, links not followed."""
    yield str(root)
    for folder, folders, names_of_files in os.walk(root):
        for name in (*folders, *names_of_files):
            yield os.path.join(folder, name)


def give(root: Path, uid: int, gid: int) -> None:
    """Make a tree somebody's."""
    for path in tree(root):
        os.lchown(path, uid, gid)


def seal(release: Path, gid: int) -> None:
    """Root owns the release; the app reads it, the web server reads ``public`` only."""
    for part, group, cut in (("code", gid, 0o027), ("venv", gid, 0o027), ("public", 0, 0o022)):
        root = release / part
        if not root.exists():
            continue
        for path in tree(root):
            os.lchown(path, 0, group)
            if not os.path.islink(path):
                mode = os.stat(path).st_mode & 0o7777
                wanted = mode | 0o040 | (0o010 if mode & 0o100 else 0)
                if part == "public":
                    wanted |= 0o005 if mode & 0o100 else 0o004
                os.chmod(path, wanted & ~cut & ~0o6000)


class Releases:
    """The releases of one app on the disk."""

    def __init__(self, params: dict[str, Any], *, check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        self.home = Path(params["home"])
        self.root = self.home / "releases"
        self.release = self.root / (params["id"] or self._live())
        self.changed = False
        self.removed: list[str] = []
        self.own_key = False
        self.fingerprint = re.compile(params["fingerprint"])

    def _live(self) -> str:
        """Release of the live generation; ReleaseError when there is none."""
        link = self.home / "live" / "release"
        if not link.is_symlink():
            raise ReleaseError(f"{self.home}: nothing is live there yet")
        return os.path.basename(os.readlink(link))

    def complete(self, release: Path) -> bool:
        return (release / MARKER).is_file()

    def record(self) -> dict[str, Any]:
        """What release.json says."""
        loaded: dict[str, Any] = json.loads((self.release / MARKER).read_text("utf-8"))
        return loaded

    def prepare(self) -> None:
        """Directories as they should be, incomplete releases gone, this one ready to fill."""
        owner = None if self.check_mode else Owner.named(self.params["user"])
        if owner:
            for path, mode, uid, gid in self._layout(owner):
                self._directory(path, mode, uid, gid)
        if self.complete(self.release):
            self._remove_incomplete()
            return
        self.changed = True
        if owner:
            self._remove_incomplete()
            self.release.mkdir(mode=0o750)
            os.chown(self.release, 0, owner.gid)
            (self.release / "code").mkdir(mode=0o755)
            (self.release / UPLOAD).mkdir(mode=0o700)

    def build(self) -> None:
        """Complete the release, if another run was not faster."""
        # What comes with the options needs nothing that was prepared.
        if any(self.params[name] for name in ("archive", "requirement", "checkout")):
            self.prepare()
        if self.complete(self.release):
            return
        owner = Owner.named(self.params["user"])
        if self.params["checkout"]:
            copy_checkout(self.params["checkout"], self.release / "code", self.params["revision"])
        if self.params["archive"]:
            path = self.release / UPLOAD / os.path.basename(self.params["archive_name"])
            path.write_bytes(base64.b64decode(self.params["archive"]))
        built = Builder(self.params, self.release, owner).build()
        record = {
            "id": self.params["id"],
            "revision": self.params["revision"],
            "source": self.params["source"],
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **built,
        }
        # All that a complete release has comes before the marker: a run that is killed in between
        # leaves nothing that the next one would not do again.
        os.chmod(self.release, 0o755)
        surplus = self._surplus()
        self._gather(surplus)
        files.write(
            self.release / MARKER, json.dumps(record, indent=2) + "\n", 0o640, gid=owner.gid
        )
        self.changed = True
        for release in surplus:
            self._remove(release)

    def may_select(self) -> bool:
        """Whether the release is complete, and need not wait for a key from elsewhere."""
        has_key = self.params["make_key"] or (self.home / SECRET_FILE).is_file()
        return has_key and self.complete(self.release)

    def select(self) -> None:
        """Leave the release and its environment where the server's role finds them."""
        folder = self.home / "next"
        text = self._environment()
        path = folder / "env"
        if not path.is_file() or path.read_bytes().decode() != text:
            self.changed = True
            if not self.check_mode:
                files.write(path, text, 0o640, gid=Owner.named(self.params["user"]).gid)
        link, wanted = folder / "release", f"../releases/{self.release.name}"
        if not link.is_symlink() or os.readlink(link) != wanted:
            self.changed = True
            if not self.check_mode:
                files.link(link, wanted)

    def _layout(self, owner: Owner) -> Iterator[tuple[Path, int, int, int]]:
        yield self.home, 0o755, 0, 0
        yield self.root, 0o755, 0, 0
        yield self.home / "generations", 0o755, 0, 0
        yield self.home / "next", 0o750, 0, owner.gid
        yield self.home / "shared", 0o755, 0, 0
        for name in self.params["shared_paths"]:
            yield self.home / "shared" / name, 0o750, owner.uid, owner.gid

    def _directory(self, path: Path, mode: int, uid: int, gid: int) -> None:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)
            self.changed = True
        now = path.stat()
        if (now.st_uid, now.st_gid) != (uid, gid):
            os.chown(path, uid, gid)
            self.changed = True
        if now.st_mode & 0o7777 != mode:
            os.chmod(path, mode)
            self.changed = True

    def _existing(self) -> list[Path]:
        return sorted(self.root.iterdir()) if self.root.is_dir() else []

    def _remove(self, release: Path) -> None:
        self.changed = True
        if release != self.release:  # which only begins anew
            self.removed.append(release.name)
        if not self.check_mode:
            shutil.rmtree(release, ignore_errors=True)

    def _remove_incomplete(self) -> None:
        for release in self._existing():
            if not self.complete(release):
                self._remove(release)

    def _in_use(self) -> set[str]:
        links = (self.home / "generations").glob("*/release")
        return {os.path.basename(os.readlink(link)) for link in links if link.is_symlink()}

    def _surplus(self) -> list[Path]:
        """The oldest complete releases that no generation runs: too many, with this one."""
        used = self._in_use()
        others = [one for one in self._existing() if one != self.release and self.complete(one)]
        others.sort(key=lambda path: (path / MARKER).stat().st_mtime)
        surplus = len(others) + 1 - self.params["keep"]
        return [path for path in others if path.name not in used][: max(surplus, 0)]

    def _gather(self, surplus: list[Path]) -> None:
        """Have the fingerprinted static files of all releases in one place, and no others.

        They are links to the releases' own files, so that they take no room.
        """
        assets = self.home / "assets"
        wanted: dict[Path, Path] = {}
        if self.fingerprint.pattern:
            for release in self._existing():
                if release in surplus or not (release == self.release or self.complete(release)):
                    continue
                public = release / "public"
                for path in map(Path, tree(public)):
                    part = path.relative_to(public)
                    plain = part.with_suffix("") if path.suffix in (".br", ".gz") else part
                    if (
                        self.fingerprint.search(f"/{plain}")
                        and path.is_file()
                        and not path.is_symlink()
                    ):
                        wanted[part] = path
        try:
            gather(wanted, assets)
        except OSError as error:
            raise ReleaseError(
                f"{assets}: the static files of all releases cannot be gathered: {error}"
            ) from error

    def _environment(self) -> str:
        """The given environment, what only the host knows, and what nobody else has set."""
        given = from_json(self.params["environment"])
        record = self.record()
        code = self.release / "code"
        own: set[str] = set()
        for path in dotenv_files(code / record.get("subdirectory", ""), code):
            own |= dotenv.names(path.read_text("utf-8", errors="replace"))
        taken = {bare(name) for name in {*given, *own}}
        facts = {"FLASKOPS_RELEASE": record["id"], "FLASKOPS_REVISION": record["revision"]}
        defaults = from_json(self.params["environment_defaults"])
        self.own_key = "SECRET_KEY" not in taken
        if self.own_key:
            defaults |= self._secret_keys()
        free = {name: value for name, value in defaults.items() if bare(name) not in taken}
        return to_file({**given, **facts, **free})

    def key_digest(self) -> str:
        """A digest by which hosts know whether they have the same keys; empty without a file."""
        path = self.home / SECRET_FILE
        if not path.is_file():
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()[:KEY_DIGEST_LENGTH]

    def _secret_keys(self) -> dict[str, str]:
        """The app's SECRET_KEY, made once and kept on the host for root alone, and earlier ones.

        The first line of the file signs. The others are accepted: a time in Unix seconds behind a
        key says when it was retired.
        """
        path = self.home / SECRET_FILE
        if not path.is_file():
            if self.check_mode:
                return {}
            files.write(path, secrets.token_urlsafe(SECRET_BYTES) + "\n", 0o600)
            self.changed = True
        key, *others = path.read_text("utf-8").splitlines()
        days = self.params["key_days"]
        oldest = time.time() - days * SECONDS_A_DAY
        # A switch that failed, or a rollback: what signs now is accepted, however long ago it was
        # to retire.
        live = self.home / "live" / "env"
        signs = from_file(live.read_bytes().decode()) if live.is_file() else {}
        accepted = []
        for other, _, retired in (line.partition(" ") for line in others):
            recent = retired and (int(retired) > oldest or other == signs.get("SECRET_KEY"))
            if not retired or (days and recent):
                accepted.append(other)
        keys = {"SECRET_KEY": key}
        if accepted:
            keys["SECRET_KEY_FALLBACKS"] = json.dumps(accepted)
        return {spelled: value for n, value in keys.items() for spelled in (PREFIX + n, n)}


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


def user_entry(name: str) -> pwd.struct_passwd | None:
    """The account of a user, None where there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def is_as_asked(entry: pwd.struct_passwd | None, account: dict[str, str | None]) -> bool:
    """Whether a user is there with its home and its shell."""
    if entry is None:
        return False
    found = {"home": entry.pw_dir, "shell": entry.pw_shell}
    return all(found[name] == value for name, value in account.items() if value)


def gather(wanted: dict[Path, Path], place: Path) -> None:
    """Make hard links of ``wanted``, path in ``place`` to file, and remove what else is there."""
    for path in [Path(path) for path in tree(place)] if place.is_dir() else []:
        if path.is_file() and path.relative_to(place) not in wanted:
            path.unlink()
    for part, path in wanted.items():
        target = place / part
        for folder in (place / one for one in reversed(part.parents)):
            if not folder.is_dir():
                folder.mkdir()
                folder.chmod(0o755)
        if not target.exists():
            os.link(path, target)


def bare(name: str) -> str:
    """The name of a setting, without the prefix that Flask takes it from the environment by."""
    return name.removeprefix(PREFIX)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **APP_OPTIONS,
            "account": {
                "type": "dict",
                "default": {},
                "options": {"home": {"type": "path"}, "shell": {"type": "path"}},
            },
            "packages": PACKAGES_OPTION,
            "id": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["prepared", "built"], "default": "prepared"},
            "revision": {"type": "str", "default": ""},
            "source": {"type": "str", "default": ""},
            "archive": {"type": "str", "default": "", "no_log": True},
            "archive_name": {"type": "str", "default": ""},
            "checkout": {"type": "path"},
            "requirement": {"type": "str", "default": ""},
            "subdirectory": {"type": "str", "default": ""},
            "environment": {"type": "str", "default": "", "no_log": True},
            "environment_defaults": {"type": "str", "default": "", "no_log": True},
            "key_days": {"type": "int", "default": 31, "no_log": False},
            "make_key": {"type": "bool", "default": True, "no_log": False},
            "marker": {"type": "str", "default": ""},
            "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
            "uv_version": {"type": "str", "default": "0.13.9"},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "extra_packages": {"type": "list", "elements": "str", "default": []},
            "server_package": {"type": "str", "default": ""},
            "build_environment": {"type": "str", "default": "", "no_log": True},
            "shared_paths": {"type": "list", "elements": "str", "default": ["instance"]},
            "static": {"type": "dict", "default": {}},
            "fingerprint": {"type": "str", "default": ""},
            "lock": {"type": "dict", "options": LOCK_OPTIONS},
            "keep": {"type": "int", "default": 5},
        },
        required_by={"archive": ["archive_name"]},
        supports_check_mode=True,
    )
    os.umask(0o022)  # the login's may be stricter, and others have to read what is made
    name, lock, marker = (module.params[option] for option in ("name", "lock", "marker"))
    entry = user_entry(module.params["user"])
    user_settled = is_as_asked(entry, module.params["account"])
    lacking = missing(module.params["packages"])
    can_build = not module.check_mode and user_settled and not lacking
    selected = False
    try:
        releases = Releases(module.params, check_mode=module.check_mode)
        with nullcontext() if module.check_mode else alone(name, "build", wait=math.inf):
            if lock and not module.check_mode:
                DeployLock(name).take(**lock)
            if module.params["state"] == "built" and can_build:
                releases.build()
            elif entry or module.check_mode:  # without the user nothing could be its own
                releases.prepare()
            selected = bool(entry) and releases.may_select()
            if selected:
                releases.select()
    except LockedError as error:
        module.fail_json(msg=str(error))
    except re.error as error:
        module.fail_json(
            msg=f"flask_app_static_fingerprint: found {module.params['fingerprint']!r}; allowed is "
            f"a regular expression ({error})"
        )
    except (ReleaseError, EnvironmentFormatError) as error:
        if lock and not module.check_mode:
            DeployLock(name).free(lock["run"])
        module.fail_json(msg=f"The release was not built. {error}")
    module.exit_json(
        changed=releases.changed,
        complete=releases.complete(releases.release),
        settled=selected and user_settled and not lacking,
        missing_packages=lacking,
        user_settled=user_settled,
        marked=not marker or (releases.release / marker).is_file(),
        path=str(releases.release),
        code=str(releases.release / "code"),
        app=str(releases.release / "code" / module.params["subdirectory"]),
        upload=str(releases.release / UPLOAD),
        removed=releases.removed,
        own_key=releases.own_key,
        key_digest=releases.key_digest(),
    )


if __name__ == "__main__":
    main()
