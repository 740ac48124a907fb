"""The whole site on one host, asked from outside as a visitor and from inside as its owner."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import testbed

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
#: The oldest ansible-core that meta/runtime.yml lets in.
OLDEST_CORE = "2.18.*"
#: The newest that there is.
NEWEST_CORE = "2.21.*"
#: Tasks that run or are skipped when nothing changes.
TASKS_LIMIT = 25
#: The user of the app, which is the only one that Redis lets in.
PASSWORD = "p@ss:/word"
REDIS = f"REDISCLI_AUTH={PASSWORD} redis-cli --user pulse --no-auth-warning --raw"
#: Seconds in which a page answers although its cache is away.
SOON = 1.0
NOT_ON_THE_HOST = ("set_fact", "assert", "validate_argument_spec")

pytestmark = pytest.mark.units("nginx.service", "redis-server.service", "pulse@*.service")

Outside = Callable[[int], str]


class Site:
    """The site as a visitor meets it; keeps cookies."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        request = urllib.request.Request(f"http://{self.address}{path}", headers=headers)
        try:
            with self.opener.open(request, timeout=10) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def about(self, **headers: str) -> dict[str, Any]:
        status, body, _ = self.get("/about.json", **headers)
        assert status == 200, body
        told: dict[str, Any] = json.loads(body)
        return told


@pytest.fixture
def site(outside: Outside) -> Site:
    return Site(outside(80))


def live(host: Any) -> dict[str, Any]:
    record = host.check_output("cat /srv/pulse/live/release/release.json")
    told: dict[str, Any] = json.loads(record)
    return told


def test_page_comes_through_nginx(site: Site) -> None:
    status, body, headers = site.get("/")
    assert status == 200
    assert headers["Server"] == "nginx"  # without a version
    assert "</html>" in body


def test_visits_are_counted_in_redis(host: Any, site: Site) -> None:
    before = int(host.check_output(f"{REDIS} get pulse:visits") or 0)
    assert site.about()["cache"]["visits"] == before + 1
    assert host.check_output(f"{REDIS} get pulse:visits") == str(before + 1)


def test_cached_value_is_in_redis_and_shared_by_workers(host: Any, site: Site) -> None:
    answers = [site.about()["cached"] for _ in range(8)]
    assert len({answer["value"] for answer in answers}) <= 2  # it may expire once in between
    assert answers[-1]["hit"] is True
    assert len(host.check_output(f"{REDIS} keys 'pulse:*'").splitlines()) >= 2


def test_redis_lets_in_the_apps_user_and_nobody_else(host: Any, site: Site) -> None:
    told = site.about()
    assert (told["cache"]["ok"], told["cached"]["type"]) == (True, "RedisCache")
    assert host.check_output(f"{REDIS} acl whoami") == "pulse"
    assert host.run("redis-cli ping").stdout.startswith("NOAUTH")
    assert "NOPERM" in host.run(f"{REDIS} get blog:visits").stdout
    assert PASSWORD not in host.check_output("ps -eo args")


def test_session_survives_from_worker_to_worker(site: Site) -> None:
    counts = [site.about()["session"]["visits"] for _ in range(6)]
    assert counts == list(range(counts[0], counts[0] + 6))


def test_serving_process_is_of_the_release_just_deployed(host: Any, site: Site) -> None:
    told = site.about()
    assert told["release"] == live(host)["id"]
    assert told["generation"] == host.check_output("basename $(readlink /srv/pulse/live)")
    code = host.check_output(f"readlink /proc/{told['pid']}/cwd")
    assert code == f"/srv/pulse/releases/{told['release']}/code"


def test_each_program_has_a_user_of_its_own(host: Any, site: Site) -> None:
    users = host.check_output("ps -eo user:20=,comm=,args=")
    app = host.check_output(f"ps -o user= -p {site.about()['pid']}")
    assert app == "pulse"
    assert re.search(r"^redis +redis-server", users, re.MULTILINE)
    assert re.search(r"^www-data +nginx +nginx: worker", users, re.MULTILINE)
    roots = [line for line in users.splitlines() if line.startswith("root ")]
    assert not [line for line in roots if "gunicorn" in line or "redis-server" in line]


