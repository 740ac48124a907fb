"""What the running memcached says of itself, and what the role does when it is given nonsense."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

import plays

pytestmark = pytest.mark.units("memcached.service")

HERE = Path(__file__).parent
DROPIN = "/etc/systemd/system/memcached.service.d/flaskops.conf"
SOCKET = "/run/memcached/memcached.sock"
PORT = 11211
#: Of systemd-analyze security: 0 is the most closed. The distribution's own unit has 4.6.
EXPOSURE_WITH_A_PORT = 1.0
EXPOSURE_WITH_A_SOCKET = 0.5

# Says what memcached answers to a command; the arguments are where it listens, the command, what
# comes after it.
CLIENT = r"""
import socket, sys
place, words, data = sys.argv[1:]
if place.startswith("/"):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
else:
    connection = socket.create_connection((place, 11211), 2)
connection.settimeout(5)
connection.sendall((words + "\r\n" + (data + "\r\n" if data else "")).encode())
told = b""
while not told.endswith((b"END\r\n", b"STORED\r\n", b"OK\r\n")) and b"ERROR" not in told:
    told += connection.recv(65536) or sys.exit("closed")
print(told.decode())
"""

# Stores so many values of so many bytes; says what memcached answered last.
FILL = r"""
import socket, sys
count, size = map(int, sys.argv[1:])
connection = socket.create_connection(("127.0.0.1", 11211), 5)
answers = connection.makefile("rb")
for number in range(count):
    connection.sendall(b"set fill:%d 0 60 %d\r\n%s\r\n" % (number, size, b"x" * size))
    told = answers.readline().decode().strip()
print(told)
"""


def play(limit: str = "all", *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the scenario's playbook, with these variables over its own."""
    return plays.run(HERE, limit, *options, timeout=120, **variables)


def apply(host: Any, *options: str, **variables: Any) -> str:
    """Run the playbook on one host, where it must succeed; returns its output."""
    return plays.output(play(host.backend.hostname, *options, **variables))


@functools.cache
def refused(variables: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a playbook that must fail, run once for all hosts."""
    return play("all", **json.loads(variables))


def asked(host: Any, words: str, data: str = "", place: str = "127.0.0.1", before: str = "") -> Any:
    """The run of a client on the host."""
    return host.run(f"{before} python3 -c {shlex.join([CLIENT, place, words, data])}")


def ask(host: Any, words: str, data: str = "", place: str = "127.0.0.1") -> str:
    """What memcached answers."""
    done = asked(host, words, data, place)
    assert done.rc == 0, done.stderr
    return str(done.stdout).strip()


def settings(host: Any, place: str = "127.0.0.1") -> dict[str, str]:
    """The settings of the running server."""
    return dict(
        re.findall(r"^STAT (\S+) (.*?)\r?$", ask(host, "stats settings", place=place), re.MULTILINE)
    )


def store(host: Any, count: int, size: int) -> str:
    """What memcached answers when it gets values of so many bytes."""
    return str(host.check_output(f"python3 -c {shlex.join([FILL, str(count), str(size)])}"))


def exposure(host: Any) -> float:
    """What systemd thinks of the unit's sandbox."""
    told = host.run("systemd-analyze security --no-pager memcached.service").stdout
    found = re.search(r"exposure level for memcached.service: ([0-9.]+)", told)
    assert found is not None, told
    return float(found[1])


def pid(host: Any) -> str:
    return str(host.check_output("systemctl show -P MainPID memcached.service"))


def listening(host: Any, kind: str = "-t") -> list[str]:
    """The addresses that memcached listens on."""
    return sorted(
        host.check_output(f"ss -H -ln {kind} -p | awk '/memcached/ {{print $4}}'").split()
    )


def test_it_runs_and_comes_back_after_a_reboot(host: Any) -> None:
    service = host.service("memcached")
    assert service.is_running
    assert service.is_enabled
    assert ask(host, "set greeting 0 60 5", "hello") == "STORED"
    assert "hello" in ask(host, "get greeting")


def test_it_runs_as_memcache_without_rights(host: Any) -> None:
    (process,) = host.process.filter(comm="memcached")
    assert process.user == "memcache"
    status = host.file(f"/proc/{process.pid}/status").content_string
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxbytes", str(32 * 1024**2)),
        ("item_size_max", str(2 * 1024**2)),
        ("maxconns", "1024"),
        ("num_threads", "4"),
        ("udpport", "0"),
        ("tcpport", str(PORT)),
        ("evictions", "on"),
        ("dump_enabled", "no"),
        ("idle_timeout", "600"),
    ],
)
def test_the_running_server_has_the_setting(host: Any, name: str, value: str) -> None:
    assert settings(host)[name] == value


