"""The command flaskops of a host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import host
from ansible_collections.flaskops.stack.plugins.module_utils.host import flaskops

UNIT = """\
[Unit]
Description=shop: generation %i

[Service]
Type=notify
Sockets=shop.socket shop@%i.socket
User=shop
WorkingDirectory=/srv/shop/generations/%i/release/code
Environment=FLASKOPS_GENERATION=%i HOME=/srv/shop
EnvironmentFile=/srv/shop/generations/%i/env
ExecStart=/srv/shop/generations/%i/release/venv/bin/python -m gunicorn
Restart=always
# A comment=not a setting
NoNewPrivileges=yes
SystemCallFilter=@system-service
SystemCallFilter=~@privileged

[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with one app, whose generation 7 is live."""
    home, units, apps = tmp_path / "srv", tmp_path / "units", tmp_path / "apps"
    (home / "generations/7").mkdir(parents=True)
    (home / "generations/7/generation.json").write_text('{"entrypoint": "shop:create()"}')
    (home / "live").symlink_to("generations/7")
    units.mkdir()
    (units / "shop@7.service").write_text(UNIT)
    (apps / "shop").mkdir(parents=True)
    (apps / "shop/app.json").write_text(json.dumps({"home": str(home)}))
    monkeypatch.setattr(flaskops, "UNITS", units)
    monkeypatch.setattr(flaskops, "APPS", apps)
    monkeypatch.setattr(flaskops.home_of, "__defaults__", (apps,))
    monkeypatch.setattr(flaskops.apps, "__defaults__", (apps,))
    return tmp_path


def test_a_command_runs_with_all_that_the_server_has(shop: Path) -> None:
    words = flaskops.words_of(["shop", "run", "echo", "$HOME 5 %"], terminal=False)
    assert words[:5] == ["systemd-run", "--quiet", "--collect", "--wait", "--pipe"]
    assert words[5:-4] == [
        "--property=User=shop",
        "--property=WorkingDirectory=/srv/shop/generations/7/release/code",
        "--property=Environment=FLASKOPS_GENERATION=7 HOME=/srv/shop",
        "--property=EnvironmentFile=/srv/shop/generations/7/env",
        "--property=NoNewPrivileges=yes",
        "--property=SystemCallFilter=@system-service",
        "--property=SystemCallFilter=~@privileged",
        "--setenv=FLASK_APP=shop:create()",
    ]
    assert words[-4:] == ["--", "/usr/bin/env", "echo", "$$HOME 5 %"]
    assert "--pty" in flaskops.words_of(["shop", "run", "flask", "shell"], terminal=True)


def test_the_log_is_of_all_units(shop: Path) -> None:
    words = flaskops.words_of(["shop", "logs", "-f", "-n", "5"], terminal=True)
    assert words == [
        "journalctl",
        "--unit=shop@*",
        "--unit=shop.*",
        "--unit=shop",
        "-f",
        "-n",
        "5",
    ]


def test_the_units_of_the_live_generation_are_shown(shop: Path) -> None:
    words = flaskops.words_of(["shop", "status"], terminal=True)
    assert words[-3:] == ["shop.socket", "shop@7.service", "shop.*@7.*"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["shop"], "usage: flaskops"),
        (["shop", "stop"], "usage: flaskops"),
        (["store", "logs"], "found no app 'store'; on this host there are: shop"),
        (["shop", "run"], "flaskops shop run: found no command"),
    ],
)
def test_what_cannot_be_done_is_told(shop: Path, given: list[str], told: str) -> None:
    with pytest.raises(flaskops.UsageError, match=told):
        flaskops.words_of(given, terminal=False)


def test_nothing_live_is_told(shop: Path) -> None:
    (shop / "srv/live").unlink()
    with pytest.raises(flaskops.UsageError, match="nothing is live in"):
        flaskops.words_of(["shop", "run", "true"], terminal=False)


def test_it_is_a_program_of_its_own_and_goes_with_the_last_app(tmp_path: Path) -> None:
    assert host.install(tmp_path, check_mode=True)
    assert not list(tmp_path.iterdir())
    assert host.install(tmp_path, check_mode=False)
    assert not host.install(tmp_path, check_mode=False)
    command = tmp_path / host.COMMAND
    assert command.stat().st_mode & 0o777 == 0o755
    done = subprocess.run(
        [sys.executable, "-I", command, "no", "app"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[0][:15]) == (2, "usage: flaskops")
    completion = tmp_path / host.COMPLETION
    subprocess.run(["bash", "-n", completion], check=True)
    apps = tmp_path / "apps"
    (apps / "shop").mkdir(parents=True)
    (apps / "shop/app.json").touch()
    host.remove(tmp_path, apps)
    assert command.exists()
    (apps / "shop/app.json").unlink()
    host.remove(tmp_path, apps)
    assert not command.exists()
    assert not completion.exists()
