"""The inventory plugin: what it makes of the environment, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskops.stack.plugins.plugin_utils import environment, options

import variable_tables

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = options.load()
LINK = "tcp://10.0.0.1:6379"
#: Seconds until a broken file must have ended a run.
LIMIT = 5.0


def read(text: str = "", **process: str) -> dict[str, Any]:
    """The variables from one .env file and a process environment."""
    return environment.variables(OPTIONS, [(".env", text)], process, "environment.yml")


def refused(text: str = "", **process: str) -> str:
    """What is wrong with them, on one line."""
    with pytest.raises(environment.EnvironmentProblems) as error:
        read(text, **process)
    return " ".join(str(error.value).split())


def for_app(text: str = "", **process: str) -> dict[str, str]:
    found: dict[str, str] = read(text, **process)["flask_app_env_from_environment"]
    return found


# What comes of it --------------------------------------------------------------------------------


def test_options_come_typed_under_their_own_names() -> None:
    text = "NGINX_PORT=8080\nNGINX_SERVER_NAME=a.example,b.example\nNGINX_GZIP=no\n"
    assert read(text, FLASK_APP_NAME="shop") == {
        "flask_app_name": "shop",
        "nginx_port": 8080,
        "nginx_server_name": ["a.example", "b.example"],
        "nginx_gzip": False,
        "flask_app_env_from_environment": {},
    }


def test_process_environment_wins_over_files_and_later_files_over_earlier() -> None:
    files = [("a", "NGINX_PORT=1\nREDIS_PORT=1\nGUNICORN_THREADS=1"), ("b", "REDIS_PORT=2")]
    found = environment.variables(OPTIONS, files, {"GUNICORN_THREADS": "3"})
    assert (found["nginx_port"], found["redis_port"], found["gunicorn_threads"]) == (1, 2, 3)


def test_references_are_filled_in_across_files_and_from_the_process_environment() -> None:
    files = [("a", "USER=file\nDB=shop"), ("b", "URL=${USER}@${DB}")]
    found = environment.variables(OPTIONS, files, {"USER": "process"})
    assert found["flask_app_env_from_environment"]["URL"] == "process@shop"


def test_other_names_of_a_file_go_to_the_app() -> None:
    assert for_app("DATABASE_URL=x\nFLASK_APP=shop:app\nREDIS_URL=redis://\nREDIS_PORT=1") == {
        "DATABASE_URL": "x",
        "FLASK_APP": "shop:app",
        "REDIS_URL": "redis://",
    }


def test_process_environment_gives_the_app_flask_names_only() -> None:
    process = {"FLASK_APP": "shop", "FLASK_MOTTO": "", "HOME": "/", "DATABASE_URL": "no"}
    assert for_app("", **process) == {"FLASK_APP": "shop", "FLASK_MOTTO": ""}
    assert for_app("DATABASE_URL=file\nHOME=/srv", **process)["DATABASE_URL"] == "file"


def test_options_do_not_go_to_the_app() -> None:
    assert for_app("REDIS_PASSWORD=x", FLASK_APP_NAME="shop") == {}


def test_names_that_are_listed_go_to_the_app() -> None:
    listed = {"FLASK_APP_ENV_NAMES": "SENTRY_DSN,DATABASE_URL"}
    process = {"SENTRY_DSN": "a", "DATABASE_URL": "b", "OTHER": "c"}
    assert for_app("", **process, **listed) == {"SENTRY_DSN": "a", "DATABASE_URL": "b"}
    text = "DATABASE_URL=file\nFLASK_APP_ENV_NAMES=DATABASE_URL,MOTTO\nMOTTO=x"
    assert for_app(text, DATABASE_URL="process") == {"DATABASE_URL": "process", "MOTTO": "x"}


def test_a_listed_name_that_is_set_nowhere_is_refused() -> None:
    assert "SENTRY_DSN: named in FLASK_APP_ENV_NAMES" in refused(FLASK_APP_ENV_NAMES="SENTRY_DSN")


def test_service_links_do_not_go_to_the_app() -> None:
    links = {
        "FLASK_SHOP_PORT": LINK,
        "FLASK_SHOP_PORT_80_TCP_ADDR": "10.0.0.1",
        "FLASK_SHOP_SERVICE_HOST": "10.0.0.1",
    }
    assert for_app("", **links, FLASK_SHOP_TITLE="x", FLASK_PORT="80") == {
        "FLASK_SHOP_TITLE": "x",
        "FLASK_PORT": "80",
    }


# What is refused ---------------------------------------------------------------------------------


def test_a_slip_says_where_and_what_was_meant() -> None:
    told = refused("\nNGINX_SERVR_NAME=a.example\n")
    assert "NGINX_SERVR_NAME (.env line 2): no such option; did you mean NGINX_SERVER_NAME?" in told
    assert "a.example" not in told


def test_a_slip_in_the_process_environment_is_found_too() -> None:
    told = refused(GUNICORN_BIND="127.0.0.1:1")
    assert "GUNICORN_BIND (process environment): renamed to WSGI_BIND (FLASK_APP_ENV_NAMES" in told
    told = refused(GUNICORN_WORKER="2")
    assert "GUNICORN_WORKER (process environment): no such option" in told
    assert "did you mean GUNICORN_WORKERS?" in told
    assert "ignored_names: [GUNICORN_WORKER]" in told


def test_a_slip_that_is_meant_goes_to_the_app() -> None:
    assert for_app("REDIS_PASSWD=x\nFLASK_APP_ENV_NAMES=REDIS_PASSWD") == {"REDIS_PASSWD": "x"}


def test_surroundings_of_a_build_machine_are_left_alone() -> None:
    process = {
        "GUNICORN_CMD_ARGS": "--reload",
        "NGINX_VERSION": "1.27",
        "REDIS_HOST": "cache",
        "REDIS_URL": "redis://cache",
        "REDIS_SERVICE_PORT": "6379",
        "UWSGI_RELOADS": "0",
        "CI_SERVER_NAME": "ci",
    }
    assert read("", **process) == {"flask_app_env_from_environment": {}}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("NGINX_PORT", "eighty", "'eighty' is not an int"),
        ("NGINX_GZIP", "maybe", "'maybe' is not a bool"),
        ("CACHE_SERVER", "memcachd", "'memcachd' is none of: redis"),
        ("WSGI_HEALTH_STATUS", "200,ok", "'200,ok' is item 2 is not an int"),
        ("NGINX_BIND", "['::']", "is not a list in JSON"),
    ],
)
def test_a_value_that_does_not_fit_says_name_place_value_and_type(
    name: str, value: str, told: str
) -> None:
    assert f"{name} (.env line 1): " in refused(f'{name}="{value}"')
    assert told in refused(f'{name}="{value}"')
    assert f"{name} (process environment): " in refused(**{name: value})


def test_a_service_link_is_explained() -> None:
    told = refused(REDIS_PORT=LINK)
    assert f"REDIS_PORT (process environment): '{LINK}' is not an int" in told
    assert "Kubernetes" in told
    assert "env -u REDIS_PORT" in told
    assert "`ignored_names: [REDIS_PORT]` into environment.yml" in told
    assert "Kubernetes" not in refused(f"REDIS_PORT={LINK}")


def test_everything_wrong_is_told_at_once() -> None:
    told = refused("NGINX_PORT=x\nNGINX_SERVR_NAME=a\nbad-name=1\n", REDIS_PORT="y")
    for name in ("NGINX_PORT", "NGINX_SERVR_NAME", "bad-name", "REDIS_PORT"):
        assert name in told


def test_a_line_that_cannot_be_read_is_refused() -> None:
    assert ".env line 2: not a NAME=value line" in refused("A=1\nB 2\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_CONFIG", "hush"),
        ("FLASK_APP_ENV", '{"SECRET": "hush"'),
        ("FLASK_SECRT_KEY_", "hush\0"),
        ("REDIS_PASSWORD", "hush\0"),
        ("DATABASE_URL", "hush\0"),
        ("DATABASE_URL", "hush\udcff"),
        ("REDIS_PASSWD", "hush"),
        ("bad-name", "hush"),
    ],
)
def test_no_secret_is_shown(name: str, value: str) -> None:
    told = refused(f"{name}='{value}'")
    assert "hush" not in told
    assert name in told


def test_options_that_hold_secrets_are_known() -> None:
    secret = {option.name for option in OPTIONS.values() if option.secret}
    assert {"redis_password", "flask_app_env", "flask_app_build_env", "redis_config"} <= secret
    assert not secret & {"nginx_upstream_keepalive", "redis_maxmemory", "nginx_server_name"}


# In Ansible --------------------------------------------------------------------------------------


class Project:
    """A user's project, with no ansible.cfg."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run(self, *argv: str, **process: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name(argv[0])
        return subprocess.run(
            [str(program), *argv[1:]],
            cwd=self.root,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.root),
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                **process,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def inventory(self, *sources: str, **process: str) -> dict[str, dict[str, Any]]:
        """All hosts' variables as ansible-inventory tells them."""
        argv = [f"--inventory={source}" for source in sources]
        done = self.run("ansible-inventory", *argv, "--list", "--yaml", **process)
        assert done.returncode == 0, done.stderr
        listed = yaml.safe_load(done.stdout.replace("!unsafe ", ""))
        found: dict[str, dict[str, Any]] = {}
        groups = [listed["all"]]
        while groups:
            group = groups.pop()
            groups += [child for child in group.get("children", {}).values() if child]
            for host, values in group.get("hosts", {}).items():
                found.setdefault(host, {}).update(values)
        return found


