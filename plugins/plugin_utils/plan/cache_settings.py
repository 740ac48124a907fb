# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the app is told of its cache: REDIS_URL and the settings of Flask-Caching."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.redis_users import user_settings
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import netloc

REDIS_URLS = ("REDIS_URL", "FLASK_REDIS_URL")
CACHE_REDIS_URLS = ("CACHE_REDIS_URL", "FLASK_CACHE_REDIS_URL")
#: A cache that is away must not cost a page more than a second; the client would wait for five. In
#: the address, where no other type of cache sees it.
TIMEOUTS = "?socket_connect_timeout=0.2&socket_timeout=0.3"
#: An address that says nothing of the kind yet.
PLAIN_URL = re.compile(r"rediss?://[^?#]*")


def redis_environment(
    given: Mapping[str, Any],
    app: str,
    address: str,
    port: int,
    users: Any = None,
    password: str = "",
) -> dict[str, Any]:
    """Return the environment of an app whose cache is the Redis at an address.

    ``given`` is the app's environment as its users have it: a REDIS_URL there is the address of the
    cache too, or the app would have two. ``users`` is ``redis_acl_users`` and ``password``
    ``redis_password``: the user of the app's name counts, then the password that all share.
    """
    login = _login(app, users, password)
    url = _own_url(given) or f"redis://{login}{netloc(address)}:{port}/0"
    timeouts = TIMEOUTS if PLAIN_URL.fullmatch(url) else ""
    return {"REDIS_URL": url} | _caching("RedisCache", app, {"CACHE_REDIS_URL": url + timeouts})


def memcached_environment(app: str, address: str, port: int) -> dict[str, Any]:
    """Return the environment of an app whose cache is the Memcached at an address."""
    servers = [f"{netloc(address)}:{port}"]
    return _caching("MemcachedCache", app, {"CACHE_MEMCACHED_SERVERS": servers})


def redis_login_problem(
    given: Mapping[str, Any], app: str, users: Any = None, password: str = ""
) -> str:
    """Say that Redis would turn the app away, which has neither a user nor a password; or nothing.

    Takes what ``redis_environment`` takes.
    """
    elsewhere = _own_url(given) or any(name in given for name in CACHE_REDIS_URLS)
    # What else may be wrong with the users, redis_user_problems says.
    some = isinstance(users, Mapping) and len(users) > 0
    if not some or elsewhere or _login(app, users, password):
        return ""
    return (
        f"redis_acl_users: found {', '.join(users)} and no redis_password; Redis would let {app} "
        "in no more, so give it a user"
    )


def _own_url(given: Mapping[str, Any]) -> str:
    return next((str(given[name]) for name in REDIS_URLS if name in given), "")


def _login(app: str, users: Any, password: str) -> str:
    user = users.get(app) if isinstance(users, Mapping) else None
    own = (user_settings(user) or {}).get("password", "")
    if own:
        return f"{app}:{quote(str(own), safe='')}@"
    return f":{quote(str(password), safe='')}@" if password else ""


def _caching(kind: str, app: str, where: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under both names: as Flask's from_prefixed_env() takes them, and as they are."""
    settings = {"CACHE_TYPE": kind, **where, "CACHE_KEY_PREFIX": f"{app}:"}
    return settings | {f"FLASK_{name}": value for name, value in settings.items()}
