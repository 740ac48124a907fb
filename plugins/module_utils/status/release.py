# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release that a generation runs, and the server that runs it."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Distributions that bring a server's program.
DISTRIBUTIONS = {"gunicorn": ("gunicorn",), "uwsgi": ("uwsgi", "pyuwsgi")}


def release(generation: Path | None) -> dict[str, str]:
    """Release, revision and source of a generation's directory; what is not known is empty."""
    if generation is None:
        return {"release": "", "revision": "", "source": ""}
    folder = generation / "release"
    told: dict[str, Any] = {}
    with suppress(OSError, ValueError):  # it was built by something else
        told = json.loads((folder / "release.json").read_text("utf-8"))
    return {
        "release": os.path.basename(os.readlink(folder)),
        "revision": str(told.get("revision", "")),
        "source": without_login(str(told.get("source", ""))),
    }


def server_version(generation: Path, server: str) -> str:
    """Its version, by what is installed in the release's virtualenv."""
    for info in (generation / "release").glob("*/lib/python3*/site-packages/*.dist-info"):
        name, _, version = info.name[: -len(".dist-info")].partition("-")
        if name.lower() in DISTRIBUTIONS.get(server, ()):
            return version
    return ""


def without_login(source: str) -> str:
    """An address without the login in it."""
    return re.sub(r"^((?:git\+)?https?://)[^/@]*@", r"\1", source)