PLUGIN = "plugin: flaskops.stack.environment\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("name", ["0-environment.yml", "environment.yml", "z-environment.yml"])
def test_precedence_whatever_the_order_of_sources(project: Project, name: str) -> None:
    hosts = """
        all:
          hosts: {a: {redis_port: 5}, b: {}}
          children: {web: {hosts: {a: {}}, vars: {nginx_port: 4}}}
    """
    play = """
        - hosts: b
          gather_facts: false
          tasks:
            - ansible.builtin.add_host: {name: d}
        - hosts: [a, b, c, d]
          gather_facts: false
          tasks:
            - ansible.builtin.debug:
                msg: "{{ inventory_hostname }}: {{ [nginx_port, redis_port | int, gunicorn_threads,
                  gunicorn_timeout, redis_maxmemory] }}"
    """
    project.write(
        {
            f"inventory/{name}": PLUGIN,
            "inventory/hosts.yml": hosts,
            "inventory/more.yml": "all: {hosts: {c: {}}}",
            "inventory/group_vars/all.yml": "{nginx_port: 1, redis_maxmemory: group}",
            "inventory/group_vars/web.yml": "nginx_port: 2",
            "inventory/host_vars/a.yml": "gunicorn_threads: 6",
            ".env": "NGINX_PORT=10\nREDIS_PORT=11\nGUNICORN_THREADS=12\nGUNICORN_TIMEOUT=13\n",
            "group_vars/all.yml": "{nginx_port: 3, gunicorn_timeout: 3}",
            "host_vars/b.yml": "gunicorn_threads: 7",
            "play.yml": play,
        }
    )
    told = project.run("ansible-playbook", "--inventory=inventory", "-eredis_port=9", "play.yml")
    assert dict(re.findall(r'"msg": "(\w): \[(.*)\]"', told.stdout)) == {
        "a": "10, 9, 6, 13, 'group'",
        "b": "10, 9, 7, 13, 'group'",
        "c": "10, 9, 12, 13, 'group'",
        "d": "10, 9, 12, 13, 'group'",
    }, told.stderr
    listed = project.inventory("inventory")
    assert {host: own["redis_port"] for host, own in listed.items()} == {"a": 5, "b": 11, "c": 11}


