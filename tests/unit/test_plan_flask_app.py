"""The plan of role flask_app: source, environment, release, and everything that is wrong."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role

ROOT = Path(__file__).resolve().parents[2]
PULSE = str(ROOT / "examples" / "pulse")
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n-----END OPENSSH PRIVATE KEY-----\n"


def as_it_is(_variables: Mapping[str, Any], value: Any) -> Any:
    return value


def planned(controller: Controller | None = None, **given: Any) -> Plan:
    """The plan for what people give; nothing here is templated."""
    templated = {
        "flask_app_name": "shop",
        "flask_app_home": "/srv/shop",
        "flask_app_user": "shop",
        "flask_app_hosts": ["a"],
        "flask_app_server_package": "",
        "flask_app_source": PULSE,
    }
    variables = {**defaults("flask_app"), **templated, **given}
    return plan_role("flask_app", variables, as_it_is, controller or Controller())


def problems(controller: Controller | None = None, **given: Any) -> list[str]:
    return planned(controller, **given).problems


def data(controller: Controller | None = None, **given: Any) -> dict[str, Any]:
    plan = planned(controller, **given)
    assert plan.problems == []
    return plan.data


def environment(controller: Controller | None = None, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = data(controller, **given)["environment"]
    return found


# What is wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"flask_app_name": "../etc"}, 'flask_app_name: found "../etc"; allowed are'),
        ({"flask_app_name": "Shop"}, 'flask_app_name: found "Shop"; allowed are up to 31 small'),
        ({"flask_app_name": "root"}, 'flask_app_name: found "root"; allowed are'),
        ({"flask_app_user": "root"}, "flask_app_user: found root; the app must not run as root"),
        ({"flask_app_user": 0}, "flask_app_user: found root"),
        ({"flask_app_source": "/no/such"}, 'flask_app_source: found "/no/such"; allowed are a git'),
        ({"flask_app_source": ""}, 'flask_app_source: found "";'),
        ({"flask_app_source": "https://[x/y"}, "flask_app_source: found"),
        ({"flask_app_source": "pypi:shop>=1"}, 'flask_app_source: found "pypi:shop>=1"; allowed'),
        (
            {"flask_app_checksum": "sha256:00"},
            f'flask_app_checksum: found "sha256:00" for {PULSE}; allowed is one only for a URL',
        ),
        (
            {"flask_app_subdirectory": "none"},
            f'flask_app_subdirectory: found "none", which is no directory of {PULSE}',
        ),
        (
            {"flask_app_source": "pypi:shop==1", "flask_app_subdirectory": "x"},
            'flask_app_subdirectory: found "x"; allowed is none for a package, pypi:shop==1',
        ),
        ({"flask_app_url_prefix": "shop"}, 'flask_app_url_prefix: found "shop"; allowed are'),
        ({"flask_app_url_prefix": "/shop/"}, 'flask_app_url_prefix: found "/shop/"; allowed are'),
        ({"flask_app_installer": "conda"}, "value of flask_app_installer must be one of: uv, pip"),
        ({"flask_app_env": {"FLASK_DEBUG": True}}, "flask_app_env: found FLASK_DEBUG=true; an"),
        ({"flask_app_env": {"FLASK_DEBUG": "on"}}, "flask_app_env: found FLASK_DEBUG=on; an"),
        ({"flask_app_env": {"A-B": "hush"}}, "environment variable 'A-B': a name has letters"),
        ({"flask_app_env": {"A": "hush\0"}}, "environment variable A: a value cannot hold a NUL"),
        ({"flask_app_build_env": {"A-B": "hush"}}, "environment variable 'A-B': a name has"),
        ({"flask_app_shared_paths": ["../x"]}, 'flask_app_shared_paths: found ["../x"]; allowed'),
        ({"flask_app_shared_paths": "a/./b"}, 'flask_app_shared_paths: found ["a/./b"]; allowed'),
        ({"flask_app_env_files": ["no.env"]}, "flask_app_env_files: no.env:"),
        ({"flask_app_env_names": "NO_SUCH"}, "flask_app_env_names: found NO_SUCH; set neither in"),
        ({"flask_app_secret_key_days": -1}, "flask_app_secret_key_days: found -1; allowed are 0"),
        ({"flask_app_keep_releases": 0}, "flask_app_keep_releases: found 0; allowed are 1 and"),
        ({"flask_app_keep_releases": "many"}, "argument 'flask_app_keep_releases' is of type str"),
        ({"flask_app_env": "hush"}, "argument 'flask_app_env' is of type str"),
        (
            {"flask_app_static_fingerprint": "("},
            'flask_app_static_fingerprint: found "("; allowed is a regular expression',
        ),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], told: str) -> None:
    (found,) = problems(**given)
    assert found.startswith(told)
    assert "hush" not in found


@pytest.mark.parametrize(
    "path", ["/x", "..", "../x", "x/..", "x/../y", ".", "./x", "x//y", "~/x", "~"]
)
def test_a_subdirectory_does_not_lead_out(path: str) -> None:
    (found,) = problems(flask_app_source="git@x.org:shop", flask_app_subdirectory=path)
    assert found == (
        f"flask_app_subdirectory: found {json.dumps(path)}; allowed is a relative path in the"
        " source, without . or .."
    )


def test_all_problems_of_a_source_are_told_at_once_without_its_secrets() -> None:
    found = problems(
        flask_app_source="https://me:hush@x.org/shop.zip?t=hush",
        flask_app_deploy_key="BASE64+OF+hush=",
        flask_app_subdirectory="../x",
    )
    assert found == [
        'flask_app_checksum: found ""; allowed for https://x.org/shop.zip is sha256: and 64'
        " hexadecimal digits (a git repository of that address is git+https://x.org/shop.zip)",
        "flask_app_deploy_key: found one for https://x.org/shop.zip; allowed is one only for git"
        " over ssh (ssh://user@host/path or user@host:path)",
        "flask_app_deploy_key: found text that is neither; allowed are a file on the controller"
        " with a private ssh key, and the text of one",
        'flask_app_subdirectory: found "../x"; allowed is a relative path in the source, without'
        " . or ..",
    ]


def test_a_damaged_archive_is_told_before_anything_changes(tmp_path: Path) -> None:
    path = tmp_path / "shop.zip"
    path.write_bytes(b"no archive")
    for controller in (Controller(), Controller(scratch=str(tmp_path))):
        (found,) = problems(controller, flask_app_source=str(path))
        assert found.startswith(f"flask_app_source: {path} is neither a tar nor a zip archive")


def test_an_entry_point_for_the_live_release_needs_no_source() -> None:
    plan = planned(Controller(entry_point="environment"), flask_app_source="", flask_app_name="x")
    assert plan.problems == []
    assert plan.packages == []
    assert problems(Controller(entry_point="environment"), flask_app_name="Shop")


# The environment ---------------------------------------------------------------------------------

FILES = {"shop.env": "A=file\nB=file\nC=file\nFLASK_PIN_KEY=0123\nFLASK_NUMBER=5\n"}
AROUND = Controller(read=FILES.__getitem__, environment={"D": "named", "C": "named"})


def test_the_strongest_layer_wins() -> None:
    found = environment(
        AROUND,
        flask_app_env_files="shop.env",
        flask_app_env={"B": "own", "C": "own", "D": "own", "FLASK_CODE": "42"},
        flask_app_env_from_environment={"C": "process"},
        flask_app_env_names="D",
    )
    assert [found[name] for name in "ABCD"] == ["file", "own", "process", "named"]
    assert (found["FLASK_CODE"], found["FLASK_NUMBER"]) == ('"42"', "5")
    assert found["FLASK_PIN_KEY"] == "0123"


def test_flask_app_env_on_the_command_line_wins_over_the_environment() -> None:
    found = environment(
        AROUND,
        flask_app_env={"D": "own"},
        flask_app_env_names=["D"],
        flask_app_env_from_environment={},
        flask_app_env_spoken=["D"],
    )
    assert found["D"] == "own"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (123, "123"), ("42", '"42"'), ([1, "b"], '[1, "b"]'), ("x", "x")],
)
def test_values_keep_their_type_for_flask(value: Any, text: str) -> None:
    assert environment(flask_app_env={"FLASK_PIN": value})["FLASK_PIN"] == text


def test_a_secret_of_digits_from_a_file_stays_a_text() -> None:
    controller = Controller(read={"a.env": "FLASK_DB_PASSWORD=99\n"}.__getitem__)
    found = environment(controller, flask_app_env_files=["a.env"])
    assert found["FLASK_DB_PASSWORD"] == '"99"'


def test_a_value_of_null_takes_a_name_away() -> None:
    found = environment(
        AROUND, flask_app_env_files=["shop.env"], flask_app_env={"A": None, "FLASK_DEBUG": None}
    )
    assert "A" not in found
    assert "FLASK_DEBUG" not in found


def test_a_dict_may_come_as_text_from_the_command_line() -> None:
    assert environment(flask_app_env='{"A": "x"}') == {"A": "x", "FLASK_DEBUG": "false"}


def test_debug_is_off_whatever_the_app_ships() -> None:
    assert environment()["FLASK_DEBUG"] == "false"
    assert environment(flask_app_env={"FLASK_DEBUG": 0})["FLASK_DEBUG"] == "0"


def test_debug_mode_is_for_those_who_say_so_and_is_told() -> None:
    plan = planned(flask_app_env={"FLASK_DEBUG": True}, flask_app_allow_debug="yes")
    assert (plan.problems, plan.data["environment"]["FLASK_DEBUG"]) == ([], "true")
    assert plan.hints[0].startswith("flask_app_allow_debug: the app runs in debug mode")
    assert planned(flask_app_allow_debug=True).hints == []


@pytest.mark.parametrize("value", [False, 0, "no", ""])
def test_debug_may_be_off(value: Any) -> None:
    assert problems(flask_app_env={"FLASK_DEBUG": value}) == []


@pytest.mark.parametrize(
    ("given", "named", "shared"),
    [
        ({}, "", True),
        ({"SECRET_KEY": "x"}, "SECRET_KEY", False),
        ({"FLASK_SECRET_KEY": "x"}, "SECRET_KEY", False),
        ({"SECRET_KEY": None}, "", True),
        ({"SECRET_KEY_FALLBACKS": ["x"]}, "SECRET_KEY_FALLBACKS", True),
        ({"FLASK_SECRET_KEY_FALLBACKS": ["x"]}, "SECRET_KEY_FALLBACKS", True),
    ],
)
def test_a_key_that_is_given(given: dict[str, Any], named: str, shared: bool) -> None:
    found = data(flask_app_env=given, flask_app_hosts=["a", "b"])
    assert (found["given_key"], found["shares_key"]) == (named, shared)


def test_one_host_shares_no_key() -> None:
    assert data()["shares_key"] is False


def test_what_nobody_sets_follows_from_the_apps_place() -> None:
    found = data(
        flask_app_log_level="info",
        flask_app_static_max_age="60",
        flask_app_env_defaults={"FLASKOPS_PROXY_HOPS": 1, "FLASK_TITLE": "42"},
    )["environment_defaults"]
    assert found == {
        "FLASKOPS_LOG_LEVEL": "info",
        "FLASKOPS_PROXY_HOPS": "1",
        "FLASKOPS_STATIC_FINGERPRINT": "[.-][0-9a-f]{8,}([.][A-Za-z0-9]+)+$",
        "FLASKOPS_STATIC_MAX_AGE": "60",
        "FLASK_INSTANCE_PATH": "/srv/shop/shared/instance",
        "FLASK_TITLE": '"42"',
    }
    assert "FLASK_INSTANCE_PATH" not in data(flask_app_shared_paths=[])["environment_defaults"]


# The release -------------------------------------------------------------------------------------


def test_a_release_keeps_the_name_that_it_has_on_hosts() -> None:
    """These digests are in names of directories; another one would build every app again."""
    assert data(flask_app_source="pypi:shop==1.2")["id"] == "1.2-8f3d299d"
    found = data(
        flask_app_source="pypi:shop==1.2.post1+local",
        flask_app_server_package="gunicorn==23.0.0",
        flask_app_static={"/static": "shop/static"},
        flask_app_extra_packages=["é==1"],
    )
    assert found["id"] == "1.2.post1_lo-ba23cf4f"
    assert data(flask_app_source="git@x.org:shop")["recipe"] == "6561cac7"
    inside = data(flask_app_source="git@x.org:shop", flask_app_subdirectory="services/shop")
    assert inside["recipe"] == "1fa39a20"


@pytest.mark.parametrize(
    "given",
    [
        {"flask_app_build_commands": ["npm run build"]},
        {"flask_app_requirements": "requirements/live.txt"},
    ],
)
def test_what_changes_a_build_makes_another_release(given: dict[str, Any]) -> None:
    source: dict[str, Any] = {"flask_app_source": "git@x.org:shop"}
    assert data(**source, **given)["recipe"] != data(**source)["recipe"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"flask_app_system_packages": ["-o=x"]},
            'flask_app_system_packages: found ["-o=x"]; allo',
        ),
        ({"flask_app_build_packages": ["Lib pq"]}, "flask_app_build_packages: found"),
        ({"flask_app_build_commands": ["true", " "]}, "flask_app_build_commands: found"),
        ({"flask_app_requirements": "../live.txt"}, "flask_app_requirements: found"),
        ({"flask_app_requirements": "live.txt"}, "which is no file of"),
        (
            {"flask_app_requirements": "live.txt", "flask_app_source": "pypi:shop==1"},
            "allowed is none for a package",
        ),
    ],
)
def test_a_build_that_cannot_be_is_refused(given: dict[str, Any], told: str) -> None:
    (problem,) = problems(**given)
    assert told in problem


def test_packages_of_the_app_are_installed_with_those_of_the_build() -> None:
    given: dict[str, Any] = {"flask_app_system_packages": ["imagemagick", "python3"]}
    plan = planned(**given, flask_app_build_packages=["libpq-dev"])
    assert plan.packages[-2:] == ["imagemagick", "libpq-dev"]
    assert plan.packages.count("python3") == 1


def test_text_makes_the_same_release_as_a_list() -> None:
    text = data(flask_app_extra_packages="a==1, b==2", flask_app_shared_paths="instance")
    listed = data(flask_app_extra_packages=["a==1", "b==2"], flask_app_shared_paths=["instance"])
    assert text["recipe"] == listed["recipe"]


def test_a_directory_is_packed_only_where_tasks_take_it(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.py").write_text("app = 1\n")
    (tmp_path / "scratch").mkdir()
    source = str(tmp_path / "app")
    assert data(flask_app_source=source)["archive"]["path"] == ""
    found = data(Controller(scratch=str(tmp_path / "scratch")), flask_app_source=source)
    path = Path(found["archive"]["path"])
    assert path.parent == tmp_path / "scratch"
    assert found["archive"]["name"] == path.name == f"source-{found['revision']}.tar.gz"
    assert base64.b64decode(found["build"]["archive"]) == path.read_bytes()
    assert found["id"] == f"{found['revision']}-{found['recipe']}"


def test_an_archive_is_uploaded_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("app.py", "app = 1\n")
    found = data(Controller(scratch=str(tmp_path)), flask_app_source=str(path))
    assert (found["kind"], found["archive"]["path"]) == ("archive", str(path))


def test_a_download_is_told_apart_from_its_login() -> None:
    found = data(
        flask_app_source="https://me:p%2Fw@x.org/shop.zip?t=1",
        flask_app_checksum="sha256:" + "ab" * 32,
    )
    assert (found["kind"], found["file"], found["revision"]) == ("url", "archive", "ab" * 6)
    assert found["address"] == "https://x.org/shop.zip?t=1"
    assert found["source"] == "https://x.org/shop.zip"
    assert found["download"] == {"username": "me", "password": "p/w"}


def test_of_git_the_host_finds_the_revision() -> None:
    plan = planned(flask_app_source="https://me:pw@x.org/shop.git")
    assert (plan.data["kind"], plan.data["revision"], plan.data["id"]) == ("git", "", "")
    assert plan.data["git"] == {
        "checkout": "/srv/shop/source",
        "secret": "https://me:pw@x.org\n",
        "secret_file": "/srv/shop/git_credentials",
        "key_file": "",
        "environment": {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": "store --file=/srv/shop/git_credentials",
        },
    }
    assert "git" in plan.packages
    assert "openssh-client" not in plan.packages


@pytest.mark.parametrize("given", [KEY, "key"])
def test_a_deploy_key_is_a_text_or_a_file(given: str) -> None:
    controller = Controller(read={"key": KEY}.__getitem__)
    plan = planned(controller, flask_app_source="git@x.org:shop", flask_app_deploy_key=given)
    assert plan.data["git"]["secret"] == KEY
    assert plan.data["git"]["key_file"] == plan.data["git"]["secret_file"] == "/srv/shop/deploy_key"
    assert plan.data["git"]["environment"] == {"GIT_TERMINAL_PROMPT": "0"}
    assert plan.packages[-2:] == ["git", "openssh-client"]


def test_a_file_that_is_no_key_is_named() -> None:
    controller = Controller(read={"key": "hush"}.__getitem__)
    (told,) = problems(controller, flask_app_source="git@x.org:shop", flask_app_deploy_key="key")
    assert told.startswith('flask_app_deploy_key: found "key"; allowed are a file')


def test_packages_follow_the_installer() -> None:
    assert planned().packages == ["brotli", "ca-certificates", "python3", "python3-pip-whl"]
    assert "python3-venv" in planned(flask_app_installer="pip").packages


def test_an_account_that_is_there_for_other_work_keeps_what_it_has() -> None:
    assert data()["account"] == {"home": "/srv/shop", "shell": "/usr/sbin/nologin"}
    assert data(flask_app_user="deploy")["account"] == {}


def test_commands_are_those_that_are_given() -> None:
    assert (data()["commands"]["list"], data()["commands"]["marker"]) == ([], "")
    found = data(
        flask_app_migrate_command="flask db upgrade",
        flask_app_release_commands="a, echo $HOME",
    )["commands"]
    assert [(one["name"], one["command"]) for one in found["list"]] == [
        ("flask_app_migrate_command", "flask db upgrade"),
        ("command 1 of flask_app_release_commands", "a"),
        ("command 2 of flask_app_release_commands", "echo $HOME"),
    ]
    # A release on a host has this file when the same commands have run.
    assert found["marker"] == "commands-4a1b2821"
    first = data(flask_app_first_commands=["flask init-db"])["commands"]
    assert [(one["name"], one["first"]) for one in first["list"]] == [
        ("command 1 of flask_app_first_commands", True)
    ]
    assert first["marker"].startswith("commands-")
    assert found["timeout"] == 600


@pytest.mark.parametrize(
    ("source", "comes_along", "main", "deploy"),
    [
        (PULSE, True, "prepared", "built"),
        ("git@x.org:shop", True, "built", "built"),
        ("pypi:shop==1", True, "built", "built"),
        (None, False, "prepared", "prepared"),
    ],
)
def test_the_first_call_builds_where_that_costs_nothing(
    tmp_path: Path, source: str | None, comes_along: bool, main: str, deploy: str
) -> None:
    if source is None:
        large = tmp_path / "large.zip"
        with zipfile.ZipFile(large, "w") as made:
            made.writestr("app.py", b"x" * 300_000)
        source = str(large)
    controller = Controller(scratch=str(tmp_path))
    for expected, state in ((False, main), (True, deploy)):
        found = data(controller, flask_app_source=source, flask_app_expect_release=expected)
        assert (found["comes_along"], found["look"]["state"]) == (comes_along, state)
        assert "brotli" in found["look"]["packages"]
        assert found["look"]["archive"] == (found["build"]["archive"] if state == "built" else "")
        assert (found["build"]["state"], found["build"]["packages"]) == ("built", [])
        assert found["build"]["checkout"] == ("/srv/shop/source" if "git@" in source else "")
    assert data(Controller(scratch=str(tmp_path), entry_point="environment"))["revision"] == ""
