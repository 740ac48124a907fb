# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtualenv of a release: what is installed in it, and what of that is the app itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.release.place import Place
from ansible_collections.flaskops.stack.plugins.module_utils.release.requirement import (
    distribution,
)

SITE = "lib/python3*/site-packages"


def site_packages(place: Place) -> Path:
    """Where the packages are."""
    return next(iter(place.venv.glob(SITE)))


def installed(place: Place) -> dict[str, str]:
    """Installed distributions and their versions."""
    found = {}
    for info in place.venv.glob(f"{SITE}/*.dist-info"):
        found[distribution(info)] = info.name.removesuffix(".dist-info").partition("-")[2]
    return dict(sorted(found.items()))


def own_packages(place: Place, own_name: str) -> Iterator[str]:
    """Import packages that are the app: installed from the code, or instead of code.

    ``own_name`` is the distribution that is the app, where it comes as a package.
    """
    here = place.code.resolve().as_uri()
    for info in place.venv.glob(f"{SITE}/*.dist-info"):
        origin, record = info / "direct_url.json", info / "RECORD"
        own = bool(own_name) and distribution(info) == own_name
        if not own and origin.is_file():
            own = json.loads(origin.read_text("utf-8")).get("url", "").startswith(here)
        if not own or not record.is_file():
            continue
        tops = {line.split("/", 1)[0] for line in record.read_text("utf-8").splitlines()}
        packages = (name for name in tops if (info.parent / name / "__init__.py").exists())
        yield from sorted(packages)
