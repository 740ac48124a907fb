"""uWSGI asked over its socket, on one host; test_uwsgi_older.py asks the other."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from serving import HOME, SOCKET, UNITS, Load, Serving, ask, live, serves, unit

pytestmark = pytest.mark.units(*UNITS, "nginx.service")
only_on = ["debian13"]


class TestServing(Serving):
    """What holds for any server."""

    role = "uwsgi"
    software = "uwsgi/2.0.30"


def headers(host: Any, path: str = "/") -> str:
    """The headers of an answer."""
    told: str = host.check_output(
        f"curl -sSf -D- -o /dev/null --unix-socket {SOCKET} http://x{path}"
    )
    return told


def test_settings_reach_it_as_they_were_given(host: Any) -> None:
    assert "X-Served-By: uWSGI, to 100%\r" in headers(host) + "\r"


def test_it_says_that_it_closes_each_connection(host: Any) -> None:
    """Or nginx would keep the connection and find it closed."""
    assert "Connection: close" in headers(host)


def test_a_body_that_the_app_does_not_read_is_no_trouble(host: Any) -> None:
    host.check_output("head -c 3000000 /dev/zero > /run/body")
    for path in ("/", "/long", "/body"):
        told = json.loads(
            host.check_output(
                f"curl -sSf --unix-socket {SOCKET} --data-binary @/run/body http://localhost{path}"
            )
        )
        assert told["method"] == "POST"
        assert told["body"] == (3000000 if path == "/body" else None)


def test_a_hung_request_is_ended_by_harakiri(host: Any, play: Any) -> None:
    play.succeeds(uwsgi_harakiri=2)
    started = time.monotonic()
    asked = f"curl -sSf --max-time 30 --unix-socket {SOCKET} 'http://localhost/slow?s=25'"
    assert host.run(asked).failed
    assert time.monotonic() - started < 10
    serves(host)
    assert unit(host, f"shop@{live(host)}.service", "NRestarts") == "0"
    play.succeeds()


def test_a_replaced_worker_loses_nothing(host: Any, play: Any) -> None:
    """max-requests, as a remedy for leaks."""
    play.succeeds(uwsgi_max_requests=200)
    with Load(host, least=100):
        time.sleep(20)
    serves(host)
    play.succeeds()


def test_fewer_workers_to_begin_with_are_enough(host: Any, play: Any) -> None:
    play.succeeds(uwsgi_processes=3, uwsgi_config={"cheaper": 1})
    serves(host)
    play.succeeds()


def test_workers_follow_the_cores(host: Any, play: Any) -> None:
    play.succeeds(uwsgi_processes=0)
    cores = int(host.check_output("nproc"))
    pid = unit(host, f"shop@{live(host)}.service", "MainPID")
    assert int(host.check_output(f"pgrep -c -P {pid}")) == min(2 * cores + 1, 12)
    play.succeeds()


def test_the_distributions_package_can_be_used(host: Any, play: Any) -> None:
    version = play.succeeds(uwsgi_package="distribution")
    told = ask(host)
    assert told["server"].startswith("uwsgi/2.0.2"), version
    assert told["generation"] == str(live(host))
    pid = unit(host, f"shop@{live(host)}.service", "MainPID")
    assert host.check_output(f"readlink /proc/{pid}/exe") == "/usr/bin/uwsgi-core"
    with Load(host):
        play.succeeds()
        play.succeeds(uwsgi_package="distribution")
        play.succeeds()
    serves(host)


def test_unknown_setting_is_named(host: Any, play: Any) -> None:
    before = live(host)
    said = play.fails(uwsgi_config={"workerz": 3})
    assert "unknown config directive: workerz" in said
    assert live(host) == before
    serves(host)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"wsgi_bind": "0.0.0.0:70000"}, 'wsgi_bind: found "0.0.0.0:70000"; allowed are'),
        ({"wsgi_bind": "http.sock"}, 'wsgi_bind: found "http.sock"; allowed are'),
        (
            {"wsgi_bind": "0.0.0.0:8000", "wsgi_protocol": "uwsgi"},
            'wsgi_bind: found "0.0.0.0:8000" with wsgi_protocol uwsgi; allowed are',
        ),
        ({"wsgi_protocol": "fastcgi"}, "value of wsgi_protocol must be one of"),
        ({"uwsgi_package": "source"}, "value of uwsgi_package must be one of"),
        ({"wsgi_user": "root"}, "wsgi_user: found root"),
        ({"uwsgi_config": "threads"}, "uwsgi_config"),
        ({"uwsgi_bind": "127.0.0.1:1"}, "uwsgi_bind was renamed to wsgi_bind"),
        ({"uwsgi_processes": -1}, "uwsgi_processes: found -1; allowed are 0 and more"),
        ({"uwsgi_threads": "many"}, "uwsgi_threads"),
        ({"uwsgi_buffer_size": 70000}, "uwsgi_buffer_size: found 70000; allowed are 4096 to 65535"),
        (
            {"uwsgi_config": {"socket": "0.0.0.0:80"}},
            "uwsgi_config: found socket; the role decides these",
        ),
        ({"uwsgi_config": {"die_on_term": True}}, "'die_on_term' is not the name of a setting"),
        ({"wsgi_health_path": "health"}, 'wsgi_health_path: found "health"; allowed is'),
    ],
    ids=[
        "port",
        "relative",
        "network",
        "protocol",
        "package",
        "root",
        "text",
        "old-name",
        "negative",
        "type",
        "buffer",
        "socket",
        "name",
        "path",
    ],
)
def test_bad_input_is_named_before_anything_changes(
    host: Any, play: Any, variables: dict[str, Any], said: str
) -> None:
    before = live(host)
    assert said in play.fails(**variables)
    assert live(host) == before
    serves(host)


def test_after_a_reboot_the_live_generation_serves(host: Any, reboot: Any) -> None:
    number = live(host)
    reboot()
    assert live(host) == number
    assert ask(host)["generation"] == str(number)
    serves(host)
    assert host.file(f"{HOME}/live").is_symlink


def test_nothing_changes_in_the_end(play: Any) -> None:
    assert "changed=0" in play.succeeds()
