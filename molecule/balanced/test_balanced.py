"""Two web hosts before three app hosts that die, hang, are drained and deployed to.

The host of the cache asks: it is no web host, and for the web hosts it is a trusted proxy.
"""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
import testinfra

import plays
import testbed

HERE = Path(__file__).resolve().parent
NAMES = ("web1", "web2", "app1", "app2", "app3", "cache1")
APPS = {"app1", "app2", "app3"}
INVENTORY = testbed.STATE / "balanced" / "inventory.yml"
CERTIFICATE = testbed.STATE / "balanced" / "site.pem"
PORT = 8000
FORGED = {
    "X-Forwarded-For": "203.0.113.1, 203.0.113.9",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil",
}
ASK = """
import http.client, json, sys
address, port, path, headers = json.loads(sys.argv[1])
c = http.client.HTTPConnection(address, port, timeout=20)
c.request("GET", path, headers=headers)
a = c.getresponse()
body = a.read().decode()
try:
    c.sock.settimeout(0.5)
    ended = c.sock.recv(1) == b""
except (OSError, AttributeError) as error:
    ended = isinstance(error, AttributeError)
print(json.dumps([a.status, body, ended]))
"""
REDIS = "REDISCLI_AUTH=not-a-secret redis-cli --raw"

Hosts = dict[str, Any]


@pytest.fixture(scope="module")
def hosts() -> Hosts:
    """All hosts at once; each check runs once."""
    return {
        name: testinfra.get_host(f"ansible://{name}?ansible_inventory={INVENTORY}&sudo=true")
        for name in NAMES
    }


@pytest.fixture(scope="module")
def addresses(hosts: Hosts) -> dict[str, str]:
    """Where the hosts reach each other."""
    return {name: host.backend.get_variables()["private_address"] for name, host in hosts.items()}


def ask(
    host: Any,
    address: str,
    path: str = "/about.json",
    port: int = 80,
    headers: dict[str, str] | None = None,
) -> tuple[int, str, bool]:
    """Status and body that a host gets, and whether the connection then ended."""
    given = {"Host": "pulse.example", **(headers or {})}
    words = json.dumps([address, port, path, given])
    command = f"python3 -c {shlex.quote(ASK)} {shlex.quote(words)}"
    status, body, ended = json.loads(host.check_output(command))
    return status, body, ended


def headers_of(host: Any, address: str, path: str, coding: str) -> dict[str, str]:
    """Status and headers, by their small names, that a host gets with an Accept-Encoding."""
    script = (
        "import http.client, json, sys\n"
        "c = http.client.HTTPConnection(sys.argv[1], timeout=20)\n"
        "asked = {'Host': 'pulse.example', 'Accept-Encoding': sys.argv[3]}\n"
        "c.request('GET', sys.argv[2], headers=asked)\n"
        "a = c.getresponse()\n"
        "a.read()\n"
        "print(json.dumps({'status': str(a.status), **{k.lower(): v for k, v in a.getheaders()}}))"
    )
    words = f"{address} {path} {coding}"
    told: dict[str, str] = json.loads(
        host.check_output(f"python3 -c {shlex.quote(script)} {words}")
    )
    return told


def request_seen(host: Any, address: str, **headers: str) -> dict[str, Any]:
    """What the app is told of a request."""
    status, body, _ = ask(host, address, headers=headers)
    assert status == 200, body
    told: dict[str, Any] = json.loads(body)["request"]
    return told


def answering(hosts: Hosts, address: str, times: int = 24) -> Counter[str]:
    """App hosts that answer through a web host."""
    script = (
        "import http.client, json, sys\n"
        "for _ in range(int(sys.argv[2])):\n"
        "    c = http.client.HTTPConnection(sys.argv[1], timeout=20)\n"
        "    c.request('GET', '/about.json', headers={'Host': 'pulse.example'})\n"
        "    print(json.loads(c.getresponse().read())['hostname'])\n"
    )
    command = f"python3 -c {shlex.quote(script)} {address} {times}"
    return Counter(hosts["cache1"].check_output(command).split())


def all_answer(hosts: Hosts, address: str) -> bool:
    """Whether a web host asks all app hosts."""
    return set(answering(hosts, address)) == APPS


def until(found: Callable[[], bool], seconds: float = 40) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.5)


def run(playbook: str, limit: str = "all", **variables: Any) -> tuple[int, str]:
    """Run a playbook; its exit status and what it said, on one line."""
    done = plays.run(HERE, limit, timeout=240, playbook=playbook, **variables)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def succeeds(playbook: str, limit: str = "all", **variables: Any) -> str:
    status, told = run(playbook, limit, **variables)
    assert status == 0, told
    return told


