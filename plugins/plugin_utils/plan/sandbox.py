# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generation of an app may do on its host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The Service section of a generation's unit, systemd.exec(5), under every WSGI server. Exposure
#: 1.4 as systemd-analyze security counts, on systemd 252 and 257.
SANDBOX: Mapping[str, Any] = {
    "UMask": "0027",
    "NoNewPrivileges": True,
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ProtectHome": True,
    "PrivateTmp": True,
    "PrivateDevices": True,
    "PrivateIPC": True,
    "PrivateUsers": True,
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "ProtectClock": True,
    "ProtectControlGroups": True,
    "ProtectHostname": True,
    "ProtectKernelLogs": True,
    "ProtectKernelModules": True,
    "ProtectKernelTunables": True,
    "RemoveIPC": True,
    "KeyringMode": "private",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": True,
    "RestrictRealtime": True,
    "RestrictSUIDSGID": True,
    "LockPersonality": True,
    "MemoryDenyWriteExecute": True,
    "SystemCallArchitectures": "native",
    # A call that is refused is an error that the app can handle and show, not the end of a worker.
    "SystemCallErrorNumber": "EPERM",
    # Gunicorn changes the owner of its workers' temporary files.
    "SystemCallFilter": ["@system-service", "~@privileged @resources", "@chown"],
}


def service_settings(home: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The sandbox of an app, with what people say of it merged over it."""
    return {**SANDBOX, "ReadWritePaths": f"-{home}/shared", **given}
