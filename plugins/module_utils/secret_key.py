# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SECRET_KEY of an app as a file of its hosts, and the steps of its rotation.

The first line signs. The others are accepted: a time in Unix seconds behind a key says when it was
retired, and a second line without one waits to sign.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Bytes of a new key.
LENGTH = 48


class KeyStateError(Exception):
    """The key is in no state for what is asked."""


@dataclass(frozen=True)
class Offer:
    """What one host has: the text of its file, and a key and a time for when new ones are needed.

    All hosts take a new key and the time of its step from the same offer, so that their files are
    the same.
    """

    host: str
    content: str
    proposal: str
    time: int


def offer(host: str, path: Path) -> Offer:
    """What the host with this file has; OSError when the file cannot be read."""
    content = path.read_text("utf-8") if path.is_file() else ""
    return Offer(host, content, secrets.token_urlsafe(LENGTH), int(time.time()))


def in_order(offers: Sequence[Offer], hosts: Sequence[str]) -> list[Offer]:
    """The offers in the order of the app's hosts, which is the same on every host."""
    return sorted(
        offers, key=lambda one: hosts.index(one.host) if one.host in hosts else len(hosts)
    )


def shared(offers: Sequence[Offer]) -> str:
    """What most hosts have, so that a host that was restored does not set back the others.

    Of several the first; a new key where no host has one.
    """
    contents = [one.content for one in offers if one.content]
    return max(contents, key=contents.count, default=f"{offers[0].proposal}\n")


def waits(content: str) -> bool:
    """Whether a key waits to sign."""
    lines = content.splitlines()
    return len(lines) > 1 and " " not in lines[1]


def accepted(offers: Sequence[Offer]) -> str:
    """The shared keys, with a new one that is accepted and waits to sign.

    One that waits already goes on: an earlier rotation was not finished.
    """
    content = shared(offers)
    if waits(content):
        return content
    first, *others = content.splitlines()
    return text([first, offers[0].proposal, *others])


def signed(offers: Sequence[Offer], days: int) -> str:
    """The shared keys, where the one that waited signs; with no days it is the only one.

    KeyStateError when none waits.
    """
    content = shared(offers)
    if not waits(content):
        raise KeyStateError("no key waits to sign")
    old, new, *others = content.splitlines()
    return text([new, f"{old} {offers[0].time}", *others] if days else [new])


def text(lines: Sequence[str]) -> str:
    """Lines as the file has them."""
    return "".join(f"{line}\n" for line in lines)


def step(state: str, offers: Sequence[Offer], days: int) -> str:
    """The text of the file after a step; KeyStateError when it is not possible."""
    if not offers:
        raise KeyStateError("no host has offered a key")
    if state == "accepted":
        return accepted(offers)
    if state == "signed":
        return signed(offers, days)
    return shared(offers)