def test_only_web_and_ssh_are_reachable_from_outside(host: Any) -> None:
    listening = host.check_output("ss -Hltn").splitlines()
    addresses = {line.split()[3] for line in listening}
    outside = {a for a in addresses if not a.startswith(("127.", "[::1]"))}
    assert {address.rsplit(":", 1)[1] for address in outside} == {"22", "80"}


def test_static_files_come_from_nginx_and_the_live_release(host: Any, site: Site) -> None:
    status, body, headers = site.get("/static/pulse.css")
    assert status == 200
    assert headers["Content-Type"].startswith("text/css")
    assert headers["Cache-Control"]
    path = "/srv/pulse/live/release/public/static/pulse.css"
    assert host.check_output(f"cat {path}").strip() == body.strip()
    log = host.check_output("journalctl -t pulse -o cat | grep -c 'GET /static/pulse.css' || true")
    assert log == "0"


def test_static_files_were_compressed_with_the_release(host: Any, site: Site) -> None:
    for name in ("br", "gzip"):
        connection = http.client.HTTPConnection(site.address, timeout=10)
        connection.request("GET", "/static/pulse.css", headers={"Accept-Encoding": name})
        answer = connection.getresponse()
        packed = len(answer.read())
        connection.close()
        assert answer.getheader("Content-Encoding") == name
        kept = host.file(f"/srv/pulse/live/release/public/static/pulse.css.{name[:2]}")
        assert packed == kept.size < host.file(kept.path[:-3]).size


def test_one_request_can_be_followed_through_every_tier(host: Any, site: Site) -> None:
    number = site.about()["request"]["headers"]["X-Request-Id"]
    time.sleep(1.2)
    host.check_output("journalctl --sync")
    (line,) = host.check_output(f"grep -F {number} /var/log/nginx/access.log").splitlines()
    told = json.loads(line)
    assert (told["site"], told["path"], told["status"]) == ("pulse", "/about.json", 200)
    assert told["upstream"] == "unix:/run/pulse/http.sock"
    (line,) = host.check_output(f"journalctl -t pulse -o cat -g {number}").splitlines()
    assert '"GET /about.json" 200' in line


def test_the_app_logs_from_the_level_on_that_was_said(host: Any) -> None:
    assert 'FLASKOPS_LOG_LEVEL="info"' in host.check_output("cat /srv/pulse/live/env")


def test_forged_headers_do_not_reach_the_app(site: Site) -> None:
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
    }
    told = site.about(**forged)["request"]
    assert told["scheme"] == "http"
    assert "evil" not in json.dumps(told)
    assert "6.6.6.6" not in json.dumps(told)


@contextlib.contextmanager
def away(host: Any, unit: str, how: str) -> Iterator[None]:
    """Without the cache: stopped, or one that takes connections and says nothing."""
    stop, start = {
        "stopped": (f"systemctl stop {unit}", f"systemctl start {unit}"),
        "hung": (f"systemctl kill -s STOP {unit}", f"systemctl kill -s CONT {unit}"),
    }[how]
    host.check_output(stop)
    try:
        yield
    finally:
        host.check_output(start)


def asked_together(address: str, times: int = 8) -> list[dict[str, Any]]:
    """What as many visitors are told at the same time, each with how long it took."""

    def visit(_number: int) -> dict[str, Any]:
        start = time.monotonic()
        told = Site(address).about()
        return told | {"seconds": time.monotonic() - start}

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(visit, range(times)))


