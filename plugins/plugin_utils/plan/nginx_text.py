# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of a server block that somebody wrote, made whole.

In nginx a block inherits a list of directives, such as the headers for the app, from the one around
it only as long as it has none of its own. With one ``proxy_set_header`` for a WebSocket a location
loses all that the role sets, and a visitor may then name any address as theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

#: A comment, what is in quotes, a sign with a meaning, or a word, whose ``${name}`` is no block.
TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<sign>[;{}])"""
    r"""|(?P<word>(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\$\{|(?<=\$\{)[^}\s]*\}|[^\s;{}])+)""",
    re.DOTALL,
)
NOTE = "# What holds for the site; these lines would else be in place of it."

Directive = tuple[str, ...]


@dataclass
class Block:
    """A block: its directives, and where the brace that ends it stands in the text."""

    directives: list[Directive] = field(default_factory=list)
    end: int = -1


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text, the text itself last; ValueError when its braces do not match."""
    opened, words = [Block()], list[str]()
    for token in TOKEN.finditer(text):
        if token["word"]:
            words.append(token["word"])
        elif token["sign"] == "{":
            opened.append(Block())
        elif token["sign"] == "}":
            if len(opened) == 1:
                raise ValueError("a brace is closed that was not opened")
            opened[-1].end = token.start()
            yield opened.pop()
        elif token["sign"] and words:
            opened[-1].directives.append(tuple(words))
        if token["sign"]:
            words = []
    if len(opened) > 1:
        raise ValueError("a brace is not closed")
    yield opened[0]


def name_of(directive: Directive) -> Directive:
    """What tells one of a list from the others: ``proxy_set_header host``."""
    return tuple(word.strip("\"'").lower() for word in directive[:2])


def missing(block: Block, own: Sequence[str]) -> list[str]:
    """Those of ``own`` that a block loses by what it says itself."""
    said = {name_of(directive) for directive in block.directives}
    lists = {directive[0] for directive in block.directives}
    return [
        line
        for line in own
        if line.split()[0] in lists and name_of(tuple(line.split())) not in said
    ]


def completed(text: str, own: Sequence[str]) -> str:
    """The text, each of its blocks with what it would lose of ``own``.

    As it is when its braces do not match, of which nginx says more.
    """
    try:
        found = [block for block in blocks(text) if block.end >= 0]
    except ValueError:
        return text
    for block in sorted(found, key=lambda one: one.end, reverse=True):
        lines = missing(block, own)
        if lines:
            before, after = text[: block.end].rstrip(), text[block.end :]
            margin = " " * _margin(text, block.end)
            added = "".join(f"\n{margin}    {line}" for line in [NOTE, *(f"{x};" for x in lines)])
            text = f"{before}{added}\n{margin}{after}"
    return text


def kept(text: str, own: Sequence[str]) -> list[str]:
    """Those of ``own`` that the text itself does not say in its own way."""
    try:
        *_, top = blocks(text)
    except ValueError:
        return list(own)
    said = {name_of(directive) for directive in top.directives}
    return [line for line in own if name_of(tuple(line.split())) not in said]


def _margin(text: str, end: int) -> int:
    """How far the line is indented in which a block ends."""
    line = text[text.rfind("\n", 0, end) + 1 :]
    return len(line) - len(line.lstrip(" "))
