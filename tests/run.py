#!/usr/bin/env python3
"""Run lint, unit tests and Molecule scenarios, and count what passed.

`run.py` runs everything, `run.py lint|unit` a part, `run.py scenario NAME` one scenario with its
output as it comes. The last line of a whole run is `N passed, N failed`: every lint tool and every
scenario's sequence counts one, every unit test and every check of a scenario counts one, read from
the reports that this run made. Whatever way the run ends, the hosts it made are removed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "testbed"))

import testbed  # noqa: E402 - it lies beside, not on the path

RESULTS = testbed.STATE / "results"
BIN = ROOT / ".venv" / "bin"
COLLECTION = "collections/ansible_collections/flaskops/stack"
#: Scenarios of more than five minutes.
LONG = (
    "apps",
    "balanced",
    "deploy",
    "fleet",
    "flask_app",
    "gunicorn",
    "nginx",
    "tls",
    "uwsgi",
)
GRACE = 10  # seconds an interrupted step has to end by itself


@dataclass(frozen=True)
class Step:
    """One command: its name, words, time limit in seconds and the reports to count."""

    name: str
    argv: tuple[str, ...]
    limit: float
    counts_itself: bool = True
    report: Path | None = None
    hosts: str | None = None


@dataclass
class Tally:
    """What has passed, failed and been skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def text(self) -> str:
        """Say it in words."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def lint_steps() -> list[Step]:
    """Return the linters."""
    typed = [f"{COLLECTION}/plugins", "tests", "bench", "molecule"]
    there = [path for path in typed if (ROOT / path).is_dir()]
    commands: dict[str, tuple[str, ...]] = {
        "ansible-lint": ("ansible-lint", "--offline", "--nocolor"),
        "yamllint": ("yamllint", "--strict", "."),
        "ruff check": ("ruff", "check", "--no-cache", "."),
        "ruff format": ("ruff", "format", "--no-cache", "--check", "."),
        "mypy": ("mypy", *there),
        "tables": ("python", "tests/variable_tables.py", "--check"),
    }
    return [Step(name, argv, limit=600) for name, argv in commands.items()]


def unit_step() -> Step:
    """Return the unit tests."""
    report = RESULTS / "unit.xml"
    argv = ("pytest", "--numprocesses=auto", f"--junit-xml={report}", "tests/unit")
    return Step("unit tests", argv, limit=600, counts_itself=False, report=report)


def scenario_names() -> list[str]:
    """Return the scenarios under molecule/, the long ones first so that none ends alone."""
    found = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return sorted(found, key=lambda name: name not in LONG)


def scenario_step(name: str) -> Step:
    """Return one scenario's whole sequence."""
    argv = (
        "molecule",
        "--base-config",
        str(ROOT / ".config/molecule/config.yml"),
        "test",
        "--no-command-borders",
        "--scenario-name",
        name,
    )
    report = RESULTS / f"{name}.xml"
    return Step(f"scenario {name}", argv, limit=1800, report=report, hosts=name)


def count_report(path: Path) -> Tally:
    """Count the tests in a JUnit report; one that is missing or empty is a failure."""
    tally = Tally()
    if path.is_file():
        for suite in ET.parse(path).getroot().iter("testsuite"):  # noqa: S314 - pytest wrote it
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            tally.add(Tally(int(suite.get("tests", 0)) - bad - skipped, bad, skipped))
    return tally if tally.passed + tally.failed else Tally(failed=1, skipped=tally.skipped)


