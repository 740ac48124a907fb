# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release prepared, built and selected."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import app_files, files
from ansible_collections.flaskops.stack.plugins.module_utils.environment import (
    EnvironmentFormatError,
    from_json,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.account import Owner
from ansible_collections.flaskops.stack.plugins.module_utils.release.assets import gather
from ansible_collections.flaskops.stack.plugins.module_utils.release.builder import build
from ansible_collections.flaskops.stack.plugins.module_utils.release.dotenv_files import names_set
from ansible_collections.flaskops.stack.plugins.module_utils.release.environment import (
    environment_text,
    takes_our_key,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.name import release_id
from ansible_collections.flaskops.stack.plugins.module_utils.release.options import Options
from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place
from ansible_collections.flaskops.stack.plugins.module_utils.release.secret_keys import SecretKeys
from ansible_collections.flaskops.stack.plugins.module_utils.release.source import bring
from ansible_collections.flaskops.stack.plugins.module_utils.release.store import Store


class Releases:
    """What becomes of one release of an app."""

    def __init__(self, options: Options, *, check_mode: bool) -> None:
        self.options = options
        self.check_mode = check_mode
        self.store = Store(options.home, check_mode=check_mode)
        self.keys = SecretKeys(options.home)
        self.place = Place(options.home, self._name(), options.subdirectory)
        self.fingerprint = re.compile(options.fingerprint)
        #: Whether the key that was made here is in the environment that was selected.
        self.own_key = False

    def _name(self) -> str:
        """The name of the release; ReleaseError where the live one is meant and there is none."""
        given = self.options
        if given.id or not given.recipe:
            return given.id or self.store.live()
        return release_id(given.revision, given.recipe)

    def prepare(self) -> None:
        """Directories as they should be, incomplete releases gone, this one ready to fill."""
        owner = None if self.check_mode else Owner.named(self.options.user)
        if owner:
            self.store.lay_out(owner, self.options.shared_paths)
        if self.place.complete:
            self.store.remove_incomplete(self.place)
            return
        self.store.changed = True
        if owner:
            self.store.remove_incomplete(self.place)
            self.store.begin(self.place, owner)

    def build(self) -> None:
        """Complete the release, if another run was not faster."""
        options, place = self.options, self.place
        if options.comes_along:
            self.prepare()
        if place.complete:
            return
        owner = Owner.named(options.user)
        bring(options, place)
        record = {
            "id": place.id,
            "revision": options.revision,
            "source": options.source,
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        try:
            record |= build(options, place, owner)
        except (ReleaseError, EnvironmentFormatError):
            self.store.remove(place, told=False)  # the disk may be full
            raise
        # All that a complete release has comes before the marker: a run that is killed in between
        # leaves nothing that the next one would not do again.
        os.chmod(place.path, 0o755)
        surplus = self.store.surplus(place, options.keep)
        gather(self.fingerprint, self._kept(surplus), options.home / "assets")
        files.write(place.marker, json.dumps(record, indent=2) + "\n", 0o640, gid=owner.gid)
        self.store.changed = True
        for release in surplus:
            self.store.remove(release)

    def _kept(self, surplus: list[Place]) -> list[Place]:
        """The complete releases that stay, and the one that is being built."""
        going = {release.id for release in surplus}
        return [
            release
            for release in self.store.existing()
            if release.id not in going and (release.id == self.place.id or release.complete)
        ]

    def may_select(self) -> bool:
        """Whether the release is complete, and need not wait for a key from elsewhere."""
        return (self.options.make_key or self.keys.exists) and self.place.complete

    def select(self) -> None:
        """Leave the release and its environment where the server's role finds them."""
        folder = self.options.home / "next"
        text = self._environment()
        path = folder / "env"
        if not path.is_file() or path.read_bytes().decode() != text:
            self.store.changed = True
            if not self.check_mode:
                files.write(path, text, 0o640, gid=Owner.named(self.options.user).gid)
        self._give(folder / app_files.FOLDER)
        link, wanted = folder / "release", f"../releases/{self.place.id}"
        if not link.is_symlink() or os.readlink(link) != wanted:
            self.store.changed = True
            if not self.check_mode:
                files.link(link, wanted)

    def _give(self, folder: Path) -> None:
        """Leave the files there that people give the app."""
        wanted: dict[str, str] = json.loads(self.options.files or "{}")
        if app_files.read(folder) != wanted:
            self.store.changed = True
            if not self.check_mode:
                app_files.replace(folder, wanted, Owner.named(self.options.user).gid)

    def _environment(self) -> str:
        """The environment of the release, as systemd reads it."""
        given = from_json(self.options.environment)
        record: dict[str, Any] = self.store.record(self.place)
        code = self.place.code
        own = names_set(code / record.get("subdirectory", ""), code)
        facts = {"FLASKOPS_RELEASE": record["id"], "FLASKOPS_REVISION": record["revision"]}
        defaults = from_json(self.options.environment_defaults)
        self.own_key = takes_our_key(given, own)
        keys = self._keys() if self.own_key else {}
        return environment_text(given, facts, defaults, keys, own)

    def _keys(self) -> dict[str, str]:
        """The keys of the app, with a new one where there is none; none in check mode then."""
        if not self.keys.exists:
            if self.check_mode:
                return {}
            self.keys.make()
            self.store.changed = True
        return self.keys.settings(self.options.key_days)
