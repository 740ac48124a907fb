"""What the running Redis says of itself, and what the role does when it is given nonsense."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import plays

pytestmark = pytest.mark.units("redis-server.service")

HERE = Path(__file__).parent
PASSWORD: str = yaml.safe_load((HERE / "vault.yml").read_text())["vault_redis_password"]
SOCKET = "/run/redis/redis.sock"
FILES = (
    "/etc/redis/flaskops.conf",
    "/etc/redis/flaskops-secret.conf",
    "/etc/systemd/system/redis-server.service.d/flaskops.conf",
)


def play(limit: str = "all", *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the scenario's playbook, with these variables over its own."""
    return plays.run(HERE, limit, *options, timeout=120, **variables)


def apply(host: Any, *options: str, **variables: Any) -> str:
    """Run the playbook on one host, where it must succeed; returns its output."""
    result = play(host.backend.hostname, *options, **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def changed(output: str) -> int:
    """The number of changes in a playbook's recap."""
    (number,) = re.findall(r"changed=(\d+)", output)
    return int(number)


@functools.cache
def refused(variables: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a playbook that must fail, run once for all hosts."""
    return play("all", **json.loads(variables))


def cli(host: Any, *words: str, socket: str = "", password: str | None = PASSWORD) -> str:
    """What redis-cli answers."""
    login = f"REDISCLI_AUTH={shlex.quote(password)} " if password is not None else ""
    way = f"-s {socket} " if socket else ""
    return str(
        host.run(f"{login}redis-cli --no-auth-warning {way}{shlex.join(words)}").stdout.strip()
    )


def setting(host: Any, name: str) -> str:
    """A setting as the running server has it."""
    return cli(host, "config", "get", name).partition("\n")[2]


def pid(host: Any) -> str:
    return str(host.check_output("systemctl show -P MainPID redis-server.service"))


def test_it_runs_and_comes_back_after_a_reboot(host: Any) -> None:
    service = host.service("redis-server")
    assert service.is_running
    assert service.is_enabled
    assert cli(host, "ping") == "PONG"


def test_it_runs_as_redis(host: Any) -> None:
    assert {process.user for process in host.process.filter(comm="redis-server")} == {"redis"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxmemory", str(64 * 1024**2)),
        ("maxmemory-policy", "allkeys-lfu"),
        ("databases", "4"),
        ("save", ""),
        ("appendonly", "no"),
        ("maxclients", "1000"),
        ("tcp-keepalive", "60"),
        ("lazyfree-lazy-eviction", "yes"),
        (
            "client-output-buffer-limit",
            f"normal 0 0 0 slave 268435456 67108864 60 pubsub {8 * 1024**2} {2 * 1024**2} 60",
        ),
    ],
)
def test_the_running_server_has_the_setting(host: Any, name: str, value: str) -> None:
    assert setting(host, name) == value


def test_a_full_cache_makes_room(host: Any) -> None:
    fill = (
        "for i=1,1000 do redis.call('set', 'fill:'..i, string.rep('x', 100000)) end return 'done'"
    )
    assert cli(host, "eval", fill, "0") == "done"
    evicted = re.search(r"evicted_keys:(\d+)", cli(host, "info", "stats"))
    used = re.search(r"used_memory:(\d+)", cli(host, "info", "memory"))
    assert evicted is not None
    assert used is not None
    assert int(evicted[1]) > 0
    assert int(used[1]) < 80 * 1024**2
    assert cli(host, "flushall") == "OK"


def test_it_listens_on_loopback_only(host: Any) -> None:
    listening = host.check_output("ss -H -ltnp | awk '/redis-server/ {print $4}'").split()
    assert sorted(listening) == ["127.0.0.1:6379", "[::1]:6379"]


def test_a_password_is_asked_for(host: Any) -> None:
    assert cli(host, "ping", password=None).startswith("NOAUTH")
    assert cli(host, "ping", password="guess").startswith("NOAUTH")


def test_the_socket_is_for_the_group_redis(host: Any) -> None:
    socket = host.file(SOCKET)
    assert (socket.user, socket.group, socket.mode) == ("redis", "redis", 0o770)
    assert cli(host, "ping", socket=SOCKET) == "PONG"
    connect = f"redis-cli -s {SOCKET} ping"
    member = host.run(f"setpriv --reuid=nobody --regid=nogroup --groups=redis {connect}")
    stranger = host.run(f"setpriv --reuid=nobody --regid=nogroup --clear-groups {connect}")
    assert member.stdout.startswith("NOAUTH")
    assert "Permission denied" in stranger.stdout + stranger.stderr


def test_the_password_is_nowhere_to_be_read(host: Any) -> None:
    secret = host.file("/etc/redis/flaskops-secret.conf")
    assert (secret.user, secret.group, secret.mode) == ("root", "redis", 0o640)
    assert "$ecret" in secret.content_string
    for place in ("ps -eo args", "journalctl --no-pager", "cat /var/log/redis/redis-server.log"):
        output = host.check_output(place)
        assert output
        # The checks' own commands are in the journal.
        lines = [line for line in output.splitlines() if " sudo" not in line]
        assert [line for line in lines if "$ecret" in line] == []


def test_what_config_rewrite_leaves_behind_does_not_count(host: Any) -> None:
    assert cli(host, "config", "set", "maxmemory", "1mb") == "OK"
    assert cli(host, "config", "rewrite") == "OK"
    host.check_output("systemctl restart redis-server")
    assert setting(host, "maxmemory") == str(64 * 1024**2)


def test_a_changed_setting_reaches_the_running_server(host: Any) -> None:
    apply(host, redis_maxmemory="32mb", redis_maxmemory_policy="volatile-ttl")
    assert setting(host, "maxmemory") == str(32 * 1024**2)
    assert setting(host, "maxmemory-policy") == "volatile-ttl"
    apply(host)
    assert setting(host, "maxmemory") == str(64 * 1024**2)


def test_a_restart_that_was_lost_is_made_up_for(host: Any) -> None:
    """As after a run that was killed between the file and the handler."""
    before = pid(host)
    host.check_output("touch /etc/redis/flaskops.conf")
    assert changed(apply(host)) == 2
    assert pid(host) != before
    assert changed(apply(host)) == 0


def test_a_dry_run_shows_no_secret_and_changes_nothing(host: Any) -> None:
    before = pid(host)
    output = apply(host, "--check", "--diff", redis_password="other-secret", redis_maxmemory="1gb")
    assert "+maxmemory 1gb" in output
    assert "(secret)" in output
    assert "other-secret" not in output
    assert PASSWORD not in output
    assert pid(host) == before
    assert cli(host, "ping") == "PONG"


def test_the_port_can_be_closed(host: Any) -> None:
    apply(host, redis_port=0)
    assert host.check_output("ss -H -ltnp | grep -c redis-server || true") == "0"
    assert cli(host, "ping", socket=SOCKET) == "PONG"
    apply(host)
    assert cli(host, "ping") == "PONG"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"redis_port": "many"}, "argument 'redis_port' is of type str"),
        (
            {"redis_maxmemory_policy": "newest"},
            "redis_maxmemory_policy must be one of: allkeys-lfu",
        ),
        (
            {
                "redis_bind": ["0.0.0.0"],
                "redis_password": "",
                "redis_port": 70000,
                "redis_maxmemory": "lots",
                "redis_config": {"Port": 1},
            },
            (
                'redis_bind: found ["0.0.0.0"] with an empty redis_password; other hosts can '
                "connect, so give a password or bind to loopback only\n"
                "redis_port: found 70000; allowed are 1 to 65535, and 0 for none\n"
                'redis_maxmemory: found "lots"; allowed is a size above 0 such as 256mb or 1gb\n'
                "redis_config: found port; already decided by redis_port\n"
            ),
        ),
        ({"redis_config": {"databases": "many"}}, "argument couldn't be parsed into an integer"),
        ({"redis_config": {"no-such-setting": 1}}, "Bad directive or wrong number of arguments"),
        ({"redis_bind": ["192.0.2.1"]}, "bind: Cannot assign requested address"),
    ],
)
def test_nonsense_is_refused_and_the_old_server_stays(
    host: Any, variables: dict[str, Any], message: str
) -> None:
    state = f"stat -c '%n %i %Y' {' '.join(FILES)}; systemctl show -P MainPID redis-server"
    before = host.check_output(state)
    result = refused(json.dumps(variables))
    assert result.returncode != 0
    # Ansible wraps and indents what it prints of a failed task; the first lines have it plain.
    assert message in re.sub(r"\n +", "\n", result.stdout + result.stderr)
    assert PASSWORD not in result.stdout + result.stderr
    assert host.check_output(state) == before
    assert cli(host, "ping") == "PONG"


def test_it_can_be_removed_and_brought_back(host: Any) -> None:
    apply(host, redis_state="absent")
    assert not host.package("redis-server").is_installed
    assert [name for name in FILES if host.file(name).is_file] == []
    assert host.check_output("ss -H -ltn 'sport = :6379'") == ""
    assert changed(apply(host, redis_state="absent")) == 0
    apply(host)
    assert cli(host, "ping") == "PONG"
