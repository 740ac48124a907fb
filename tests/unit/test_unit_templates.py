"""The units of an app, as the roles' templates write them."""

from __future__ import annotations

from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "roles/gunicorn/templates/etc/systemd/system"


@pytest.mark.parametrize("name", ["app.service.j2", "app@.service.j2"])
def test_no_unit_makes_the_shared_socket_blocking(name: str) -> None:
    """Systemd hands the socket to both, and sets it to blocking for all unless it is told."""
    lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
    service = lines[lines.index("[Service]") :]
    assert "NonBlocking=true" in service
