# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of Redis: what cannot be, and the file that Redis reads them from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.text import as_list

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
PASSWORDS = ("password", "previous_password")
LISTS = ("keys", "channels", "commands")
#: One word of a rule, without the character that says what it is.
PATTERN = re.compile(r"[^\s\0]+")
COMMAND = re.compile(r"[+-][^\s\0]+")
#: Everything but what is for administrators or reaches beyond a user's own keys. INFO is what
#: clients look at, and KEYS is how Flask-Caching clears a cache that has a prefix. Functions belong
#: to all users alike.
COMMANDS = ("+@all", "-@admin", "-@dangerous", "-function", "+info", "+keys")


def redis_user_problems(users: Any) -> list[str]:
    """What is wrong with ``redis_acl_users``, a sentence each, without a password."""
    if not isinstance(users, Mapping):
        return [f"redis_acl_users: found {_kind(users)}; allowed is a dict of users by their names"]
    return [text for name, user in users.items() for text in _problems(name, user)]


def redis_acl(users: Any, password: str = "") -> str:
    """The users as the file that ``aclfile`` names, the passwords as SHA-256.

    ``users`` has a password, or a dict of a user's settings, by the user's name. ``password`` is
    that of clients that name no user; without one they are turned away. Raises ValueError
    for what ``redis_user_problems`` finds.
    """
    problems = redis_user_problems(users)
    if problems:
        raise ValueError("\n".join(problems))
    default = ["on", _hash(password), "~*", "&*", "+@all"] if password else ["off"]
    lines = [["default", *default]]
    lines += [[name, *_rules(name, user_settings(user) or {})] for name, user in users.items()]
    return "".join(f"user {' '.join(words)}\n" for words in lines)


def _rules(name: str, user: Mapping[str, Any]) -> list[str]:
    own = [f"{name}:*"]
    return [
        "on",
        *(_hash(user[key]) for key in PASSWORDS if user.get(key)),
        *(f"~{pattern}" for pattern in as_list(user.get("keys", own))),
        *(f"&{pattern}" for pattern in as_list(user.get("channels", own))),
        *COMMANDS,
        *as_list(user.get("commands", [])),
    ]


def _hash(password: Any) -> str:
    return "#" + hashlib.sha256(str(password).encode()).hexdigest()


def _problems(name: Any, user: Any) -> Iterator[str]:
    if not isinstance(name, str) or not NAME.fullmatch(name) or name == "default":
        yield (
            f"redis_acl_users: found the name {name!r}; allowed are letters, digits, _ . and -, "
            "and not default, whose password is redis_password"
        )
        return
    found = user_settings(user)
    if found is None:
        yield f"redis_acl_users: {name} is {_kind(user)}; allowed is a password, or a dict with one"
        return
    for key in found:
        if key not in (*PASSWORDS, *LISTS):
            allowed = ", ".join((*PASSWORDS, *LISTS))
            yield f"redis_acl_users: {name} has {key!r}; allowed are {allowed}"
    for key in PASSWORDS:
        text = found.get(key, "")
        if not _is_text(text) or re.search(r"[\0\r\n]", str(text)):
            yield f"redis_acl_users: {name} has a {key} that is no text of one line"
    if not found.get("password"):
        yield f"redis_acl_users: {name} has no password; give one"
    for key in LISTS:
        rule = COMMAND if key == "commands" else PATTERN
        for word in as_list(found.get(key, [])):
            if not isinstance(word, str) or not rule.fullmatch(word):
                wanted = "words that begin with + or -" if rule is COMMAND else "patterns"
                yield f"redis_acl_users: {name} has {word!r} in {key}; allowed are {wanted}"


def _is_text(value: Any) -> bool:
    # What !vault decrypts is no str before ansible-core 2.19.
    return isinstance(value, str) or hasattr(value, "vault")


def user_settings(user: Any) -> Mapping[str, Any] | None:
    """Return a user's settings, where a password alone is one; None for what is neither."""
    if _is_text(user):
        return {"password": user}
    return user if isinstance(user, Mapping) else None


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else type(value).__name__
