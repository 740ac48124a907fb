# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of an app kept out of what is told of its failures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ansible_collections.flaskops.stack.plugins.module_utils.environment import from_file

#: A part of a name that says that the value is a secret.
WORDS = {
    "auth",
    "credential",
    "credentials",
    "dsn",
    "key",
    "keys",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "private",
    "pwd",
    "salt",
    "secret",
    "token",
}
#: The password in a URL.
LOGIN = re.compile(r"://[^/@\s:]*:(?P<password>[^/@\s]+)@")
#: Shorter ones are in any text by chance.
LEAST = 4
MASK = "********"


def secrets_of(environment: Mapping[str, str]) -> Iterator[str]:
    """What of an environment must not be told, a text of several lines by its lines."""
    for name, value in environment.items():
        if not WORDS.isdisjoint(name.lower().split("_")):
            yield from value.splitlines()
        yield from (found["password"] for found in LOGIN.finditer(value))


def environments(home: Path) -> Iterator[dict[str, str]]:
    """What the app is given in all its generations, and in the one that is to come."""
    for path in [home / "next/env", *home.glob("generations/*/env")]:
        with suppress(OSError, ValueError):
            yield from_file(path.read_bytes().decode())


def hide(home: Path, lines: Iterable[str]) -> list[str]:
    """Lines without the secrets that the app of a home is given."""
    known = {secret for found in environments(home) for secret in secrets_of(found)}
    secrets = [one for one in known if len(one) >= LEAST]
    return [masked(line, secrets) for line in lines]


def masked(text: str, secrets: Iterable[str]) -> str:
    """A text without any of the secrets, also where one is a part of another."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
