"""A deploy of changed code, and a rollback, against a ping."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from bench.figures import report, seconds
from bench.host import APP, ansible, answers, one, ping

ROUNDS = 5
#: At most this many times a ping.
DEPLOY_LIMIT, ROLLBACK_LIMIT = 4.5, 2.4


def measure() -> bool:
    """Deploy a change, and go back, in turn."""
    one()
    deploys, rollbacks, pings = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app"
        skipped = shutil.ignore_patterns(".venv", "__pycache__")
        shutil.copytree(APP, app, ignore=skipped)
        words = ["-e", "flask_app_name=pulse", "-e", f"flask_app_source={app}"]
        play = partial(ansible, "ansible-playbook")
        for number in range(ROUNDS):
            with (app / "pulse/views.py").open("a", encoding="utf-8") as file:
                file.write(f"# {number}\n")
            pings.append(seconds(ping))
            deploys.append(seconds(partial(play, "playbooks/deploy.yml", *words)))
            rollbacks.append(seconds(partial(play, "playbooks/rollback.yml", *words)))
    answers()
    kept = report("deploy.yml, changed code", deploys, "ansible -m ping", pings, DEPLOY_LIMIT)
    return report("rollback.yml", rollbacks, "ansible -m ping", pings, ROLLBACK_LIMIT) and kept
