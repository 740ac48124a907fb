"""A site from a .env file alone, asked of the running programs; and a file that is wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
#: Seconds until a broken file must have ended a run.
LIMIT = 5.0
#: The oldest ansible-core that meta/runtime.yml lets in.
OLDEST_CORE = "2.16.*"
PASSWORD = 'it\'s "a" #1 {{ 7 * 7 }}'

pytestmark = pytest.mark.units("nginx.service", "redis-server.service", "shop@*.service")

Outside = Callable[[int], str]


def ask(address: str, host: str, path: str = "/") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": host, "Accept-Encoding": "gzip"})
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
