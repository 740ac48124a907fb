"""Whether a run may speak for an app."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.app_state import AppFile, AppState
from ansible_collections.flaskops.stack.plugins.module_utils.claim import ClaimError, claim
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd


@pytest.fixture
def systemd(tmp_path: Path) -> Systemd:
    found = Systemd(tmp_path / "units")
    found.shipped = (tmp_path / "shipped",)
    for folder in ("units", "shipped"):
        (tmp_path / folder).mkdir()
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A live app."""
    path = tmp_path / "shop"
    (path / "generations/1").mkdir(parents=True)
    (path / "live").symlink_to("generations/1")
    state = AppState(
        user="shop",
        server="gunicorn",
        protocol="http",
        bind="unix:/run/shop/http.sock",
        health={},
        name="shop",
        home=str(path),
        keep=5,
        units=[],
        generations={},
    )
    AppFile("shop", tmp_path / "apps").write(state)
    return path


def test_a_live_app_stays_where_and_who_it_is(systemd: Systemd, home: Path) -> None:
    apps = home.parent / "apps"
    claim("shop", home, "shop", systemd, role="flask_app", apps=apps)
    claim("shop", home, "", systemd, role="wsgi", apps=apps)  # a rollback says no user
    with pytest.raises(ClaimError, match=r"flask_app_home: found '/srv/shop2'; shop is live with"):
        claim("shop", Path("/srv/shop2"), "shop", systemd, role="flask_app", apps=apps)
    with pytest.raises(ClaimError, match=r"wsgi_user: found 'www-data'; shop is live with 'shop'"):
        claim("shop", home, "www-data", systemd, role="wsgi", apps=apps)


def test_one_that_is_gone_may_come_back_elsewhere(systemd: Systemd, home: Path) -> None:
    (home / "live").unlink()
    claim("shop", Path("/srv/b"), "b", systemd, role="flask_app", apps=home.parent / "apps")


@pytest.mark.parametrize("unit", ["dbus.service", "dbus.socket"])
def test_no_app_takes_the_name_of_a_service(systemd: Systemd, tmp_path: Path, unit: str) -> None:
    apps = tmp_path / "apps"
    claim("dbus", Path("/srv/dbus"), "dbus", systemd, role="flask_app", apps=apps)
    (tmp_path / "shipped" / unit).touch()
    with pytest.raises(ClaimError, match=r"flask_app_name: found 'dbus'; .* is not of an app"):
        claim("dbus", Path("/srv/dbus"), "dbus", systemd, role="flask_app", apps=apps)