def container(name: str) -> str:
    """The container of a host."""
    return next(item.name for item in testbed.containers("balanced") if item.host == name)


def start_again(name: str, *command: str) -> None:
    """Start a host's container by a podman command and wait until it is up."""
    testbed.podman(*command, container(name))
    testbed.wait(
        next(item for item in testbed.containers("balanced") if item.host == name), boot=True
    )


class Load:
    """Visitors of both web hosts from entering to leaving, and what became of their orders."""

    def __init__(self, hosts: Hosts, addresses: dict[str, str], kind: str = "KEEP") -> None:
        self.asker = hosts["cache1"]
        self.words = f"{kind} {addresses['web1']} {addresses['web2']}"
        self.told: dict[str, Any] = {}
        self.orders: dict[str, int] = {}

    def __enter__(self) -> Self:
        script = (HERE / "files/load.py").read_text()
        self.asker.check_output(f"cat > /opt/load.py <<'SCRIPT'\n{script}\nSCRIPT")
        self.asker.check_output(f"echo '{CERTIFICATE.read_text()}' > /opt/site.pem")
        self.asker.check_output(f"{REDIS} flushall")
        self.asker.check_output(
            "systemd-run --quiet --unit=load --remain-after-exit -p KillMode=process "
            f"-p StandardOutput=file:/run/load.json python3 /opt/load.py 150 {self.words}"
        )
        time.sleep(3)
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        try:
            self.asker.check_output("systemctl kill --signal=TERM load.service")
            state = "systemctl show -P SubState load.service"
            until(lambda: self.asker.check_output(state) != "running", 70)
            if kind is None:
                self.told = json.loads(self.asker.check_output("cat /run/load.json"))
                script = f"{REDIS} keys 'pulse:order-*' | sort > /run/k; {REDIS} mget $(cat /run/k)"
                counts = self.asker.check_output(script).split()
                names = self.asker.check_output("cat /run/k").split()
                plain = [name.removeprefix("pulse:") for name in names]
                self.orders = dict(zip(plain, map(int, counts), strict=True))
        finally:
            self.asker.run(
                "systemctl stop load.service; systemctl reset-failed load.service; "
                "rm -f /run/load.json"
            )

    def no_get_failed(self) -> None:
        gets = {k: n for k, n in self.told["counts"].items() if k.startswith("GET")}
        assert list(gets) == ["GET 200"], self.told["counts"]
        assert gets["GET 200"] > 200

    def no_post_ran_twice(self) -> None:
        """Each that was confirmed ran once, any other at most once."""
        assert len(self.told["confirmed"]) > 200
        twice = {name: n for name, n in self.orders.items() if n > 1}
        assert not twice
        assert not set(self.told["confirmed"]) - set(self.orders)

    def nothing_failed(self) -> None:
        assert set(self.told["counts"]) == {"GET 200", "POST 200"}, self.told["counts"]
        self.no_get_failed()
        self.no_post_ran_twice()
        assert self.told["unsure"] == []


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The sample app with one more line."""
    folder = tmp_path / "pulse"
    shutil.copytree(testbed.ROOT / "examples/pulse", folder, ignore=shutil.ignore_patterns(".venv"))
    style = folder / "pulse/static/pulse.css"
    style.write_text(style.read_text() + "/* deployed */\n")
    return str(folder)


def test_both_web_hosts_share_the_work_among_all_app_hosts(
    hosts: Hosts, addresses: dict[str, str]
) -> None:
    for web in ("web1", "web2"):
        assert set(answering(hosts, addresses[web])) == APPS


def test_both_web_hosts_have_one_certificate(hosts: Hosts) -> None:
    """Visitors of the load know no other."""
    place = "/etc/flaskops/tls/pulse/live/fullchain.pem"
    found = {hosts[web].check_output(f"cat {place}") for web in ("web1", "web2")}
    assert found == {CERTIFICATE.read_text().strip()}


def test_all_app_hosts_use_one_cache_and_one_key(hosts: Hosts, addresses: dict[str, str]) -> None:
    keys = {hosts[name].check_output("sha256sum < /srv/pulse/secret_key") for name in APPS}
    assert len(keys) == 1
    told = [json.loads(ask(hosts["cache1"], addresses["web1"])[1]) for _ in range(6)]
    visits = [page["cache"]["visits"] for page in told]
    assert visits == list(range(visits[0], visits[0] + 6))


def test_the_app_listens_on_its_private_address_alone(
    hosts: Hosts, addresses: dict[str, str]
) -> None:
    for name in APPS:
        listening = hosts[name].check_output("ss -Hltn").splitlines()
        found = {line.split()[3] for line in listening}
        assert {one for one in found if one.endswith(f":{PORT}")} == {f"{addresses[name]}:{PORT}"}


@pytest.mark.parametrize(("asker", "may"), [("web2", True), ("app1", True), ("cache1", False)])
def test_only_the_web_tier_gets_an_answer(
    hosts: Hosts, addresses: dict[str, str], asker: str, may: bool
) -> None:
    """app1 asks itself here; cache1 pretends to be a web host."""
    headers = {"X-Forwarded-For": addresses["web1"], "X-Real-IP": addresses["web1"]}
    status, body, ended = ask(hosts[asker], addresses["app1"], "/healthz", PORT, headers)
    assert (status, '"status":"ok"' in body) == ((200, True) if may else (403, False))
    assert ended is not may
    log = hosts["app1"].check_output("journalctl -t pulse -o cat")
    assert (f"Refused {addresses[asker]}" in log) is not may


def test_what_a_visitor_forges_is_dropped(hosts: Hosts, addresses: dict[str, str]) -> None:
    """Asked by a host that is no trusted proxy."""
    for web in ("web1", "web2"):
        told = request_seen(hosts["app2"], addresses[web], **FORGED)
        assert (told["scheme"], told["host"]) == ("http", "pulse.example")
        assert (told["remote_addr"], told["script_root"]) == (addresses["app2"], "")
        assert "evil" not in json.dumps(told)
        assert "203.0.113" not in json.dumps(told)


def test_a_trusted_proxys_word_counts(hosts: Hosts, addresses: dict[str, str]) -> None:
    """Of the addresses it is the last: what stands before it, the visitor may have forged."""
    told = request_seen(hosts["cache1"], addresses["web1"], **FORGED)
    assert told["remote_addr"] == "203.0.113.9"
    assert (told["scheme"], told["script_root"]) == ("https", "")
    assert "evil" not in json.dumps(told)
    assert told["headers"]["X-Forwarded-For"] == "203.0.113.9"
    told = request_seen(
        hosts["cache1"], addresses["web1"], **{"X-Forwarded-Host": "PULSE.example:8443"}
    )
    assert told["host"] == "PULSE.example:8443"
    assert told["scheme"] == "http"


def test_a_host_that_is_lost_costs_no_get_and_repeats_no_post(
    hosts: Hosts, addresses: dict[str, str]
) -> None:
    with Load(hosts, addresses) as load:
        testbed.podman("kill", "--signal=KILL", container("app2"))
        time.sleep(10)
        start_again("app2", "start")
        until(lambda: all("app2" in answering(hosts, addresses[w]) for w in ("web1", "web2")))
    load.no_get_failed()
    load.no_post_ran_twice()


def test_a_host_that_hangs_costs_no_get_and_repeats_no_post(
    hosts: Hosts, addresses: dict[str, str]
) -> None:
    with Load(hosts, addresses) as load:
        testbed.podman("pause", container("app3"))
        try:
            time.sleep(15)
        finally:
            testbed.podman("unpause", container("app3"))
        until(lambda: all("app3" in answering(hosts, addresses[w]) for w in ("web1", "web2")))
    load.no_get_failed()
    load.no_post_ran_twice()


def test_a_drained_host_is_rebooted_without_a_lost_request(
    hosts: Hosts, addresses: dict[str, str]
) -> None:
    """With new connections: a reload of nginx ends those that wait for a next request."""
    with Load(hosts, addresses, "NEW") as load:
        told = succeeds("drain.yml", drain_host="app1")
        assert "pulse app1 drained" in told
        start_again("app1", "restart", "--time", "30")
        for web in ("web1", "web2"):
            assert "app1" not in answering(hosts, addresses[web])
        assert "pulse app1 active" in succeeds("drain.yml", drain_host="app1", drain_state="active")
        for web in ("web1", "web2"):
            until(partial(all_answer, hosts, addresses[web]))
    load.nothing_failed()


def test_a_drained_host_stays_out_until_it_is_put_back(
    hosts: Hosts, addresses: dict[str, str]
) -> None:
    succeeds("drain.yml", drain_host="app1,app3")
    assert "changed=0" in succeeds("drain.yml", drain_host=["app1", "app3"])
    try:
        told = succeeds("converge.yml")
        assert "changed=1" not in told
        assert set(answering(hosts, addresses["web2"])) == {"app2"}
        status, told = run("drain.yml", drain_host="app2")
        assert status != 0
        assert "pulse: no server would be left; nothing was changed" in told
        assert set(answering(hosts, addresses["web2"])) == {"app2"}
        assert "app1 drained" in succeeds("drain.yml")
    finally:
        succeeds("drain.yml", drain_host="app1,app3", drain_state="active")
    assert "changed=1" not in succeeds("converge.yml", "web1,web2")


@pytest.mark.parametrize(
    ("playbook", "variables", "said"),
    [
        ("drain.yml", {"drain_host": "web1"}, "drain_host: found web1; allowed are hosts of the"),
        ("drain.yml", {"drain_state": "away"}, 'drain_state: found "away"; allowed are drained'),
        ("converge.yml", {"wsgi_port": 70000}, "wsgi_port: found 70000; allowed are 1 to 65535"),
        (
            "converge.yml",
            {"private_address": "app.example"},
            "private_address: found app.example for app1,",
        ),
    ],
    ids=["host", "state", "port", "address"],
)
def test_nonsense_is_named(playbook: str, variables: dict[str, Any], said: str) -> None:
    status, told = run(playbook, "web:app", **variables)
    assert status != 0
    assert said in told


def test_a_deploy_over_all_hosts_loses_nothing(
    hosts: Hosts, addresses: dict[str, str], source: str
) -> None:
    given: dict[str, Any] = {
        "flask_app_name": "pulse",
        "flask_app_source": source,
        "flask_app_health_path": "/healthz",
        "flask_app_env": {"FLASK_TEST_VIEWS": True},
        "redis_password": "not-a-secret",
        "certificate_source": "files",
        "gunicorn_workers": 2,
        "gunicorn_threads": 8,
        "nginx_server_name": ["pulse.example"],
    }
    old = Path(source) / "pulse/static/old.0123abcd.css"
    old.write_text("/* of the release before */\n" * 100)
    succeeds("deploy.yml", **given)
    old.unlink()
    with Load(hosts, addresses) as load:
        succeeds("deploy.yml", **given)
    load.nothing_failed()
    for web in ("web1", "web2"):
        for coding in ("br", "gzip"):
            told = headers_of(hosts["cache1"], addresses[web], f"/static/{old.name}", coding)
            assert told["status"] == "200", "a page that was open before the deploy asks for it"
            assert told["cache-control"] == "public, max-age=31536000, immutable"
            assert (told["content-encoding"], told["vary"]) == (coding, "Accept-Encoding")
    styles = {
        ask(hosts["cache1"], addresses[web], "/static/pulse.css")[1] for web in ("web1", "web2")
    }
    assert all("/* deployed */" in style for style in styles)
    tags = {
        headers_of(hosts["cache1"], addresses[web], "/static/pulse.css", "identity")["etag"]
        for web in ("web1", "web2") * 6
    }
    assert len(tags) == 1, "whichever app host is asked, a browser's copy is good"


def test_a_web_host_that_joins_may_ask_without_a_new_generation(
    hosts: Hosts, addresses: dict[str, str]
) -> None:
    live = hosts["app1"].check_output("readlink /srv/pulse/live")
    extra = {"wsgi_allowed_peers": [addresses["cache1"]]}
    succeeds("converge.yml", "app1", **extra)
    until(lambda: ask(hosts["cache1"], addresses["app1"], "/healthz", PORT)[0] == 200, seconds=10)
    running = hosts["app1"].check_output("readlink /srv/pulse/live")
    succeeds("converge.yml", "app1")
    until(lambda: ask(hosts["cache1"], addresses["app1"], "/healthz", PORT)[0] == 403, seconds=10)
    assert hosts["app1"].check_output("readlink /srv/pulse/live") == running
    assert int(running.rpartition("/")[2]) <= int(live.rpartition("/")[2]) + 1


def test_a_web_host_that_the_app_turns_away_is_told(hosts: Hosts) -> None:
    unit = "/etc/systemd/system/pulse.service"
    hosts["app1"].check_output(f"sed -i 's/^AllowedPeers=.*/AllowedPeers=192.0.2.1/' {unit}")
    done, told = run("converge.yml", "web1", nginx_client_max_body_size="11m")
    assert done != 0
    assert "private_address: found" in told
    assert "the app answers 403" in told
    done, told = run("converge.yml", "web1", nginx_client_max_body_size="11m")
    assert done != 0, "the second run has nothing to change, and looks again"
    assert "the app answers 403" in told
    succeeds("converge.yml", "app")
    succeeds("converge.yml", "web1")


def test_nothing_failed_on_any_host(hosts: Hosts) -> None:
    for host in hosts.values():
        assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
