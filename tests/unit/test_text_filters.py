"""Filters that write text from data."""

from __future__ import annotations

import ast
import json
import keyword
import shlex

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskops.stack.plugins.module_utils.environment import texts
from ansible_collections.flaskops.stack.plugins.plugin_utils import text
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import settings_text
from hypothesis import given
from hypothesis import strategies as st

# Surrogates cannot be written as UTF-8, and no environment holds a NUL.
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,20}\Z").filter(lambda n: not keyword.iskeyword(n))


def as_flask_reads(environment: dict[str, object]) -> dict[str, object]:
    """What Flask.config.from_prefixed_env() makes of the values."""
    found: dict[str, object] = {}
    for name, value in texts(environment).items():
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


TYPED = st.one_of(
    VALUES,
    st.integers().map(str),
    st.sampled_from(["true", "null", "NaN", "1e5", '"quoted"', "[1]", "{}", " 1 ", ""]),
    st.integers(),
    st.booleans(),
    st.lists(VALUES, max_size=3),
)


@given(st.dictionaries(NAMES.map(lambda n: f"FLASK_X{n}"), TYPED, max_size=5))
def test_flask_reads_every_value_with_its_type(environment: dict[str, object]) -> None:
    assert as_flask_reads(text.flask_values(environment)) == environment


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("FLASK_SECRET_KEY", "0", "0"),
        ("FLASK_SECRET_KEY", "12345678", "12345678"),
        ("FLASK_API_TOKEN", "true", "true"),
        ("FLASK_DB_PASSWORD", "1e9", "1e9"),
        ("FLASK_SECRET_KEY", "007", "007"),
        ("FLASK_SECRET_KEY", '"5"', "5"),
        ("FLASK_SECRET_KEY_FALLBACKS", '["1", "2"]', ["1", "2"]),
        ("FLASK_MAX_CONTENT_LENGTH", "1048576", 1048576),
        ("FLASK_TESTING", "false", False),
        ("FLASK_MONKEYS", "5", 5),
    ],
)
def test_what_comes_as_text_is_as_flask_takes_it_but_for_secrets(
    name: str, value: str, read: object
) -> None:
    assert as_flask_reads(text.flask_values({name: value}, text=True)) == {name: read}


@pytest.mark.parametrize("name", ["FLASK_APP", "FLASK_DEBUG", "FLASK_RUN_PORT", "PIN", "MY_TOKEN"])
def test_other_names_keep_their_values(name: str) -> None:
    assert (
        text.flask_values({name: "0"}) == text.flask_values({name: "0"}, text=True) == {name: "0"}
    )


def test_flask_values_needs_a_dict() -> None:
    with pytest.raises(AnsibleFilterError, match="an environment is a dict, found list"):
        text.flask_values(["A"])


@pytest.mark.parametrize(
    "filter_",
    [settings_text.ini_settings, settings_text.python_settings, settings_text.unit_settings],
    ids=lambda f: f.__name__,
)
def test_what_is_no_dict_is_refused(filter_: object) -> None:
    assert callable(filter_)
    with pytest.raises(AnsibleFilterError, match="found list"):
        filter_(["A=B"])


@given(st.dictionaries(NAMES, VALUES | st.integers() | st.booleans() | st.lists(VALUES)))
def test_python_settings_are_python(settings: dict[str, object]) -> None:
    tree = ast.parse(settings_text.python_settings(settings))
    found = {}
    for line in tree.body:
        assert isinstance(line, ast.Assign)
        assert isinstance(line.targets[0], ast.Name)
        found[line.targets[0].id] = ast.literal_eval(line.value)
    assert found == settings


@pytest.mark.parametrize("name", ["if", "None", "a b", "", "1st"])
def test_python_settings_refuse_what_cannot_be_assigned(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match="is not the name of a setting"):
        settings_text.python_settings({name: 1})


