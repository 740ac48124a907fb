"""Releases as they are on the hosts: what was built, who may read it, what happens to bad ones."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import testinfra

import testbed

HOME = "/srv/shop"


def selected(host: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(host.check_output(f"cat {HOME}/next/release/release.json"))
    return record


def releases(host: Any) -> set[str]:
    return set(host.check_output(f"ls {HOME}/releases").split())


def source(folder: Path, **files: str) -> str:
    """A small app on the controller; double underscores in a name stand for a dot."""
    folder.mkdir(exist_ok=True)
    for name, text in {"app__py": APP, **files}.items():
        (folder / name.replace("__", ".")).write_text(text)
    return str(folder)


APP = "import flask\napp = flask.Flask(__name__)\n"
# A package without requirements of its own; the hash is the index's for this file.
LOCKED = (
    "itsdangerous==2.2.0 \\\n"
    "    --hash=sha256:c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef\n"
)


def test_release_runs_the_app_with_its_own_packages(host: Any) -> None:
    python = f"{HOME}/next/release/venv/bin/python"
    check = "import pulse, flask; print(flask.__file__)"
    told = host.check_output(f"cd {HOME}/next/release/code && {python} -c '{check}'")
    assert told.startswith(f"{HOME}/next/release/venv/lib/python3")


def test_release_json_says_what_it_is(host: Any) -> None:
    record = selected(host)
    assert record["manifest"] == "uv.lock"
    assert record["installer"] == "uv"
    assert record["static"] == {"/static": "pulse/static"}
    assert record["packages"]["flask"]
    assert "pytest" not in record["packages"]  # development tools stay away
    assert record["id"].startswith(record["revision"])


def test_bytecode_is_compiled(host: Any) -> None:
    release = f"{HOME}/next/release"
    for folder in (f"{release}/code/pulse", f"{release}/venv/lib"):
        assert host.check_output(f"find -L {folder} -name '*.pyc' | head -1")


def test_app_cannot_write_what_it_runs(host: Any) -> None:
    tried = host.run(
        f"runuser -u shop -- sh -c 'touch {HOME}/x {HOME}/next/x {HOME}/next/release/code/x "
        f"{HOME}/next/release/venv/x'"
    )
    assert tried.stderr.count("Permission denied") == 4


def test_app_can_write_what_outlives_a_release(host: Any) -> None:
    path = f"{HOME}/next/release/code/instance/kept"
    host.check_output(f"runuser -u shop -- touch {path}")
    assert host.file(f"{HOME}/shared/instance/kept").user == "shop"


def test_web_server_reads_static_files_and_nothing_else(host: Any) -> None:
    release = f"{HOME}/releases/{selected(host)['id']}"
    nobody = "runuser -u nobody --"
    assert host.run(f"{nobody} cat {release}/public/static/pulse.css").succeeded
    for closed in ("code/pulse/__init__.py", "venv/bin/python", "release.json"):
        assert host.run(f"{nobody} cat {release}/{closed}").stderr.endswith("Permission denied\n")


def test_environment_is_for_root_and_the_app_only(host: Any) -> None:
    env = host.file(f"{HOME}/next/env")
    assert (env.user, env.group, env.mode) == ("root", "shop", 0o640)
    key = host.file(f"{HOME}/secret_key")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o600)


def test_environment_reaches_a_unit_unharmed(host: Any) -> None:
    told = host.check_output(
        f"systemd-run --quiet --wait --pipe -p EnvironmentFile={HOME}/next/env printenv "
        "FLASK_GREETING FLASK_CACHE_TYPE FLASKOPS_RELEASE"
    )
    assert told.splitlines() == [
        'it\'s 100 % "quoted" & $safe',
        "SimpleCache",
        selected(host)["id"],
    ]


AWKWARD = {
    "SPACES": "  two before, one after ",
    "QUOTES": """it's "quoted" `so`""",
    "DOLLAR": "$HOME ${HOME} $$ $(id)",
    "PERCENT": "%n %% 100%",
    "HASH": "# no ; comment",
    "BACKSLASH": r"C:\new\table \\ \" \$ \x41",
    "LINES": 'first\nSECOND="x"\n\n# fourth\\\n',
    "TAB": "\ta\tb\t",
    "UNICODE": "Zürich ☕ 日本 \u200b",
    "BRACES": "{{ not_a_template }} {% nor this %}",
    "EMPTY": "",
    "LONG": "0123456789abcdef" * 512,
}


