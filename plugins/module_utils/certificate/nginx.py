# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web server that serves the certificates."""

from __future__ import annotations

from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import (
    TlsError,
    run,
)
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, SystemdError

#: With its path, because the PATH that `su` leaves has no sbin.
NGINX = "/usr/sbin/nginx"
UNIT = "nginx.service"


def reload(systemd: Systemd | None = None) -> None:
    """Let nginx, if it runs, read its certificates again; TlsError when it refuses them."""
    systemd = systemd or Systemd()
    if not systemd.active(UNIT):
        return
    try:
        run([NGINX, "-t", "-q"])
        systemd.must("reload", UNIT)
    except (TlsError, SystemdError) as error:
        raise TlsError(f"the old certificate stays, for nginx refuses: {error}") from error
