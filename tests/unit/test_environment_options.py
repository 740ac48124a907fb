"""The roles' options: read from their argument specs, converted from text, recognised in slips."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import yaml
from ansible_collections.flaskops.stack.plugins.plugin_utils import options
from ansible_collections.flaskops.stack.plugins.plugin_utils.options import Option
from hypothesis import given
from hypothesis import strategies as st

ALL = options.load()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def option(kind: str, **spec: Any) -> Option:
    return Option("role", "role_option", type=kind, **spec)


def test_every_option_of_every_role_is_there() -> None:
    specs = options.ROLES.glob("*/meta/argument_specs.yml")
    entries = [yaml.safe_load(path.read_text())["argument_specs"] for path in specs]
    names = {name for entry in entries for main in entry.values() for name in main["options"]}
    assert {found.name for found in ALL.values()} == names - options.OF_THE_INVENTORY | {
        "wsgi_server",
        "cache_server",
    }


@pytest.mark.parametrize("found", ALL.values(), ids=lambda found: found.name)
def test_every_option_has_a_type_that_text_can_be(found: Option) -> None:
    assert found.type in options.CONVERT
    assert found.elements in options.CONVERT


def test_choices_of_the_playbooks_are_the_roles_there_are() -> None:
    assert ALL["CACHE_SERVER"].choices[0] == "redis"
    assert ALL["CACHE_SERVER"].choices[-1] == "none"
    for name in (*ALL["WSGI_SERVER"].choices, *ALL["CACHE_SERVER"].choices[:-1]):
        assert (options.ROLES / name).is_dir()


@pytest.mark.parametrize(
    ("kind", "elements", "text", "value"),
    [
        ("str", "str", " as it is ", " as it is "),
        ("str", "str", "", ""),
        ("path", "str", "~/x", "~/x"),
        ("raw", "str", "[1]", "[1]"),
        ("int", "str", " 80 ", 80),
        ("int", "str", "-1", -1),
        ("float", "str", "0.5", 0.5),
        ("bool", "str", "Yes", True),
        ("bool", "str", "off", False),
        ("bool", "str", "0", False),
        ("list", "str", "", []),
        ("list", "str", "a", ["a"]),
        ("list", "str", " a , b c,", ["a", "b c"]),
        ("list", "str", '["a,b", "c"]', ["a,b", "c"]),
        ("list", "str", "[80, 1.5]", ["80", "1.5"]),
        ("list", "str", "[::1]:80,[::2]:80", ["[::1]:80", "[::2]:80"]),
        ("list", "str", "[::]", ["[::]"]),
        ("list", "int", "200,204", [200, 204]),
        ("list", "int", '[200, "204"]', [200, 204]),
        ("list", "bool", "[true, 0]", [True, False]),
        ("list", "dict", '[{"a": 1}]', [{"a": 1}]),
        ("dict", "str", "", {}),
        ("dict", "str", "a=1, b = x=y ,", {"a": "1", "b": "x=y"}),
        ("dict", "str", '{"a": 1, "b": [true]}', {"a": 1, "b": [True]}),
    ],
)
def test_text_becomes_the_type(kind: str, elements: str, text: str, value: Any) -> None:
    found = option(kind, elements=elements).convert(text)
    assert found == value
    assert type(found) is type(value)
    if isinstance(found, list):
        assert [type(item) for item in found] == [type(item) for item in value]


@pytest.mark.parametrize(
    ("kind", "elements", "text", "message"),
    [
        ("int", "str", "", "not an int"),
        ("int", "str", "1_0", "not an int"),
        ("int", "str", "80.0", "not an int"),
        ("int", "str", "٣", "not an int"),
        ("float", "str", "nan", "not a float"),
        ("float", "str", "1,5", "not a float"),
        ("bool", "str", "", "not a bool"),
        ("bool", "str", "ja", "not a bool"),
        ("list", "str", '["a", ', r"not a list in JSON \(.*, character \d\)"),
        ("list", "str", "['a']", "not a list in JSON"),
        ("list", "str", "[null]", "item 1 is not a str"),
        ("list", "str", '["a", true]', "item 2 is not a str"),
        ("list", "str", '["a", ["b"]]', "item 2 is not a str"),
        ("list", "int", "200,ok", "item 2 is not an int"),
        ("list", "int", "[1.5]", "item 1 is not an int"),
        ("list", "dict", "a", "item 1 is not a dict"),
        ("dict", "str", "a", "not a dict"),
        ("dict", "str", "=a", "not a dict"),
        ("dict", "str", '{"a": 1', "not a dict in JSON"),
        ("dict", "str", "{{ x }}", "not a dict in JSON"),
    ],
)
def test_text_that_does_not_fit_is_refused(
    kind: str, elements: str, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        option(kind, elements=elements).convert(text)


def test_choices_are_kept_to() -> None:
    assert option("str", choices=("a", "b")).convert("a") == "a"
    assert option("list", choices=("a", "b")).convert("b,a") == ["b", "a"]
    with pytest.raises(ValueError, match="none of: a, b"):
        option("list", choices=("a", "b")).convert("a,c")


@given(st.lists(st.text()))
def test_a_list_in_json_is_that_list(items: list[str]) -> None:
    assert option("list").convert(json.dumps(items)) == items


@given(st.dictionaries(st.text(), JSON))
def test_a_dict_in_json_is_that_dict(items: dict[str, Any]) -> None:
    assert option("dict").convert(json.dumps(items)) == items


@given(st.sampled_from(sorted(options.CONVERT)), st.sampled_from(["str", "int", "dict"]), st.text())
def test_no_text_breaks_a_conversion(kind: str, elements: str, text: str) -> None:
    with contextlib.suppress(ValueError):
        option(kind, elements=elements).convert(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((kind, "hush") for kind in ("int", "float", "bool", "dict")),
        ("list", '["hush", '),
        ("list", '[["hush"]]'),
        ("dict", '{"hush": '),
        ("dict", "a=b,hush"),
    ],
)
def test_no_refusal_shows_the_value(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"\A((?!hush).)+\Z"):
        option(kind).convert(text)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("NGINX_SERVR_NAME", "NGINX_SERVER_NAME"),
        ("NGINX_SERVERNAME", "NGINX_SERVER_NAME"),
        ("NGNIX_SERVER_NAME", "NGINX_SERVER_NAME"),
        ("nginx_server_name", "NGINX_SERVER_NAME"),
        ("FLASK_APP_SORUCE", "FLASK_APP_SOURCE"),
        ("FLASKAPP_NAME", "FLASK_APP_NAME"),
        ("GUNICORN_WORKER", "GUNICORN_WORKERS"),
        ("GUNICRON_WORKERS", "GUNICORN_WORKERS"),
        ("GUNICORN_THREAD_", "GUNICORN_THREADS"),
        ("REDIS_MAX_MEMORY", "REDIS_MAXMEMORY"),
        ("REDIS_PASSWD", "REDIS_PASSWORD"),
        ("REDIS_PROT", "REDIS_PORT"),
        ("WSGI_SERVR", "WSGI_SERVER"),
    ],
)
def test_a_slip_is_recognised(slip: str, meant: str) -> None:
    assert options.meant(slip, ALL) == meant


@pytest.mark.parametrize(
    "name",
    [
        "REDIS_HOST",
        "REDIS_URL",
        "REDIS_DB",
        "REDIS_USER",
        "REDIS_PASS",
        "REDIS_VERSION",
        "REDIS_SERVICE_HOST",
        "REDIS_PORT_6379_TCP",
        "RADIUS_PORT",
        "NGINX_HOST",
        "NGINX_VERSION",
        "NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE",
        "GUNICORN_CMD_ARGS",
        "GUNICORN_PID",
        "UWSGI_RELOADS",
        "UWSGI_ORIGINAL_PROC_NAME",
        "FLASK_APP",
        "FLASK_ENV",
        "FLASK_DEBUG",
        "FLASK_SECRET_KEY",
        "FLASK_CACHE_TYPE",
        "WEB_CONCURRENCY",
        "DATABASE_URL",
        "CI_SERVER_NAME",
        "CACHE_SERVICE",
        "PATH",
    ],
)
def test_names_of_others_are_no_slips(name: str) -> None:
    assert options.meant(name, ALL) is None


@given(st.sampled_from(sorted(ALL)), st.data())
def test_one_slip_anywhere_is_recognised(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    slip = data.draw(
        st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[:at] + "X" + name[at:],
                name[:at] + "X" + name[at + 1 :],
                name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
            ]
        )
    )
    assert slip in ALL or options.meant(slip, ALL) is not None