def answer_soon(told: list[dict[str, Any]]) -> None:
    """Most within a second; a busy machine may hold one up, but none waits for another's wait."""
    seconds = sorted(one["seconds"] for one in told)
    assert seconds[len(seconds) // 2] < SOON, seconds
    assert seconds[-1] < 2 * SOON, seconds


@pytest.mark.parametrize("how", ["stopped", "hung"])
def test_without_redis_pages_answer_soon_and_it_is_used_again_when_it_is_back(
    host: Any, outside: Outside, site: Site, how: str
) -> None:
    site.about()
    with away(host, "redis-server", how):
        told = asked_together(outside(80))
    answer_soon(told)
    assert not any(one["cache"]["ok"] or one["cached"]["hit"] for one in told)
    time.sleep(1)
    site.about()
    now = site.about()
    assert (now["cache"]["ok"], now["cached"]["hit"]) == (True, True)


def test_valkey_takes_the_place_of_redis(host: Any, play: Any, site: Site) -> None:
    """And lets the app in as its own user."""
    play.succeeds(redis_implementation="valkey")
    try:
        assert host.service("valkey-server").is_running
        assert not host.package("redis-server").is_installed
        site.about()
        now = site.about()
        assert (now["cache"]["ok"], now["cached"]["hit"]) == (True, True)
        assert "changed=0" in play.succeeds(redis_implementation="valkey")
    finally:
        play.succeeds()
    assert site.about()["cache"]["ok"] is True


def test_memcached_takes_the_place_of_redis(
    host: Any, play: Any, outside: Outside, site: Site
) -> None:
    """And without a cache the app does as well."""
    play.succeeds(cache_server="memcached")
    try:
        site.about()
        assert site.about()["cached"]["type"] == "MemcachedCache"
        assert [one["cached"]["hit"] for one in asked_together(outside(80))] == [True] * 8
        for how in ("stopped", "hung"):
            with away(host, "memcached", how):
                told = asked_together(outside(80))
            answer_soon(told)
            assert not any(one["cached"]["hit"] for one in told)
            time.sleep(1)
            site.about()
            assert site.about()["cached"]["hit"] is True, how
        assert "changed=0" in play.succeeds(cache_server="memcached")
        assert host.service("redis-server").is_running  # others may use it
        play.succeeds(cache_server="none", redis_state="absent", memcached_state="absent")
        now = site.about()
        for package in ("redis-server", "memcached"):
            assert not host.package(package).is_installed
        assert (now["cached"]["type"], now["cache"]["ok"]) == ("SimpleCache", False)
    finally:
        play.succeeds()
    assert site.about()["cache"]["ok"] is True


def test_secret_key_is_in_no_place_that_others_read(host: Any) -> None:
    key = host.check_output("cat /srv/pulse/secret_key")
    assert len(key) >= 64
    assert key in host.check_output("cat /srv/pulse/live/env")
    found = host.run(
        f"ps -eo args | grep -F '{key}' | grep -v grep;"
        f"journalctl | grep -F '{key}' | grep -v sudo;"
        f"grep -rlF '{key}' /etc /run/systemd 2>/dev/null;"
        f"runuser -u nobody -- grep -rlsF '{key}' /srv /proc/[0-9]*/environ"
    )
    assert found.stdout == ""


def test_nothing_failed_and_nothing_is_fenced_out(host: Any) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
    warnings = host.check_output("journalctl -p warning -o cat | cat")
    assert not re.search(r"status=31/SYS|217/USER|226/NAMESPACE", warnings)


def ran(play: Any, *options: str, **variables: Any) -> list[str]:
    """Names of the modules that a run called on the host."""
    output = play.succeeds("-vvv", *options, **variables)
    modules = re.findall(r"^Using module file .*/(\w+)\.py$", output, re.MULTILINE)
    return [name for name in modules if name not in NOT_ON_THE_HOST]


def test_status_names_the_release_that_answers(play: Any, site: Site) -> None:
    output = play.succeeds(playbook="../../playbooks/status.yml")
    (row,) = (line.split() for line in output.splitlines() if " serving " in line)
    assert row[1:5] == ["pulse", "serving", site.about()["generation"], site.about()["release"]]
    site.get("/healthz")
    time.sleep(1.2)
    output = play.succeeds(playbook="../../playbooks/status.yml")
    assert re.search(r"pulse answered \d+ % of its latest \d+ requests for cached pages", output)


def test_a_run_with_nothing_to_change_makes_few_calls(play: Any) -> None:
    calls = ran(play)
    assert sorted(calls) == ["config_files", "nginx_site", "release", "switch"]
    (recap,) = re.findall(r" ok=(\d+) .* skipped=(\d+) ", play.succeeds())
    assert sum(map(int, recap)) <= TASKS_LIMIT


def test_deploy_brings_a_new_release_and_nothing_else(
    host: Any, play: Any, site: Site, tmp_path: Path
) -> None:
    before = site.about()
    source = tmp_path / "pulse"
    shutil.copytree(ROOT / "examples/pulse", source, ignore=shutil.ignore_patterns(".venv"))
    style = source / "pulse/static/pulse.css"
    style.write_text(style.read_text() + "/* deployed */\n")
    (source / "pulse/static/new.0123abcd.css").write_text("/* new */\n")
    playbook = "../../playbooks/deploy.yml"
    variables = {
        "flask_app_name": "pulse",
        "flask_app_source": str(source),
        "flask_app_health_path": "/healthz",
        "flask_app_log_level": "info",
        "wsgi_access_log": "all",
        "redis_acl_users": {"pulse": PASSWORD},
        "nginx_cache": {"= /healthz": "1h"},
    }
    stranger = Site(site.address)  # without a session, whose visitors get no cached page
    assert [stranger.get("/healthz")[2]["X-Cache"] for _ in range(2)][1] == "HIT"
    calls = ran(play, playbook=playbook, **variables)
    assert "apt" not in calls
    assert "config_files" not in calls
    after = site.about()
    assert after["release"] != before["release"]
    assert after["release"] == live(host)["id"]
    assert after["session"]["visits"] == before["session"]["visits"] + 1
    assert "/* deployed */" in site.get("/static/pulse.css")[1]
    _, body, headers = stranger.get("/healthz")
    assert (headers["X-Cache"], json.loads(body)["release"]) == ("MISS", after["release"])
    assert "changed=0" in play.succeeds(playbook=playbook, **variables)
    play.succeeds()  # and back to what the scenario says
    assert json.loads(stranger.get("/healthz")[1])["release"] == before["release"]
    _, body, headers = site.get("/static/new.0123abcd.css")
    assert (body, "immutable" in headers["Cache-Control"]) == ("/* new */\n", True)


def test_to_uwsgi_and_back_on_the_live_site_loses_no_request(
    host: Any, play: Any, site: Site, outside: Outside
) -> None:
    statuses: Counter[int | str] = Counter()
    enough = threading.Event()

    def visitor() -> None:
        visitors_site = Site(outside(80))
        while not enough.is_set():
            try:
                statuses[visitors_site.get("/about.json")[0]] += 1
            except OSError as error:
                statuses[str(error)] += 1
            time.sleep(0.05)  # so that the runs have something of the machine, too

    visitors = [threading.Thread(target=visitor) for _ in range(4)]
    for one in visitors:
        one.start()
    try:
        play.succeeds(wsgi_server="uwsgi")
        under_uwsgi = site.about()
        told = play.succeeds(wsgi_server="uwsgi")
        play.succeeds()
    finally:
        enough.set()
        for one in visitors:
            one.join()
    assert "changed=0" in told
    assert under_uwsgi["release"] != site.about()["release"]
    assert list(statuses) == [200], statuses
    assert statuses[200] > 500
    log = host.check_output("journalctl -t pulse -o cat | grep -c 'Starting uWSGI'")
    assert int(log) > 0


def test_site_comes_back_after_a_reboot(host: Any, reboot: Callable[[], None], site: Site) -> None:
    before = site.about()["release"]
    reboot()
    assert site.about()["release"] == before
    host.check_output("systemctl is-active redis-server nginx pulse")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"cache_server": "memcache"}, 'cache_server: found "memcache"; allowed are'),
        ({"wsgi_server": "waitress"}, 'wsgi_server: found "waitress"; allowed are'),
        ({"flask_app_source": ""}, 'flask_app_source: found ""; allowed are'),
    ],
    ids=["cache", "server", "source"],
)
def test_bad_choice_is_named(play: Any, variables: dict[str, str], said: str) -> None:
    assert said in play.fails(**variables)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as `ansible-galaxy collection build` packs it."""
    folder = tmp_path_factory.mktemp("build")
    argv = [str(BIN / "ansible-galaxy"), "collection", "build", str(ROOT)]
    subprocess.run([*argv, "--output-path", str(folder)], check=True, capture_output=True)
    (made,) = folder.glob("flaskops-stack-*.tar.gz")
    return made


def test_artifact_holds_what_users_need_and_no_more(artifact: Path) -> None:
    with tarfile.open(artifact) as tar:
        members = tar.getmembers()
    tops = {member.name.split("/")[0] for member in members}
    assert {"roles", "playbooks", "plugins", "meta", "README.md", "docs"} <= tops
    unwanted = {"tests", "molecule", "bench", "collections", "inventory", "Makefile", "uv.lock"}
    assert not tops & unwanted
    assert not [member.name for member in members if "/tests/" in member.name]
    assert not [top for top in tops if top.startswith(".")]
    names = {member.name for member in members}
    for member in members:
        target = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))
        assert not member.islnk(), member.name
        assert not member.issym() or target in names, f"{member.name} leads out of the collection"
    assert not [m.name for m in members if re.search(r"__pycache__|\.py[co]$|_cache/", m.name)]
    assert max(member.size for member in members) < 500_000


#: What scenario default's converge.yml says.
GIVEN = {
    "flask_app_name": "pulse",
    "flask_app_health_path": "/healthz",
    "flask_app_log_level": "info",
    "wsgi_access_log": "all",
    "redis_acl_users": {"pulse": PASSWORD},
    "nginx_cache": {"= /healthz": "1h"},
    "nginx_log_skip": [],
}


def test_installed_collection_serves_the_oldest_ansible_too(artifact: Path, tmp_path: Path) -> None:
    core = tmp_path / "core"
    uv = str(BIN / "uv")
    wanted = f"ansible-core=={OLDEST_CORE}"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(core)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(core), wanted], check=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
        "ANSIBLE_HOST_KEY_CHECKING": "false",
        "LC_ALL": "C.UTF-8",
    }
    galaxy = [str(core / "bin/ansible-galaxy"), "collection", "install", str(artifact)]
    where = ["-p", str(tmp_path / "collections")]
    subprocess.run([*galaxy, *where], env=environment, check=True, capture_output=True)
    site = [str(core / "bin/ansible-playbook"), "flaskops.stack.site"]
    inventory = ["-i", str(ROOT / ".testbed/default/inventory.yml")]
    given = ["-e", json.dumps({**GIVEN, "flask_app_source": str(ROOT / "examples/pulse")})]
    done = subprocess.run(
        [*site, *inventory, *given],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout, done.stdout


def test_installed_collection_serves_the_newest_ansible_too(host: Any, artifact: Path) -> None:
    """It needs a newer Python than the controller may have; the host itself has one."""
    (there,) = testbed.containers("default")
    core, place = "/opt/newest/core", "/opt/newest/collections"
    host.check_output("mkdir -p /opt/newest")
    testbed.podman("cp", str(artifact), f"{there.name}:/opt/newest/collection.tar.gz")
    testbed.podman("cp", str(ROOT / "examples/pulse"), f"{there.name}:/opt/newest/pulse")
    host.check_output("apt-get -qq install -y python3-venv >/dev/null 2>&1")
    host.check_output(f"python3 -m venv {core}")
    host.check_output(f"{core}/bin/pip install --quiet 'ansible-core=={NEWEST_CORE}'")
    host.check_output(
        f"LC_ALL=C.UTF-8 {core}/bin/ansible-galaxy collection install /opt/newest/collection.tar.gz"
        f" -p {place}"
    )
    given = shlex.quote(json.dumps({**GIVEN, "flask_app_source": "/opt/newest/pulse"}))
    done = host.run(
        f"LC_ALL=C.UTF-8 ANSIBLE_COLLECTIONS_PATH={place} {core}/bin/ansible-playbook"
        f" -i debian13, -c local flaskops.stack.site -e {given}"
    )
    assert done.rc == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout, done.stdout