class Runner:
    """Runs steps, keeps their processes in reach, and ends them when the run is interrupted."""

    def __init__(self, *, stream: bool) -> None:
        """Stream: show a step's output as it comes, else only a failed step's, from its log."""
        self.stream = stream
        self.total = Tally()
        self._stopping = threading.Event()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
        if not stream or not sys.stdout.isatty():
            self._environment |= {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "COLUMNS": "160"}

    def run(self, step: Step) -> None:
        """Run one step and print its line; a failed step's whole output comes before it."""
        if self._stopping.is_set():
            return
        start = time.monotonic()
        if step.report:
            step.report.unlink(missing_ok=True)
        log = RESULTS / f"{step.name.replace(' ', '-')}.log"
        try:
            status = self._execute(step, log)
        finally:
            if step.hosts:
                testbed.down(step.hosts)
        if self._stopping.is_set():
            return
        tally = self._judge(step, status)
        with self._lock:
            self.total.add(tally)
            if tally.failed and not self.stream:
                print(f"\n--- {step.name}: {' '.join(step.argv)}", flush=True)
                sys.stdout.buffer.write(log.read_bytes())
                print(f"--- {step.name}: exit status {status}\n", flush=True)
            verdict = "FAILED" if tally.failed else "ok"
            seconds = time.monotonic() - start
            print(f"{verdict:6} {step.name:24} {seconds:6.1f} s  {tally.text()}", flush=True)

    def _judge(self, step: Step, status: int) -> Tally:
        """Count a finished step."""
        tally = Tally()
        if step.counts_itself:
            tally.add(Tally(failed=1) if status else Tally(passed=1))
        if step.report:
            tally.add(count_report(step.report))
        if status and not tally.failed:
            tally.failed = 1
        return tally

    def _execute(self, step: Step, log: Path) -> int:
        """Run the command in a session of its own, bounded in time; return its exit status."""
        with log.open("wb") as sink:
            process = subprocess.Popen(
                step.argv,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=None if self.stream else sink,
                stderr=None if self.stream else subprocess.STDOUT,
                start_new_session=True,
            )
            with self._lock:
                self._running[process.pid] = process
            try:
                return process.wait(timeout=step.limit)
            except subprocess.TimeoutExpired:
                end(process)
                print(f"{step.name} did not end in {step.limit:.0f} s", flush=True)
                return 124
            finally:
                with self._lock:
                    del self._running[process.pid]

    def stop(self) -> None:
        """End whatever runs."""
        self._stopping.set()
        with self._lock:
            processes = list(self._running.values())
        for process in processes:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: TERM, then after GRACE seconds KILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def run_all(runner: Runner, steps: Sequence[Step], jobs: int) -> None:
    """Run steps, so many at a time; an interrupt ends them and is passed on."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        waiting: set[Future[None]] = {pool.submit(runner.run, step) for step in steps}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=1)
                for future in done:
                    future.result()
        except BaseException:
            runner.stop()
            raise


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("part", nargs="?", choices=["lint", "unit", "scenario"])
    parser.add_argument("name", nargs="?", help="the scenario's name")
    parser.add_argument(
        "--jobs", type=int, choices=[1, 2], default=2, help="scenarios at a time (default 2)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run what was asked for; return 0 when nothing failed."""
    args = parse(argv)
    names = scenario_names()
    if args.part == "scenario":
        if args.name not in names:
            print(f"no scenario {args.name!r}; there are: {', '.join(names)}", file=sys.stderr)
            return 2
        names = [args.name]
    quick = [] if args.part == "scenario" else [*lint_steps(), unit_step()]
    if args.part == "lint":
        quick.pop()
    elif args.part == "unit":
        quick = quick[-1:]
    scenarios = [] if args.part in ("lint", "unit") else [scenario_step(name) for name in names]

    RESULTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, testbed.interrupt)
    start = time.monotonic()
    runner = Runner(stream=args.part in ("unit", "scenario"))
    try:
        run_all(runner, quick, jobs=2)
        run_all(runner, scenarios, jobs=args.jobs)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except testbed.TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    print(f"\n{time.monotonic() - start:.0f} s in all")
    print(f"{runner.total.passed} passed, {runner.total.failed} failed")
    return 1 if runner.total.failed else 0


if __name__ == "__main__":
    if not shutil.which("pytest", path=str(BIN)):
        sys.exit("the tools are missing: run `make setup`")
    sys.exit(main(sys.argv[1:]))
