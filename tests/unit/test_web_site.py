"""A site of nginx on a host: lines for its build, drained servers, kept pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.config.error import ConfigError
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, Unit
from ansible_collections.flaskops.stack.plugins.module_utils.web import build, pages, site

OLD = build.versions_in("nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.20 7 Apr 2026\n")
TEXT = """listen 443 ssl http2; #? nginx < 1.25.1
listen 443 ssl; #? nginx >= 1.25.1
curve new; #? openssl >= 3.5
curve old; #? openssl < 3.5
other; # a comment
"""


def test_a_line_is_for_the_builds_that_it_says() -> None:
    assert build.for_build(TEXT, OLD) == "listen 443 ssl http2;\ncurve old;\nother; # a comment\n"
    assert (
        build.for_build(TEXT, build.NEWEST) == "listen 443 ssl;\ncurve new;\nother; # a comment\n"
    )


def test_of_openssl_the_one_that_runs_counts() -> None:
    told = "nginx/1.26.3\nbuilt with OpenSSL 3.4.0\n (running with OpenSSL 3.5.1 1 Jul 2026)\n"
    assert build.versions_in(told) == {"nginx": (1, 26, 3), "openssl": (3, 5, 1)}
    assert build.versions_in("") == build.NEWEST


def params(tmp_path: Path, **more: Any) -> dict[str, Any]:
    file = {"path": str(tmp_path / "shop.conf"), "mode": "0644", "owner": None, "group": None}
    given = {
        "packages": [],
        "files": [{**file, "content": SITE, "secret": False}],
        "absent": [],
        "tree": None,
        "check": None,
        "unit": None,
        "site": str(tmp_path / "shop.conf"),
        "upstream_servers": ["192.0.2.1:1", "192.0.2.2:1 weight=2"],
        "http3": False,
        "certificate": None,
        "pages": None,
        "live": "",
        "prefix": "nginx_",
    }
    return {**given, **more}


SITE = "upstream shop {\n    server 192.0.2.1:1;\n    server 192.0.2.2:1 weight=2;\n}\n"
OUT = SITE.replace("2.2:1 weight=2;", "2.2:1 weight=2 down; # drained")


def act(given: dict[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
    return site.bring_about(given, lambda _name, _path: None, check_mode=check_mode, diff=False)


def test_a_drained_server_stays_drained(tmp_path: Path) -> None:
    given = params(tmp_path)
    assert act(given)["changed"]
    file = Path(given["site"])
    assert file.read_text() == SITE
    file.write_text(OUT)
    assert not act(given)["changed"]
    moved = SITE.replace(":1", ":9")
    given["files"][0]["content"] = moved
    assert act(given)["changed"]
    assert file.read_text() == OUT.replace(":1", ":9")


def test_one_server_of_several_must_be_in_use(tmp_path: Path) -> None:
    (tmp_path / "shop.conf").write_text(OUT)
    given = params(tmp_path, upstream_servers=["192.0.2.2:1", "192.0.2.2:2"])
    with pytest.raises(ConfigError, match=r"^nginx_upstream_servers: found .* all drained"):
        act(given)
    given = params(tmp_path, upstream_servers=["192.0.2.2:1"])
    act(given)


def test_http3_needs_an_nginx_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "ask", lambda: OLD)
    with pytest.raises(ConfigError, match=r"^nginx_http3: found true with nginx 1\.22\.1; it is"):
        act(params(tmp_path, http3=True))
    assert act(params(tmp_path))["changed"]


def test_a_missing_package_ends_it_but_not_check_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "missing", lambda names: names)
    given = params(tmp_path, packages=["nginx"], check=["/bin/false"])
    found = act(given)
    assert (found["changed"], found["missing_packages"]) == (False, ["nginx"])
    found = act(given, check_mode=True)
    assert (found["changed"], found["settled"], found["checked"]) == (True, False, False)
    assert not Path(given["site"]).exists()


def test_check_mode_asks_nginx_when_the_certificate_is_there(tmp_path: Path) -> None:
    given = params(tmp_path, check=["/bin/true"], certificate=str(tmp_path / "fullchain.pem"))
    assert not act(given, check_mode=True)["checked"]
    (tmp_path / "fullchain.pem").touch()
    assert act(given, check_mode=True)["checked"]


def test_only_the_sites_own_file_has_drained_servers(tmp_path: Path) -> None:
    given = params(tmp_path)
    other = {**given["files"][0], "path": str(tmp_path / "nginx.conf")}
    given["files"].append(other)
    Path(given["site"]).write_text(OUT)
    act(given)
    assert Path(given["site"]).read_text() == OUT
    assert Path(other["path"]).read_text() == SITE


def test_a_site_written_before_in_the_same_play_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler sees the result of the last site alone."""
    given = params(tmp_path, unit="nginx.service")
    act(given)
    os.utime(given["site"], (1000, 1000))
    monkeypatch.setattr(Systemd, "unit", lambda _self, _name: Unit(since=2000.0, enabled=True))
    found = act(given)
    assert (found["changed"], found["reload"]) == (False, False)
    (tmp_path / "another.conf").touch()
    found = act(given)
    assert (found["changed"], found["reload"]) == (False, True)


# Pages -------------------------------------------------------------------------------------------


def test_pages_belong_to_what_is_live(tmp_path: Path) -> None:
    home = tmp_path / "pages" / "shop"

    def belong(live: str, **how: bool) -> bool:
        return pages.belong(home, live, **{"purge": False, "check_mode": False, **how})

    assert belong("", check_mode=True)
    assert not home.exists()
    assert belong("")
    assert pages.target_of(home).startswith("none.")
    assert belong("abc")
    first = pages.target_of(home)
    assert first.startswith("abc.")
    assert not belong("abc")
    assert not belong(""), "a run that did not look"
    assert belong("def")
    assert belong("abc")
    assert pages.target_of(home) not in {first, ""}, "pages of then are old"
    second = pages.target_of(home)
    assert belong("abc", purge=True)
    assert pages.target_of(home) != second
    assert sorted(path.name for path in home.iterdir()) == sorted(
        ["current", pages.target_of(home)]
    )
    assert (home / "current").stat().st_mode & 0o777 == 0o755


def test_a_site_points_its_pages_to_what_is_live(tmp_path: Path) -> None:
    home = tmp_path / "pages" / "shop"
    given = params(tmp_path, pages=str(home), live="abc")
    assert act(given)["changed"]
    assert pages.target_of(home).startswith("abc.")
    assert not act(given)["changed"]
    found = act({**given, "live": "def"})
    assert (found["changed"], found["reload"]) == (True, False), "nginx need not know"
