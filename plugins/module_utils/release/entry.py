# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module release calls: look for a release, and do what is missing where that can be."""

from __future__ import annotations

import math
import os
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.claim import ClaimError, claim
from ansible_collections.flaskops.stack.plugins.module_utils.environment import (
    EnvironmentFormatError,
)
from ansible_collections.flaskops.stack.plugins.module_utils.lock import (
    DeployLock,
    LockedError,
    alone,
)
from ansible_collections.flaskops.stack.plugins.module_utils.packages import missing
from ansible_collections.flaskops.stack.plugins.module_utils.release.account import (
    is_as_asked,
    user_entry,
)
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError
from ansible_collections.flaskops.stack.plugins.module_utils.release.options import Options
from ansible_collections.flaskops.stack.plugins.module_utils.release.releases import Releases
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


@dataclass
class Outcome:
    """The end of a call: what the module returns, or why it failed."""

    result: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    log: list[str] = field(default_factory=list)


def perform(params: dict[str, Any], *, check_mode: bool) -> Outcome:
    """Do what the module's options say."""
    os.umask(0o022)  # the login's may be stricter, and others have to read what is made
    name, lock = params["name"], None if check_mode else params["lock"]
    try:
        claim(name, Path(params["home"]), params["user"], Systemd(), role="flask_app")
        releases = Releases(Options.read(params), check_mode=check_mode)
        with build_lock(name, check_mode=check_mode):
            if lock:
                DeployLock(name).take(**lock)
            return Outcome(act(params, releases, check_mode=check_mode))
    except (ClaimError, LockedError) as error:
        return Outcome(problem=str(error))
    except re.error as error:
        return Outcome(
            problem=f"flask_app_static_fingerprint: found {params['fingerprint']!r}; allowed is "
            f"a regular expression ({error})"
        )
    except (ReleaseError, EnvironmentFormatError) as error:
        if lock:
            DeployLock(name).free(lock["run"])
        log = error.log if isinstance(error, ReleaseError) else []
        return Outcome(problem=f"The release was not built. {error}", log=log)


def build_lock(name: str, *, check_mode: bool) -> AbstractContextManager[None]:
    """Let one process build for an app at a time; one that comes later waits."""
    return nullcontext() if check_mode else alone(name, "build", wait=math.inf)


def act(params: dict[str, Any], releases: Releases, *, check_mode: bool) -> dict[str, Any]:
    """Prepare or build, then select; the result of the module."""
    entry = user_entry(params["user"])
    user_settled = is_as_asked(entry, params["account"])
    lacking = missing(params["packages"])
    if params["state"] == "built" and user_settled and not lacking and not check_mode:
        releases.build()
    elif entry or check_mode:  # without the user nothing could be its own
        releases.prepare()
    selected = bool(entry) and releases.may_select()
    if selected:
        releases.select()
    place, marker = releases.place, params["marker"]
    return {
        "changed": releases.store.changed,
        "complete": place.complete,
        "settled": selected and user_settled and not lacking,
        "missing_packages": lacking,
        "user_settled": user_settled,
        "marked": not marker or (place.path / marker).is_file(),
        "path": str(place.path),
        "code": str(place.code),
        "app": str(place.app),
        "upload": str(place.upload),
        "removed": releases.store.removed,
        "own_key": releases.own_key,
        "served": releases.store.served(),
        "key_digest": releases.keys.digest(),
    }
