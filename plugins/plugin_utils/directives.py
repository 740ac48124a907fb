# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dict in a program's own keys as the text of its configuration file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

#: What a word of redis.conf may hold without quotes.
PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:,@%+=*~&|<>!?()\[\]{}^$;-]+")
#: The words of a line of redis.conf: bare, "with escapes" or 'without'.
LINE = re.compile(r"""\s*((?:"(?:\\.|[^"\\])*"|'(?:\\'|[^'])*'|[^\s"']+)(?:\s+|$))*""")
ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}


def directives(settings: Any, style: str, indent: int = 0) -> str:
    """``settings`` as text, one directive a line, ``indent`` spaces deep.

    ``style`` is nginx or redis. Null leaves a key out, a list repeats it. Raises AnsibleFilterError
    naming the key and what was received.
    """
    if not isinstance(settings, Mapping):
        raise AnsibleFilterError(
            f"directives expects a dict of settings, got {_kind(settings)}: {settings!r}"
        )
    if style not in STYLES:
        raise AnsibleFilterError(
            f"directives: style must be one of {', '.join(sorted(STYLES))}, got {style!r}"
        )
    pad = " " * indent
    return "".join(f"{pad}{line}\n" for line in STYLES[style](settings))


def nginx(settings: Mapping[Any, Any]) -> Iterator[str]:
    """Lines of nginx.conf: ``key value;``, and ``key { ... }`` for a nested dict."""
    for key, value in settings.items():
        _check_key(key, forbidden=";{}\n")
        for item in value if isinstance(value, list) else [value]:
            if item is None:
                continue
            if isinstance(item, Mapping):
                yield f"{key} {{"
                yield from (f"    {line}" for line in nginx(item))
                yield "}"
                continue
            text = _scalar(key, item, "on", "off").strip()
            if text.endswith(";"):
                raise AnsibleFilterError(
                    f"{key}: the value {text!r} ends with a semicolon; it is added for you"
                )
            yield f"{key} {text};" if text else f"{key};"


def redis(settings: Mapping[Any, Any]) -> Iterator[str]:
    """Lines of redis.conf: text as it stands, a list within a list as exact words, quoted."""
    for key, value in settings.items():
        _check_key(key, forbidden=" \t\n\"'")
        for item in value if isinstance(value, list) else [value]:
            if item is None:
                continue
            if isinstance(item, list):
                words = [_redis_word(key, _scalar(key, word, "yes", "no")) for word in item]
                yield f"{key} {' '.join(words)}"
                continue
            text = _scalar(key, item, "yes", "no").strip() or '""'
            if "\n" in text or "\r" in text:
                raise AnsibleFilterError(f"{key}: a value must be one line, got {text!r}")
            if not LINE.fullmatch(text):
                raise AnsibleFilterError(f"{key}: quotes are not balanced in {text!r}")
            yield f"{key} {text}"


def _scalar(key: Any, value: Any, true: str, false: str) -> str:
    if isinstance(value, bool):
        return true if value else false
    if isinstance(value, (str, int, float)):
        return str(value)
    raise AnsibleFilterError(
        f"{key}: expected text, a number or a boolean, got {_kind(value)}: {value!r}"
    )


def _kind(value: Any) -> str:
    """A user's word for the type; Ansible has types of its own for lists and dicts."""
    if isinstance(value, Mapping):
        return "a dict"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "null" if value is None else f"{type(value).__name__}"


def _check_key(key: Any, forbidden: str) -> None:
    if not isinstance(key, str) or not key or any(character in key for character in forbidden):
        raise AnsibleFilterError(f"{key!r} is not the name of a directive")


def _redis_word(key: str, word: str) -> str:
    if PLAIN_WORD.fullmatch(word):
        return word
    if "\0" in word:
        raise AnsibleFilterError(f"{key}: a value cannot hold a NUL byte")
    return '"' + "".join(ESCAPES.get(character, character) for character in word) + '"'


STYLES: dict[str, Callable[[Mapping[Any, Any]], Iterator[str]]] = {"nginx": nginx, "redis": redis}