def test_every_value_reaches_a_unit_byte_for_byte(host: Any, play: Any) -> None:
    play.succeeds(flask_app_env={name: {"__ansible_unsafe": v} for name, v in AWKWARD.items()})
    dump = "import json, os; print(json.dumps(dict(os.environ)))"
    told = json.loads(
        host.check_output(
            f"systemd-run --quiet --wait --pipe -p EnvironmentFile={HOME}/next/env "
            f"python3 -c {shlex.quote(dump)}"
        )
    )
    for name, value in AWKWARD.items():
        assert told[name] == value, name


def test_the_source_is_not_shown(play: Any, tmp_path: Path) -> None:
    """It can hold a .env; as Base64 what gzip makes begins with H4sI."""
    given = source(tmp_path / "app", requirements__txt="", __env="PASSWORD=hush\n")
    assert "H4sI" not in play.succeeds("-vvv", flask_app_source=given)


@pytest.mark.parametrize(
    ("files", "variables", "manifest"),
    [
        ({"requirements__txt": "itsdangerous==2.2.0\n"}, {}, "requirements.txt"),
        ({"requirements__txt": LOCKED}, {}, "requirements.txt"),
        (
            {"requirements__txt": LOCKED},
            {"flask_app_installer": "pip"},
            "requirements.txt",
        ),
        (
            {
                "pyproject__toml": '[project]\nname = "app"\nversion = "1"\ndescription = "x"\n'
                'dependencies = ["itsdangerous==2.2.0"]\n[build-system]\n'
                'requires = ["flit_core>=3.11,<4"]\nbuild-backend = "flit_core.buildapi"\n'
                '[tool.flit.module]\nname = "app"\n',
                "app__py": '"""An app."""\n__version__ = "1"\n',
            },
            {},
            "pyproject.toml",
        ),
    ],
    ids=["requirements", "hash-locked", "pip", "pyproject"],
)
def test_every_way_to_name_requirements_works(
    host: Any,
    play: Any,
    tmp_path: Path,
    files: dict[str, str],
    variables: dict[str, str],
    manifest: str,
) -> None:
    play.succeeds(flask_app_source=source(tmp_path / "app", **files), **variables)
    record = selected(host)
    assert record["manifest"] == manifest
    assert record["packages"]["itsdangerous"] == "2.2.0"
    assert record["installer"] == variables.get("flask_app_installer", "uv")


def test_wrong_hash_is_refused_and_the_earlier_release_stays(
    host: Any, play: Any, tmp_path: Path
) -> None:
    before = selected(host)["id"]
    wrong = LOCKED.replace("sha256:c6", "sha256:d7")
    said = play.fails(flask_app_source=source(tmp_path / "app", requirements__txt=wrong))
    assert "The release was not built." in said
    assert "ash mismatch" in said
    assert selected(host)["id"] == before
    play.succeeds()
    assert all(
        host.file(f"{HOME}/releases/{name}/release.json").exists for name in releases(host)
    ), "the next run removes what is incomplete"


def test_repository_that_is_not_there_is_named_by_the_git_just_installed(
    host: Any, play: Any
) -> None:
    before = selected(host)["id"]
    assert "'/opt/nowhere.git' does not" in play.fails(flask_app_source="file:///opt/nowhere.git")
    assert selected(host)["id"] == before


def test_git_url_with_branch_tag_and_commit(host: Any, play: Any) -> None:
    script = """
        set -e
        rm -rf /opt/shop.git && git init -q -b main /opt/shop.git && cd /opt/shop.git
        git config user.name t && git config user.email t@example.org
        printf 'import flask\\napp = flask.Flask(__name__)\\n' > app.py
        echo itsdangerous==2.2.0 > requirements.txt
        git add . && git commit -qm one && git tag v1
        echo '# two' >> app.py && git commit -qam two
        git rev-parse v1 main
    """
    first, second = host.check_output(f"sh -c {shlex.quote(script)}").split()
    url = "file:///opt/shop.git"
    for version, revision in (("main", second), ("v1", first), (second, second), ("HEAD", second)):
        play.succeeds(flask_app_source=url, flask_app_version=version)
        assert selected(host)["revision"] == revision
    assert not host.file(f"{HOME}/next/release/code/.git").exists
    assert "changed=0" in play.succeeds(flask_app_source=url)


