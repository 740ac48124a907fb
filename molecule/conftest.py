"""What the scenarios' checks share: a failing one shows what the hosts' own logs say.

Mark a module or a check with `pytest.mark.units("nginx.service", "app@*.service")` to see those
units' state and journal; without a mark the failed units and the end of the journal are shown.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

import plays
import testbed

pytest.register_assert_rewrite("serving")

#: Seconds for one run of a playbook.
PLAY_TIMEOUT = 180

LINES = 40
# The checks' and Ansible's own traces, of which the journal is full.
NOISE = r" (sudo|runuser|sshd(-session)?|ansible-[^:]*|python3)\[[0-9]+\]: "


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "units(*names): whose journal to show when the check fails")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the checks of a module with `only_on = ["debian13"]` on any other host."""
    there: list[pytest.Item] = []
    elsewhere: list[pytest.Item] = []
    for item in items:
        wanted = getattr(getattr(item, "module", None), "only_on", None)
        params = getattr(getattr(item, "callspec", None), "params", {})
        host = params.get("_testinfra_host")
        (elsewhere if wanted and host and host.backend.hostname not in wanted else there).append(
            item
        )
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = there


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the hosts' logs to the report of a failed check."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        units = [str(name) for mark in item.iter_markers("units") for name in mark.args]
        try:
            report.sections.append((f"journal of {host.backend.hostname}", journal(host, units)))
        except Exception as error:  # noqa: BLE001 - a dead host must not hide why the check failed
            report.sections.append(("journal", f"not to be had: {error}"))
    return report


def journal(host: Any, units: list[str]) -> str:
    """Return the state and the last journal lines of units, or of the whole host."""
    if units:
        names = shlex.join(units)
        of_units = " ".join(f"-u {shlex.quote(name)}" for name in units)
        script = (
            f"systemctl list-units --all --plain --no-legend --no-pager {names}; "
            f"journalctl --no-pager -o short-precise -n {LINES} {of_units}"
        )
    else:
        script = (
            "systemctl list-units --state=failed --plain --no-legend --no-pager; "
            f"journalctl --no-pager -o short-precise | grep -vE '{NOISE}' | tail -n {LINES}"
        )
    return str(host.run(script).stdout)


@pytest.fixture
def outside(host: Any) -> Callable[[int], str]:
    """Return what maps a published port of the host to `127.0.0.1:PORT` on this machine."""
    ports: dict[str, int] = host.backend.get_variables()["testbed_ports"]
    return lambda port: f"127.0.0.1:{ports[str(port)]}"


class Play:
    """Runs playbooks on the scenario's hosts, as a user would."""

    def __init__(self, scenario: Path, host: str) -> None:
        self.scenario = scenario
        self.host = host

    def __call__(
        self, *options: str, playbook: str = "converge.yml", **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the scenario on this host, with variables over its own."""
        return plays.run(
            self.scenario,
            self.host,
            *options,
            timeout=PLAY_TIMEOUT,
            playbook=playbook,
            **variables,
        )

    def succeeds(self, *options: str, **variables: Any) -> str:
        """Run the playbook, which must succeed; its output."""
        return plays.output(self(*options, **variables))

    def fails(self, *options: str, **variables: Any) -> str:
        """Run the playbook, which must fail; its output on one line, as wide as it likes."""
        return plays.complaint(self(*options, **variables))


@pytest.fixture
def reboot(host: Any) -> Callable[[], None]:
    """Return what reboots the host under test and waits until it is up again."""
    inventory = host.backend.get_variables()
    name = inventory["testbed_container"]

    def restart() -> None:
        testbed.podman("restart", "--time", "60", name)
        (item,) = (item for item in testbed.containers() if item.name == name)
        testbed.wait(item, boot=True)

    return restart


@pytest.fixture
def play(host: Any, request: pytest.FixtureRequest) -> Play:
    """Return what runs the scenario's playbook on the host under test."""
    return Play(request.path.parent, host.backend.hostname)