def test_hosts_on_the_command_line_before_and_after(project: Project) -> None:
    project.write({"environment.yml": PLUGIN})
    found = project.inventory("a,", "environment.yml", "b,", NGINX_PORT="81")
    assert [host["nginx_port"] for host in found.values()] == [81, 81]


def test_a_later_source_wins_over_an_earlier_one(project: Project) -> None:
    project.write(
        {
            "one/environment.yml": PLUGIN,
            "one/.env": "NGINX_PORT=1\nREDIS_PORT=1\nA=1\nB=1\n",
            "two/environment.yml": PLUGIN,
            "two/.env": "NGINX_PORT=2\nB=2\n",
            "hosts.yml": "all: {hosts: {a: {}, b: {nginx_port: 3}}}",
        }
    )
    found = project.inventory("hosts.yml", "one/environment.yml", "two/environment.yml", "c,")
    assert {host: (own["nginx_port"], own["redis_port"]) for host, own in found.items()} == {
        "a": (2, 1),
        "b": (3, 1),
        "c": (2, 1),
    }
    assert found["c"]["flask_app_env_from_environment"] == {"A": "1", "B": "2"}


def test_the_file_beside_the_source_then_the_one_here(project: Project) -> None:
    project.write({"inventory/environment.yml": PLUGIN, ".env": "NGINX_PORT=1\n"})
    assert project.inventory("a,", "inventory/environment.yml")["a"]["nginx_port"] == 1
    project.write({"inventory/.env": "REDIS_PORT=2\n"})
    found = project.inventory("a,", "inventory/environment.yml")["a"]
    assert found["redis_port"] == 2
    assert "nginx_port" not in found


