# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site of nginx: its files as this host needs them, checked and written, and its pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.config import transaction
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.config.writer import Label
from ansible_collections.flaskops.stack.plugins.module_utils.drain.upstream import (
    host_of,
    marked,
    servers,
)
from ansible_collections.flaskops.stack.plugins.module_utils.packages import missing
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Unit
from ansible_collections.flaskops.stack.plugins.module_utils.web import build, pages

OWNED = {"owner": "root", "group": "root"}
#: How nginx is asked: it has a dry run, which root alone may make.
ASKED = {"check_ready": None, "check_timeout": 10.0, "check_user": "root"}
#: The first nginx with HTTP/3, https://nginx.org/en/docs/http/ngx_http_v3_module.html
HTTP3_SINCE = (1, 25)


def bring_about(
    params: Mapping[str, Any], label: Label, *, check_mode: bool, diff: bool
) -> dict[str, Any]:
    """Write the files of a site and point its pages to what is live. Raises ConfigError.

    In check mode a missing package does not end it: what would be written is told, and nginx is
    not asked.
    """
    lacking = missing(params["packages"])
    if lacking and not check_mode:
        return transaction.UNTOUCHED | {"missing_packages": lacking, "reload": False}
    versions = build.ask()
    check_http3(params, versions)
    drained = drained_hosts(params)
    files = [
        {**entry, **OWNED, "content": build.for_build(entry["content"], versions)}
        for entry in params["files"]
    ]
    for entry in files:
        if entry["path"] == params["site"]:
            entry["content"] = marked(entry["content"], drained, "drained")
    unready = lacking or not Path(params["certificate"] or "/").exists()
    wanted = {**params, **ASKED, "packages": [], "requires": {}, "files": files}
    if check_mode and unready:
        wanted["check"] = None
    unit = transaction.unit_of(params)
    result = transaction.apply(wanted, label, check_mode=check_mode, diff=diff, unit=unit)
    if lacking:
        result |= {"missing_packages": lacking, "settled": False, "unit_settled": False}
    # What pages belong to is no part of what nginx reads. Files of another site are: where a play
    # has several, the last result speaks for all of them.
    result["reload"] = result["changed"] or others_unread(params["site"], unit)
    if params["pages"]:
        folder, live = Path(params["pages"]), params["live"]
        result["changed"] |= pages.belong(folder, live, purge=False, check_mode=check_mode)
    return result


def others_unread(site: str, unit: Unit | None) -> bool:
    """Whether a site's file beside this one is newer than the running nginx."""
    beside = Path(site).parent.glob("*.conf")
    return unit is not None and unit.older_than(path.stat().st_mtime for path in beside)


def check_http3(params: Mapping[str, Any], versions: Mapping[str, build.Version]) -> None:
    """Refuse HTTP/3 with an nginx that does not know it."""
    if params["http3"] and versions["nginx"] < HTTP3_SINCE:
        found = ".".join(map(str, versions["nginx"]))
        raise ConfigError(
            f"{params['prefix']}http3: found true with nginx {found}; it is allowed with nginx 1.25"
            " or newer, as in Debian 13"
        )


def drained_hosts(params: Mapping[str, Any]) -> set[str]:
    """Hosts that were taken out to be worked on, and stay out; one of several must be in use."""
    given = params["upstream_servers"]
    try:
        before = Path(params["site"]).read_text(encoding="utf-8")
    except OSError:
        return set()
    drained = {host_of(server) for server in servers(before)["drained"]}
    if len(given) > 1 and {host_of(server.split()[0]) for server in given} <= drained:
        raise ConfigError(
            f"{params['prefix']}upstream_servers: found {', '.join(given)}, which are all drained;"
            " put one back first, with playbooks/drain.yml and drain_state=active"
        )
    return drained