def test_unit_settings() -> None:
    given_ = {"PrivateTmp": True, "ProtectHome": False, "Filter": ["a", "b"], "Off": None, "N": 3}
    lines = settings_text.unit_settings(given_).splitlines()
    assert lines == ["PrivateTmp=yes", "ProtectHome=no", "Filter=a", "Filter=b", "N=3"]


@pytest.mark.parametrize("settings", [{"Nice": "1\nUser=root"}, {"Bad Name": 1}, {"": 1}])
def test_unit_settings_cannot_smuggle_lines(settings: dict[str, object]) -> None:
    with pytest.raises(AnsibleFilterError):
        settings_text.unit_settings(settings)


def test_ini_settings() -> None:
    given_ = {
        "lazy-apps": True,
        "vacuum": False,
        "threads": 4,
        "add-header": ["X-A: 100%", "X-B: %d"],
        "log-format": "%(method)",
        "harakiri": None,
    }
    assert settings_text.ini_settings(given_).splitlines() == [
        "lazy-apps = true",
        "vacuum = false",
        "threads = 4",
        "add-header = X-A: 100%%",
        "add-header = X-B: %%d",
        "log-format = %%(method)",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"threads": "1\nuid=root"},
        {"threads": "1\ruid=root"},
        {"lazy_apps": True},
        {"[uwsgi]": 1},
        {"a b": 1},
        {"": 1},
        {7: 1},
        {"threads": {"a": 1}},
        {"threads": [["a"]]},
    ],
)
def test_ini_settings_cannot_smuggle_lines(settings: dict[object, object]) -> None:
    with pytest.raises(AnsibleFilterError, match="ini_settings: "):
        settings_text.ini_settings(settings)


@pytest.mark.parametrize(
    ("given_", "found"),
    [
        (["a", "b"], ["a", "b"]),
        ("a", ["a"]),
        ("a, b,", ["a", "b"]),
        ("", []),
        ([], []),
        (80, [80]),
    ],
)
def test_text_of_the_command_line_becomes_a_list(given_: object, found: list[object]) -> None:
    assert text.as_list(given_) == found


def test_long_options() -> None:
    given_ = {
        "port": 11211,
        "max-item-size": "1m",
        "disable-cas": True,
        "lock-memory": False,
        "auth-file": None,
        "extended": ["modern", "idle_timeout=60"],
    }
    assert text.long_options(given_) == [
        "--port=11211",
        "--max-item-size=1m",
        "--disable-cas",
        "--extended=modern",
        "--extended=idle_timeout=60",
    ]


@pytest.mark.parametrize(
    "settings",
    [{"--port": 1}, {"a b": 1}, {"": 1}, {7: 1}, {"a": {"b": 1}}, {"a": [["b"]]}, ["a"], "a=1"],
)
def test_long_options_are_names_and_values(settings: object) -> None:
    with pytest.raises(AnsibleFilterError, match="long_options: "):
        text.long_options(settings)


def read_as_systemd_runs(command: str) -> list[str]:
    """The words of a command by systemd.service(5): a shell's rules but for percent and dollar."""
    assert "%" not in command.replace("%%", "")
    assert "$" not in command.replace("$$", "")
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(command)]


@given(st.lists(st.text(min_size=1).filter(lambda word: not text.LINE_BREAK.search(word))))
def test_every_word_of_a_command_survives(words: list[str]) -> None:
    # A shell's reader takes the backslashes that are doubled back as well.
    assert read_as_systemd_runs(text.unit_command(words)) == words


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["/bin/a", "--b=c,d:1", "-e"], "/bin/a --b=c,d:1 -e"),
        (["/bin/a", "", "b c", "100%", "$HOME"], '/bin/a "" "b c" "100%%" "$$HOME"'),
        (["/bin/a", 5], "/bin/a 5"),
    ],
)
def test_unit_command(words: list[object], written: str) -> None:
    assert text.unit_command(words) == written


@pytest.mark.parametrize("words", [["a\nUser=root"], ["a\0"], "a b", None])
def test_unit_command_cannot_smuggle_lines(words: object) -> None:
    with pytest.raises(AnsibleFilterError, match="unit_command: "):
        text.unit_command(words)
