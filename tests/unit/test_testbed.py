"""The testbed's decisions and messages, and how `make test` counts; no container is made."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

import run
import testbed


def options(*words: str, stdin: str = "") -> list[testbed.Host]:
    args = testbed.parse(["up", "t", *words])
    if stdin:
        args.platforms = False
        testbed.add_platforms(args, stdin)
    return testbed.requested_hosts(args)


def test_hosts_get_a_random_ssh_port_unless_one_is_given() -> None:
    one, two = options("--host", "a=trixie", "--host", "b=bookworm", "--ssh-port", "b:8022")
    assert one == testbed.Host("a", "trixie", ((0, 22),))
    assert two == testbed.Host("b", "bookworm", ((8022, 22),))


def test_published_ports_follow_the_ssh_port() -> None:
    (host,) = options("--host", "a=trixie", "--publish", "a:8080:80", "--publish", "a::443")
    assert host.ports == ((0, 22), (8080, 80), (0, 443))


def test_molecule_platforms_become_hosts_and_groups() -> None:
    text = json.dumps([{"name": "a", "suite": "trixie", "groups": ["app", "web"], "publish": [80]}])
    args = testbed.parse(["up", "t"])
    testbed.add_platforms(args, text)
    hosts = testbed.requested_hosts(args)
    assert hosts == [testbed.Host("a", "trixie", ((0, 22), (0, 80)))]
    assert testbed.requested_groups(args, hosts) == {"app": ["a"], "web": ["a"]}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "no hosts"),
        (["--host", "a"], "NAME=SUITE"),
        (["--host", "Up_per=trixie"], "Up_per"),
        (["--host", "locks=trixie"], "locks"),
        (["--host", "a=trixie", "--publish", "a:x:80"], "a:x:80"),
        (["--host", "a=trixie", "--publish", "b:1:80"], "b:1:80"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], named: str) -> None:
    with pytest.raises(testbed.TestbedError, match=named):
        options(*words)


def test_a_group_of_unknown_hosts_is_refused() -> None:
    args = testbed.parse(["up", "t", "--host", "a=trixie", "--group", "web=a,b"])
    with pytest.raises(testbed.TestbedError, match="web=a,b"):
        testbed.requested_groups(args, testbed.requested_hosts(args))


def test_a_busy_port_is_named_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testbed, "port_owner", lambda _port: "nc (pid 7)")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(testbed.PortInUseError, match=rf"{port} .*nc \(pid 7\)") as caught:
            testbed.require_free(port)
        assert caught.value.port == port
    testbed.require_free(port)


def test_an_ordinary_machine_needs_no_podman_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    marker = tmp_path / "cgroup.controllers"
    marker.touch()
    monkeypatch.setattr(testbed, "CGROUP_V2", marker)
    monkeypatch.setattr(testbed, "CNI", tmp_path / "none")
    monkeypatch.setattr(testbed, "has_capability", lambda _bit: True)
    assert testbed.machine_config() == ""


def test_an_old_hierarchy_and_a_bounded_root_get_what_they_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cni = tmp_path / "net.d"
    cni.mkdir()
    (cni / "87-podman-bridge.conflist").touch()
    monkeypatch.setattr(testbed, "CGROUP_V2", tmp_path / "none")
    monkeypatch.setattr(testbed, "CNI", cni)
    monkeypatch.setattr(testbed, "has_capability", lambda _bit: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    config = testbed.machine_config()
    assert 'runtime="runc"' in config
    assert 'cgroup_manager="cgroupfs"' in config
    assert "default_ulimits=" in config
    assert 'network_backend="netavark"' in config


def test_a_user_on_cgroup_v1_is_told_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(testbed, "CGROUP_V2", tmp_path / "none")
    monkeypatch.setattr(testbed, "STATE", tmp_path / "state")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(testbed.TestbedError, match="cgroup v1"):
        testbed.up("t", [testbed.Host("a", "trixie")], {})
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("Error: write /var/tmp/x: no space left on device\n", "no space left"),
        (
            'time="x" level=warning msg="cni"\nError: no such thing\n',
            "podman start failed: no such",
        ),
        ("", "no message"),
    ],
)
def test_podmans_complaints_become_one_line(stderr: str, told: str) -> None:
    text = testbed.explain(["start"], stderr)
    assert told in text
    assert "\n" not in text


def test_missing_sub_ids_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    text = testbed.explain(["import"], "there might not be enough IDs: check /etc/subuid\n")
    assert "make setup" in text


def test_the_inventory_survives_a_path_with_blanks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(testbed, "STATE", tmp_path / "two words")
    monkeypatch.setenv("HOME", str(tmp_path))
    item = testbed.Container(
        "c0ffee" * 8, "flaskops-t-a", "t", "a", "", True, "192.0.2.2", {22: 2222, 80: 8080}
    )
    testbed.write_inventory("t", {"a": item}, {"web": ["a"]})
    read = json.loads((tmp_path / "two words/t/inventory.yml").read_text(encoding="utf-8"))
    found = read["all"]["hosts"]["a"]
    assert found["ansible_port"] == 2222
    assert found["private_address"] == "192.0.2.2"
    assert found["testbed_ports"] == {"22": 2222, "80": 8080}
    assert read["all"]["children"] == {"web": {"hosts": {"a": {}}}}
    known = [word for word in shlex.split(found["ansible_ssh_common_args"]) if "KnownHosts" in word]
    assert known == [f'UserKnownHostsFile="{tmp_path}/two words/t/known_hosts"']


def test_only_what_this_checkout_or_a_deleted_one_made_is_ours(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "tests/testbed").mkdir(parents=True)
    mine = {testbed.LABEL_CHECKOUT: testbed.CHECKOUT, testbed.LABEL_ROOT: str(testbed.ROOT)}
    assert testbed.ours_or_orphan(mine)
    assert not testbed.ours_or_orphan({testbed.LABEL_CHECKOUT: "x", testbed.LABEL_ROOT: str(other)})
    assert testbed.ours_or_orphan(
        {testbed.LABEL_CHECKOUT: "x", testbed.LABEL_ROOT: f"{other}-gone"}
    )


def report(path: Path, **counts: int) -> Path:
    words = " ".join(f'{name}="{value}"' for name, value in counts.items())
    path.write_text(f"<testsuites><testsuite {words}/></testsuites>", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"tests": 5, "failures": 0, "errors": 0, "skipped": 0}, (5, 0)),
        ({"tests": 5, "failures": 1, "errors": 1, "skipped": 1}, (2, 2)),
        ({"tests": 0, "failures": 0, "errors": 0, "skipped": 0}, (0, 1)),
        ({"tests": 2, "failures": 0, "errors": 0, "skipped": 2}, (0, 1)),
    ],
)
def test_a_report_is_counted_and_an_empty_one_is_a_failure(
    tmp_path: Path, counts: dict[str, int], expected: tuple[int, int]
) -> None:
    tally = run.count_report(report(tmp_path / "r.xml", **counts))
    assert (tally.passed, tally.failed) == expected


def test_a_missing_report_is_a_failure(tmp_path: Path) -> None:
    assert run.count_report(tmp_path / "none.xml").failed == 1


@pytest.mark.parametrize(("command", "expected"), [("true", (1, 0)), ("false", (0, 1))])
def test_a_step_counts_by_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    runner = run.Runner(stream=False)
    run.run_all(runner, [run.Step("one", (command,), limit=10)], jobs=1)
    assert (runner.total.passed, runner.total.failed) == expected


def test_a_report_of_an_earlier_run_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    old = report(tmp_path / "r.xml", tests=9, failures=0, errors=0, skipped=0)
    runner = run.Runner(stream=False)
    step = run.Step("one", ("true",), limit=10, counts_itself=False, report=old)
    run.run_all(runner, [step], jobs=1)
    assert (runner.total.passed, runner.total.failed) == (0, 1)


def test_a_step_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    runner = run.Runner(stream=False)
    run.run_all(runner, [run.Step("one", ("sleep", "600"), limit=0.2)], jobs=1)
    assert (runner.total.passed, runner.total.failed) == (0, 1)


def machine(folder: Path, *there: str, user: str) -> dict[str, str]:
    """Return an environment whose PATH holds just what setup.sh itself calls, and `there`."""
    needs = ["cat", "cksum", "cut", "dirname", "find", "grep", "sed", "sh", "awk", "tail", "mktemp"]
    for name in needs:
        target = next(d for d in ("/usr/bin", "/bin") if os.path.exists(f"{d}/{name}"))
        (folder / name).symlink_to(f"{target}/{name}")
    fakes = {"id": f"case $1 in -u) echo {1000 if user != 'root' else 0};; *) echo {user};; esac"}
    fakes |= dict.fromkeys(there, ":")
    for name, body in fakes.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def setup(tmp_path: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run setup.sh in a copy of the checkout's bones, with nothing but `env`'s PATH in reach."""
    script = tmp_path / "co/tests/testbed/setup.sh"
    script.parent.mkdir(parents=True)
    text = (testbed.ROOT / "tests/testbed/setup.sh").read_text(encoding="utf-8")
    script.write_text(
        text.replace("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n", ""), encoding="utf-8"
    )
    (tmp_path / "co/uv.lock").touch()
    return subprocess.run(
        ["/bin/sh", str(script), "hosts"], env=env, capture_output=True, text=True, check=False
    )


def test_an_ordinary_user_is_told_the_one_command(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    done = setup(tmp_path, machine(tools, "apt-get", "sudo", "python3", user="somebody"))
    (line,) = [row.strip() for row in done.stderr.splitlines() if "apt-get" in row]
    assert done.returncode == 1
    assert line.startswith(
        "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends"
    )
    for package in ("podman", "mmdebstrap", "uidmap", "openssh-client"):
        assert f" {package}" in line
    assert "--add-subuids" in line
    assert line.endswith(" somebody'")


def test_another_system_is_told_what_it_lacks(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    done = setup(tmp_path, machine(tools, "python3", user="root"))
    assert done.returncode == 1
    assert " podman" in done.stderr
    assert "package manager" in done.stderr


def test_an_old_python_is_refused_by_its_number(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    env = machine(tools, "apt-get", user="root")
    (tools / "python3").write_text("#!/bin/sh\necho 3.9\nexit 1\n", encoding="utf-8")
    (tools / "python3").chmod(0o755)
    done = setup(tmp_path, env)
    assert done.returncode == 1
    assert "3.11 or newer" in done.stderr
    assert "is 3.9" in done.stderr
