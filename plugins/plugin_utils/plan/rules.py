# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for values: each returns the problems it finds, in one form, as a list of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import app_name

PORTS = range(1, 65536)
#: An app's name: a system user's, a directory's and a unit's.
APP_NAME = app_name.APP_NAME
#: A name of a file below /etc, such as a site's or a certificate's.
FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
#: One IP address or network, as systemd's IPAddressAllow= and nginx take it.
NETWORK = re.compile(r"([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f]*(:[0-9A-Fa-f]*){2,})(/[0-9]{1,3})?")
#: An address that no other host reaches.
LOOPBACK = re.compile(r"-?(127\.[0-9.]+|::1|localhost)")
#: A path that units and shells take as it is.
HOME = re.compile(r"/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/?")
#: What is no app's: directories of the system, and those that its sandbox hides or empties.
NO_HOME = re.compile(
    r"/(srv|opt|var|mnt|data|usr|usr/local)/?"
    r"|/(bin|boot|dev|etc|home|lib|lib64|lost\+found|media|proc|root|run|sbin|sys|tmp|var/tmp)(/.*)?"
    r"|/usr/(bin|lib|sbin|share)(/.*)?|/var/(cache|lib|log|mail|run|spool)/?"
)
OCTAL_MODE = re.compile(r"0?[0-7]{3}")


def shown(value: Any) -> str:
    """A value as messages show it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def found(name: str, value: Any, allowed: str) -> str:
    """The one form of a message: the variable, what was found, what is allowed."""
    return f"{name}: found {shown(value)}; allowed {allowed}"


def matches(name: str, value: str, pattern: re.Pattern[str], allowed: str) -> list[str]:
    """A text that must match a pattern as a whole."""
    return [] if pattern.fullmatch(value) else [found(name, value, allowed)]


def all_match(
    name: str, values: Iterable[str], pattern: re.Pattern[str], allowed: str, *, some: bool = False
) -> list[str]:
    """Texts of a list that must match a pattern as a whole; with ``some`` there is at least one."""
    values = list(values)
    fine = all(pattern.fullmatch(str(value)) for value in values) and (values or not some)
    return [] if fine else [found(name, values, allowed)]


def all_pairs(
    name: str, values: Mapping[Any, Any], fits: Callable[[str, str], bool], allowed: str
) -> list[str]:
    """A dict of which each key and its value must fit together."""
    fine = all(fits(str(key), str(value)) for key, value in values.items())
    return [] if fine else [found(name, values, allowed)]


def home(name: str, value: str) -> list[str]:
    """A directory of an app's own, which its sandbox does not hide and no unit splits."""
    own = HOME.fullmatch(value) and not NO_HOME.fullmatch(value) and ".." not in value.split("/")
    if own:
        return []
    allowed = (
        "is a directory of the app's own, such as /srv/shop, of letters, digits and ._/-, not below"
        " /home, /root, /run, /tmp, /var/tmp or a directory of the system"
    )
    return [found(name, value, allowed)]


def up_to(name: str, value: int, most: int) -> list[str]:
    """A number with an upper bound."""
    return [] if value <= most else [found(name, value, f"are up to {most}")]


def commands(name: str, values: Iterable[Any]) -> list[str]:
    """Shell lines, of which an empty one would do nothing and look as if it had."""
    lines = [str(one) for one in values]
    return [] if all(line.strip() for line in lines) else [found(name, lines, "are shell lines")]


def port(name: str, value: int, *, none: bool = False) -> list[str]:
    """A TCP or UDP port; with ``none`` 0 stands for no port."""
    if value in PORTS or (none and value == 0):
        return []
    return [found(name, value, "are 1 to 65535" + (", and 0 for none" if none else ""))]


def at_least(name: str, value: int, least: int) -> list[str]:
    """A number with a lower bound."""
    return [] if value >= least else [found(name, value, f"are {least} and more")]


def seconds(name: str, value: int, least: int) -> list[str]:
    """A time in seconds with a lower bound."""
    return [] if value >= least else [found(name, value, f"are seconds from {least}")]


def is_local(addresses: Iterable[str]) -> bool:
    """Whether only the host itself reaches a server that listens on these addresses."""
    return all(LOOPBACK.fullmatch(address) for address in addresses)
