#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take hosts out of the sites that nginx balances, and put them back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Take hosts out of nginx's upstreams, and put them back
description:
  - Marks the servers of a host as C(down) in every site of a web server, checks the outcome, has
    nginx reload and waits until the requests that were running have ended.
  - The mark is in the site's file, where the role M(flaskops.stack.nginx) finds and keeps it.
  - When a site would be left without a server, nothing is changed and the module fails.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  addresses:
    description: Addresses of the hosts, without a port.
    type: list
    elements: str
    default: []
  state:
    description: V(drained) takes them out, V(active) puts them back.
    type: str
    choices: [drained, active]
    default: drained
  folder:
    description: Where the sites are.
    type: path
    default: /etc/nginx/sites-enabled
  timeout:
    description: Seconds to wait for running requests.
    type: int
    default: 70
"""

EXAMPLES = r"""
- name: Send nothing more to this host
  flaskops.stack.drain:
    addresses: [192.0.2.11]
"""

RETURN = r"""
sites:
  description: Servers of each site that has several, those in use and those taken out.
  returned: success
  type: dict
  sample: {shop: {active: ["192.0.2.12:8000"], drained: ["192.0.2.11:8000"]}}
quiet:
  description: Whether the requests that were running have ended in time.
  returned: success
  type: bool
"""

import re
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils import files
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd

#: A server of an upstream as the role writes it, with the mark it keeps.
MARK = " down; # drained"
SERVER = re.compile(rf"^( *server )(\S+)(.*?)({MARK}|;)$", re.MULTILINE)
LOOK_AGAIN = 0.2
NGINX = "nginx.service"


class DrainError(Exception):
    """It cannot be done; nothing was changed."""


def host_of(server: str) -> str:
    """The address of a server, without its port and brackets."""
    return re.sub(r":\d+$", "", server).strip("[]")


def servers(text: str) -> dict[str, list[str]]:
    """The servers of a site's file that are in use and those that are drained."""
    found: dict[str, list[str]] = {"active": [], "drained": []}
    for _, server, _, end in SERVER.findall(text):
        found["drained" if end == MARK else "active"].append(server)
    return found


def marked(text: str, addresses: Collection[str], state: str) -> str:
    """The site's file with the servers of these hosts drained, or in use again."""
    end = MARK if state == "drained" else ";"

    def mark(line: re.Match[str]) -> str:
        return f"{line[1]}{line[2]}{line[3]}{end}" if host_of(line[2]) in addresses else line[0]

    return SERVER.sub(mark, text)


def plan(texts: dict[Path, str], addresses: Collection[str], state: str) -> dict[Path, str]:
    """The files to write; DrainError when a site is left without a server, or none has the host."""
    known = {host_of(name) for text in texts.values() for _, name, *_ in SERVER.findall(text)}
    for address in addresses:
        if address not in known:
            raise DrainError(
                f"addresses: found {address}; the servers are {', '.join(sorted(known)) or 'none'}"
            )
    after = {path: marked(text, addresses, state) for path, text in texts.items()}
    for path, text in after.items():
        if text != texts[path] and not servers(text)["active"]:
            raise DrainError(f"{path.stem}: no server would be left; nothing was changed")
    return {path: text for path, text in after.items() if text != texts[path]}


def write(texts: dict[Path, str]) -> None:
    """Replace the files, each by a rename."""
    for path, text in texts.items():
        files.write(path, text, 0o644)


def run(*command: str) -> str:
    """Run a command; DrainError with what it complained about."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DrainError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def children(parent: str) -> set[str]:
    """Processes that a process has started."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it has ended
            continue
        if text.rpartition(")")[2].split()[1] == parent:
            found.add(stat.parent.name)
    return found


def reload(timeout: int) -> bool:
    """Have nginx read its files; whether the workers before have ended in time."""
    if run("systemctl", "show", "-P", "ActiveState", NGINX) not in ("active", "reloading"):
        return True
    master = run("systemctl", "show", "-P", "MainPID", NGINX)
    before = children(master)
    run("systemctl", "reload", NGINX)
    deadline = time.monotonic() + timeout
    while before & children(master):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_AGAIN)
    return True


def bring_about(
    folder: Path, addresses: Collection[str], state: str, timeout: int, *, check_mode: bool
) -> dict[str, Any]:
    """Drain the hosts or put them back; DrainError when that cannot be."""
    before = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.conf"))}
    texts = plan(before, addresses, state)
    # A run that was cut off has written, and nginx may not have read it.
    unread = Systemd().unit(NGINX).older_than(path.stat().st_mtime for path in before)
    changed, quiet = bool(texts) or unread, True
    if changed and not check_mode:
        write(texts)
        try:
            run("/usr/sbin/nginx", "-t", "-q")
            quiet = reload(timeout)
        except DrainError:
            write({path: before[path] for path in texts})
            raise
    sites = {path.stem: servers(text) for path, text in {**before, **texts}.items()}
    several = {name: found for name, found in sites.items() if sum(map(len, found.values())) > 1}
    return {"changed": changed, "quiet": quiet, "sites": several}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["drained", "active"], "default": "drained"},
            "folder": {"type": "path", "default": "/etc/nginx/sites-enabled"},
            "timeout": {"type": "int", "default": 70},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        result = bring_about(
            Path(given["folder"]),
            given["addresses"],
            given["state"],
            given["timeout"],
            check_mode=module.check_mode,
        )
    except (DrainError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
