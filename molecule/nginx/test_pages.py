"""Cached pages, static files and logs of the running nginx."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import re
import resource
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import plays

pytestmark = pytest.mark.units("nginx.service", "echo.service")

HERE = Path(__file__).parent
NAME = "demo.example.com"
LOG = "/var/log/nginx/access.log"
#: Seconds after which what converge.yml has kept for two is old: nginx counts whole ones.
EXPIRED = 3.2


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cache(self) -> str:
        """What the cache did."""
        return self.headers.get("x-cache", "")

    @property
    def number(self) -> int:
        """How many requests the app had got by then."""
        return int(json.loads(self.body)["number"])

    @property
    def asked_with(self) -> dict[str, str]:
        """The headers that reached the app, by lower-case name."""
        return {name.lower(): value for name, value in json.loads(self.body)["headers"]}


Ask = Callable[..., Answer]


@pytest.fixture
def ask(outside: Callable[[int], str]) -> Ask:
    """Ask the site over HTTP from outside the host."""

    def ask(
        path: str, method: str = "GET", body: bytes | None = None, name: str = NAME, **more: str
    ) -> Answer:
        headers = {"Host": name} | {key.replace("_", "-"): value for key, value in more.items()}
        connection = http.client.HTTPConnection(outside(80), timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            found = {key.lower(): value for key, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    return ask


def page(query: str = "") -> str:
    """The address of a cached page that nobody has asked for."""
    return f"/pages/{uuid.uuid4().hex}?{query}"


def play(host: Any, playbook: str = "converge.yml", **variables: Any) -> int:
    """Run a playbook on one host, where it must succeed; returns the number of changes."""
    name = host.backend.hostname
    result = plays.run(HERE, name, timeout=120, playbook=playbook, **variables)
    return plays.changes(plays.output(result))


def test_a_page_is_kept_for_its_time(ask: Ask) -> None:
    path = page()
    first, second = ask(path), ask(path)
    assert (first.cache, second.cache) == ("MISS", "HIT")
    assert first.body == second.body
    time.sleep(EXPIRED)
    # The old page at once, and the new one is fetched meanwhile.
    assert ask(path).cache == "STALE"
    time.sleep(0.3)
    third = ask(path)
    assert third.cache == "HIT"
    assert third.number > first.number


def test_head_and_get_do_not_mix(ask: Ask) -> None:
    path = page()
    assert ask(path, "HEAD").body == b""
    assert ask(path).number
    assert ask(path, "HEAD").headers["content-length"] == ask(path).headers["content-length"]


@pytest.mark.parametrize(
    "other", [{"path": "?other=1"}, {"name": f"{NAME}:8080"}, {"method": "HEAD"}]
)
def test_another_request_is_another_page(ask: Ask, other: dict[str, str]) -> None:
    path = page()
    assert [ask(path).cache for _ in range(2)] == ["MISS", "HIT"]
    assert ask(**{"path": path, **other}).cache in ("MISS", "")


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("", {"Cookie": "session=a"}),
        ("", {"Cookie": "theme=dark; session=a"}),
        ("", {"Cookie": "theme=dark;remember_token=1|a"}),
        ("", {"Cookie": "session =a"}),
        ("", {"Authorization": "Basic YTpi"}),
        ("", {"X_Api_Key": "a"}),
        ("", {"method": "POST", "body": b"a=b"}),
        ("", {"body": b"a=b"}),
        ("header=Set-Cookie:session=new", {}),
        ("header=Vary:Cookie", {}),
        ("header=Vary:Accept-Encoding,%20Cookie", {}),
        ("header=Vary:*", {}),
        ("header=Cache-Control:private", {}),
        ("header=Cache-Control:no-store", {}),
        ("header=Cache-Control:max-age=0", {}),
        ("status=500", {}),
    ],
    ids=str,
)
def test_what_may_be_one_visitors_is_not_kept(ask: Ask, query: str, more: dict[str, Any]) -> None:
    path = page(query)
    first, second = ask(path, **more), ask(path, **more)
    assert first.number != second.number
    assert "HIT" not in (first.cache, second.cache)
    if more:  # and does not come to others either
        assert ask(path).cache == "MISS"


def test_what_is_kept_knows_nothing_of_a_cookie(ask: Ask) -> None:
    """Whatever an app may read from it, such as a login that is not Flask's own."""
    path = page()
    first = ask(path, Cookie="access_token_cookie=alice")
    assert (first.cache, first.asked_with.get("cookie")) == ("MISS", None)
    assert ask(path, Cookie="mysession=1; session_theme=dark").cache == "HIT"
    assert ask("/elsewhere", Cookie="theme=dark").asked_with["cookie"] == "theme=dark"
    known = ask(path, Cookie="theme=dark; session=alice")
    assert (known.cache, known.asked_with["cookie"]) == ("BYPASS", "theme=dark; session=alice")


