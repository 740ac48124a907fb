"""What a request costs: beside a site by hand, and beside the app's own socket."""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from functools import partial

from bench.host import by_hand, fresh, one, site, ssh

#: At least this share of the requests a second of the yardstick.
PROXY_SHARE, CACHE_SHARE = 0.9, 0.8
#: The same of the site that a plain shell script made, on a host beside this one.
PAGE_SHARE, FILE_SHARE = 0.97, 0.85
#: Short and many, because what else the machine does changes from second to second. Connections are
#: opened before the window: what counts is the rate they have once they are there.
WARM_UP, WINDOW, ROUNDS, OTHER_ROUNDS, CLIENTS = "1s", "1s", 20, 6, 16
PROXY_HEADERS = (
    "X-Request-ID: 5f0c2b0e1d9a4c7b8e3f6a1d2c4b5e6f",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: localhost",
)
SOCKET = "/run/pulse/http.sock"
CACHED_PAGE, STATIC_FILE = "/count", "/bench/count.json"
APP_PAGE, APP_FILE = "/", "/static/pulse.css"
TOOLS = "sudo apt-get install -qq --no-install-recommends nghttp2-client curl >/dev/null"
VARIABLES = {
    "flask_app_env": {"FLASK_TEST_VIEWS": True},
    "nginx_cache": {f"= {CACHED_PAGE}": "1h"},
    "nginx_static": {
        "/static/": "/srv/pulse/live/release/public/static/",
        "/bench/": "/srv/bench/",
    },
}


def rate(path: str, socket: str = "", number: int = 0) -> float:
    """Requests a second that a page can be asked for, over TCP or over a Unix socket.

    The same program asks either way, on the host itself and on connections that it keeps. A socket
    gets the headers that
    Nginx would send, so that the app has the same work.
    """
    base = f"--base-uri=unix:{socket}" if socket else "--base-uri=http://127.0.0.1"
    headers = " ".join(f"--header='{one}'" for one in PROXY_HEADERS) if socket else ""
    said = ssh(
        f"sudo h2load --h1 --clients={CLIENTS} --warm-up-time={WARM_UP} "
        f"--duration={WINDOW} {base} {headers} http://localhost{path}",
        number=number,
    )
    found = re.search(r"([0-9.]+) req/s", said)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
    statuses = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", said)
    if not found or not statuses or not failed or failed.groups() != ("0", "0", "0"):
        sys.exit(f"{path} was not answered as it should be:\n{said}")
    return float(found[1])


def share(
    what: str,
    mine: Callable[[], float],
    other: str,
    yardstick: Callable[[], float],
    rounds: int,
) -> float:
    """Ask both ways in turn, there and back; the share of the requests.

    It is printed with both rates and how far apart their quarters are: Gunicorn's own socket gives
    each worker the connections it happened to take, for the whole window.
    """
    asked: dict[Callable[[], float], list[float]] = {mine: [], yardstick: []}
    for _ in range(rounds):
        for way in (yardstick, mine, mine, yardstick):
            asked[way].append(way())
    rates = [statistics.median(asked[way]) for way in (mine, yardstick)]
    found = rates[0] / rates[1]
    print(f"{what}: {found:.2f} of {other} ({rates[0]:.0f} of {rates[1]:.0f} requests/s)")
    for name, way in ((what, mine), (other, yardstick)):
        low, _, high = statistics.quantiles(asked[way], n=4)
        print(f"  {name}: half of the windows between {low:.0f} and {high:.0f} requests/s")
    return found


def reached(found: float, limit: float) -> bool:
    """Say whether a share reaches the aim."""
    print(
        f"  the aim, {limit:.2f}, is {'reached' if found >= limit else 'not reached'}", flush=True
    )
    return found >= limit


def measure() -> bool:
    """Compare with a site by hand, then with what the app and a file do by themselves."""
    beside = beside_by_hand()
    return within() and beside


def beside_by_hand() -> bool:
    """Count what every feature costs, all on as they are by default."""
    fresh(2)
    site("--limit", "bench0")
    by_hand(1)
    for number in (0, 1):
        ssh(TOOLS, number=number)
    kept = True
    for what, path, limit in (
        ("the app's page", APP_PAGE, PAGE_SHARE),
        ("its static file", APP_FILE, FILE_SHARE),
    ):
        mine, hand = partial(rate, path, number=0), partial(rate, path, number=1)
        kept &= reached(share(what, mine, "the same by hand", hand, ROUNDS), limit)
    return kept


def within() -> bool:
    """Count what Nginx costs an app, and what a cached page costs more than a file."""
    one()
    site("-e", json.dumps(VARIABLES))
    ssh(TOOLS)
    ssh(
        "sudo mkdir -p /srv/bench && "
        f"curl -sSf http://127.0.0.1{CACHED_PAGE} | sudo tee /srv/bench/count.json"
    )
    direct, nginx = partial(rate, "/", SOCKET), partial(rate, "/")
    kept = reached(
        share("the app's page through nginx", nginx, "its socket", direct, ROUNDS), PROXY_SHARE
    )
    # What the app does in no time shows best what nginx takes; there is no aim for it.
    direct, nginx = partial(rate, "/healthz", SOCKET), partial(rate, "/healthz")
    share("its smallest view through nginx", nginx, "its socket", direct, OTHER_ROUNDS)
    file, page = partial(rate, STATIC_FILE), partial(rate, CACHED_PAGE)
    cached = share("a cached page", page, "a static file of its size", file, OTHER_ROUNDS)
    return reached(cached, CACHE_SHARE) and kept