def test_a_value_up_to_the_limit_is_kept_and_a_larger_one_is_not(host: Any) -> None:
    told = [store(host, 1, size) for size in (2 * 1024**2 - 1024, 2 * 1024**2 + 1024)]
    assert told == ["STORED", "SERVER_ERROR object too large for cache"]


def test_a_full_cache_makes_room(host: Any) -> None:
    assert store(host, 600, 100_000) == "STORED"
    stats = dict(re.findall(r"^STAT (\S+) (.*?)\r?$", ask(host, "stats"), re.MULTILINE))
    assert int(stats["evictions"]) > 0
    assert int(stats["bytes"]) <= 32 * 1024**2
    assert ask(host, "flush_all") == "OK"


def test_it_listens_on_loopback_only_and_never_on_udp(host: Any) -> None:
    assert listening(host) == [f"127.0.0.1:{PORT}"]
    assert listening(host, "-u") == []
    for address in host.check_output("hostname -I").split():
        assert "refused" in asked(host, "version", place=address).stderr


def test_the_unit_is_closed(host: Any) -> None:
    assert exposure(host) <= EXPOSURE_WITH_A_PORT


def test_nothing_was_refused_to_it(host: Any) -> None:
    journal = host.check_output("journalctl --no-pager -b -u memcached.service")
    assert "Started" in journal
    assert not re.search(r"SYS|status=2\d\d|[Ff]ail", journal), journal


def test_other_hosts_packets_are_dropped(host: Any) -> None:
    """By systemd, where the kernel lets it; whether it does is no setting of the role."""
    told = host.check_output("systemctl show -P IPAddressDeny memcached.service")
    assert set(told.split()) == {"0.0.0.0/0", "::/0"}


def test_a_changed_setting_reaches_the_running_server(host: Any) -> None:
    apply(host, memcached_memory=16, memcached_threads=2, memcached_max_item_size="512k")
    found = settings(host)
    assert found["maxbytes"] == str(16 * 1024**2)
    assert found["num_threads"] == "2"
    assert found["item_size_max"] == str(512 * 1024)
    apply(host)
    assert settings(host)["maxbytes"] == str(32 * 1024**2)


def test_no_change_is_no_restart(host: Any) -> None:
    before = pid(host)
    assert plays.changes(apply(host)) == 0
    assert pid(host) == before


def test_a_restart_that_was_lost_is_made_up_for(host: Any) -> None:
    """As after a run that was killed between the file and the handler."""
    before = pid(host)
    host.check_output(f"touch {DROPIN}")
    assert plays.changes(apply(host)) == 2
    assert pid(host) != before
    assert plays.changes(apply(host)) == 0


def test_a_dry_run_shows_the_change_and_makes_none(host: Any) -> None:
    before = pid(host)
    output = apply(host, "--check", "--diff", memcached_memory=128)
    assert re.search(r"^\s*\+.*--memory-limit=128", output, re.MULTILINE)
    assert pid(host) == before
    assert settings(host)["maxbytes"] == str(32 * 1024**2)


def test_the_socket_is_for_the_group_memcache_and_takes_the_place_of_the_port(host: Any) -> None:
    apply(host, memcached_unix_socket=SOCKET, memcached_port=0)
    try:
        socket = host.file(SOCKET)
        assert (socket.user, socket.group, socket.mode) == ("memcache", "memcache", 0o770)
        assert settings(host, SOCKET)["maxbytes"] == str(32 * 1024**2)
        as_nobody = "setpriv --reuid=nobody --regid=nogroup"
        member = asked(host, "stats", place=SOCKET, before=f"{as_nobody} --groups=memcache")
        stranger = asked(host, "stats", place=SOCKET, before=f"{as_nobody} --clear-groups")
        assert "STAT" in member.stdout
        assert "Permission denied" in stranger.stderr
        assert listening(host) == listening(host, "-u") == []
        assert exposure(host) <= EXPOSURE_WITH_A_SOCKET
    finally:
        apply(host)
    assert listening(host) == [f"127.0.0.1:{PORT}"]
    assert not host.file(SOCKET).exists