@pytest.mark.parametrize("status", [302, 401, 404, 410])
def test_a_page_that_is_no_more_goes(host: Any, ask: Ask, status: int) -> None:
    path = page()
    assert [ask(path).cache for _ in range(2)] == ["MISS", "HIT"]
    # The upstream takes the status of a page from a file of its name.
    host.check_output(f"echo {status} > /run/demo/{path.strip('/?').replace('/', '-')}")
    time.sleep(EXPIRED)
    old = ask(path)
    assert (old.status, old.cache) == (200, "STALE")
    time.sleep(0.3)
    assert ask(path).status == status


@pytest.mark.parametrize("path", ["/pages/mine/a", "/elsewhere", "/pages"])
def test_only_what_is_named_is_kept(ask: Ask, path: str) -> None:
    answers = [ask(path) for _ in range(2)]
    assert [answer.cache for answer in answers] == ["", ""]
    assert answers[0].number != answers[1].number


def test_nobody_sees_anothers_page_however_many_ask(ask: Ask) -> None:
    """Two who have logged in and one who has not, all for the same page, again and again."""
    path = page("s=0.01")
    visitors = ["session=alice", "session=bob", "theme=dark"] * 150

    def visit(cookie: str) -> tuple[str, str, str]:
        answer = ask(path, Cookie=cookie)
        return cookie, answer.asked_with.get("cookie", ""), answer.cache

    with ThreadPoolExecutor(24) as pool:
        seen = Counter(pool.map(visit, visitors))
    alone = {one: one if one.startswith("session") else "" for one in visitors}
    assert {asked: got for asked, got, _ in seen} == alone
    assert len({(asked, got) for asked, got, _ in seen}) == len(alone)
    assert {cache for asked, _, cache in seen if asked.startswith("session")} == {"BYPASS"}
    assert seen["theme=dark", "", "HIT"] > 100


def test_a_thousand_at_a_time_reach_the_app_a_handful_of_times(
    outside: Callable[[int], str],
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    address, port = outside(80).split(":")
    request = f"GET {page('s=0.5')} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()

    async def visit(ready: asyncio.Barrier) -> bytes:
        reader, writer = await asyncio.open_connection(address, int(port))
        await ready.wait()
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    async def rush() -> list[bytes]:
        ready = asyncio.Barrier(1000)
        return await asyncio.gather(*(visit(ready) for _ in range(1000)))

    answers = asyncio.run(rush())
    assert Counter(answer[:12] for answer in answers) == {b"HTTP/1.1 200": 1000}
    numbers = {re.findall(rb'"number": (\d+)', answer)[0] for answer in answers}
    assert len(numbers) <= 5


def test_pages_outlive_the_app_and_a_restart(host: Any, ask: Ask) -> None:
    path = page()
    before = ask(path).body
    host.check_output("mv /run/demo/http.sock /run/demo/away; systemctl restart nginx")
    try:
        time.sleep(EXPIRED)
        answers = [ask(path) for _ in range(3)]
        unknown = ask(page()).status
    finally:
        host.check_output("mv /run/demo/away /run/demo/http.sock")
    assert [(one.status, one.cache, one.body) for one in answers] == [(200, "STALE", before)] * 3
    assert unknown == 502
    ask(path)
    time.sleep(0.3)
    assert ask(path).body != before


def test_pages_are_let_go_of_without_a_reload(host: Any, ask: Ask) -> None:
    variables = {"nginx_site": "demo", "nginx_cache": {"/pages/": "2s"}}
    workers = "ps -C nginx -o pid=,args= | grep worker"
    path = page("header=Cache-Control:max-age=600")
    assert [ask(path).cache for _ in range(2)] == ["MISS", "HIT"]
    before = host.check_output(workers)
    assert play(host, "../../playbooks/purge.yml", **variables) == 1
    assert ask(path).cache == "MISS"
    assert host.check_output(workers) == before
    assert play(host) == 0, "a run that knows of nothing new leaves them"
    assert ask(path).cache == "HIT"
    assert host.check_output("ls /var/lib/flaskops-pages/demo | wc -l") == "2"


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("", ""), ("gzip", "gzip"), ("gzip, deflate, br", "br")]
)
def test_static_files_come_as_they_were_compressed(ask: Ask, accepted: str, encoding: str) -> None:
    answer = ask("/static/big.0123abcd.css", Accept_Encoding=accepted)
    assert answer.status == 200
    assert answer.headers.get("content-encoding", "") == encoding
    assert answer.headers["content-type"] == "text/css"
    assert "accept-encoding" in answer.headers["vary"].lower()
    text = gzip.decompress(answer.body) if encoding == "gzip" else answer.body
    assert text == (b"made by brotli\n" if encoding == "br" else b"body {}\n" * 500)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("big.0123abcd.css", "public, max-age=31536000, immutable"),
        ("old.0123abcd.css", "public, max-age=31536000, immutable"),
        ("app.css", "public, max-age=300"),
        ("none.0123abcd.css", None),
    ],
)
def test_how_long_browsers_keep_a_file_follows_from_its_name(
    ask: Ask, name: str, header: str | None
) -> None:
    answer = ask(f"/static/{name}")
    assert answer.status == 200
    assert answer.headers.get("cache-control") == header


