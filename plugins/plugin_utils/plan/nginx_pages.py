# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages that nginx keeps, and the files that it serves itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.nginx_proxy import variable_of

#: Eight digits of a checksum or more at the end of the name, before its suffixes.
FINGERPRINT = r"[.-][0-9a-f]{8,}([.][A-Za-z0-9]+)+$"
#: Values that take a part out of the pages that are kept.
OFF = ("off", "False", "false")
#: Variables of headers that an app may know a visitor by.
CREDENTIALS = ("$http_authorization", "$http_x_api_key", "$http_x_auth_token")
#: A body makes a request one of its own.
BODY = ("$http_content_length", "$http_transfer_encoding")
STALE = {
    "proxy": "http_500 http_502 http_503 http_504",
    "uwsgi": "http_500 http_503",
}
#: What answers say besides. An empty one is not sent.
HEADERS = (
    "add_header Cache-Control $flaskops_max_age",
    "add_header Vary $flaskops_vary",
    "add_header X-Cache $upstream_cache_status always",
)
#: Headers that are a part of a page's key: all that the app is told of where a request went.
IN_KEY = ("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix")


def is_kept(value: Any) -> bool:
    """Whether a value of nginx_cache is a time and not off."""
    return str(value) not in OFF


def keeps(options: Mapping[str, Any]) -> bool:
    """Whether nginx keeps any page of the site."""
    return any(map(is_kept, options["nginx_cache"].values()))


def home_of(site: str) -> str:
    """A directory whose link stands for what is live: with another target no page is found."""
    return f"/var/lib/flaskops-pages/{site}"


def cache(options: Mapping[str, Any], proxying: Mapping[str, Any]) -> dict[str, Any]:
    """How pages are kept.

    The key has what is live, and the time in periods of 10,000 s, because an old page is served
    until there is a new one that can be kept, which may be never. With the method, because over the
    uwsgi protocol HEAD stays HEAD.
    """
    site = options["nginx_site"]
    variable = variable_of(site)
    told = " ".join(value for name in IN_KEY if (value := proxying["headers"][name]) != '""')
    known = [*CREDENTIALS, *BODY, "$flaskops_upgrade", f"${variable}_known"]
    return {
        # Of the first level, so that nginx makes it itself, also when it is only asked to check.
        "path": f"/var/cache/nginx-{site}",
        "current": f"{home_of(site)}/current",
        "zone": f"{site}_pages",
        "max_size": options["nginx_cache_max_size"],
        "keep": options["nginx_cache_keep"],
        "cookies": "|".join(map(re.escape, options["nginx_cache_cookies"])),
        "key": f'"$request_method {told} $realpath_root ${variable}_period $request_uri"',
        "stale": STALE[proxying["protocol"]],
        "bypass": " ".join(known),
        "no_cache": " ".join([*known, f"${variable}_varies"]),
    }


def locations(options: Mapping[str, Any]) -> list[dict[str, str]]:
    """Where the app is asked: each place as nginx writes it, and how long its pages are kept.

    The path without its last slash besides, from which nginx would redirect, not ask the app.
    """
    prefix, given = options["nginx_url_prefix"], options["nginx_cache"]
    top = f"{prefix}/"
    bare = [
        f"= {path.rstrip('/')}"
        for path in given
        if path.startswith("/") and path.endswith("/") and path not in {"/", top}
    ]
    found = {} if top in options["nginx_static"] else {top: "off"}
    found |= dict.fromkeys(bare, "off") | given
    return [
        {
            "match": f"^~ {path}" if prefix and not path.startswith("=") else path,
            "valid": str(valid) if is_kept(valid) else "",
        }
        for path, valid in found.items()
    ]


def vary(types: str | Sequence[str] | None) -> dict[str, str]:
    """The header Vary of files by their type: those that nginx compresses, and HTML always."""
    given = types.split() if isinstance(types, str) else types or ()
    default = "Accept-Encoding" if "*" in given else '""'
    return {"default": default} | {
        name: "Accept-Encoding" for name in ("text/html", *given) if name != "*"
    }


def fingerprint(options: Mapping[str, Any]) -> str:
    """The paths of files whose names change with their content."""
    given = options["nginx_static_fingerprint"]
    if given is None:
        given = options["flask_app_static_fingerprint"]
    return FINGERPRINT if given is None else str(given)


def files(options: Mapping[str, Any], *, alone: bool, fallback: str) -> dict[str, Any]:
    """The files that nginx serves itself, and what follows when there is no such file."""
    static = options["nginx_static"]
    kept = options["nginx_static_kept"] if static and not alone else ""
    app = f"@{fallback}_kept" if kept else f"@{fallback}"
    return {
        "places": [
            {
                "match": f"{'^~' if url.endswith('/') else '='} {url}",
                "place": place,
                "directory": url.endswith("/"),
            }
            for url, place in static.items()
        ],
        "missing": "" if alone else app,
        "kept": kept,
        "max_age": options["nginx_static_max_age"],
        "fingerprint": fingerprint(options),
    }
