# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that work on certificates, run with what they say in one line."""

from __future__ import annotations

import os
import subprocess


class TlsError(Exception):
    """What went wrong, in one line a person can act on."""


def run(
    argv: list[str],
    given: bytes = b"",
    timeout: float = 60,
    env: dict[str, str] | None = None,
) -> bytes:
    """Output of a command; TlsError with the last thing it said when it fails."""
    try:
        done = subprocess.run(
            argv,
            input=given,
            capture_output=True,
            check=False,
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TlsError(f"{argv[0]}: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        said = " ".join(line.strip() for line in lines[-6:]) or f"exit code {done.returncode}"
        raise TlsError(f"{' '.join(argv[:2])}: {said}")
    return done.stdout


def openssl(*argv: str, given: bytes = b"") -> bytes:
    """Output of an openssl command; secrets go in by the standard input or by files."""
    return run(["openssl", *argv], given)
