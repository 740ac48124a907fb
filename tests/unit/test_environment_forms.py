"""An app's environment as JSON and as systemd's file: every value arrives byte for byte."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import environment
from ansible_collections.flaskops.stack.plugins.module_utils.environment import (
    EnvironmentFormatError,
)
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = {
    "QUOTES": """'single' "double" `back`""",
    "LINES": "one\ntwo\r\nthree\n",
    "LIKE_A_LINE": 'x\nOTHER="y"\nz="',
    "DOLLAR": "$HOME ${HOME} $$",
    "PERCENT": "100% %n %%",
    "BACKSLASH": "a\\b \\n \\\\ \\",
    "BACKSLASH_QUOTE": '\\"',
    "UNICODE": "Grüße, 日本 🐍 \u2028 \x85",
    "SPACES": "  around \t ",
    "COMMENT": "# none",
    "EMPTY": "",
}
# Surrogates cannot be written as UTF-8, and no environment holds a NUL.
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
NAMES = st.from_regex(environment.NAME, fullmatch=True).filter(str.isascii)


def read_as_systemd(content: str) -> dict[str, str]:
    """A reader of NAME="value" lines by the rules of systemd.exec(5), EnvironmentFile=."""
    found: dict[str, str] = {}
    rest = content
    while rest:
        name, rest = rest.split('="', 1)
        value = ""
        while rest[0] != '"':
            if rest[0] == "\\" and rest[1] in '"\\`$':
                rest = rest[1:]
            value, rest = value + rest[0], rest[1:]
        assert rest.startswith('"\n')
        found[name], rest = value, rest[2:]
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_goes_all_the_way(name: str) -> None:
    arrived = environment.from_json(json.dumps({name: HOSTILE[name]}))
    assert arrived == {name: HOSTILE[name]}
    content = environment.to_file(arrived)
    assert read_as_systemd(content) == arrived
    assert environment.from_file(content) == arrived


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_environment_goes_all_the_way(wanted: dict[str, str]) -> None:
    content = environment.to_file(environment.from_json(json.dumps(wanted)))
    assert read_as_systemd(content) == environment.from_file(content) == wanted


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (8000, "8000"), (["ä", 1], '["ä", 1]'), ({"k": None}, '{"k": null}')],
)
def test_what_is_no_text_becomes_json(value: object, text: str) -> None:
    assert environment.from_json(json.dumps({"NAME": value})) == {"NAME": text}


def test_null_is_left_out_and_names_are_sorted() -> None:
    assert list(environment.texts({"B": "x", "A": "y", "C": None})) == ["A", "B"]


@pytest.mark.parametrize("text", ["", "{}"])
def test_nothing_is_an_empty_environment(text: str) -> None:
    assert environment.from_json(text) == {}
    assert environment.to_file({}) == ""


@pytest.mark.parametrize("text", ["hush", '["hush"]', "{'A': 'hush'}"])
def test_what_is_no_object_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(EnvironmentFormatError, match="object in JSON") as refused:
        environment.from_json(text)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("name", ["1ST", "WITH-HYPHEN", "A B", "", "A=B", "A\n", "É", 7])
def test_a_name_no_process_could_use_is_refused_without_its_value(name: object) -> None:
    with pytest.raises(EnvironmentFormatError) as refused:
        environment.texts({name: "hush"})
    assert repr(name) in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_nul_byte_is_refused_without_the_value() -> None:
    with pytest.raises(EnvironmentFormatError, match="A: a value cannot hold a NUL") as refused:
        environment.texts({"A": "hush\0"})
    assert "hush" not in str(refused.value)


def test_a_word_of_a_unit_keeps_what_systemd_would_replace() -> None:
    assert environment.unit_word("$A %n \"b\" \\ 'c'") == '"$$A %%n \\"b\\" \\\\ \'c\'"'


def test_a_shell_reads_the_file_as_well() -> None:
    """People source it by hand."""
    content = environment.to_file({"A": HOSTILE["QUOTES"], "B": HOSTILE["DOLLAR"]})
    script = f'{content}printf "%s|%s" "$A" "$B"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{HOSTILE['QUOTES']}|{HOSTILE['DOLLAR']}"
