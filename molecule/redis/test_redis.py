"""What the running Redis says of itself, and what the role does when it is given nonsense."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import plays

pytestmark = pytest.mark.units("redis-server.service")

HERE = Path(__file__).parent
VAULT: dict[str, str] = yaml.safe_load((HERE / "vault.yml").read_text())
PASSWORD = VAULT["vault_redis_password"]
OF_SHOP = VAULT["vault_shop_redis_password"]
SOCKET = "/run/redis/redis.sock"
FILES = (
    "/etc/redis/flaskops.conf",
    "/etc/redis/flaskops-secret.conf",
    "/etc/redis/flaskops.acl",
    "/etc/systemd/system/redis-server.service.d/flaskops.conf",
)


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


def cli(
    host: Any,
    *words: str,
    socket: str = "",
    password: str | None = PASSWORD,
    user: str = "",
    at: str = "",
    program: str = "redis-cli",
) -> str:
    """What redis-cli answers."""
    login = f"REDISCLI_AUTH={shlex.quote(password)} " if password is not None else ""
    way = f"-s {socket} " if socket else f"-h {at} " if at else ""
    who = f"--user {user} " if user else ""
    command = f"{login}{program} --no-auth-warning {way}{who}{shlex.join(words)}"
    return str(host.run(command).stdout.strip())


def shop(host: Any, *words: str) -> str:
    """What redis-cli answers to the app's user."""
    return cli(host, *words, user="shop", password=OF_SHOP)


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


def test_a_user_has_its_own_keys_and_no_others(host: Any) -> None:
    assert shop(host, "acl", "whoami") == "shop"
    assert shop(host, "set", "shop:one", "1") == "OK"
    assert cli(host, "set", "blog:one", "2") == "OK"
    for words in (["get", "blog:one"], ["set", "blog:one", "3"], ["del", "blog:one"]):
        assert shop(host, *words).startswith("NOPERM"), words
    script = "return redis.call('get', 'blog:one')"
    assert "access" in shop(host, "eval", script, "0")  # the rest is each release's own
    # Flask-Caching clears a cache that has a prefix so.
    assert shop(host, "--raw", "keys", "shop:*").split() == ["shop:one"]
    assert shop(host, "--raw", "del", "shop:one") == "1"
    assert cli(host, "get", "blog:one") == "2"
    assert cli(host, "del", "blog:one") == "1"


def test_a_user_is_no_administrator(host: Any) -> None:
    let_through = [
        command
        for command in (
            ["flushall"],
            ["flushdb"],
            ["config", "get", "*"],
            ["acl", "list"],
            ["monitor"],
            ["shutdown"],
            ["swapdb", "0", "1"],
            ["client", "list"],
            ["function", "flush"],
            ["publish", "blog:news", "1"],
        )
        if "NOPERM" not in shop(host, *command)
    ]
    assert let_through == []


def test_the_password_of_a_user_is_its_own(host: Any) -> None:
    assert cli(host, "ping", user="shop", password=PASSWORD).startswith("NOAUTH")
    assert cli(host, "ping", password=OF_SHOP).startswith("NOAUTH")


def test_users_and_no_password_let_nobody_else_in_and_a_password_changes_without_a_gap(
    host: Any,
) -> None:
    # A password, and no users of their own.
    assert plays.changes(apply(host, redis_acl_users={})) == 2
    assert cli(host, "ping") == "PONG"
    assert not host.file("/etc/redis/flaskops.acl").exists
    new = {"shop": {"password": "new", "previous_password": OF_SHOP, "commands": "+flushdb"}}
    apply(host, redis_password="", redis_acl_users=new)
    try:
        assert cli(host, "ping", password=None).startswith("NOAUTH")
        assert cli(host, "ping").startswith("NOAUTH")
        for password in (OF_SHOP, "new"):
            assert cli(host, "ping", user="shop", password=password) == "PONG"
        assert shop(host, "flushdb") == "OK"
        assert shop(host, "flushall").startswith("NOPERM")
    finally:
        apply(host)
    assert cli(host, "ping", user="shop", password="new").startswith("NOAUTH")