def test_it_listens_on_the_network_where_that_is_allowed(host: Any) -> None:
    address = host.check_output("hostname -I").split()[0]
    given = {"memcached_bind": ["127.0.0.1", address], "memcached_allowed": ["192.0.2.0/24"]}
    filtered = host.file("/sys/fs/cgroup/cgroup.controllers").exists
    if not filtered:
        told = refused(json.dumps(given))
        said = " ".join((told.stdout + told.stderr).split())
        assert "memcached_allowed: this host has cgroup v1" in said
        assert listening(host) == [f"127.0.0.1:{PORT}"]
    apply(host, **given, memcached_trust_network=not filtered)
    try:
        assert settings(host, address)["maxbytes"] == str(32 * 1024**2)
        assert listening(host, "-u") == []
        allowed = host.check_output("systemctl show -P IPAddressAllow memcached.service").split()
        assert sorted(allowed) == ["127.0.0.0/8", "192.0.2.0/24", "::1/128"]
    finally:
        apply(host)
    assert listening(host) == [f"127.0.0.1:{PORT}"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"memcached_port": "many"}, "argument 'memcached_port' is of type str"),
        (
            {
                "memcached_bind": ["0.0.0.0"],
                "memcached_port": 70000,
                "memcached_memory": 1,
                "memcached_max_item_size": "lots",
                "memcached_config": {"conn": 1},
            },
            (
                'memcached_bind: found ["0.0.0.0"] with an empty memcached_allowed; other hosts '
                "can connect, and memcached asks for no password, so say which may or bind to "
                "loopback only\n"
                "memcached_port: found 70000; allowed are 1 to 65535, and 0 for none\n"
                "memcached_memory: found 1; allowed are 8 megabytes or more\n"
                'memcached_max_item_size: found "lots"; allowed is a size such as 512k or 1m, at '
                "most half of memcached_memory and 1024m\n"
                'memcached_config: found ["conn"]; conn-limit is already decided by '
                "memcached_max_connections\n"
            ),
        ),
        ({"memcached_config": {"no-such-option": True}}, "unrecognized option '--no-such-option'"),
        ({"memcached_config": {"extended": "no_such"}}, 'Illegal suboption "no_such"'),
        (
            {
                "memcached_bind": ["192.0.2.1"],
                "memcached_allowed": ["192.0.2.2"],
                "memcached_trust_network": True,
            },
            "Cannot assign requested address",
        ),
    ],
)
def test_nonsense_is_refused_and_the_old_server_stays(
    host: Any, variables: dict[str, Any], message: str
) -> None:
    state = f"stat -c '%n %i %Y' {DROPIN}; systemctl show -P MainPID memcached"
    before = host.check_output(state)
    result = refused(json.dumps(variables))
    assert result.returncode != 0
    # Ansible wraps and indents what it prints of a failed task; the first lines have it plain.
    assert message in re.sub(r"\n +", "\n", result.stdout + result.stderr)
    assert host.check_output(state) == before
    assert settings(host)["maxbytes"] == str(32 * 1024**2)


def test_a_port_that_is_taken_fails_the_run(host: Any) -> None:
    """Only the start can find that out, for the new options are tried on a free port."""
    host.check_output(
        "systemd-run --quiet --unit=squatter /usr/bin/memcached --user=nobody"
        " --listen=127.0.0.1 --port=11299"
    )
    try:
        result = play(host.backend.hostname, memcached_port=11299)
        assert result.returncode != 0
        assert "memcached.service" in result.stdout + result.stderr
    finally:
        host.check_output("systemctl stop squatter; sleep 2")  # systemd tries again a few times
        apply(host)
    assert settings(host)["tcpport"] == str(PORT)


def test_it_can_be_removed_and_brought_back(host: Any) -> None:
    apply(host, memcached_state="absent")
    assert not host.package("memcached").is_installed
    assert not host.file(DROPIN).exists
    assert host.check_output(f"ss -H -ltn 'sport = :{PORT}'") == ""
    assert plays.changes(apply(host, memcached_state="absent")) == 0
    apply(host)
    assert settings(host)["maxbytes"] == str(32 * 1024**2)
