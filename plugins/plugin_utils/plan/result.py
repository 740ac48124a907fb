# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a planner is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


def no_file(path: str) -> str:
    """Where there is no controller to read from."""
    raise FileNotFoundError(path)


def nothing_written(*_: Any, **_variables: Any) -> str:
    """Where only options and problems are asked for, no file is written out."""
    return ""


@dataclass(frozen=True)
class Controller:
    """What a planner may know besides options: this host's name, and what the controller has.

    ``read`` gives the text of a file that a person named, relative to the playbook and vaulted or
    not; it raises OSError or ValueError. ``environment`` is the environment of
    ansible-playbook. ``scratch`` is a directory for files that the tasks after the plan take, and
    empty where only options and problems are asked for. ``entry_point`` is the role's.
    ``render`` gives the text of a role's template for some variables, as ``Renderer`` does.
    """

    host: str = "localhost"
    play_hosts: tuple[str, ...] = ("localhost",)
    check_mode: bool = False
    read: Callable[[str], str] = no_file
    environment: Mapping[str, str] = field(default_factory=dict)
    scratch: str = ""
    entry_point: str = "main"
    render: Callable[..., str] = nothing_written


@dataclass
class Plan:
    """Data for a role's templates and modules, and all problems that were found on the way.

    ``packages`` are the distribution packages of the role on this host, ``hints`` what works but is
    worth a word in every run.
    """

    data: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
