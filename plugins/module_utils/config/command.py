# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that accepts or refuses: run for a time, then ended with all it has started."""

from __future__ import annotations

import os
import pwd
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import IO, Any, cast

from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def account(user: str) -> pwd.struct_passwd:
    """The user who runs the check. Raises ConfigError when there is none of that name."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(f"check_user {user!r} does not exist on this host") from None


def run(argv: list[str], ready: str | None, timeout: float, user: str | None) -> tuple[bool, str]:
    """Run ``argv`` for at most ``timeout`` seconds: (accepted, what it printed).

    With ``ready`` the command has to print that text, is then stopped, and its exit code does not
    count. ``user`` of None keeps the current one. Raises ConfigError when it cannot be started.
    """
    identity: dict[str, Any] = {}
    if user is not None:
        entry = account(user)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": PATH, "LC_ALL": "C"},
            start_new_session=True,
            **identity,
        )
    except OSError as error:
        raise ConfigError(f"the check {argv[0]!r} cannot be started: {error.strerror}") from error
    output, accepted, deadline = b"", False, time.monotonic() + timeout
    pipe = cast("IO[bytes]", process.stdout)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                chunk = os.read(pipe.fileno(), 65536)
                output += chunk
                if ready is not None and ready.encode() in output:
                    accepted = True
                    break
                if not chunk:
                    code = process.wait(max(0.1, deadline - time.monotonic()))
                    accepted = ready is None and code == 0
                    if not accepted:
                        output = output.rstrip() + f"\n(exit code {code})".encode()
                    break
            else:
                output = output.rstrip() + f"\n(no verdict within {timeout:g} s)".encode()
    except subprocess.TimeoutExpired:
        output = output.rstrip() + f"\n(still running after {timeout:g} s)".encode()
    finally:
        stop(process)
    return accepted, output.decode("utf-8", "replace").strip()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it has started."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()
