# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told of a switch: what it changes, what is left after a failure, which log."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from ansible_collections.flaskops.stack.plugins.module_utils import app_files
from ansible_collections.flaskops.stack.plugins.module_utils.environment import from_file
from ansible_collections.flaskops.stack.plugins.module_utils.generation.store import Generations
from ansible_collections.flaskops.stack.plugins.module_utils.generation.wanted import Draft, Wanted
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper.workers import REASONS

#: Lines of the failing unit's log in the error: with what Ansible says around them, one screen.
LOG_LINES = 20
#: What is said of every start, of containers and by Flask on the way to the app's own lines.
NOISE = re.compile(
    r"Starting \S+@\d+\.service - |\S+\.service: (PrivateIPC|ProtectHostname)=yes is configured"
    r"|(Worker exiting|Shutting down: Master|Reason: )"
)
#: The last of the many lines in which uWSGI says how it was built and set up.
UWSGI_IS_UP = 'running "unix_signal:15 '


def excerpt(lines: list[str]) -> list[str]:
    """The part of a log that says why: up to the reason when one is given, else the end."""
    lines = [line for line in lines if "[INFO]" not in line and not NOISE.match(line)]
    reasons = [i for i, line in enumerate(lines) if line.startswith(REASONS)]
    lines = lines[: reasons[-1] + 1 if reasons else None]
    greetings = [i for i, line in enumerate(lines) if line.startswith(UWSGI_IS_UP)]
    return lines[greetings[-1] + 1 if reasons and greetings else 0 :][-LOG_LINES:]


def reason(log: list[str]) -> str:
    """The line of an excerpt in which the app's own processes say why; nothing where none does."""
    return log[-1] if log and log[-1].startswith(REASONS) else ""


def differences(store: Generations, wanted: Wanted, draft: Draft | None) -> str:
    """What a switch changes, for --diff; of the environment only the names."""
    live = store.live()
    before_dir = store.path(live) if live else None

    def before(name: str) -> str:
        path = before_dir / name if before_dir else None
        return path.read_text(encoding="utf-8") if path and path.is_file() else ""

    lines: list[str] = []
    old_release = store.record(live)["release"] if live else ""
    if old_release != wanted.release.name:
        lines += [f"-release {old_release or 'none'}", f"+release {wanted.release.name}"]
    for name, text in sorted(draft.files.items() if draft else ()):
        lines += difflib.unified_diff(
            before(name).splitlines(), text.splitlines(), name, name, lineterm="", n=1
        )
    lines += by_name("environment", from_file(before("env")), from_file(wanted.environment))
    given = app_files.read(before_dir / app_files.FOLDER) if before_dir else {}
    lines += by_name("file", given, wanted.given)
    return "".join(f"{line}\n" for line in lines)


def by_name(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """What is gone, new or changed, by its name alone: the values may be secrets."""
    for name in sorted(old.keys() | new.keys()):
        sign = "-" if name not in new else "+" if name not in old else "~"
        if old.get(name) != new.get(name):
            yield f"{sign}{kind} {name}"


def aftermath(store: Generations, systemd: Systemd, name: str) -> str:
    """What serves after a failure, as systemd has it."""
    live = store.live()
    if not live:
        return "There was no earlier generation: the app is not running."
    which = f"Generation {live} (release {store.record(live)['release']})"
    if systemd.active(f"{name}@{live}.service"):
        if not systemd.active(f"{name}.socket"):
            return f"{which} runs, but {name}.socket is not open: nobody reaches it."
        return f"{which} was not touched and serves on."
    return f"{which} was live before, but is not running: see journalctl -u {name}@{live}."
