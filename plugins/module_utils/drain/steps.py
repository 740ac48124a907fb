# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking hosts out, or putting them back, in all sites of a web server."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.drain.upstream import plan, servers
from ansible_collections.flaskops.stack.plugins.module_utils.nginx_service import (
    UNIT,
    Nginx,
    NginxError,
)
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

#: Seconds between two looks at the processes.
LOOK_AGAIN = 0.2


def write(texts: dict[Path, str]) -> None:
    """Replace the files, each by a rename."""
    for path, text in texts.items():
        files.write(path, text, 0o644)


def reload(nginx: Nginx, timeout: int) -> bool:
    """Have nginx read its files; whether the workers from before have ended in time.

    NginxError when it refuses the files. Without a running nginx there is nothing to wait for.
    """
    nginx.check()
    if not nginx.running():
        return True
    before = nginx.workers()
    nginx.reload()
    deadline = time.monotonic() + timeout
    while before & nginx.workers():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_AGAIN)
    return True


def bring_about(
    folder: Path,
    addresses: Collection[str],
    state: str,
    timeout: int,
    systemd: Systemd,
    *,
    check_mode: bool,
) -> dict[str, Any]:
    """Drain the hosts or put them back. DrainError when that cannot be, NginxError."""
    before = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.conf"))}
    texts = plan(before, addresses, state)
    # A run that was cut off has written, and nginx may not have read it.
    unread = systemd.unit(UNIT).older_than(path.stat().st_mtime for path in before)
    changed, quiet = bool(texts) or unread, True
    if changed and not check_mode:
        write(texts)
        try:
            quiet = reload(Nginx(systemd), timeout)
        except NginxError:
            write({path: before[path] for path in texts})
            raise
    sites = {path.stem: servers(text) for path, text in {**before, **texts}.items()}
    several = {name: found for name, found in sites.items() if sum(map(len, found.values())) > 1}
    return {"changed": changed, "quiet": quiet, "sites": several}
