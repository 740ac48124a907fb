"""A site from a .env file alone, asked of the running programs; and a file that is wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
#: Seconds until a broken file must have ended a run.
LIMIT = 5.0
#: The oldest ansible-core that meta/runtime.yml lets in.
OLDEST_CORE = "2.18.*"
NAME = "shop.example.org"
PASSWORD = 'it\'s "a" #1 {{ 7 * 7 }}'

pytestmark = pytest.mark.units("nginx.service", "redis-server.service", "shop@*.service")

Outside = Callable[[int], str]


def ask(
    address: str, host: str, path: str = "/", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    with contextlib.closing(connection):
        headers |= {"Host": host, "Accept-Encoding": "gzip"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()


def main_pid(host: Any) -> str:
    number = host.check_output("basename $(readlink /srv/shop/live)")
    pid: str = host.check_output("systemctl show -P MainPID shop@%s", number)
    return pid


def app_environment(host: Any) -> dict[str, str]:
    text = host.check_output("cat /proc/%s/environ", main_pid(host))
    return dict(item.split("=", 1) for item in text.split("\0") if item)


@pytest.mark.parametrize("name", ["shop.example.org", "www.example.org"])
def test_site_answers_to_its_names(outside: Outside, name: str) -> None:
    answer, body = ask(outside(80), name)
    assert answer.status == 200
    assert b"</html>" in body


def test_site_answers_to_no_other_name(outside: Outside) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(outside(80), "other.example.org")


def test_compression_is_off(outside: Outside) -> None:
    answer, body = ask(outside(80), "shop.example.org", "/static/pulse.css")
    assert answer.status == 200
    assert len(body) > 1000
    assert answer.headers["Content-Encoding"] is None


def test_cache_has_its_memory_and_its_password(host: Any) -> None:
    assert "NOAUTH" in host.run("redis-cli config get maxmemory").stdout
    told = host.check_output("REDISCLI_AUTH=%s redis-cli --raw config get maxmemory", PASSWORD)
    assert told.split() == ["maxmemory", str(48 * 1024 * 1024)]


def test_app_counts_in_that_cache(outside: Outside) -> None:
    _, body = ask(outside(80), "shop.example.org", "/about.json")
    assert json.loads(body)["cache"]["visits"] > 0


def test_server_has_one_worker(host: Any) -> None:
    assert len(host.check_output("pgrep -P %s", main_pid(host)).split()) == 1


def test_app_gets_what_no_role_has(host: Any) -> None:
    found = app_environment(host)
    assert found["MOTTO"] == "two\nlines, {{ 7 * 7 }} and $HOME"
    assert found["FLASK_TITLE"] == "Shop"


def test_app_gets_nothing_of_the_roles(host: Any) -> None:
    roles = ("FLASK_APP_", "GUNICORN_", "NGINX_", "REDIS_PASSWORD", "REDIS_MAXMEMORY")
    assert not [name for name in app_environment(host) if name.startswith(roles)]


# What follows from a change ----------------------------------------------------------------------


class Load(threading.Thread):
    """Asks the site without a pause, keeping its session, until it is told to stop."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.over = threading.Event()
        self.problems: list[str] = []
        self.visits: list[int] = []
        self.cookie = ""

    def run(self) -> None:
        """Ask; whatever is not the next visit of the same session is a problem."""
        while not self.over.is_set():
            try:
                connection = http.client.HTTPConnection(self.address, timeout=30)
                with contextlib.closing(connection):
                    headers = {"Host": NAME, "Cookie": self.cookie}
                    connection.request("GET", "/about.json", headers=headers)
                    answer = connection.getresponse()
                    body = answer.read()
                if answer.status != 200:
                    self.problems.append(f"{answer.status}: {body[:200]!r}")
                    continue
                self.cookie = answer.headers["Set-Cookie"].split(";")[0]
                self.visits.append(json.loads(body)["session"]["visits"])
            except (OSError, http.client.HTTPException) as error:
                self.problems.append(f"{type(error).__name__}: {error}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join(timeout=60)

    def lost_nothing(self) -> None:
        """Every request was answered, and all in one session."""
        assert not self.problems
        assert len(self.visits) > 50
        assert self.visits == list(range(1, len(self.visits) + 1))


def site(
    *options: str, playbook: str = "site.yml", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a playbook as converge.yml does, with more in the process environment."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "MOLECULE_"))}
    config = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(
        [
            str(BIN / "ansible-playbook"),
            "--inventory=.testbed/environment/inventory.yml",
            "--inventory=molecule/environment/inventory/environment.yml",
            *options,
            playbook,
        ],
        cwd=ROOT,
        env=own | config | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def succeeds(*options: str, playbook: str = "site.yml", **environment: str) -> str:
    done = site(*options, playbook=playbook, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def generation(host: Any) -> int:
    return int(host.check_output("basename $(readlink /srv/shop/live)"))


def built(host: Any) -> str:
    """The live release, and when it was built."""
    told: str = host.check_output("cat /srv/shop/live/release/release.json")
    return told


def test_one_variable_is_a_switch_without_a_build_or_a_lost_request(
    host: Any, outside: Outside
) -> None:
    before, release = generation(host), built(host)
    with Load(outside(80)) as load:
        succeeds(FLASK_TITLE="Shop & more", FLASK_APP_ENV_NAMES="PIN", PIN="0123")
    load.lost_nothing()
    assert generation(host) == before + 1
    assert built(host) == release
    found = app_environment(host)
    assert (found["FLASK_TITLE"], found["PIN"]) == ("Shop & more", "0123")


def test_no_change_is_no_switch(host: Any) -> None:
    succeeds()
    before, pid = generation(host), main_pid(host)
    assert "changed=0" in succeeds()
    assert (generation(host), main_pid(host)) == (before, pid)


def test_what_anybody_set_wins_in_its_order(host: Any, tmp_path: Path) -> None:
    (tmp_path / "more.env").write_text(
        "FLASK_A=file\nFLASK_B=file\nFLASK_C=file\nFLASK_CACHE_TYPE=SimpleCache\nFLASK_PIN_KEY=0123\n"
        "FLASK_NUMBER=5\nFLASK_DB_PASSWORD=99\n"
    )
    group = {"flask_app_env": {"FLASK_B": "group", "FLASK_C": "group", "FLASK_CODE": "42"}}
    (tmp_path / "inventory/group_vars").mkdir(parents=True)
    (tmp_path / "inventory/group_vars/all.json").write_text(json.dumps(group))
    (tmp_path / "inventory/hosts.yml").write_text("all: {}\n")
    files = f"--extra-vars=flask_app_env_files={tmp_path}/more.env"
    try:
        succeeds(f"--inventory={tmp_path}/inventory", files, FLASK_C="process", FLASK_D="no")
        found = app_environment(host)
        assert [found[f"FLASK_{name}"] for name in "ABC"] == ["file", "group", "process"]
        assert (found["FLASK_CODE"], found["FLASK_NUMBER"]) == ('"42"', "5")
        assert (found["FLASK_DB_PASSWORD"], found["FLASK_PIN_KEY"]) == ('"99"', "0123")
        assert found["FLASK_CACHE_TYPE"] == "SimpleCache"
        assert "CACHE_TYPE" not in found
        assert found["REDIS_URL"].startswith("redis://")
        assert found["FLASKOPS_PROXY_HOPS"] == "1"
        assert found["FLASK_INSTANCE_PATH"] == "/srv/shop/shared/instance"
        spoken = json.dumps({"flask_app_env": {"FLASK_C": "spoken"}})
        succeeds("-e", spoken, FLASK_C="process")
        assert app_environment(host)["FLASK_C"] == "spoken"
    finally:
        succeeds()


def test_sessions_survive_a_new_secret_key(host: Any, outside: Outside) -> None:
    before = app_environment(host)
    assert "SECRET_KEY_FALLBACKS" not in before
    rotate = "playbooks/rotate-secret-key.yml"
    with Load(outside(80)) as load:
        told = succeeds("-vvv", "--diff", playbook=rotate)
    load.lost_nothing()
    after = app_environment(host)
    assert after["FLASK_SECRET_KEY"] == after["SECRET_KEY"] != before["SECRET_KEY"]
    assert json.loads(after["FLASK_SECRET_KEY_FALLBACKS"]) == [before["SECRET_KEY"]]
    assert before["SECRET_KEY"] not in told
    assert after["SECRET_KEY"] not in told
    assert "changed=0" in succeeds()
    assert host.file("/srv/shop/secret_key").mode == 0o600
    # Much later, or at once when the old key has leaked.
    succeeds("-e", "flask_app_secret_key_days=0")
    assert "SECRET_KEY_FALLBACKS" not in app_environment(host)
    succeeds()  # the earlier key is accepted again, as long as its time is not over
    assert "SECRET_KEY_FALLBACKS" in app_environment(host)
    _, body = ask(outside(80), NAME, "/about.json", Cookie=load.cookie)
    assert json.loads(body)["session"]["visits"] == load.visits[-1] + 1


def test_a_rotation_that_was_interrupted_goes_on(host: Any) -> None:
    signing = app_environment(host)["SECRET_KEY"]
    host.check_output("sed -i '1a waitswaitswaits' /srv/shop/secret_key")
    succeeds(playbook="playbooks/rotate-secret-key.yml")
    found = app_environment(host)
    assert found["SECRET_KEY"] == "waitswaitswaits"
    assert signing in json.loads(found["SECRET_KEY_FALLBACKS"])


def test_a_leaked_key_is_gone_for_good(host: Any) -> None:
    rotate, before = "playbooks/rotate-secret-key.yml", generation(host)
    told = site("--check", "-vvv", playbook=rotate)
    assert told.returncode == 0, told.stdout
    assert app_environment(host)["SECRET_KEY"] not in told.stdout
    assert generation(host) == before
    succeeds("-e", "flask_app_secret_key_days=0", playbook=rotate)
    assert "SECRET_KEY_FALLBACKS" not in app_environment(host)
    succeeds()
    assert "SECRET_KEY_FALLBACKS" not in app_environment(host)


def test_a_given_key_is_not_ours_to_rotate(host: Any) -> None:
    before = generation(host)
    done = site(playbook="playbooks/rotate-secret-key.yml", FLASK_SECRET_KEY="1234")
    assert done.returncode != 0
    assert "it is given, so it is rotated where it is given" in done.stdout
    assert generation(host) == before


# Secrets -----------------------------------------------------------------------------------------

TOKEN = "tok-5f1c9e-not-to-be-seen"
GIVEN = {
    "FLASK_API_TOKEN": f"{TOKEN}-1",
    "DATABASE_URL": f"postgresql://shop:{TOKEN}-2@db.example.org/shop",
    "FLASK_APP_BUILD_ENV": json.dumps({"INDEX_TOKEN": f"{TOKEN}-3"}),
    "FLASK_APP_ENV": json.dumps({"SENTRY_DSN": f"https://{TOKEN}-4@sentry.example.org/1"}),
    "FLASK_APP_EXTRA_PACKAGES": "itsdangerous",
    "FLASK_APP_ENV_NAMES": "DATABASE_URL",
}
#: Everything that runs, ten times a second, without the watcher itself.
WATCH = (
    "for i in $(seq 3000); do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; "
    "[ -e /run/watched ] && break; sleep 0.1; done"
)


def test_secrets_are_seen_nowhere(host: Any) -> None:
    since = host.check_output("date +%s")
    watch = shlex.quote(f"{WATCH} > /root/watch.log")
    host.check_output("rm -f /run/watched; systemd-run --quiet --collect sh -c " + watch)
    told = ""
    try:
        told += succeeds("-vvv", "--diff", **GIVEN)  # with a build
        done = site("-vvv", "--diff", "--check", **GIVEN | {"FLASK_API_TOKEN": f"{TOKEN}-5"})
        told += done.stdout + done.stderr
        broken = {"FLASK_APP_ENTRYPOINT": "nowhere:app", "FLASK_API_TOKEN": f"{TOKEN}-6"}
        done = site("-vvv", "--diff", **GIVEN | broken)
        assert done.returncode != 0
        told += done.stdout + done.stderr
    finally:
        host.check_output("touch /run/watched; sleep 1")
    found = app_environment(host)
    key, password = found["SECRET_KEY"], urllib.parse.quote(PASSWORD, safe="")
    assert TOKEN in found["FLASK_API_TOKEN"]
    assert password in found["REDIS_URL"]
    ran = host.check_output("cat /root/watch.log")
    assert "venv/bin/python" in ran
    journal = host.check_output(f"journalctl --no-pager --since=@{since}")
    assert "flaskops.stack.release" in journal
    secrets = (TOKEN, key, PASSWORD, password, PASSWORD.replace('"', '\\"'))
    for where, text in {"output": told, "processes": ran, "journal": journal}.items():
        assert not [secret for secret in secrets if secret in text], where
    patterns = shlex.quote("\n".join(secrets))
    readable = "runuser -u nobody -- grep -rlsF --devices=skip -f - / --exclude-dir=sys"
    listed = host.run(f"printf '%s\n' {patterns} | {readable} --exclude-dir=proc").stdout
    assert listed == ""
    environments = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null"
    assert TOKEN not in host.run(f"runuser -u nobody -- sh -c '{environments}'").stdout
    succeeds()


# A file that is wrong ----------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port on this machine that counts who comes, and says goodbye at once."""
    seen: list[str] = []

    def accept() -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                connection, address = server.accept()
                seen.append(str(address))
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)


def run(environment: str, port: int) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run site.yml on a host at that port; also the seconds that it took."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "MOLECULE_"))}
    start = time.monotonic()
    done = subprocess.run(
        [
            str(BIN / "ansible-playbook"),
            "--inventory=127.0.0.1,",
            f"--inventory={HERE / environment}",
            f"--extra-vars=ansible_port={port}",
            "site.yml",
        ],
        cwd=ROOT,
        env=own | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, time.monotonic() - start


def test_broken_file_ends_the_run_before_any_host_is_touched(
    listener: tuple[int, list[str]],
) -> None:
    port, seen = listener
    done, seconds = run("broken/environment.yml", port)
    assert done.returncode == 1
    assert seconds < LIMIT
    told = done.stderr
    assert "NGINX_SERVR_NAME (molecule/environment/broken/site.env line 2): no such option" in told
    assert "did you mean NGINX_SERVER_NAME?" in told
    assert "GUNICORN_WORKERS (molecule/environment/broken/site.env line 3): 'many' is not" in told
    assert "PLAY" not in done.stdout
    assert not seen


def test_good_file_reaches_the_host(listener: tuple[int, list[str]]) -> None:
    port, seen = listener
    done, _ = run("inventory/environment.yml", port)
    assert "UNREACHABLE" in done.stdout, done.stdout + done.stderr
    assert seen


def test_all_this_holds_on_the_oldest_ansible(tmp_path: Path) -> None:
    core, uv = tmp_path / "core", str(BIN / "uv")
    packages = [f"ansible-core=={OLDEST_CORE}", "hypothesis", "pytest", "python-dotenv"]
    python = ["--python", str(core / "bin/python")]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(core)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", *python, *packages], check=True)
    tests = sorted(map(str, (ROOT / "tests/unit").glob("test_environment*.py")))
    done = subprocess.run(
        [str(core / "bin/pytest"), "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d{3} passed", done.stdout)
