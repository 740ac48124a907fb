"""Which packages are missing on a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import packages


@pytest.fixture
def dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dpkg-query that knows three packages, one of which was removed but for its files."""
    program = tmp_path / "dpkg-query"
    program.write_text(
        "#!/bin/sh\necho 'nginx installed'\necho 'redis-server config-files'\n"
        "echo 'git installed'\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("dpkg")
def test_what_is_not_installed_as_a_whole_is_missing() -> None:
    names = ["nginx", "redis-server", "certbot", "git"]
    assert packages.missing(names) == ["redis-server", "certbot"]


@pytest.mark.usefixtures("dpkg")
def test_nobody_is_asked_about_nothing() -> None:
    assert packages.missing([]) == []


def test_without_dpkg_all_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packages.missing(["nginx"]) == ["nginx"]
