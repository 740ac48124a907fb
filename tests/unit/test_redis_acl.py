"""The users of Redis: rules from settings, and settings that cannot be."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.redis_users import (
    redis_acl,
    redis_user_problems,
)

HASH = "#" + hashlib.sha256(b"a, b").hexdigest()
OTHER = "#" + hashlib.sha256(b"before").hexdigest()
COMMANDS = "+@all -@admin -@dangerous -function +info +keys"


class Vaulted:
    """What !vault in a dict is before ansible-core 2.19."""

    vault = None

    def __str__(self) -> str:
        return "a, b"


@pytest.mark.parametrize("user", ["a, b", Vaulted(), {"password": "a, b"}])
def test_a_password_is_enough_and_is_not_written(user: Any) -> None:
    rules = f"user shop on {HASH} ~shop:* &shop:* {COMMANDS}\n"
    assert redis_acl({"shop": user}) == "user default off\n" + rules


def test_the_settings_of_a_user_are_its_rules() -> None:
    user = {
        "password": "a, b",
        "previous_password": "before",
        "keys": ["blog:*", "celery*"],
        "channels": "one,two",
        "commands": ["+flushdb"],
    }
    rules = f"{HASH} {OTHER} ~blog:* ~celery* &one &two {COMMANDS} +flushdb"
    assert redis_acl({"blog": user}).splitlines()[1] == f"user blog on {rules}"


def test_a_password_for_all_lets_clients_in_that_name_no_user() -> None:
    assert redis_acl({}, "a, b") == f"user default on {HASH} ~* &* +@all\n"


def test_no_users_are_no_problem() -> None:
    assert redis_user_problems({}) == []


@pytest.mark.parametrize(
    ("users", "problem"),
    [
        (["shop"], "found a list; allowed is a dict of users by their names"),
        ({"default": "secret"}, "found the name 'default'; allowed are letters, digits"),
        ({"my shop": "secret"}, "found the name 'my shop'"),
        ({"shop": ["secret"]}, "shop is a list; allowed is a password, or a dict with one"),
        ({"shop": 5}, "shop is int; allowed is a password"),
        ({"shop": ""}, "shop has no password; give one"),
        ({"shop": {"keys": ["*"]}}, "shop has no password; give one"),
        ({"shop": "sec\nret"}, "shop has a password that is no text of one line"),
        ({"shop": {"password": "secret", "key": "*"}}, "shop has 'key'; allowed are password, pre"),
        ({"shop": {"password": "secret", "keys": ["a b"]}}, "shop has 'a b' in keys; allowed are"),
        ({"shop": {"password": "secret", "commands": ["nopass"]}}, "'nopass' in commands; allowed"),
        ({"shop": {"password": "secret", "commands": "+get\non"}}, "in commands; allowed are"),
    ],
)
def test_nonsense_is_named_without_the_password(users: Any, problem: str) -> None:
    (told,) = redis_user_problems(users)
    assert told.startswith("redis_acl_users: ")
    assert problem in told
    assert "secret" not in told
    with pytest.raises(ValueError, match="redis_acl_users: "):
        redis_acl(users)
