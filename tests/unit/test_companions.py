"""Units of background processes and timers, made from the server's."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.generation import companions
from ansible_collections.flaskops.stack.plugins.module_utils.generation.companions import (
    CompanionError,
)

SERVER = (
    "[Unit]\nDescription=x\nPartOf=shop.service\n\n[Service]\nType=notify\nUser=shop\nExecStart=a\n"
)
WORKER = {"name": "worker", "command": "celery worker", "count": 2, "stop_timeout": 9}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("celery -A shop worker", "exec celery -A shop worker"),
        ("flask report && flask mail", "flask report && flask mail"),
        ("LC_ALL=C flask report", "LC_ALL=C flask report"),
        ("exec flask report", "exec flask report"),
        ('echo "$HOME" 100% \\n', 'exec echo \\"$$HOME\\" 100%% \\\\n'),
    ],
)
def test_command_of_a_unit(text: str, written: str) -> None:
    assert companions.command(text) == f'/bin/sh -c "{written}"'


def test_a_unit_beside_the_server_is_fenced_in_alike() -> None:
    found = companions.companions("shop", SERVER, [WORKER | {"count": 1}], [])
    assert found["shop.worker@.service"] == (
        "[Unit]\nDescription=shop: worker, generation %i\nPartOf=shop.service\n\n[Service]\n"
        'Type=exec\nExecStart=/bin/sh -c "exec celery worker"\nKillMode=mixed\nTimeoutStopSec=9\n'
        "Restart=always\nRestartSec=1\nUser=shop\n"
    )


@pytest.mark.parametrize(
    ("processes", "said"),
    [
        ([WORKER | {"name": "Up"}], "found 'Up'; allowed are small letters"),
        ([WORKER, WORKER], "two processes or timers have this name"),
        ([WORKER | {"command": "a\nb"}], "allowed is one line"),
    ],
)
def test_parts_that_cannot_be(processes: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(CompanionError, match=said):
        companions.companions("shop", SERVER, processes, [])
