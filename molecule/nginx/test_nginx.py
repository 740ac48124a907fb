"""What comes out of the running nginx, and what the role does when it is given nonsense."""

from __future__ import annotations

import contextlib
import functools
import gzip
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import plays

pytestmark = pytest.mark.units("nginx.service", "echo.service")

HERE = Path(__file__).parent
NAME = "demo.example.com"
FILES = (
    "/etc/nginx/nginx.conf",
    "/etc/nginx/sites-enabled/demo.conf",
    "/etc/systemd/system/nginx.service.d/flaskops.conf",
)


def play(limit: str = "all", **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the scenario's playbook, with these variables over its own."""
    return plays.run(HERE, limit, timeout=120, **variables)


def apply(host: Any, **variables: Any) -> int:
    """Run the playbook on one host, where it must succeed; returns the number of changes."""
    return plays.changes(plays.output(play(host.backend.hostname, **variables)))


@functools.cache
def refused(variables: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a playbook that must fail, run once for all hosts."""
    return play("all", **json.loads(variables))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def echo(self) -> dict[str, Any]:
        """What the upstream was asked."""
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def asked_with(self) -> dict[str, list[str]]:
        """The headers that reached the upstream, by lower-case name."""
        headers: dict[str, list[str]] = {}
        for name, value in self.echo["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        return headers


Ask = Callable[..., Answer]


@pytest.fixture
def ask(outside: Callable[[int], str]) -> Ask:
    """Ask the site over HTTP from outside the host."""

    def ask(
        path: str = "/",
        name: str = NAME,
        method: str = "GET",
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        connection = http.client.HTTPConnection(outside(80), timeout=30)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            connection.request(method, path, body, {"Host": name, **named})
            response = connection.getresponse()
            found = {key.lower(): value for key, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    return ask


@pytest.fixture
def talk(outside: Callable[[int], str]) -> Callable[[bytes], bytes]:
    """Send these very bytes and read until the connection ends, which may be by a reset."""

    def talk(request: bytes) -> bytes:
        address, port = outside(80).split(":")
        with socket.create_connection((address, int(port)), timeout=10) as connection:
            connection.sendall(request)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    answer += chunk
            return answer

    return talk


def master(host: Any) -> str:
    return str(host.check_output("systemctl show -P MainPID nginx.service"))


def workers(host: Any) -> set[str]:
    """The workers that accept connections, not those that finish an old configuration's."""
    lines = host.check_output("ps -C nginx -o pid=,args=").splitlines()
    return {line.split()[0] for line in lines if line.endswith("nginx: worker process")}


def test_it_runs_and_comes_back_after_a_reboot(host: Any) -> None:
    service = host.service("nginx")
    assert service.is_running
    assert service.is_enabled


def test_only_the_master_is_root(host: Any) -> None:
    processes = host.check_output("ps -C nginx -o user=,args=").splitlines()
    masters = [line for line in processes if "master process" in line]
    others = [line for line in processes if "master process" not in line]
    assert [line.split()[0] for line in masters] == ["root"]
    assert {line.split()[0] for line in others} == {"www-data"}


def test_it_listens_on_port_80_of_both_families_only(host: Any) -> None:
    listening = host.check_output("ss -H -ltnp | awk '/nginx/ {print $4}'").split()
    assert sorted(listening) == ["0.0.0.0:80", "[::]:80"]


def test_a_request_reaches_the_app(ask: Ask) -> None:
    answer = ask("/path?query=1", method="POST", body=b"12345")
    assert answer.status == 200
    told = (answer.echo["method"], answer.echo["path"], answer.echo["body"])
    assert told == ("POST", "/path?query=1", 5)


def test_the_version_is_not_told(ask: Ask) -> None:
    assert ask("/").headers["server"] == "nginx"


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_an_unknown_name_gets_no_answer(
    talk: Callable[[bytes], bytes], request_text: bytes
) -> None:
    assert talk(request_text) == b""
    known = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
    assert talk(known.encode()).startswith(b"HTTP/1.1 200")


def test_a_host_header_beside_the_name_does_not_get_through(talk: Callable[[bytes], bytes]) -> None:
    """With an absolute URL nginx picks the site by it, and the header may say anything."""
    answer = talk(
        f"GET http://{NAME}/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"evil" not in answer


@pytest.mark.parametrize(
    ("header", "forged", "expected"),
    [
        ("X_Forwarded_Proto", "https", ["http"]),
        ("X_Forwarded_Host", "evil.example", [NAME]),
        ("X_Forwarded_Prefix", "/evil", None),
        ("X_Forwarded_Port", "1", None),
        ("X_Forwarded_Ssl", "on", None),
        ("X_Forwarded_Protocol", "ssl", None),
        ("X_Real_IP", "198.51.100.1", None),
        ("Forwarded", "for=198.51.100.1", None),
        ("Proxy", "http://evil.example", None),
        ("Remote_User", "admin", None),
        ("Script_Name", "/evil", None),
        ("X_Original_URL", "/admin", None),
        ("X_Rewrite_URL", "/admin", None),
        ("X_Scheme", "https", None),
    ],
)
def test_a_forged_header_is_overwritten(
    ask: Ask, header: str, forged: str, expected: list[str] | None
) -> None:
    answer = ask("/", **{header: forged})
    assert answer.asked_with.get(header.lower().replace("_", "-")) == expected


def test_a_forged_address_is_replaced_by_the_clients(ask: Ask) -> None:
    (address,) = ask("/", X_Forwarded_For="198.51.100.1, 198.51.100.2").asked_with[
        "x-forwarded-for"
    ]
    assert re.fullmatch(r"[0-9a-f.:]+", address)
    assert not address.startswith("198.51.100.")


def test_every_request_gets_an_id_of_its_own(ask: Ask) -> None:
    ids = [ask("/", X_Request_ID="forged").asked_with["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", value) for (value,) in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("name", [NAME, f"{NAME}:8080"])
def test_the_app_sees_the_host_as_the_client_named_it(ask: Ask, name: str) -> None:
    asked = ask("/", name=name).asked_with
    assert asked["host"] == [name]
    assert asked["x-forwarded-host"] == [name]


def test_connections_to_the_app_are_kept(host: Any, ask: Ask) -> None:
    connections = {ask("/").echo["connection"] for _ in range(20)}
    assert len(connections) <= len(workers(host))


def test_a_static_file_comes_from_the_live_release(host: Any, ask: Ask) -> None:
    answer = ask("/static/app.css")
    assert (answer.status, answer.body) == (200, b"/* release 1 */\n")
    assert answer.headers["content-type"] == "text/css"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert "etag" in answer.headers
    host.check_output("ln -sfn generations/2 /srv/demo/live")
    after = ask("/static/app.css").body
    host.check_output("ln -sfn generations/1 /srv/demo/live")
    assert after == b"/* release 2 */\n"


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.css",
        "/static/",
        "/static/sub",
        "/static/sub/",
        "/static/v1.2/",
        "/static/app.css/x.css",
        "/static",
        "/static../release.json",
        "/static/..%2frelease.json",
    ],
)
def test_what_is_no_static_file_is_asked_of_the_app(ask: Ask, path: str) -> None:
    answer = ask(path)
    assert answer.status == 200
    assert answer.echo["path"] == path
    assert answer.asked_with["host"] == [NAME]


@pytest.mark.parametrize("path", ["/static/app.css", "/static/none.css", "/static/none"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_is_not_only_read_is_asked_of_the_app(ask: Ask, method: str, path: str) -> None:
    answer = ask(path, method=method, body=b"x" * 100)
    assert (answer.status, answer.echo["method"], answer.echo["body"]) == (200, method, 100)
    assert "cache-control" not in answer.headers


@pytest.mark.parametrize("encoding", ["", "gzip", "br"])
def test_a_file_that_may_be_compressed_says_so_to_everybody(ask: Ask, encoding: str) -> None:
    for path in ("/static/app.css", "/static/big.0123abcd.css", "/static/old.0123abcd.css"):
        answer = ask(path, Accept_Encoding=encoding)
        assert (answer.status, answer.headers["vary"]) == (200, "Accept-Encoding")
    assert "vary" not in ask("/static/dot.png", Accept_Encoding=encoding).headers


@pytest.mark.parametrize(("size", "status"), [(1024**2, 200), (1024**2 + 1, 413)])
def test_a_body_may_be_as_large_as_allowed(ask: Ask, size: int, status: int) -> None:
    answer = ask("/", method="POST", body=b"x" * size)
    assert answer.status == status
    if status == 200:
        assert answer.echo["body"] == size


def test_text_is_compressed(ask: Ask) -> None:
    answer = ask("/", Accept_Encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert json.loads(gzip.decompress(answer.body))["method"] == "GET"


def test_both_texts_of_the_user_are_in_force(ask: Ask) -> None:
    """A zone at the http level, a location in the server block that uses it."""
    assert 429 in {ask("/login").status for _ in range(3)}
    assert ask("/").status == 200


UPGRADE = {"Connection": "keep-alive, Upgrade", "Sec_WebSocket_Key": "x3JJHMbDL1EzLkh9GBhXDw=="}


@pytest.mark.parametrize("path", ["/chat", "/pages/chat"])
def test_a_websocket_is_passed_on(ask: Ask, path: str) -> None:
    """Also below pages that nginx keeps, of which it never is one."""
    for number in range(2):
        asked = ask(f"{path}?number={number}", Upgrade="WebSocket", **UPGRADE).asked_with
        assert (asked["upgrade"], asked["connection"]) == (["websocket"], ["upgrade"])
    answer = ask(path, Upgrade="websocket", **UPGRADE)
    again = ask(path, Upgrade="websocket", **UPGRADE)
    assert answer.echo["number"] != again.echo["number"]
    switched = ask(f"{path}?status=101", Upgrade="websocket", **UPGRADE)
    assert switched.status == 101


@pytest.mark.parametrize("upgrade", ["h2c", "h2c, websocket", "websocket, h2c", "TLS/1.2", ""])
def test_no_other_upgrade_is_passed_on(ask: Ask, upgrade: str) -> None:
    asked = ask("/chat", Upgrade=upgrade, HTTP2_Settings="AAMAAABkAARAAAAAAAIAAAAA", **UPGRADE)
    assert "upgrade" not in asked.asked_with
    assert "connection" not in asked.asked_with


SNIPPET = """\
location /chat {
    proxy_pass http://demo;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}
location /same { proxy_pass http://demo; }
"""


def test_the_usual_lines_for_websockets_do_not_let_a_visitor_forge_an_address(
    host: Any, ask: Ask
) -> None:
    apply(host, nginx_server_config=SNIPPET)
    try:
        forged = {"X_Forwarded_For": "192.0.2.1", "X_Forwarded_Proto": "https", "Forwarded": "a=b"}
        for path in ("/chat", "/same"):
            asked = ask(path, Upgrade="websocket", **UPGRADE, **forged).asked_with
            assert asked["x-forwarded-for"] != ["192.0.2.1"]
            assert (asked["x-forwarded-proto"], asked["host"]) == (["http"], [NAME])
            assert "forwarded" not in asked
            assert asked["upgrade"] == ["websocket"]
    finally:
        apply(host)


def test_behind_two_proxies_and_before_two_servers(host: Any, ask: Ask) -> None:
    """What a visitor forges, and a view that fails, do no harm."""
    server = "unix:/run/demo/http.sock max_fails=1 fail_timeout=60s"
    apply(
        host,
        nginx_trusted_proxies=["0.0.0.0/1", "192.0.2.0/24", "198.51.100.0/24"],
        nginx_trusted_hops=2,
        nginx_upstream_servers=[server, server],
    )
    try:
        # The visitor is in a trusted network as well.
        told = ask("/", X_Forwarded_For="203.0.113.1, 198.51.100.7, 192.0.2.5").asked_with
        assert told["x-forwarded-for"] == ["198.51.100.7"]
        assert {ask("/?status=503").status for _ in range(6)} == {503}
        assert ask("/").status == 200, "no server is taken out for what the app answers"
        log = host.check_output("sleep 1.5; tail -n 20 /var/log/nginx/access.log").splitlines()
        assert "198.51.100.7" in {json.loads(line)["client"] for line in log}
    finally:
        apply(host)


def test_without_the_app_the_answer_is_502_at_once(host: Any, ask: Ask) -> None:
    host.check_output("mv /run/demo/http.sock /run/demo/away")
    try:
        started = time.monotonic()
        # Kept connections still reach it; a restarted nginx has none.
        statuses = [ask("/").status for _ in range(5)]
        took = time.monotonic() - started
        host.check_output("systemctl restart nginx")
        alone = ask("/").status
    finally:
        host.check_output("mv /run/demo/away /run/demo/http.sock")
    assert (alone, took < 5) == (502, True)
    assert set(statuses) <= {200, 502}
    assert ask("/").status == 200


@pytest.mark.parametrize("action", ["reload", "restart"])
def test_a_running_request_is_finished(host: Any, ask: Ask, action: str) -> None:
    """The distribution's unit would cut it after five seconds."""
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, "/slow?s=7")
        time.sleep(0.5)
        host.check_output(f"systemctl {action} nginx")
        # A reload does not wait for it; a restart has to.
        assert slow.done() is (action == "restart")
        assert slow.result(20).status == 200
    assert ask("/").status == 200


def test_a_change_that_meets_another_reload_is_not_lost(host: Any, ask: Ask) -> None:
    """The other one has read the files before they changed, and is not over yet."""
    slow = "/run/systemd/system/nginx.service.d/slow.conf"
    host.check_output(
        f"mkdir -p $(dirname {slow}) && printf '[Service]\nExecReload=/bin/sleep 6\n' > {slow}"
        " && systemctl daemon-reload && systemctl reload --no-block nginx"
    )
    try:
        assert apply(host, nginx_client_max_body_size="2k") == 2
        assert ask("/", method="POST", body=b"x" * 3000).status == 413
    finally:
        host.check_output(f"rm {slow} && systemctl daemon-reload")
        apply(host)


def test_a_change_reloads_and_no_change_does_not(host: Any, ask: Ask) -> None:
    before, process = workers(host), master(host)
    assert apply(host) == 0
    assert workers(host) == before
    assert apply(host, nginx_client_max_body_size="2k") == 2
    assert not workers(host) & before, "the run has ended when the new configuration serves"
    assert master(host) == process
    assert ask("/", method="POST", body=b"x" * 3000).status == 413
    apply(host)


def test_a_reload_that_was_lost_is_made_up_for(host: Any) -> None:
    """As after a run that was killed between the file and the handler."""
    before = workers(host)
    host.check_output("touch /etc/nginx/sites-enabled/demo.conf")
    assert apply(host) == 2
    assert not workers(host) & before
    assert apply(host) == 0


def test_a_reload_that_nginx_refuses_fails_the_run_and_the_next_one_makes_up_for_it(
    host: Any, ask: Ask
) -> None:
    """Its own check does not see a port that another program has."""
    other = {
        "nginx_config": {
            "limit_req_zone": "$binary_remote_addr zone=login:1m rate=1r/m",
            "server": {"listen": "127.0.0.1:8081", "return": 204},
        }
    }
    before = workers(host)
    host.check_output(
        "systemd-run -q -u squatter python3 -m http.server --bind 127.0.0.1 8081;"
        " until ss -Hltn sport = :8081 | grep -q .; do sleep 0.1; done"
    )
    try:
        result = play(host.backend.hostname, **other)
        assert result.returncode != 0
        assert "Job for nginx.service failed" in result.stdout
        told = host.check_output("journalctl -u nginx.service -n 20 -o cat")
        assert "nginx did not take the new configuration" in told
        assert workers(host) == before
        assert ask("/").status == 200
    finally:
        host.check_output("systemctl stop squatter")
    assert apply(host, **other) == 2
    assert not workers(host) & before
    assert "nginx" in host.check_output("ss -Hltnp sport = :8081")
    apply(host)


@pytest.fixture
def more_sites(host: Any) -> Iterator[None]:
    """A second site with a name, and a third without one."""
    apply(host, nginx_site="second", nginx_server_name=["second.example"], **SHARED)
    apply(host, nginx_site="third", nginx_server_name=[], **SHARED)
    yield
    for site in ("second", "third"):
        apply(host, nginx_site=site, nginx_state="absent", **SHARED)


SHARED = {"nginx_upstream_servers": ["unix:/run/demo/http.sock"], "nginx_server_config": ""}


@pytest.mark.usefixtures("more_sites")
def test_sites_live_side_by_side(ask: Ask) -> None:
    for name in (NAME, "second.example", "who.knows"):
        assert ask("/", name=name).asked_with["host"] == [name]


def test_a_removed_site_is_gone_and_the_first_still_there(
    host: Any, ask: Ask, talk: Callable[[bytes], bytes]
) -> None:
    """Depends on nothing but that the sites above were removed again."""
    sites = host.check_output("ls /etc/nginx/sites-enabled").split()
    assert sites == ["demo.conf"]
    assert ask("/").status == 200
    unknown = b"GET / HTTP/1.1\r\nHost: second.example\r\nConnection: close\r\n\r\n"
    assert talk(unknown) == b""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"nginx_port": "http"}, "argument 'nginx_port' is of type str"),
        (
            {
                "nginx_server_name": ["https://demo.example.com"],
                "nginx_port": 70000,
                "nginx_static": {"/a/": "/b"},
                "nginx_proxy_read_timeout": 0,
            },
            (
                'nginx_server_name: found ["https://demo.example.com"]; allowed are host names, '
                "without port or scheme\n"
                "nginx_port: found 70000; allowed are 1 to 65535\n"
                'nginx_static: found {"/a/": "/b"}; allowed are absolute URL paths and absolute '
                "places, both with a slash at the end or neither\n"
                "nginx_proxy_read_timeout: found 0; allowed are seconds from 1\n"
            ),
        ),
        (
            {"nginx_server_config": "teapot on;"},
            'unknown directive "teapot" in /etc/nginx/sites-enabled/demo.conf:',
        ),
        ({"nginx_config": {"gzip": "on;"}}, "gzip: the value 'on;' ends with a semicolon"),
        ({"nginx_bind": ["192.0.2.1"]}, "bind() to 192.0.2.1:80 failed"),
        ({"nginx_upstream_servers": ["no-such-host.invalid"]}, "host not found in upstream"),
    ],
)
def test_nonsense_is_refused_and_the_old_site_stays(
    host: Any, ask: Ask, variables: dict[str, Any], message: str
) -> None:
    state = f"find /etc/nginx {FILES[-1]} -printf '%p %i %T@\\n'; systemctl show -P MainPID nginx"
    before = host.check_output(state)
    result = refused(json.dumps(variables))
    assert result.returncode != 0
    # Ansible wraps and indents what it prints of a failed task; the first lines have it plain.
    assert message in re.sub(r"\n +", "\n", result.stdout + result.stderr)
    assert host.check_output(state) == before
    assert ask("/").status == 200


