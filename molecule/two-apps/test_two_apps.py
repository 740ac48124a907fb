"""Two apps under one name, one at its top and one below /shop, each on its own."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

import plays

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = "../../playbooks"
SHOP = {"flask_app_name": "shop"}
ALONE = {"nginx_server_name": ["shop.example"], "flask_app_url_prefix": ""}

pytestmark = pytest.mark.units("nginx.service", "front@*.service", "shop@*.service")


class Visitor:
    """A visitor who keeps cookies as browsers do: the longest path first."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.tls = tls
        self.scheme = "https" if tls else "http"
        self.cookies: dict[str, str] = {}
        self.set_cookie: list[str] = []

    def get(self, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        if self.tls:
            place = (connection.host, connection.port)
            plain = socket.create_connection(place, timeout=20)
            connection.sock = self.tls.wrap_socket(plain, server_hostname="www.example")
        fitting = [p for p in sorted(self.cookies, key=len, reverse=True) if path.startswith(p)]
        given = {"Host": "www.example", **headers}
        if fitting:
            given["Cookie"] = "; ".join(self.cookies[p] for p in fitting)
        connection.request("GET", path, headers=given)
        answer = connection.getresponse()
        body = answer.read().decode()
        self.set_cookie = answer.headers.get_all("Set-Cookie") or []
        for text in self.set_cookie:
            for name, morsel in SimpleCookie(text).items():
                self.cookies[morsel["path"]] = f"{name}={morsel.value}"
        found = {key.lower(): value for key, value in answer.getheaders()}
        connection.close()
        return answer.status, body, found

    def about(self, path: str = "", **headers: str) -> dict[str, Any]:
        status, body, _ = self.get(f"{path}/about.json", **headers)
        assert status == 200, body
        told: dict[str, Any] = json.loads(body)
        return told


@pytest.fixture
def visitor(outside: Callable[[int], str]) -> Visitor:
    return Visitor(outside(80))


def live(host: Any, app: str) -> str:
    return str(host.check_output(f"readlink /srv/{app}/live"))


def asked(host: Any, app: str, path: str) -> int:
    """How often an app was asked for a path, by its log."""
    log = host.check_output(f"journalctl -t {app} -o cat | grep -cF 'GET {path}\"' || true")
    return int(log)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The sample app with other styles."""
    folder = tmp_path / "pulse"
    shutil.copytree(ROOT / "examples/pulse", folder, ignore=shutil.ignore_patterns(".venv"))
    style = folder / "pulse/static/pulse.css"
    style.write_text(style.read_text() + "/* deployed */\n")
    return str(folder)


def below_the_path(visitor: Visitor) -> None:
    """What an app below /shop has to get right."""
    status, page, _ = visitor.get("/shop/")
    assert status == 200
    links = re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert links
    assert all(link.startswith("/shop/") for link in links), links
    for link in links:
        assert visitor.get(link)[0] == 200, link
    told = visitor.about("/shop")["request"]
    assert told["script_root"] == "/shop"
    status, body, _ = visitor.get("/shop/echo?x=%2F+%25")
    assert status == 200, body
    assert json.loads(body)["url"] == f"{visitor.scheme}://www.example/shop/echo?x=/+%25"
    assert visitor.get("/shop/none")[0] == 404


def test_each_app_answers_where_it_is(host: Any, visitor: Visitor) -> None:
    front, shop = visitor.about(), visitor.about("/shop")
    for app, told in (("front", front), ("shop", shop)):
        owner = host.check_output(f"ps -o user= -p {told['pid']}")
        assert owner == app
    assert front["request"]["script_root"] == ""
    below_the_path(visitor)


def test_the_path_without_its_slash_leads_to_it(visitor: Visitor) -> None:
    status, _, headers = visitor.get("/shop?x=1")
    assert (status, headers["location"]) == (308, "/shop/?x=1")


@pytest.mark.parametrize("path", ["/shopping", "/shop-2/about.json", "/x/shop/about.json"])
def test_what_only_begins_like_it_is_the_other_apps(host: Any, visitor: Visitor, path: str) -> None:
    before = asked(host, "front", path)
    assert visitor.get(path)[0] == 404
    assert asked(host, "front", path) == before + 1


@pytest.mark.parametrize("path", ["//shop/about.json", "/%73hop/about.json", "/x/../shop/echo"])
def test_a_path_that_only_means_it_is_not_found(visitor: Visitor, path: str) -> None:
    """The prefix is cut off as the visitor wrote it, or not at all."""
    assert visitor.get(path)[0] == 404


def test_static_files_of_each_come_from_nginx(host: Any, visitor: Visitor) -> None:
    for app, prefix in (("front", ""), ("shop", "/shop")):
        status, body, headers = visitor.get(f"{prefix}/static/pulse.css")
        assert (status, headers["content-type"]) == (200, "text/css")
        place = f"/srv/{app}/live/release/public/static/pulse.css"
        assert host.check_output(f"cat {place}").strip() == body.strip()
        assert asked(host, app, "/static/pulse.css") == 0
        before = asked(host, app, "/static/none.css")
        assert visitor.get(f"{prefix}/static/none.css")[0] == 404
        assert asked(host, app, "/static/none.css") == before + 1


def test_sessions_do_not_mix(visitor: Visitor) -> None:
    visits = []
    for _ in range(3):
        for path in ("", "/shop"):
            visits.append(visitor.about(path)["session"]["visits"])
            assert [SimpleCookie(c)["session"]["path"] for c in visitor.set_cookie] == [path or "/"]
    assert visits == [1, 1, 2, 2, 3, 3]


def test_a_forged_prefix_reaches_neither(visitor: Visitor) -> None:
    for path in ("", "/shop"):
        told = visitor.about(path, **{"X-Forwarded-Prefix": "/evil", "X-Script-Name": "/evil"})
        assert told["request"]["script_root"] == path
        assert "evil" not in json.dumps(told["request"]["headers"])


def test_each_counts_for_itself_in_the_cache(host: Any, visitor: Visitor) -> None:
    for app, path in (("front", ""), ("shop", "/shop")):
        told = visitor.about(path)["cache"]["visits"]
        assert host.check_output(f"redis-cli --raw get {app}:visits") == str(told)


def test_one_is_deployed_and_goes_back_without_the_other(
    host: Any, play: Any, visitor: Visitor, source: str
) -> None:
    before = live(host, "front"), live(host, "shop")
    common = {"flask_app_health_path": "/healthz", "gunicorn_workers": 2}
    # An app that does not ask for its path would have cookies for the whole name.
    env = {"FLASK_TEST_VIEWS": True, "FLASK_APPLICATION_ROOT": "/"}
    play.succeeds(
        playbook=f"{PLAYBOOKS}/deploy.yml",
        flask_app_source=source,
        flask_app_url_prefix="/shop",
        flask_app_env=env,
        nginx_server_name=["www.example"],
        **SHOP,
        **common,
    )
    assert "/* deployed */" in visitor.get("/shop/static/pulse.css")[1]
    assert "/* deployed */" not in visitor.get("/static/pulse.css")[1]
    assert visitor.about("/shop")["session"]["visits"] == 1
    assert SimpleCookie(visitor.set_cookie[0])["session"]["path"] == "/shop"
    assert live(host, "front") == before[0]
    assert live(host, "shop") != before[1]
    play.succeeds(playbook=f"{PLAYBOOKS}/rollback.yml", **SHOP)
    assert "/* deployed */" not in visitor.get("/shop/static/pulse.css")[1]
    assert (live(host, "front"), live(host, "shop")) == before
    below_the_path(visitor)


def test_one_gets_a_name_of_its_own_and_goes_back(host: Any, play: Any, visitor: Visitor) -> None:
    """It leaves nothing behind on the other's site, which nginx would refuse."""
    play.succeeds("--tags=nginx", playbook="shop.yml", **ALONE)
    assert visitor.get("/shop/about.json")[0] == 404
    assert visitor.about(Host="shop.example")["request"]["host"] == "shop.example"
    play.succeeds("--tags=nginx", playbook="shop.yml")
    below_the_path(visitor)
    assert visitor.get("/shop/static/pulse.css")[0] == 200


def test_the_uwsgi_protocol_has_paths_too(host: Any, play: Any, visitor: Visitor) -> None:
    before = live(host, "front")
    play.succeeds(playbook="shop.yml", wsgi_protocol="uwsgi")
    below_the_path(visitor)
    assert visitor.get("/shop/static/none.css")[0] == 404
    assert visitor.about()["request"]["script_root"] == ""
    assert live(host, "front") == before


def test_both_are_behind_the_certificate_of_the_name(
    host: Any, play: Any, visitor: Visitor, outside: Callable[[int], str]
) -> None:
    for playbook in ("front.yml", "shop.yml"):
        play.succeeds(playbook=playbook, certificate_source="self_signed")
    own = host.check_output("cat /etc/flaskops/tls/front/live/fullchain.pem")
    secure = Visitor(outside(443), ssl.create_default_context(cadata=own))
    for path in ("", "/shop"):
        told = secure.about(path, **{"X-Forwarded-Proto": "http"})
        assert (told["request"]["scheme"], told["request"]["script_root"]) == ("https", path)
        status, _, headers = visitor.get(f"{path}/echo?x=1")
        assert (status, headers["location"]) == (301, f"https://www.example{path}/echo?x=1")
    below_the_path(secure)
    assert host.run("ls /etc/flaskops/tls").stdout.split() == ["front"]
    again = play.succeeds(playbook="shop.yml", certificate_source="self_signed")
    assert plays.changes(again) == 0

    for playbook in ("front.yml", "shop.yml"):
        play.succeeds(playbook=playbook)
    below_the_path(visitor)
    assert visitor.about()["request"]["scheme"] == "http"


def test_the_proxy_that_the_site_trusts_counts_for_both(play: Any, visitor: Visitor) -> None:
    gateways = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]  # of the test hosts
    play.succeeds("--tags=nginx", playbook="front.yml", nginx_trusted_proxies=gateways)
    said = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    for path in ("", "/shop"):
        told = visitor.about(path, **said)["request"]
        assert (told["scheme"], told["remote_addr"]) == ("https", "198.51.100.7")
    play.succeeds("--tags=nginx", playbook="front.yml")
    for path in ("", "/shop"):
        told = visitor.about(path, **said)["request"]
        assert told["scheme"] == "http"
        assert told["remote_addr"] != "198.51.100.7"


@pytest.mark.parametrize("role", ["flask_app", "nginx"])
def test_a_path_that_cannot_be_is_named(play: Any, role: str) -> None:
    name = f"{role}_url_prefix"
    told = play.fails(f"--tags={role}", playbook="shop.yml", **{name: "/shop/"})
    assert f'{name}: found "/shop/"; allowed are' in told


def test_one_is_removed_and_the_other_stays(host: Any, play: Any, visitor: Visitor) -> None:
    play.succeeds(playbook=f"{PLAYBOOKS}/remove.yml", confirm="shop", **SHOP)
    assert visitor.get("/shop/about.json")[0] == 404
    assert visitor.about()["request"]["script_root"] == ""
    assert host.run("find /etc/nginx -name '*shop*'").stdout == ""
    host.check_output("nginx -t -q")