def test_submodules_come_along_and_a_killed_git_is_healed(host: Any, play: Any) -> None:
    script = """
        set -e
        git config --system protocol.file.allow always
        rm -rf /opt/part.git /opt/whole.git
        for name in part whole; do
            git init -q -b main /opt/$name.git && cd /opt/$name.git
            git config user.name t && git config user.email t@example.org
            echo 'VALUE = 1' > value.py && touch requirements.txt
            git add . && git commit -qm one
        done
        git submodule --quiet add file:///opt/part.git part && git commit -qm two
    """
    host.check_output(f"sh -c {shlex.quote(script)}")
    url = "file:///opt/whole.git"
    play.succeeds(flask_app_source=url)
    code = f"{HOME}/next/release/code"
    assert host.check_output(f"cat {code}/part/value.py") == "VALUE = 1"
    assert host.check_output(f"find {code}/ -name .git") == ""
    host.check_output("cd /opt/whole.git && echo 'x = 2' >> value.py && git commit -qam three")
    host.check_output(f"touch {HOME}/source.git/index.lock")
    play.succeeds(flask_app_source=url)
    assert "x = 2" in host.check_output(f"cat {code}/value.py")


#: What a host answers git with, to who knows the password only.
GIT_SERVER = """
import http.server
LOGIN = "Basic ZGVwbG95OnAvdy1odXNo"
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") == LOGIN:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic realm=git")
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
"""


def test_login_in_a_git_url_works_and_is_shown_nowhere(host: Any, play: Any) -> None:
    script = """
        set -e
        rm -rf /opt/web.git && git init -q -b main /opt/web.git && cd /opt/web.git
        git config user.name t && git config user.email t@example.org
        touch requirements.txt && git add . && git commit -qm one && git update-server-info
    """
    host.check_output(f"sh -c {shlex.quote(script)}")
    server = f"python3 -c {shlex.quote(GIT_SERVER)}"
    host.check_output(
        f"systemd-run --quiet --collect --unit=web --working-directory=/opt {server}; sleep 1"
    )
    since = host.check_output("date +%s")
    try:
        url = "http://deploy:p%2Fw-hush@127.0.0.1:8099/web.git/.git"
        told = play.succeeds("-vvv", "--diff", flask_app_source=url)
    finally:
        host.check_output("systemctl stop web")
    # The command line is the test's own; the rest is the run's.
    lines = [line for line in told.splitlines() if "p%2Fw-hush" in line]
    assert not lines
    assert selected(host)["source"] == "http://127.0.0.1:8099/web.git/.git"
    assert "w-hush" not in host.check_output(f"journalctl --no-pager --since=@{since}")
    kept = host.check_output(f"grep -rl w-hush {HOME}").split()
    assert kept == [f"{HOME}/git_credentials"]
    assert host.file(f"{HOME}/git_credentials").mode == 0o600


def other(host: Any, play: Any) -> Any:
    """Another host of the scenario."""
    inventory = testbed.STATE / "flask_app" / "inventory.yml"
    (name,) = {"debian12", "debian13"} - {play.host}
    return testinfra.get_host(f"ansible://{name}?ansible_inventory={inventory}&sudo=true")


def test_all_hosts_have_one_secret_key(host: Any, play: Any) -> None:
    play.succeeds()
    key = host.check_output(f"cat {HOME}/secret_key")
    assert len(key) >= 64
    assert key == other(host, play).check_output(f"cat {HOME}/secret_key")
    hosts = ["debian13", "debian12"]
    assert "changed=0" in play.succeeds(flask_app_hosts=hosts)
    # A host that is added, in a run that leaves the others out.
    host.check_output(f"rm {HOME}/secret_key")
    told = play.succeeds("-vvv", "--diff", flask_app_hosts=hosts)
    assert host.check_output(f"cat {HOME}/secret_key") == key
    assert key not in told
    assert "changed=0" in play.succeeds(flask_app_hosts=hosts)


