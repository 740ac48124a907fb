# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of NAME=value lines, read as python-dotenv reads them, which need not be installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LEAD = re.compile(r"\s*")
EXPORT = re.compile(r"export[^\S\n]+")
NAME = re.compile(r"'(?P<quoted>[^']+)'|(?P<plain>[^=#\s'][^=#\s]*)")
EQUALS = re.compile(r"[^\S\n]*=(?P<gap>[^\S\n]*)")
QUOTED = {
    "'": re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
PLAIN = re.compile(r"[^\n]*")
PLAIN_COMMENT = re.compile(r"\s+#")
END = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")

ESCAPE = {"'": re.compile(r"\\([\\'])"), '"': re.compile(r"\\([\\'\"abfnrtv])")}
ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

REFERENCE = re.compile(r"\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")


class DotenvError(ValueError):
    """A line that is no statement: ``line`` is its number, ``at`` the place of the first misfit."""

    def __init__(self, line: int, at: int) -> None:
        self.line = line
        self.at = at
        super().__init__("not a NAME=value line, or a quote that is never closed")


@dataclass(frozen=True)
class Binding:
    """One statement: a name, its value (None without an equals sign) and the line it begins on."""

    name: str
    value: str | None
    line: int


def parse(text: str) -> list[Binding]:
    """The statements of a file in their order; DotenvError for the first line that is none."""
    found = []
    for one in statements(text):
        if isinstance(one, DotenvError):
            raise one
        found.append(one)
    return found


def names(text: str) -> set[str]:
    """The names that a file sets, for a program that passes over lines that are no statement."""
    return {
        one.name for one in statements(text) if isinstance(one, Binding) and one.value is not None
    }


def statements(text: str) -> Iterator[Binding | DotenvError]:
    """The statements of a file in their order, and an error for each line that is none."""
    text = re.sub(r"\r\n?", "\n", text).removeprefix("\ufeff")
    at = skip(LEAD, text, 0)
    while at < len(text):
        try:
            binding, at = statement(text, at)
        except DotenvError as error:
            yield error
            at = skip(PLAIN, text, error.at)
        else:
            if binding is not None:
                yield binding
        at = skip(LEAD, text, at)


def statement(text: str, at: int) -> tuple[Binding | None, int]:
    """The statement that begins at a place, None for a comment, and the place behind it."""
    line = text.count("\n", 0, at) + 1
    at = skip(EXPORT, text, at)
    name = NAME.match(text, at)
    value = None
    if name is not None:
        at = name.end()
        equals = EQUALS.match(text, at)
        if equals is not None:
            value, at = read_value(text, equals, line)
    elif not text.startswith("#", at):
        raise DotenvError(line, at)
    end = END.match(text, at)
    if end is None:
        raise DotenvError(line, at)
    binding = Binding(name["quoted"] or name["plain"], value, line) if name else None
    return binding, end.end()


def skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    """The place behind what matches at a place, that place itself where nothing does."""
    match = pattern.match(text, at)
    return match.end() if match else at


def read_value(text: str, equals: re.Match[str], line: int) -> tuple[str, int]:
    """The value behind an equals sign, and the place behind it."""
    at = equals.end()
    mark = text[at : at + 1]
    if mark == "#" and equals["gap"]:
        return "", at
    if mark in QUOTED:
        quoted = QUOTED[mark].match(text, at)
        if quoted is None:
            raise DotenvError(line, at)
        return ESCAPE[mark].sub(lambda m: ESCAPED.get(m[1], m[1]), quoted[1]), quoted.end()
    end = skip(PLAIN, text, at)
    return PLAIN_COMMENT.split(text[at:end], maxsplit=1)[0].rstrip(), end


def interpolate(
    value: str, surroundings: Mapping[str, str], before: Mapping[str, str | None]
) -> str:
    """A value with its ``${NAME}`` and ``${NAME:-default}`` filled in.

    The surroundings win over what stands before the value in its file; a name that neither knows
    is its default, or empty.
    """

    def fill(reference: re.Match[str]) -> str:
        name = reference["name"]
        if name in surroundings:
            return surroundings[name]
        return before.get(name, reference["default"]) or ""

    return REFERENCE.sub(fill, value)
