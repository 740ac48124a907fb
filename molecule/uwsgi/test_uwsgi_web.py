"""uWSGI and Gunicorn taking turns, and both behind Nginx, on one host."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from serving import SOCKET, UNITS, Load, ask, live, only_live_is_up, serves

pytestmark = pytest.mark.units(*UNITS, "nginx.service")
# What is the same on all hosts is asked beside.
only_on = ["debian13"]

GUNICORN = "../gunicorn/converge.yml"
WEB = "127.0.0.1:80"
NATIVE = {"wsgi_protocol": "uwsgi"}


def test_to_gunicorn_and_back_under_load_loses_no_request(host: Any, play: Any) -> None:
    before = live(host)
    fd = host.check_output("systemctl show --value -p InvocationID shop.socket")
    with Load(host):
        for playbook, software in ((GUNICORN, "gunicorn/"), ("converge.yml", "uwsgi/")) * 2:
            play.succeeds(playbook=playbook)
            assert ask(host)["server"].startswith(software)
    assert host.check_output("systemctl show --value -p InvocationID shop.socket") == fd
    # Back is a way back: what served before serves again.
    assert live(host) == before
    serves(host)


class TestNative:
    """The uwsgi protocol, spoken by nginx; the tests of this class are one story in order."""

    def test_nginx_and_the_app_go_over_to_it(self, host: Any, play: Any) -> None:
        play.succeeds(**NATIVE)
        play.succeeds(playbook="nginx.yml", **NATIVE)
        assert host.run(f"curl -sS --unix-socket {SOCKET} http://localhost/").failed
        assert self.ask(host)["server"].startswith("uwsgi/")
        only_live_is_up(host)

    @staticmethod
    def ask(host: Any, path: str = "/", options: str = "") -> dict[str, Any]:
        """Return what the app tells through nginx."""
        told: dict[str, Any] = json.loads(
            host.check_output(f"curl -sSf --max-time 20 {options} 'http://{WEB}{path}'")
        )
        return told

    def test_three_switches_under_load_lose_no_request(self, host: Any, play: Any) -> None:
        before = live(host)
        with Load(host, WEB):
            for threads in (5, 6, 7):
                play.succeeds(uwsgi_threads=threads, **NATIVE)
        assert live(host) == before + 3

    def test_a_broken_generation_never_serves(self, host: Any, play: Any) -> None:
        before = live(host)
        host.check_output("printf 'HEALTH=\"503 Sick\"\\n' > /opt/broken")
        said = play.fails(wsgi_environment_file="/opt/broken", **NATIVE)
        assert "GET /health (Host: localhost, http) answered 503, wanted 200: ok" in said
        assert live(host) == before
        assert self.ask(host)["generation"] == str(before)

    def test_to_gunicorn_and_back_under_load_loses_no_request(self, host: Any, play: Any) -> None:
        with Load(host, WEB):
            play.succeeds(**NATIVE)
            for playbook, software in ((GUNICORN, "gunicorn/"), ("converge.yml", "uwsgi/")):
                play.succeeds(playbook=playbook, **NATIVE)
                assert self.ask(host)["server"].startswith(software)

    @pytest.mark.parametrize("playbook", [GUNICORN, "converge.yml"], ids=["gunicorn", "uwsgi"])
    def test_a_request_arrives_as_it_was_sent(self, host: Any, play: Any, playbook: str) -> None:
        play.succeeds(playbook=playbook, **NATIVE)
        told = self.ask(host, "/caf%C3%A9%20%2541%3F?q=%20a&b=1")
        assert (told["path"], told["query"]) == ("/café %41?", "q=%20a&b=1")
        host.check_output("head -c 300000 /dev/zero > /run/body")
        told = self.ask(host, "/body", "--data-binary @/run/body")
        assert (told["method"], told["body"]) == ("POST", 300000)
        started = time.monotonic()
        assert self.ask(host, "/long")["path"] == "/long"
        assert time.monotonic() - started < 2, "the end of the answer is seen at once"

    @pytest.mark.parametrize("playbook", [GUNICORN, "converge.yml"], ids=["gunicorn", "uwsgi"])
    def test_what_the_client_said_of_itself_is_overwritten(
        self, host: Any, play: Any, playbook: str
    ) -> None:
        play.succeeds(playbook=playbook, **NATIVE)
        forged = {
            "X-Forwarded-For": "198.51.100.1",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Prefix": "/evil",
            "X-Forwarded-Ssl": "on",
            "Forwarded": "for=198.51.100.1",
            "Proxy": "http://evil.example",
            "X-Kept": "yes",
        }
        options = " ".join(f"-H '{name}: {value}'" for name, value in forged.items())
        told = self.ask(host, "/", f"{options} -H 'Host: shop.example.org:81'")
        got = told["headers"]
        assert got["HTTP_HOST"] == got["HTTP_X_FORWARDED_HOST"] == "shop.example.org:81"
        assert got["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
        assert got["HTTP_X_FORWARDED_PROTO"] == told["scheme"] == "http"
        assert got["HTTP_X_KEPT"] == "yes"
        assert len(got["HTTP_X_REQUEST_ID"]) == 32
        for name in ("X_FORWARDED_PREFIX", "X_FORWARDED_SSL", "FORWARDED", "PROXY"):
            assert f"HTTP_{name}" not in got

    def test_back_to_http(self, host: Any, play: Any) -> None:
        play.succeeds()
        play.succeeds(playbook="nginx.yml")
        assert self.ask(host)["server"].startswith("uwsgi/")
        serves(host)


def test_three_switches_under_load_through_nginx_lose_no_request(host: Any, play: Any) -> None:
    play.succeeds(playbook="nginx.yml")
    with Load(host, WEB):
        for threads in (2, 3, 8):
            play.succeeds(uwsgi_threads=threads)
    play.succeeds()
    serves(host)
