# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that people give an app, such as its configuration: text here, or files of theirs."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller


def app_files(
    options: Mapping[str, Any], controller: Controller, problems: list[str]
) -> dict[str, str]:
    """Path below shared/ to text; no text is in a problem."""
    found: dict[str, str] = {}
    shared = options["flask_app_shared_paths"]
    for number, one in enumerate(options["flask_app_files"], 1):
        path, name = one["path"], f"flask_app_files, entry {number}"
        if not is_below(path, shared):
            allowed = f"are paths below one of flask_app_shared_paths, {', '.join(shared)}"
            problems.append(rules.found(f"{name}: path", path, allowed))
        elif path in found:
            problems.append(f"{name}: path: found {path!r}, which an entry before has")
        else:
            found[path] = text_of(one, name, controller, problems)
    return found


def is_below(path: str, folders: list[str]) -> bool:
    """Whether a path is written as short as can be, and leads into one of the folders."""
    plain = posixpath.normpath(path) == path and not any(sign in path for sign in " :\\%\"'\n")
    return plain and any(path.startswith(f"{folder}/") for folder in folders)


def text_of(one: Mapping[str, Any], name: str, controller: Controller, problems: list[str]) -> str:
    """The text of an entry, given or in a file on the controller."""
    content, src = one.get("content"), one.get("src")
    if (content is None) == (src is None):
        problems.append(f"{name}: give it either content or src")
        return ""
    if content is not None:
        return str(content)
    try:
        return controller.read(str(src))
    except (OSError, ValueError) as error:
        problems.append(f"{name}: src: found {src!r}: {error}")
        return ""
