"""The commands of a build."""

from __future__ import annotations

import json

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.release.commands import OUTPUT_LINES
from ansible_collections.flaskops.stack.plugins.module_utils.release.error import ReleaseError

from release_shop import Shop


def test_a_failed_command_shows_the_end_of_its_output(shop: Shop) -> None:
    releases = shop.prepared()
    commands = shop.real_commands(releases)
    script = "import sys; [print('line', n) for n in range(100)]; sys.exit(7)"
    with pytest.raises(ReleaseError) as failed:
        commands.run("/usr/bin/env", "python3", "-c", script)
    lines = str(failed.value).splitlines()
    assert lines[0].endswith("ended with 7:")
    assert lines[-1] == "  | line 99"
    assert len(lines) == OUTPUT_LINES + 1


def test_secrets_of_the_build_stay_out_of_its_errors(shop: Shop) -> None:
    index = 'https://user:hush"hush@index.example.org'
    given = json.dumps({"UV_DEFAULT_INDEX": index, "UV_RETRIES": 1})
    commands = shop.real_commands(shop.prepared(build_environment=given))
    assert commands.given == {"UV_DEFAULT_INDEX": index, "UV_RETRIES": "1"}
    with pytest.raises(ReleaseError) as failed:
        commands.run("/bin/sh", "-c", 'echo "$UV_DEFAULT_INDEX at 1"; exit 3')
    assert "hush" not in str(failed.value)
    assert "******** at 1" in str(failed.value)
