"""The first run on an empty host, against a shell script."""

from __future__ import annotations

import io
import tarfile

from bench.figures import report, seconds
from bench.host import APP, ROOT, answers, fresh, site, ssh

ROUNDS = 3
#: At most this many times the script.
LIMIT = 1.8


def by_hand() -> None:
    """Bring the same programs up with a plain shell script."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("pulse", "pyproject.toml", "uv.lock", "README.md", ".flaskenv"):
            if (APP / name).exists():
                tar.add(APP / name, name)
    ssh("cat > /tmp/app.tar.gz", packed.getvalue())
    ssh("sudo sh -s", (ROOT / "bench/by_hand.sh").read_bytes())


def measure() -> bool:
    """Time both on empty hosts, in turn."""
    mine: list[float] = []
    hand: list[float] = []
    for _ in range(ROUNDS):
        for action, results in ((by_hand, hand), (site, mine)):
            fresh()
            results.append(seconds(action, answers))
    return report("cold site.yml", mine, "a plain shell script", hand, LIMIT)
