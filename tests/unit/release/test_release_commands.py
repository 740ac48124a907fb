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
    assert str(failed.value).endswith("ended with 7")
    assert (len(failed.value.log), failed.value.log[-1]) == (OUTPUT_LINES, "line 99")


def test_secrets_of_the_build_stay_out_of_its_errors(shop: Shop) -> None:
    index = 'https://user:hush"hush@index.example.org'
    given = json.dumps({"UV_DEFAULT_INDEX": index, "UV_RETRIES": 1})
    commands = shop.real_commands(shop.prepared(build_environment=given))
    assert commands.given == {"UV_DEFAULT_INDEX": index, "UV_RETRIES": "1"}
    with pytest.raises(ReleaseError) as failed:
        commands.run("/bin/sh", "-c", 'echo "$UV_DEFAULT_INDEX at 1"; exit 3')
    assert "hush" not in str(failed.value)
    assert failed.value.log == ["******** at 1"]
