"""An app whose releases are built in a directory of the test's own; no command really runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.environment import from_file
from ansible_collections.flaskops.stack.plugins.module_utils.release.account import Owner
from ansible_collections.flaskops.stack.plugins.module_utils.release.builder import commands_for
from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import Commands
from ansible_collections.flaskops.stack.plugins.module_utils.release.options import Options
from ansible_collections.flaskops.stack.plugins.module_utils.release.releases import Releases

ME = Owner(os.getuid(), os.getgid())
SITE = "lib/python3.11/site-packages"
OPTIONS: dict[str, Any] = {
    "user": "shop",
    "id": "abc-1",
    "recipe": "",
    "revision": "abc",
    "source": "./shop",
    "archive": "",
    "archive_name": "",
    "requirement": "",
    "checkout": None,
    "make_key": True,
    "subdirectory": "",
    "environment": '{"GREETING": "hi"}',
    "environment_defaults": "",
    "files": "",
    "key_days": 31,
    "installer": "uv",
    "uv_version": "1.2.3",
    "python": "/usr/bin/python3",
    "extra_packages": [],
    "requirements": "",
    "build_commands": [],
    "server_package": "",
    "build_environment": "",
    "shared_paths": ["instance", "uploads"],
    "static": {},
    "fingerprint": "",
    "keep": 2,
}


class Shop:
    """The releases of one app; ``run`` stands for the commands of a build."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.monkeypatch = monkeypatch
        #: The commands of the latest build, with the names of programs and files only.
        self.commands: list[str] = []

    def options(self, **changes: Any) -> Options:
        """Options as most tests have them."""
        return Options.read({"home": str(self.home), **OPTIONS, **changes})

    def releases(self, *, check_mode: bool = False, **changes: Any) -> Releases:
        """The release as the module has it."""
        return Releases(self.options(**changes), check_mode=check_mode)

    def prepared(self, **changes: Any) -> Releases:
        """A release that is there to be filled."""
        releases = self.releases(**changes)
        releases.prepare()
        return releases

    def real_commands(self, releases: Releases) -> Commands:
        """The commands of a release, which really run."""
        return commands_for(releases.options, releases.place, ME)

    def record(self, brings: Sequence[str] = (), own: str = "") -> None:
        """Note commands, and make what they would have made: distributions, and the app's own."""
        self.commands = []

        def run(commands: Commands, *command: str) -> str:
            site = commands.place.venv / SITE
            if own:
                (site / "corner/static").mkdir(parents=True, exist_ok=True)
                (site / "corner/__init__.py").touch()
                (site / "corner/static/a.css").write_text("x")
            if command[0] == "cp":
                subprocess.run(command, check=True)
                return ""
            short = (Path(word).name if "/" in word else word for word in command)
            self.commands.append(" ".join(short))
            for name in (*brings, *([own] if own else [])):
                (site / f"{name}.dist-info").mkdir(parents=True, exist_ok=True)
            if own:
                (site / f"{own}.dist-info/RECORD").write_text("corner/__init__.py,,\n")
            return ""

        self.monkeypatch.setattr(Commands, "run", run)

    def build(
        self, files: dict[str, str], brings: tuple[str, ...] = (), **changes: Any
    ) -> list[str]:
        """Build and select a release of these files; returns the commands."""
        self.record(brings)
        releases = self.prepared(**changes)
        for name, text in files.items():
            path = releases.place.code / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        releases.build()
        releases.select()
        return self.commands

    def upload(self, name: str, content: bytes, **changes: Any) -> list[str]:
        """Build a release of what was uploaded, or of nothing but the options."""
        self.record(own="Corner_Shop-1.2")
        releases = self.releases(**changes)
        if name:
            releases.prepare()
            (releases.place.upload / name).write_bytes(content)
        releases.build()
        if releases.store.removed:
            raise AssertionError(releases.store.removed)
        return self.commands

    def environment(self) -> dict[str, str]:
        """The environment that was selected."""
        return from_file((self.home / "next/env").read_text())