def test_a_file_of_an_earlier_release_is_still_there(ask: Ask) -> None:
    assert ask("/static/old.0123abcd.css").body == b"/* old */\n"
    assert ask("/static/../static/%2e%2e/old.0123abcd.css").status in (200, 400)


def logged(host: Any, word: str) -> list[dict[str, Any]]:
    """The lines of the access log with a word in them."""
    time.sleep(1.2)  # what is waiting in memory
    return [json.loads(line) for line in host.run(f"grep -F {word} {LOG}").stdout.splitlines()]


def test_a_request_is_one_line_of_json_with_the_id_the_app_got(host: Any, ask: Ask) -> None:
    word = uuid.uuid4().hex
    answer = ask(
        f"/pages/{word}?token=hush", Referer="http://x.example/?token=hush", User_Agent='a"b\\c'
    )
    (line,) = logged(host, word)
    assert line["id"] == answer.asked_with["x-request-id"]
    assert (line["site"], line["method"], line["status"]) == ("demo", "GET", 200)
    assert (line["path"], line["referer"]) == (f"/pages/{word}", "http://x.example/")
    assert (line["cache"], line["agent"]) == ("MISS", 'a"b\\c')
    assert line["upstream"] == "unix:/run/demo/http.sock"
    # Both are read off a clock of milliseconds, at different moments.
    whole, upstream = (round(1000 * float(line[n])) for n in ("seconds", "upstream_seconds"))
    assert whole >= upstream - 1 >= -1
    assert host.run(f"grep -c hush {LOG}").stdout.strip() == "0"


def test_health_checks_are_logged_when_they_fail(host: Any, ask: Ask) -> None:
    word = uuid.uuid4().hex
    assert ask("/healthz", User_Agent=word).status == 200
    assert ask("/healthz?status=503", User_Agent=word).status == 503
    assert [line["status"] for line in logged(host, word)] == [503]


def test_every_line_is_json_whatever_was_asked(host: Any, outside: Callable[[int], str]) -> None:
    address, port = outside(80).split(":")
    odd = b'GET /\xff"\\ HTTP/1.1\r\nHost: demo.example.com\r\nConnection: close\r\n\r\n'
    for request in (b"nonsense\r\n\r\n", odd, b"\x16\x03\x01\r\n"):
        with (
            socket.create_connection((address, int(port)), timeout=10) as connection,
            contextlib.suppress(ConnectionResetError),
        ):
            connection.sendall(request)
            connection.recv(65536)
    time.sleep(1.2)
    # Bytes that are no UTF-8 come as they were sent; jq, say, puts a mark in their place.
    lines = host.check_output(f"iconv -c -f UTF-8 -t UTF-8 {LOG} || true").splitlines()
    assert len(lines) > 1
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_a_log_that_has_grown_too_large_is_rotated_soon(host: Any, ask: Ask) -> None:
    times = host.check_output("systemctl show -P TimersCalendar logrotate.timer")
    assert times.count("OnCalendar") == 1
    assert "OnCalendar=*-*-* *:00/5:00" in times
    assert host.check_output("systemctl is-active logrotate.timer") == "active"
    host.check_output(f"systemctl start logrotate && truncate -s 101M {LOG}")
    host.check_output("systemctl start logrotate")
    word = uuid.uuid4().hex
    ask(f"/{word}")
    assert len(logged(host, word)) == 1
    assert int(host.check_output(f"stat -c %s {LOG}")) < 100_000
    assert int(host.check_output(f"stat -c %s {LOG}.1")) > 100_000_000
    host.check_output(f"rm {LOG}.1")


def test_logs_go_to_a_syslog_server_besides(host: Any, ask: Ask) -> None:
    receive = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 5514))"
        "\nwhile True: print(s.recv(65536).decode(), flush=True)"
    )
    host.check_output(
        "systemd-run --quiet --unit=syslogd --property=StandardOutput=file:/run/syslogd "
        f'python3 -c "{receive}"'
    )
    try:
        play(host, nginx_syslog_server="127.0.0.1:5514")
        time.sleep(1)
        word = uuid.uuid4().hex
        ask(f"/{word}")
        time.sleep(0.5)
        (line,) = host.check_output(f"grep -F {word} /run/syslogd").splitlines()
    finally:
        host.run("systemctl stop syslogd")
        play(host)
    assert " nginx: {" in line
    assert json.loads(line.partition(" nginx: ")[2])["path"] == f"/{word}"


def test_a_removed_site_leaves_no_pages(host: Any) -> None:
    places = "/var/cache/nginx-second /var/lib/flaskops-pages/second"
    second: dict[str, Any] = {"nginx_site": "second", "nginx_server_name": ["second.example"]}
    second["nginx_server_config"] = ""
    play(host, **second)
    host.check_output(f"ls -d {places}")
    play(host, **second, nginx_state="absent")
    assert host.run(f"ls -d {places}").stdout == ""
