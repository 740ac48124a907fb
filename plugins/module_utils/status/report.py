# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is told of a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.status.app import App
from ansible_collections.flaskops.stack.plugins.module_utils.status.certificates import certificates
from ansible_collections.flaskops.stack.plugins.module_utils.status.found import find_apps
from ansible_collections.flaskops.stack.plugins.module_utils.status.pages import pages
from ansible_collections.flaskops.stack.plugins.module_utils.status.services import services
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


def report(name: str, root: Path, timeout: int, systemd: Systemd) -> dict[str, Any]:
    """The apps of a host, or the one of that name, and what stands around them."""
    apps = find_apps(root, name)
    return {
        "apps": [App(one, home, systemd, timeout).look() for one, home in apps.items()],
        "problems": list(services(systemd)),
        "certificates": certificates(name),
        "pages": [one for one in pages() if name in ("", one["site"])],
    }
