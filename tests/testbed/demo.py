#!/usr/bin/env python3
"""Bring the demo's host up, run site.yml on it over SSH, and say what each tier answered.

Every figure is read from the running programs; a tier that does not answer is an error.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import testbed

NAME = "demo"
HOST = "demo"
APP = "pulse"
HTTP_PORT = 80
REQUEST_TIMEOUT = 10  # seconds

# Asked on the host, as root. The counter is what the app calls `visits`, under the app's prefix.
QUESTIONS = f"""
printf 'ping=%s\\n' "$(redis-cli ping 2>&1)"
printf 'redis=%s\\n' "$(redis-cli info server | sed -n 's/^redis_version:\\([0-9.]*\\).*/\\1/p')"
printf 'visits=%s\\n' "$(redis-cli --raw get {APP}:visits)"
printf 'nginx=%s\\n' "$(nginx -v 2>&1 | sed 's|.*/||')"
unit=$(systemctl list-units --state=active --plain --no-legend '{APP}@*.service' | cut -d' ' -f1)
printf 'unit=%s\\n' "$(echo $unit)"
printf 'workers=%s\\n' "$(pgrep -c -P "$(systemctl show -p MainPID --value $unit)")"
printf 'user=%s\\n' "$(ps -o user= -p "$(systemctl show -p MainPID --value $unit)")"
"""


class DemoError(Exception):
    """The site does not do what the demo promises; the text says what."""


def port(variable: str, default: int) -> int:
    """Return a port from the environment; DemoError when it is none."""
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise DemoError(f"{variable}: expected a port from 1 to 65535, found {text!r}")
    return int(text)


def bring_up(ssh_port: int, http_port: int) -> testbed.Container:
    """Return the demo's running host."""
    ports = ((ssh_port, testbed.SSH_PORT), (http_port, HTTP_PORT))
    try:
        testbed.up(NAME, [testbed.Host(HOST, "trixie", ports)], {})
    except testbed.PortInUseError as error:
        variable = "DEMO_SSH_PORT" if error.port == ssh_port else "DEMO_HTTP_PORT"
        raise DemoError(f"{error}; choose another: make demo {variable}={error.port + 1}") from None
    return next(item for item in testbed.containers(NAME) if item.host == HOST)


def run_playbook() -> None:
    """Run site.yml as a person would; DemoError when it fails."""
    argv = [".venv/bin/ansible-playbook", "-i", "inventory/demo", "site.yml"]
    print("+ " + " ".join(argv), flush=True)
    done = subprocess.run(argv, cwd=testbed.ROOT, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DemoError(
            "site.yml failed; the host is still there:\n"
            f"  {testbed.command()} ssh {NAME} {HOST}      look\n"
            "  make demo                              try again\n"
            "  make clean                             remove it"
        )


def get(url: str) -> tuple[int, str, bytes]:
    """Return status, Server header and body of a GET; DemoError when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_TIMEOUT) as answer:  # noqa: S310 - http
            return answer.status, answer.headers.get("Server", ""), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Server", ""), error.read()
    except OSError as error:
        raise DemoError(f"{url} does not answer: {error}") from None


def ask_host(item: testbed.Container) -> dict[str, str]:
    """Return what the programs on the host say of themselves."""
    done = subprocess.run(
        [*testbed.ssh_argv(NAME, item), "sudo", "sh", "-s"],
        input=QUESTIONS,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def require(truth: object, text: str) -> None:
    """Raise DemoError with the text unless it is true."""
    if not truth:
        raise DemoError(text)


def check(status: int, server: str, about: dict[str, Any], host: dict[str, str]) -> None:
    """Raise DemoError when a tier did not answer, or the page's counter is not the one in Redis."""
    require(status == 200, f"the page answered {status}, not 200")
    require(server.startswith("nginx"), f"the page was not served by nginx but by {server!r}")
    require(about["server"] == "gunicorn", f"the app runs in {about['server']!r}, not Gunicorn")
    require(host.get("unit"), f"no {APP}@N.service is active")
    require(host.get("ping") == "PONG", f"Redis answered {host.get('ping')!r}, not PONG")
    require(about["cache"]["ok"], f"the app has no cache: {about['cache']['error']}")
    require(
        host.get("visits") == str(about["cache"]["visits"]),
        f"the app counts {about['cache']['visits']} visits, Redis {host.get('visits')!r}",
    )


def main() -> int:
    """Run the demo; return the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, testbed.interrupt)
    start = time.monotonic()
    try:
        http_port = port("DEMO_HTTP_PORT", 8080)
        item = bring_up(port("DEMO_SSH_PORT", 8022), http_port)
        up = time.monotonic()
        run_playbook()
        played = time.monotonic()
        url = f"http://127.0.0.1:{http_port}/"
        status, server, _ = get(url)
        answered = time.monotonic()
        code, _, body = get(url + "about.json")
        require(code == 200, f"{url}about.json answered {code}, not 200")
        about = json.loads(body)
        host = ask_host(item)
        check(status, server, about, host)
    except (DemoError, testbed.TestbedError) as error:
        testbed.log(f"demo: {error}")
        return 1
    except KeyboardInterrupt:
        testbed.log("demo: interrupted")
        return 130
    print(
        f"\nThe site is up: {url}\n\n"
        f"  release    {about['release']} (revision {about['revision']})\n"
        f"  nginx      answered {status}, version {host['nginx']}\n"
        f"  gunicorn   version {about['server_version']}, {host['unit']}, "
        f"{host['workers']} workers as {host['user']}, Python {about['python']}\n"
        f"  redis      {host['ping']}, version {host['redis']}, "
        f"visits: {host['visits']} in Redis and on the page\n"
        f"  times      host {up - start:.1f} s, playbook {played - up:.1f} s, "
        f"first request {answered - played:.3f} s, in all {time.monotonic() - start:.1f} s\n\n"
        "  again      .venv/bin/ansible-playbook -i inventory/demo site.yml\n"
        f"  log in     {testbed.command()} ssh {NAME} {HOST}\n"
        "  remove     make clean"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