def test_files_by_name_and_encrypted_ones(project: Project) -> None:
    project.write(
        {
            "inventory/environment.yml": f"{PLUGIN}env_files: [a.env, ../b.env]\n",
            "inventory/a.env": "REDIS_PASSWORD='pa$$ {{ 7 * 7 }}'\n",
            "b.env": "NGINX_PORT=1\n",
            ".env": "NGINX_PORT=2\n",
            "password": "hush",
        }
    )
    vault = "--vault-password-file=password"
    assert project.run("ansible-vault", "encrypt", vault, "inventory/a.env").returncode == 0
    assert "7 * 7" not in (project.root / "inventory/a.env").read_text()
    sources = ("a,", "inventory/environment.yml")
    found = project.inventory(*sources, ANSIBLE_VAULT_PASSWORD_FILE="password")["a"]
    assert found["redis_password"] == "pa$$ {{ 7 * 7 }}"
    assert found["nginx_port"] == 1
    done = project.run("ansible-inventory", "-i", sources[0], "-i", sources[1], "--list")
    assert done.returncode == 1
    assert "inventory/a.env: " in done.stderr
    assert done.stdout == ""


def test_extra_variables_win_over_the_environment_by_name(project: Project) -> None:
    project.write({"environment.yml": PLUGIN, ".env": "A=file\nB=file\n"})
    done = project.run(
        "ansible-inventory",
        *("-i", "a,", "-i", "environment.yml", "--host", "a"),
        *("-e", '{"flask_app_env": {"A": "spoken"}}'),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["flask_app_env_from_environment"] == {"B": "file"}


DOTENV_PLAY = """
    - hosts: all
      gather_facts: false
      tasks:
        - ansible.builtin.debug:
            msg: "{{ lookup('flaskops.stack.dotenv', *files) }}"
"""


def test_lookup_reads_files_and_encrypted_ones(project: Project) -> None:
    files = {"files/a.env": "A='{{ 7 * 7 }}'\nB=1\n", "b.env": "B=${A}2\n", "password": "hush"}
    project.write({"play.yml": DOTENV_PLAY, **files})
    vault = "--vault-password-file=password"
    assert project.run("ansible-vault", "encrypt", vault, "files/a.env").returncode == 0
    run = ("ansible-playbook", "-i", "a,", "play.yml")
    done = project.run(*run, vault, "-e", '{"files": ["a.env", "b.env"]}')
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"A": "{{ 7 * 7 }}"' in done.stdout
    assert '"B": "{{ 7 * 7 }}2"' in done.stdout
    project.write({"b.env": 'B=1\nB"=2\n'})
    for name, said in {
        "no.env": "no.env: there is no such file",
        "b.env": "b.env line 2: ",
    }.items():
        done = project.run(*run, "-e", json.dumps({"files": [name]}))
        assert done.returncode != 0
        assert said in " ".join((done.stdout + done.stderr).split())


def test_jinja_in_a_value_is_text(project: Project) -> None:
    play = """
        - hosts: all
          gather_facts: false
          tasks:
            - ansible.builtin.set_fact:
                app: "{{ flask_app_env_from_environment }}"
                again: "{{ nginx_client_max_body_size }}"
            - ansible.builtin.assert:
                that: item | length == 11
              loop:
                - "{{ flask_app_env_from_environment.MOTTO }}"
                - "{{ app.MOTTO }}"
                - "{{ nginx_client_max_body_size }}"
                - "{{ again }}"
                - "{{ nginx_bind[1] }}"
                - "{{ gunicorn_config.a }}"
    """
    text = """
        MOTTO="{{ 7 * 7 }}"
        NGINX_CLIENT_MAX_BODY_SIZE="{{ 7 * 7 }}"
        NGINX_BIND="::,{{ 7 * 7 }}"
        GUNICORN_CONFIG='{"a": "{{ 7 * 7 }}"}'
    """
    project.write({"environment.yml": PLUGIN, ".env": text, "play.yml": play})
    done = project.run("ansible-playbook", "-i", "a,", "-i", "environment.yml", "play.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("All assertions passed") == 6


@pytest.mark.parametrize(
    "command",
    [
        ["ansible-playbook", "play.yml"],
        ["ansible-inventory", "--list"],
        ["ansible", "all", "--module-name=ansible.builtin.command", "--args=touch ran"],
    ],
    ids=lambda command: command[0],
)
def test_anything_wrong_ends_every_command_at_once(project: Project, command: list[str]) -> None:
    project.write(
        {
            "inventory/environment.yml": PLUGIN,
            "inventory/hosts.yml": "all: {hosts: {a: {ansible_connection: local}}}",
            ".env": "NGINX_SERVR_NAME=a.example\n",
            "play.yml": "[{hosts: all, gather_facts: false,"
            " tasks: [{ansible.builtin.command: touch ran}]}]",
        }
    )
    start = time.monotonic()
    done = project.run(command[0], "--inventory=inventory", *command[1:])
    assert time.monotonic() - start < LIMIT
    assert done.returncode == 1
    assert "NGINX_SERVR_NAME (.env line 1): no such option; did you mean" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (project.root / "ran").exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("env_files: [gone.env]\n", "gone.env: there is no such file"),
        ("env_file: [.env]\n", "environment.yml: there is no setting env_file"),
        ("env_files: [latin.env]\n", "latin.env: not UTF-8"),
        ("env_files: {a: 1}\n", "env_files"),
        ("env_files: [deep.env]\n", "RecursionError"),
    ],
)
def test_a_source_that_is_wrong_ends_the_command_too(
    project: Project, source: str, told: str
) -> None:
    project.write({"environment.yml": PLUGIN + source})
    (project.root / "latin.env").write_bytes(b"A=\xe9\n")
    (project.root / "deep.env").write_text(f"NGINX_BIND='{'[' * 100_000}'\n")
    done = project.run("ansible-inventory", "-i", "a,", "-i", "environment.yml", "--list")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_ignored_names_leave_the_process_environment_alone(project: Project) -> None:
    project.write(
        {
            "environment.yml": f"{PLUGIN}ignored_names: [REDIS_PORT]\n",
            ".env": "REDIS_PORT=6380\n",
        }
    )
    found = project.inventory("a,", "environment.yml", REDIS_PORT=LINK)["a"]
    assert found["redis_port"] == 6380


# Its page ----------------------------------------------------------------------------------------


def test_example_of_the_page_reads_as_it_says() -> None:
    text = variable_tables.ENVIRONMENT.read_text(encoding="utf-8")
    example = re.search(r"```sh\n(# A comment\.\n.*?)```", text, re.DOTALL)
    assert example is not None
    assert read(example[1], DB_PASSWORD="pw") == {
        "nginx_server_name": ["shop.example.org", "www.example.org"],
        "nginx_gzip": False,
        "gunicorn_config": {"keepalive": 5, "preload_app": True},
        "flask_app_env_from_environment": {
            "DATABASE_URL": "postgresql://shop:pw@db/shop",
            "MOTTO": "two lines\nof text, or a real line break",
            "PATTERN": "C:\\new",
        },
    }