def test_app_hosts_elsewhere_are_listened_to(host: Any, tmp_path: Path) -> None:
    """From the inventory alone: this host is the cache tier, the other one the app tier."""
    ours = host.backend.hostname
    (theirs,) = {"debian12", "debian13"} - {ours}
    groups: dict[str, Any] = {"cache": {"hosts": {ours: {}}}, "app": {"hosts": {theirs: {}}}}
    inventory = tmp_path / "tiers.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": groups}}))
    site = functools.partial(
        play, ours, f"--inventory={inventory}", playbook="cache.yml", flask_app_name="shop"
    )
    before = pid(host)
    done = site()
    assert done.returncode != 0
    assert "with an empty redis_password and no redis_acl_users" in done.stdout + done.stderr
    assert pid(host) == before
    done = site(redis_acl_users={"shop": OF_SHOP})
    assert done.returncode == 0, done.stdout + done.stderr
    address = host.backend.get_variables()["private_address"]
    try:
        # As a stranger, from an address that is not loopback.
        assert cli(host, "ping", at=address, password=None).startswith("NOAUTH")
        assert cli(host, "ping", at=address, user="shop", password=OF_SHOP) == "PONG"
        listening = host.check_output("ss -H -ltnp | awk '/redis-server/ {print $4}'").split()
        assert sorted(listening) == [f"{address}:6379", "127.0.0.1:6379", "[::1]:6379"]
        assert "network-online.target" in host.check_output("systemctl show -P After redis-server")
        assert plays.changes(site(redis_acl_users={"shop": OF_SHOP}).stdout) == 0
    finally:
        apply(host)


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
    for name in FILES[1:3]:
        secret = host.file(name)
        assert (secret.user, secret.group, secret.mode) == ("root", "redis", 0o640)
        assert "$ecret" not in secret.content_string
        assert OF_SHOP not in secret.content_string
    for place in ("ps -eo args", "journalctl --no-pager", "cat /var/log/redis/redis-server.log"):
        output = host.check_output(place)
        assert output
        # The checks' own commands are in the journal.
        lines = [line for line in output.splitlines() if " sudo" not in line]
        assert [line for line in lines if "$ecret" in line or OF_SHOP in line] == []


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
    assert plays.changes(apply(host)) == 2
    assert pid(host) != before
    assert plays.changes(apply(host)) == 0


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
                "redis_acl_users": {},
                "redis_port": 70000,
                "redis_maxmemory": "lots",
                "redis_config": {"Port": 1},
            },
            (
                'redis_bind: found ["0.0.0.0"] with an empty redis_password and no '
                "redis_acl_users; other hosts can connect, so give one of them or bind to loopback "
                "only\n"
                "redis_port: found 70000; allowed are 1 to 65535, and 0 for none\n"
                'redis_maxmemory: found "lots"; allowed is a size above 0 such as 256mb or 1gb\n'
                "redis_config: found port; already decided by redis_port\n"
            ),
        ),
        (
            {"redis_acl_users": {"shop": {"password": "hidden", "key": "*"}}},
            "redis_acl_users: shop has 'key'; allowed are password, previous_password, keys,",
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
    assert "hidden" not in result.stdout + result.stderr
    assert host.check_output(state) == before
    assert cli(host, "ping") == "PONG"


def test_valkey_takes_the_place_of_redis_and_gives_it_back(
    host: Any, reboot: Callable[[], None]
) -> None:
    valkey = {
        "redis_implementation": "valkey",
        "redis_unix_socket": "/run/valkey/valkey.sock",
    }
    if host.backend.hostname == "debian12":
        before = pid(host)
        done = play("debian12", **valkey)
        assert done.returncode != 0
        told = " ".join((done.stdout + done.stderr).split())
        assert "redis_implementation: found valkey, which Debian has from 13 on" in told
        assert (pid(host), plays.changes(done.stdout)) == (before, 0)
        return
    apply(host, **valkey)
    ask = functools.partial(cli, host, program="valkey-cli")
    assert "valkey_version:8" in ask("info", "server")
    assert ask("config", "get", "maxmemory").partition("\n")[2] == str(64 * 1024**2)
    assert ask("acl", "whoami", user="shop", password=OF_SHOP) == "shop"
    assert ask("get", "blog:one", user="shop", password=OF_SHOP).startswith("NOPERM")
    assert ask("ping", socket="/run/valkey/valkey.sock") == "PONG"
    reboot()
    assert ask("ping") == "PONG"
    assert not host.package("redis-server").is_installed
    assert [name for name in FILES if host.file(name).is_file] == []
    assert plays.changes(apply(host, **valkey)) == 0
    # As after a run that was killed between the new files and the end of the old server.
    host.check_output(
        "systemctl stop valkey-server && apt-get purge -qq -y redis-server"
        " && mkdir -p $(dirname %s) && touch %s && apt-get install -qq -y redis-server"
        " && systemctl start redis-server valkey-server",
        *[FILES[-1]] * 2,
    )
    assert "redis_version:8" in cli(host, "info", "server", password=None)
    apply(host, **valkey)
    assert "valkey_version:8" in ask("info", "server")
    assert not host.package("redis-server").is_installed
    assert not host.file(FILES[-1]).exists
    assert plays.changes(apply(host, **valkey)) == 0
    apply(host)
    assert "redis_version:8" in cli(host, "info", "server")
    assert not host.package("valkey-server").is_installed
    assert plays.changes(apply(host)) == 0


def test_it_can_be_removed_and_brought_back(host: Any) -> None:
    apply(host, redis_state="absent")
    assert not host.package("redis-server").is_installed
    assert [name for name in FILES if host.file(name).is_file] == []
    assert host.check_output("ss -H -ltn 'sport = :6379'") == ""
    assert plays.changes(apply(host, redis_state="absent")) == 0
    apply(host)
    assert cli(host, "ping") == "PONG"
