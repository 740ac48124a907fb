# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of configuration files from plain data, and data from text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskops.stack.plugins.module_utils.environment import unit_word
from ansible_collections.flaskops.stack.plugins.plugin_utils.options import SECRET_WORDS

#: What Flask's from_prefixed_env() takes from the environment, as JSON where it can be read so.
FLASK_PREFIX = "FLASK_"
#: Read by the flask command itself, as they are.
OF_THE_COMMAND = re.compile(r"FLASK_(APP|DEBUG|ENV|SKIP_DOTENV|RUN_\w+)")
LINE_BREAK = re.compile(r"[\r\n\0]")
#: A program's long option, without the dashes before it.
LONG_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: A word that systemd takes as it stands, systemd.service(5) COMMAND LINES.
PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:,@+=-]+")


def flask_values(environment: Any, *, text: bool = False) -> dict[str, Any]:
    """A dict for the environment whose values ``Flask.config.from_prefixed_env()`` reads unchanged.

    A text that reads as JSON, ``"123"`` say, is quoted as JSON, so that it stays a text. Where all
    values are text because nobody could say a type (``text=True``), that is done for secrets that
    read as a number, true, false or null; anything else is meant as Flask takes it. Names without
    the prefix FLASK_ keep their values.
    """
    if not isinstance(environment, Mapping):
        kind = type(environment).__name__
        raise AnsibleFilterError(f"flask_values: an environment is a dict, found {kind}")
    found = dict(environment)
    for name, value in environment.items():
        is_flasks = str(name).startswith(FLASK_PREFIX) and not OF_THE_COMMAND.fullmatch(str(name))
        if is_flasks and isinstance(value, str):
            try:
                read = json.loads(value)
            except ValueError:
                continue
            if not text or (is_secret(name) and not isinstance(read, str | list | dict)):
                found[name] = json.dumps(value, ensure_ascii=False)
    return found


def is_secret(name: str) -> bool:
    """Whether a name says that its value is a secret."""
    return not SECRET_WORDS.isdisjoint(name.lower().split("_"))


def long_options(settings: Any) -> list[str]:
    """A dict as the words of a command line, ``--name=value`` each.

    True is an option without a value, a list repeats the option, null and False leave it out.
    """
    if not isinstance(settings, Mapping):
        kind = type(settings).__name__
        raise AnsibleFilterError(f"long_options: settings are a dict, found {kind}")
    words = []
    for name, value in settings.items():
        if not isinstance(name, str) or not LONG_NAME.fullmatch(name):
            raise AnsibleFilterError(f"long_options: {name!r} is not the long name of an option")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping | list):
                raise AnsibleFilterError(f"long_options: {name} has a value that is no text")
            if item is True:
                words.append(f"--{name}")
            elif item is not None and item is not False:
                words.append(f"--{name}={item}")
    return words


def unit_command(words: Any) -> str:
    """The words of a command as ``ExecStart=`` takes them, every one kept as it is."""
    if not isinstance(words, list):
        kind = type(words).__name__
        raise AnsibleFilterError(f"unit_command: a command is a list of words, found {kind}")
    quoted = []
    for word in map(str, words):
        if LINE_BREAK.search(word):
            raise AnsibleFilterError("unit_command: a word cannot hold a line break or a NUL byte")
        if not PLAIN_WORD.fullmatch(word):
            quoted.append(unit_word(word))
        else:
            quoted.append(word)
    return " ".join(quoted)


def as_list(value: Any) -> list[Any]:
    """A list as it is, and text as argument specs read it: separated by commas.

    A variable given with ``-e name=value`` is text, whatever its argument spec says.
    """
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]