def test_logs_are_rotated_twice_a_day_whatever_the_hosts_own_way(host: Any) -> None:
    host.check_output("printf 'dateext\\ninclude /etc/logrotate.d/nginx\\n' > /root/rotate.conf")
    for _ in range(2):
        host.check_output("echo {} >> /var/log/nginx/access.log")
        host.check_output("logrotate --force --state /root/rotate.state /root/rotate.conf")
    assert host.file("/var/log/nginx/access.log.2.gz").exists
    assert host.file("/var/log/nginx/access.log").size == 0


def test_nginx_comes_back_when_it_dies(host: Any, ask: Ask) -> None:
    """Where nobody tells systemd that a control group is empty, it waits the 35 s of a stop."""
    main = "systemctl show -P MainPID nginx"
    before = host.check_output(main)
    host.check_output(f"kill -9 {before}")
    deadline = time.monotonic() + 60
    # A worker of the dead one may answer once more before systemd ends it too.
    while host.check_output(main) in (before, "0"):
        assert time.monotonic() < deadline, "it is still away"
        time.sleep(0.2)
    while True:
        try:
            assert ask("/").status == 200
            break
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.2)
    assert host.service("nginx").is_running


def test_a_start_that_fails_is_told_by_every_run(host: Any, play: Any, ask: Ask) -> None:
    """systemd tries it again and again; that is no state to be content with."""
    host.check_output("systemctl stop nginx")
    host.check_output("systemd-run --quiet --unit=taken python3 -m http.server 80")
    try:
        for _ in range(2):
            assert "Start and enable the service" in play.fails()
    finally:
        host.check_output("systemctl stop taken")
    play.succeeds()
    assert ask("/").status == 200
