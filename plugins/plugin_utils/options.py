# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of all roles, and their values from text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.parsing.convert_bool import BOOLEANS_FALSE, BOOLEANS_TRUE

ROLES = Path(__file__).resolve().parents[2] / "roles"

#: What an option's name says about its value, which is then never shown.
SECRET_WORDS = {"credentials", "key", "password", "secret", "token"}
TRUE = {word for word in BOOLEANS_TRUE if isinstance(word, str)}
FALSE = {word for word in BOOLEANS_FALSE if isinstance(word, str)}
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
#: A text that begins like this is meant as JSON; an IPv6 address such as [::1]:80 is not.
JSON_LIST = re.compile(r"\[\s*([\"'{\[\]]|$)")

#: Variables that the inventory plugin sets itself, so that nobody gives them in the environment.
OF_THE_INVENTORY = {"flask_app_env_from_environment", "flask_app_env_spoken"}

#: Two slips in a name are only taken for one where what follows the role's name is this long.
LONG = 6
ENDS = 3


@dataclass(frozen=True)
class Option:
    """One variable of the collection, as its argument spec has it; a playbook's has no role."""

    role: str
    name: str
    description: str = ""
    type: str = "str"
    elements: str = "str"
    choices: tuple[Any, ...] = ()
    default: Any = None
    required: bool = False
    no_log: bool = False
    keys: tuple[Option, ...] = ()  # what a dict, or each dict of a list, may hold

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return self.name.upper()

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown: a dict holds whatever there is no option for."""
        words = self.name.split("_")
        return self.no_log or self.type == "dict" or not SECRET_WORDS.isdisjoint(words)

    @property
    def kind(self) -> str:
        """Its type in words."""
        return f"list of {self.elements}" if self.type == "list" else self.type

    def convert(self, text: str) -> Any:
        """The value that a text means; ValueError says what is wrong with it, without the text."""
        value = CONVERT[self.type](text)
        if self.type == "list":
            value = [element(self.elements, item, n) for n, item in enumerate(value, 1)]
        for one in value if isinstance(value, list) else [value]:
            if self.choices and one not in self.choices:
                raise ValueError(f"none of: {', '.join(map(str, self.choices))}")
        return value


def to_int(text: str) -> int:
    """A whole number."""
    if not WHOLE_NUMBER.fullmatch(text.strip()):
        raise ValueError("not an int, a whole number such as 8")
    return int(text)


def to_float(text: str) -> float:
    """A number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("not a float, a number such as 0.5")
    return number


def to_bool(text: str) -> bool:
    """One of Ansible's words for true and false."""
    word = text.strip().lower()
    if word not in TRUE | FALSE:
        raise ValueError("not a bool, which is one of true, yes, on, 1, false, no, off, 0")
    return word in TRUE


def to_list(text: str) -> list[Any]:
    """A JSON list, or texts with commas between them; nothing is the empty list."""
    text = text.strip()
    try:
        value = json.loads(text)
    except ValueError as error:
        if JSON_LIST.match(text):
            raise ValueError(f"not a list in JSON ({json_error(error)})") from None
        value = None
    if isinstance(value, list):
        return value
    return [part.strip() for part in text.split(",") if part.strip()]


def to_dict(text: str) -> dict[str, Any]:
    """A JSON object, or name=value pairs with commas between them; nothing is the empty dict."""
    text = text.strip()
    if text.startswith("{"):
        try:
            value: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise ValueError(f"not a dict in JSON ({json_error(error)})") from None
        return value
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not name.strip() or not equals for name, equals, _ in pairs):
        raise ValueError("not a dict, which is a JSON object or name=value,name=value")
    return {name.strip(): value.strip() for name, _, value in pairs}


def json_error(error: ValueError) -> str:
    """What is wrong with a JSON text and where, without the text itself."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, character {error.pos + 1}"
    return "it cannot be read"


CONVERT: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "path": str,
    "raw": str,
    "int": to_int,
    "float": to_float,
    "bool": to_bool,
    "list": to_list,
    "dict": to_dict,
}


def element(kind: str, item: Any, number: int) -> Any:
    """One item of a list as the type that the list holds; ValueError says which one is wrong."""
    if isinstance(item, dict | list) or kind in ("dict", "list"):
        if type(item).__name__ == kind or kind == "raw":
            return item
    elif item is not None and not (isinstance(item, bool) and kind != "bool"):
        try:
            return CONVERT[kind](item if isinstance(item, str) else json.dumps(item))
        except ValueError as error:
            raise ValueError(f"item {number} is {error}") from None
    raise ValueError(f"item {number} is not a {kind}")


def load(roles: Path = ROLES) -> dict[str, Option]:
    """All options by their name in the environment, the playbooks' first."""
    found = {option.variable: option for option in playbook_options(roles)}
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        role = path.parents[1].name
        entries = yaml_load(path.read_text(encoding="utf-8"))["argument_specs"]
        for entry in entries.values():
            for name, spec in entry.get("options", {}).items():
                # A role may declare what it takes a default from; the option is another role's.
                if name in OF_THE_INVENTORY or not name.startswith(f"{role}_"):
                    continue
                option = role_option(role, name, spec)
                found.setdefault(option.variable, option)
    return found


def role_option(role: str, name: str, spec: Mapping[str, Any]) -> Option:
    """An option from its argument spec."""
    description = spec.get("description", "")
    return Option(
        role=role,
        name=name,
        description=description if isinstance(description, str) else " ".join(description),
        type=spec.get("type", "str"),
        elements=spec.get("elements", "str"),
        choices=tuple(spec.get("choices", ())),
        default=spec.get("default"),
        required=spec.get("required", False),
        no_log=spec.get("no_log", False),
        keys=tuple(role_option(role, key, one) for key, one in spec.get("options", {}).items()),
    )


def playbook_options(roles: Path) -> Iterable[Option]:
    """What the playbooks ask for themselves: which of the programs that there are roles for."""
    # The role of a WSGI server has the template of what a generation runs with.
    servers = sorted(path.parents[1].name for path in roles.glob("*/templates/generation"))
    caches = [name for name in ("redis", "memcached") if (roles / name).is_dir()]
    wsgi = "Program that runs the app."
    cache = "Program that caches for the app; none leaves it out."
    yield Option("", "wsgi_server", wsgi, choices=tuple(servers), default="gunicorn")
    yield Option("", "cache_server", cache, choices=(*caches, "none"), default="redis")


def meant(name: str, options: Mapping[str, Option]) -> str | None:
    """The option that a name is so close to that it must be a slip, None where there is none."""
    if name.upper() in options:
        return name.upper()
    near = {}
    for variable, option in options.items():
        same_start = variable[:ENDS] == name[:ENDS]
        if not same_start and variable[-ENDS:] != name[-ENDS:]:
            continue  # more than one slip
        slips = distance(name, variable)
        prefix = f"{option.role}_".upper()
        rest = len(variable) - len(prefix)
        if slips == 1 or (slips == 2 and name.startswith(prefix) and rest >= LONG):
            near[variable] = slips
    return min(near, key=lambda variable: near[variable], default=None)


def distance(one: str, other: str) -> int:
    """Slips from one text to the other: a letter too many, too few, wrong, or two swapped."""
    if abs(len(one) - len(other)) > 2:
        return abs(len(one) - len(other))
    rows = [list(range(len(other) + 1))]
    for i, left in enumerate(one, 1):
        row = [i]
        for j, right in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and right == one[i - 2]:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
