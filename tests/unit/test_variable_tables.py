"""The tables of variables, made from the argument specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.options import Option, role_option

import variable_tables as tables


def row(option: Option, *, capitals: bool = False) -> list[str]:
    *head, line = tables.table([option], capitals=capitals).splitlines()
    assert head == ["| variable | type | default | is |", "| --- | --- | --- | --- |"]
    return line.removeprefix("| ").removesuffix(" |").split(" | ")


@pytest.mark.parametrize(
    ("default", "yaml", "typed"),
    [
        ("x", "`x`", "`x`"),
        ("", "empty", "empty"),
        (None, "empty", "empty"),
        (False, "`false`", "`false`"),
        (8, "`8`", "`8`"),
        ([], "`[]`", "empty"),
        ({}, "`{}`", "empty"),
        (["a", "b"], "`[a, b]`", "`a,b`"),
        ({"a": "b"}, "`{a: b}`", '`{"a": "b"}`'),
    ],
)
def test_a_default_reads_as_it_is_written(default: Any, yaml: str, typed: str) -> None:
    option = Option("redis", "redis_thing", "A thing.", default=default)
    assert row(option) == ["`redis_thing`", "str", yaml, "A thing."]
    assert row(option, capitals=True) == ["`REDIS_THING`", "str", typed, "A thing."]


def test_a_required_variable_has_no_default() -> None:
    assert row(Option("a", "a_b", required=True))[2] == "required"


def test_choices_markup_and_names_of_variables_are_told() -> None:
    text = "Write C(x|y), not V(z), unless redis_port or redis_nothing."
    cell = row(Option("a", "a_b", text, choices=("", "on")))[3]
    wanted = "Write `x\\|y`, not `z`, unless `redis_port` or redis_nothing."
    assert cell == f"{wanted} One of empty, `on`."


def test_keys_of_a_list_of_dicts_are_told() -> None:
    spec = {
        "description": ["Some.", "More."],
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"description": "Its name.", "required": True},
            "count": {"description": "All.", "type": "int", "default": 1},
            "text": {"description": "Its text."},
        },
    }
    assert row(role_option("a", "a_b", spec))[1:] == [
        "list of dict",
        "empty",
        "Some. More.<br>`name`, required: Its name.<br>`count`, `1`: All.<br>`text`: Its text.",
    ]


def test_what_is_around_the_tables_stays() -> None:
    page = f"before\n{tables.BEGIN}old\n{tables.END}after\n"
    assert tables.with_tables(page, "new\n") == page.replace("old", "new")


@pytest.mark.parametrize(
    "page",
    ["", tables.BEGIN, tables.END + tables.BEGIN, 2 * (tables.BEGIN + tables.END)],
    ids=["none", "no end", "order", "twice"],
)
def test_a_page_without_its_marks_is_an_error(page: str, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(page)
    with pytest.raises(tables.MarkError, match=r"README\.md: needs the lines"):
        tables.stale({path: "new\n"})


def test_only_a_stale_page_is_written(tmp_path: Path) -> None:
    stale, current = tmp_path / "stale", tmp_path / "current"
    stale.write_text(f"{tables.BEGIN}old\n{tables.END}")
    current.write_text(f"{tables.BEGIN}new\n{tables.END}")
    wanted = f"{tables.BEGIN}new\n{tables.END}"
    assert tables.stale({stale: "new\n", current: "new\n"}) == {stale: wanted}


def test_every_role_has_a_page() -> None:
    roles = {path.parent.name for path in tables.pages() if path.name == "README.md"}
    assert roles == {path.name for path in (tables.ROOT / "roles").iterdir()}


def test_tables_are_current() -> None:
    assert tables.main(["--check"]) == 0, "run `make docs`"
