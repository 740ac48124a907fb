"""Gunicorn asked over its socket: what serves, how it is fenced in, and how one hands over."""

from __future__ import annotations

import re
from typing import Any

import pytest

from serving import HOME, UNITS, Serving, live, serves

pytestmark = pytest.mark.units(*UNITS)


class TestServing(Serving):
    """What holds for any server."""

    role = "gunicorn"
    software = "gunicorn/27"


def test_settings_are_the_ones_asked_for(host: Any) -> None:
    python = f"{HOME}/live/release/.venv/bin/python"
    config = host.check_output(
        f"cd /opt/shop && FLASKOPS_GENERATION=0 {python} -m gunicorn --print-config "
        f"-c {HOME}/live/gunicorn.conf.py"
    )
    for name, value in {"keepalive": "5", "threads": "4", "worker_class": ".*gthread.*"}.items():
        assert re.search(rf"^{name}\s*= {value}$", config, re.MULTILINE), name


def test_unknown_setting_is_named(host: Any, play: Any) -> None:
    before = live(host)
    said = play.fails(gunicorn_config={"workerz": 3})
    assert "gunicorn_config: found workerz; Gunicorn knows no such setting" in said
    assert live(host) == before
    serves(host)


def test_hung_views_are_told_and_do_not_hold_a_worker(host: Any, play: Any) -> None:
    """Every thread of the only worker; its heartbeat goes on."""
    play.succeeds(gunicorn_workers=1, gunicorn_threads=2, gunicorn_timeout=3)
    socket = "curl -s -o /dev/null --unix-socket /run/shop/http.sock"
    since = host.check_output("date +%s")
    host.check_output(f"for n in 1 2; do {socket} 'http://localhost/slow?s=60' & done; sleep 0.5")
    answer = f"{socket} -w '%{{http_code}}' --max-time 20 http://localhost/health"
    assert host.check_output(answer) == "200"
    log = host.check_output(f"journalctl -o cat -t shop --since=@{since}")
    assert log.count("GET /slow has taken longer than 3 s (gunicorn_timeout):") == 2
    assert "time.sleep" in log
    assert "All 2 threads hang: the worker is replaced" in log
    play.succeeds()


def test_an_address_that_is_taken_is_named_and_the_app_serves_on(host: Any, play: Any) -> None:
    before = live(host)
    taken = "127.0.0.1:8123"
    host.check_output(
        "systemd-run --quiet --unit=taken python3 -m http.server --bind 127.0.0.1 8123"
    )
    try:
        told = play.fails(wsgi_bind=taken)
    finally:
        host.check_output("systemctl stop taken")
    assert f"cannot listen on {taken}" in told
    assert "Address already in use" in told
    assert "was not touched and serves on" in told
    assert live(host) == before
    serves(host)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"wsgi_bind": "0.0.0.0:70000"}, 'wsgi_bind: found "0.0.0.0:70000"; allowed are'),
        ({"wsgi_bind": "http.sock"}, 'wsgi_bind: found "http.sock"; allowed are'),
        ({"gunicorn_worker_class": "eventlet"}, "value of gunicorn_worker_class must be one of"),
        ({"wsgi_user": "root"}, "wsgi_user: found root"),
        ({"gunicorn_config": "keepalive"}, "gunicorn_config"),
        ({"wsgi_unit_config": "MemoryMax"}, "wsgi_unit_config"),
        ({"gunicorn_bind": "127.0.0.1:1"}, "gunicorn_bind was renamed to wsgi_bind"),
        ({"gunicorn_workers": -1}, "gunicorn_workers: found -1; allowed are 0 and more"),
        ({"gunicorn_threads": "many"}, "gunicorn_threads"),
        (
            {"gunicorn_config": {"bind": "0.0.0.0:80"}},
            "gunicorn_config: found bind; the role decides these",
        ),
        ({"wsgi_health_path": "health"}, 'wsgi_health_path: found "health"; allowed is'),
    ],
    ids=[
        "port",
        "relative",
        "class",
        "root",
        "text",
        "unit-text",
        "old-name",
        "negative",
        "type",
        "bind",
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


def test_nothing_changes_in_the_end(play: Any) -> None:
    assert "changed=0" in play.succeeds()
