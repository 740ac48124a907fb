# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on files of an app done by a process of its user, so that no link leads root astray."""

from __future__ import annotations

import os
import select
from collections.abc import Callable


def as_user(
    uid: int, gid: int, action: Callable[[], None], refusal: type[Exception] = OSError
) -> str:
    """Run ``action`` in a process of a user; why it was not possible, or an empty string.

    ``refusal`` is an error, besides OSError, whose text says why.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(gid)
                os.setuid(uid)
            action()
            status = 0
        except (refusal, OSError) as error:
            os.write(writer, str(error).encode(errors="replace")[: select.PIPE_BUF])
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        reason = pipe.read().decode(errors="replace")
    if os.waitpid(child, 0)[1] == 0:
        return ""
    return reason or "not possible as the app's user"
