"""What is kept in the cache. Without it the app still answers: it counts and remembers less."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flask import Flask, current_app
from flask_caching import Cache
from pymemcache import MemcacheError, PooledClient, serde
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

READING_SECONDS = 30
#: What a cache that is away raises; Redis' errors of the network are no OSError.
AWAY = (RedisError, MemcacheError, OSError)

cache = Cache()


class Count(NamedTuple):
    """A counter's value, or the name of the error that kept it from being read."""

    value: int | None
    error: str | None


class Reading(NamedTuple):
    """A value worth caching: when (ISO 8601, UTC) and by which process it was computed."""

    value: str
    pid: int
    hit: bool


def init_app(app: Flask) -> None:
    """Connect to Redis when REDIS_URL is set; Flask-Caching uses it too unless told otherwise.

    Raises ValueError for a REDIS_URL of no known scheme, and for several memcached servers. A
    server that is away is no error.
    """
    url = app.config["REDIS_URL"]
    # The client's own defaults wait for seconds and try again ten times: every page would hang
    # for as long as Redis is away.
    options: dict[str, Any] = {
        "socket_connect_timeout": 0.2,
        "socket_timeout": 0.3,
        "retry": Retry(NoBackoff(), 0),
    }
    app.extensions["redis"] = Redis.from_url(url, **options) if url else None
    if not app.config.get("CACHE_TYPE"):
        app.config["CACHE_TYPE"] = "RedisCache" if url else "SimpleCache"
    if app.config["CACHE_TYPE"] == "RedisCache":
        app.config.setdefault("CACHE_REDIS_URL", url)
        app.config.setdefault("CACHE_OPTIONS", options)
    elif app.config["CACHE_TYPE"] == "MemcachedCache":
        # One server. Flask-Caching would take any client it finds, with timeouts of seconds.
        (server,) = app.config["CACHE_MEMCACHED_SERVERS"]
        app.config["CACHE_MEMCACHED_SERVERS"] = PooledClient(
            server,
            connect_timeout=0.2,
            timeout=0.3,
            no_delay=True,
            default_noreply=False,
            ignore_exc=True,
            serde=serde.pickle_serde,
        )
    cache.init_app(app)


def count(name: str, step: int = 1) -> Count:
    """Add `step` to the counter `name`; 0 only reads it."""
    redis: Redis | None = current_app.extensions["redis"]
    if redis is None:
        return Count(None, "NotConfigured")
    try:
        return Count(int(redis.incrby(current_app.config["CACHE_KEY_PREFIX"] + name, step)), None)
    except RedisError as error:
        current_app.logger.warning("%s not counted: %s", name, error)
        return Count(None, type(error).__name__)


def reading() -> Reading:
    """Return the cached reading, or take a new one and cache it for READING_SECONDS."""
    new = (datetime.now(UTC).isoformat(timespec="seconds"), os.getpid())
    try:
        old: tuple[str, int] | None = cache.get("reading")
        if old is not None:
            return Reading(*old, hit=True)
        cache.set("reading", new, timeout=READING_SECONDS)
    except AWAY as error:
        current_app.logger.warning("cache not used: %s", error)
    return Reading(*new, hit=False)