def test_code_that_is_no_python_does_not_stop_a_build(play: Any, tmp_path: Path) -> None:
    files = {"requirements__txt": "", "template__py": "def {{ name }}():\n"}
    play.succeeds(flask_app_source=source(tmp_path / "app", **files))


def test_an_app_cannot_get_at_root_while_uv_is_installed(
    host: Any, play: Any, tmp_path: Path
) -> None:
    host.check_output("rm -rf /opt/uv /run/owned")
    trap = "open('/run/owned', 'w')\n"
    play.succeeds(
        flask_app_source=source(
            tmp_path / "app", requirements__txt="", logging__py=trap, pip__py=trap
        )
    )
    assert not host.file("/run/owned").exists
    assert host.file("/opt/uv/0.13.9/bin/uv").user == "root"


def test_a_login_with_a_strict_umask_builds_what_others_read(
    host: Any, play: Any, tmp_path: Path
) -> None:
    app = Path(source(tmp_path / "strict", requirements__txt=LOCKED))
    (app / "static").mkdir()
    (app / "static/own.css").write_text("own")
    # Bash reads it for commands over ssh too, and sudo keeps what it says.
    login = "/home/admin/.bashrc"
    host.check_output(f"mv {login} {login}.before && echo 'umask 077' > {login}")
    try:
        play.succeeds(flask_app_source=str(app))
    finally:
        host.check_output(f"mv {login}.before {login}")
    place = f"{HOME}/releases/{selected(host)['id']}"
    assert host.check_output(f"runuser -u nobody -- cat {place}/public/static/own.css") == "own"
    ran = f"cd {place}/code && {place}/venv/bin/python -c 'import itsdangerous'"
    assert host.run(f"runuser -u shop -- sh -c {shlex.quote(ran)}").succeeded


def test_old_releases_are_pruned(host: Any, play: Any, tmp_path: Path) -> None:
    for number in range(3):
        app = source(tmp_path / "app", app__py=f"{APP}# {number}\n", requirements__txt="")
        play.succeeds(flask_app_source=app, flask_app_keep_releases=2)
    assert len(releases(host)) == 2
    assert selected(host)["id"] in releases(host)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"flask_app_name": "../etc"}, 'flask_app_name: found "../etc"; allowed are'),
        ({"flask_app_name": "root"}, 'flask_app_name: found "root"; allowed are'),
        ({"flask_app_user": "root"}, "flask_app_user: found root"),
        ({"flask_app_source": "/no/such/place"}, 'flask_app_source: found "/no/such/place"'),
        ({"flask_app_installer": "conda"}, "value of flask_app_installer must be one of: uv, pip"),
        ({"flask_app_env": {"FLASK_DEBUG": True}}, "found FLASK_DEBUG=true"),
        ({"flask_app_env": {"A-B": "hush"}}, "environment variable 'A-B': a name has"),
        ({"flask_app_shared_paths": ["../x"]}, 'flask_app_shared_paths: found ["../x"]'),
        ({"flask_app_env_files": ["no.env"]}, "no.env: there is no such file"),
        ({"flask_app_env_names": ["NO_SUCH"]}, "flask_app_env_names: found NO_SUCH; set neither"),
        ({"flask_app_secret_key_days": -1}, "flask_app_secret_key_days: found -1"),
        ({"flask_app_keep_releases": "many"}, "flask_app_keep_releases"),
    ],
    ids=[
        "path",
        "reserved",
        "root",
        "source",
        "installer",
        "debug",
        "name",
        "shared",
        "file",
        "names",
        "days",
        "type",
    ],
)
def test_bad_input_is_named_before_anything_changes(
    host: Any, play: Any, variables: dict[str, Any], said: str
) -> None:
    host.check_output("touch /run/marker")
    output = play.fails(**variables)
    assert said in output
    assert "hush" not in output
    touched = host.check_output("find /srv /etc /opt -newer /run/marker -not -type d | head")
    assert touched == ""


def test_source_without_a_manifest_is_refused(play: Any, tmp_path: Path) -> None:
    said = play.fails(flask_app_source=source(tmp_path / "app"))
    assert "found none of uv.lock, requirements.txt, pyproject.toml, setup.py" in said
