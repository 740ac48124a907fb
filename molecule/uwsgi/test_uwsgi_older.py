"""uWSGI on the older Debian, with its older systemd, Python and uWSGI of its own."""

from __future__ import annotations

from typing import Any

import pytest

from serving import UNITS, Load, ask, live, serves

pytestmark = pytest.mark.units(*UNITS)
only_on = ["debian12"]


def test_it_serves(host: Any) -> None:
    serves(host)
    assert ask(host)["server"].startswith("uwsgi/2.0.30")


def test_switches_under_load_lose_no_request_whichever_package(host: Any, play: Any) -> None:
    before = live(host)
    with Load(host):
        play.succeeds(uwsgi_threads=5)
        play.succeeds(uwsgi_package="distribution")
        assert ask(host)["server"].startswith("uwsgi/2.0.21")
        play.succeeds()
    assert live(host) == before  # what served before serves again
    serves(host)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("BROKEN=import", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("HEALTH=503 Sick", "GET /health (Host: localhost, http) answered 503, wanted 200: ok"),
    ],
    ids=["import", "health"],
)
def test_broken_generation_never_serves(host: Any, play: Any, environment: str, said: str) -> None:
    before, pid = live(host), ask(host)["pid"]
    name, value = environment.split("=", 1)
    host.check_output(f"printf '{name}=\"{value}\"\\n' > /opt/broken")
    assert said in play.fails(wsgi_environment_file="/opt/broken")
    assert live(host) == before
    assert host.run(f"kill -0 {pid}").succeeded, "the very same worker still serves"
    serves(host)


def test_stop_means_stop_and_start_brings_it_back(host: Any) -> None:
    host.check_output("systemctl stop shop")
    assert host.run("curl -sS --unix-socket /run/shop/http.sock http://localhost/").failed
    host.check_output("systemctl start shop")
    serves(host)


def test_nothing_changes_in_the_end(play: Any) -> None:
    assert "changed=0" in play.succeeds()
