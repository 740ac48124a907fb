# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a health check asks and which answers pass.

The gate asks within a worker, the modules over HTTP; both judge by this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .wsgi import Environ

#: Only the switch knows the token; who sends it is told which release answers.
TOKEN_HEADER = "HTTP_X_FLASKOPS_TOKEN"
RELEASE_HEADER = "X-Flaskops-Release"
#: Who is told the release is told this as well, when the app signs with a key of its own.
KEY_HEADER, OWN_KEY = "X-Flaskops-Key", "own"
#: What people are told of that.
OWN_KEY_NOTE = (
    "signs with a SECRET_KEY of its own, not with the one it was given, which nobody knows: have it"
    " read SECRET_KEY from the environment"
)
#: Bytes of a failing health answer that go into the error.
BODY_SHOWN = 400


def checks(health: dict[str, Any]) -> list[dict[str, Any]]:
    """The health check, and the further ones, which differ from it in what they say."""
    plain = {"status": [], "text": ""}
    more = [{k: v for k, v in one.items() if v is not None} for one in health.get("more", [])]
    return [health, *({**health, **plain, **one} for one in more)]


def only_asks(config: dict[str, Any]) -> Callable[[Environ], bool]:
    """Tells requests that only ask whether the app is well: the switch's, and for the health path.

    Unless that is ``/``. Visitors ask for it, as they do for the paths of further checks.
    """
    token = config["token"]
    path = config["health"]["path"].partition("?")[0]

    def only_a_check(environ: Environ) -> bool:
        if environ.get(TOKEN_HEADER) == token:
            return True
        looks = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        return looks and environ.get("PATH_INFO") == path != "/"

    return only_a_check


def headers(health: dict[str, Any], hops: int) -> dict[str, str]:
    """The request headers a visitor's request would carry after all proxies."""
    sent = {"Host": health["host"], "User-Agent": "flaskops.stack"}
    for name, value in (
        ("For", "127.0.0.1"),
        ("Proto", health["scheme"]),
        ("Host", health["host"]),
    ):
        sent[f"X-Forwarded-{name}"] = ", ".join([value] * max(hops, 1))
    return sent


def unhealthy(status: int, body: bytes, health: dict[str, Any]) -> str:
    """Why an answer does not pass, or an empty string.

    Any status below 500 passes unless ``status`` lists the allowed ones.
    """
    allowed = health["status"]
    if (status not in allowed) if allowed else (status >= 500):
        wanted = ", ".join(map(str, allowed)) if allowed else "below 500"
        return f"answered {status}, wanted {wanted}: {_excerpt(body)}"
    if health["text"] and health["text"].encode() not in body:
        return f"answered {status} without the text {health['text']!r}: {_excerpt(body)}"
    return ""


def _excerpt(body: bytes) -> str:
    return body[:BODY_SHOWN].decode("utf-8", "replace").strip() or "(empty body)"
