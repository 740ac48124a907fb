# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can listen on an address, asked before a socket that is open is closed for it."""

from __future__ import annotations

import errno
import grp
import os
import re
import socket
import stat

#: Bytes of the path of a unix socket, unix(7), without the last NUL.
PATH_BYTES = 107
TCP = re.compile(r"\[?(?P<address>[0-9A-Fa-f.:]+?)\]?:(?P<port>[0-9]+)")
GROUP = re.compile(r"^SocketGroup=(.+)$", re.MULTILINE)
LISTEN = re.compile(r"^ListenStream=(.+)$", re.MULTILINE)


def found(setting: re.Pattern[str], unit: str) -> str:
    """The value of a setting in the text of a unit; nothing where it has none."""
    value = setting.search(unit)
    return value[1] if value else ""


def problem_with(unit: str, before: str) -> str:
    """Why a socket unit of this text could not listen; nothing when it can.

    ``before`` is the text that it has now: where that listens the app itself does.
    """
    group, new, old = found(GROUP, unit), found(LISTEN, unit), found(LISTEN, before)
    if group:
        try:
            grp.getgrnam(group)
        except KeyError:
            return f"this host has no group {group}"
    if new == old:
        return ""
    if new.startswith("/"):
        return path_problem(new)
    tcp, known = TCP.fullmatch(new), TCP.fullmatch(old)
    if not tcp or (known and known["port"] == tcp["port"]):
        return ""
    return port_problem(tcp["address"], int(tcp["port"]))


def path_problem(path: str) -> str:
    """Why a path can be no socket's."""
    if len(os.fsencode(path)) > PATH_BYTES:
        return f"a socket's path has at most {PATH_BYTES} bytes"
    try:
        mode = os.lstat(path).st_mode
    except OSError:  # systemd makes what is missing
        return ""
    if not stat.S_ISSOCK(mode):
        return "there is something else"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(path)
        except OSError:
            return ""
    return os.strerror(errno.EADDRINUSE)


def port_problem(address: str, port: int) -> str:
    """Why nobody can listen on a port. An address that is not there yet may come."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            server.listen(1)
    except OSError as error:
        return "" if error.errno == errno.EADDRNOTAVAIL else os.strerror(error.errno or 0)
    return ""
