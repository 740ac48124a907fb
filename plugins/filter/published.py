# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The static files that an app's live release publishes, as nginx serves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

#: Where Flask itself has them.
STATIC = "/static"


def published(urls: Iterable[str], home: str, prefix: str = "") -> dict[str, str]:
    """URL path to place on disk, both with a slash at the end.

    ``urls`` are those of flask_app_static, or none where it is Flask's own; ``home`` is the app's
    directory, ``prefix`` the path that the app is below.
    """
    names = [url.strip("/") for url in urls or [STATIC]]
    return {f"{prefix}/{name}/": f"{home}/live/release/public/{name}/" for name in names}


class FilterModule:
    """Filters of flaskops.stack for the role nginx."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """Filters by name."""
        return {"published": published}
