"""Files of NAME=value lines mean to us what they mean to python-dotenv."""

from __future__ import annotations

import io
import os
from unittest import mock

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import dotenv as ours
from dotenv.main import resolve_variables
from dotenv.parser import parse_stream
from hypothesis import example, given
from hypothesis import strategies as st

SURROUNDINGS = {"HOME": "/home/me", "A": "from outside"}
FILES = [
    "",
    "\n\n  \n",
    "A=1",
    "A = 1 \nB\t=\t2",
    "A=1\r\nB=2\rC=3\n",
    "\ufeffA=1",
    "export A=1\nexport\tB=2",
    "export=1",
    "export =1",
    "export",
    "export # nothing",
    "exporting=1",
    "# a comment\n  # another\nA=1",
    "A=1 # a comment\nB=1# none\nC=# none\nD= # a comment\nE=#",
    "A=a b  c   ",
    "A='a b' # comment\nB=\"b\"#comment",
    "A='it\\'s' \nB='a\\nb'\nC='\\\\'",
    'A="a\\nb\\t\\"c\\" \\\\ \\x \\\'"',
    "A='two\nlines'\nB=\"two\n\nlines\"\nC=3",
    "A=\nB=''\nC=\"\"",
    "A",
    "A\nB=1",
    "A B",
    "A='open",
    'A="open\\"',
    "A='a' b",
    "A=a'b\"c",
    "'A B'=1",
    "'A'=1",
    "'A=1",
    "''=1",
    "=1",
    "a.b-c=1",
    "A=1\nA=2",
    "B=${A}\nC=${HOME}/x\nD=${NO}\nE=${NO:-x}\nF=${A:-x}\nG='${A}'\nH=$A\nI=${A",
    "X=1\nY=${X}2\nX=3\nZ=${X}${Y}",
    "X\nY=${X:-default}",
    "A=${B:-a b} # c",
    "A=${:-x}${}",
    "A=${B:x}",
    "\x0bA=1\x0c",
    "A=1\u2028B=2\x85",
    "A=\xa01",
]
PIECES = st.sampled_from(
    [
        *"'\"#=\\$ {}:-\n\t\rnABé\u2028",
        "export ",
        "${A}",
        "${B:-x}",
        "\\'",
        '\\"',
        "\nB=",
        " # ",
    ]
)


def theirs(text: str) -> list[tuple[str, str | None]] | None:
    """What python-dotenv makes of it, None where it would pass a line over."""
    bindings = list(parse_stream(io.StringIO(text, newline=None)))
    if any(binding.error for binding in bindings):
        return None
    named = [(item.key, item.value) for item in bindings if item.key is not None]
    with mock.patch.dict(os.environ, SURROUNDINGS, clear=True):
        resolved = resolve_variables(named, override=False)
    return list(resolved.items())


def mine(text: str) -> list[tuple[str, str | None]] | None:
    try:
        bindings = ours.parse(text)
    except ours.DotenvError:
        return None
    found: dict[str, str | None] = {}
    for binding in bindings:
        value = binding.value
        if value is not None:
            value = ours.interpolate(value, SURROUNDINGS, found)
        found[binding.name] = value
    return list(found.items())


@pytest.mark.parametrize("text", FILES)
def test_picked_files_mean_the_same(text: str) -> None:
    assert mine(text) == theirs(text)


@given(st.lists(PIECES, max_size=30).map("".join))
@example("A='\\")
def test_any_file_means_the_same(text: str) -> None:
    assert mine(text) == theirs(text)


@given(st.text(max_size=30))
def test_any_text_means_the_same(text: str) -> None:
    assert mine(f"A={text}\nB=1") == theirs(f"A={text}\nB=1")


def test_lines_are_those_where_a_statement_begins() -> None:
    found = ours.parse("# one\n\nA='2\n3'\r\n\r\n  B=6\n")
    assert [(item.name, item.line) for item in found] == [("A", 3), ("B", 6)]


@pytest.mark.parametrize(("text", "line"), [("A=1\nB C", 2), ("\n\nA='x\ny\n", 3), ("A='x' y", 1)])
def test_a_line_that_is_none_is_named(text: str, line: int) -> None:
    with pytest.raises(ours.DotenvError) as refused:
        ours.parse(text)
    assert refused.value.line == line


def their_names(text: str) -> set[str]:
    """The names that Flask sets from a file: python-dotenv passes over what it cannot read."""
    bindings = list(parse_stream(io.StringIO(text, newline=None)))
    return {item.key for item in bindings if item.key is not None and item.value is not None}


@pytest.mark.parametrize("text", [*FILES, "A='x\nB=1\n'C=2\nD=3", 'TEXT="\nSECRET_KEY=no\n"\nE=1'])
def test_names_of_picked_files_are_the_same(text: str) -> None:
    assert ours.names(text) == their_names(text)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_names_of_any_file_are_the_same(text: str) -> None:
    assert ours.names(text) == their_names(text)
