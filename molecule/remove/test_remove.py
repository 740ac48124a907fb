"""Two apps on one host: what status.yml tells of them, and one taken away beside the other."""

from __future__ import annotations

import http.client
import json
import stat
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLAYBOOKS = "../../playbooks"
#: Its units look like some of shop's at first sight.
OTHER = {
    "flask_app_name": "shop-api",
    "nginx_server_name": ["api.example.org"],
    "gunicorn_workers": 1,
}
DOWN = "app0.example.org"

pytestmark = pytest.mark.units("nginx.service", "shop.socket", "shop.service", "shop@*.service")

Outside = Callable[[int], str]
Rows = dict[str, dict[str, Any]]


class Visitor:
    """A visitor with cookies."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def about(self, **headers: str) -> dict[str, Any]:
        request = urllib.request.Request(f"http://{self.address}/about.json", headers=headers)
        with self.opener.open(request, timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@pytest.fixture
def visitor(outside: Outside) -> Visitor:
    return Visitor(outside(80))


@pytest.fixture
def apps(play: Any, tmp_path: Path) -> Callable[[], Rows]:
    """Return what asks status.yml: the apps by name, as its file has them."""
    path = tmp_path / "status.json"

    def ask() -> Rows:
        output = play.succeeds(playbook=f"{PLAYBOOKS}/status.yml", status_file=str(path))
        assert "changed=1" in output  # the file, here
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        return {row["name"]: row for row in json.loads(path.read_text())}

    return ask


@pytest.fixture
def one_away(tmp_path: Path) -> list[str]:
    """Return the options that add a host to which nobody can get."""
    more = tmp_path / "hosts.json"
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    more.write_text(json.dumps({"all": {"hosts": {DOWN: away}}}))
    return [f"--inventory={more}", "--limit=all"]


def wait_until_up(host: Any, unit: str) -> None:
    for _ in range(60):
        if host.run(f"systemctl is-active {unit}").stdout.strip() == "active":
            return
        time.sleep(0.5)
    raise AssertionError(f"{unit} does not come up")


# What is there -----------------------------------------------------------------------------------


def test_status_tells_what_the_running_process_says(
    host: Any, apps: Callable[[], Rows], visitor: Visitor
) -> None:
    found, told = apps()["shop"], visitor.about()
    assert (found["state"], found["problems"]) == ("serving", [])
    assert found["release"] == found["answered_release"] == told["release"]
    assert found["revision"] == told["revision"]
    assert str(found["generation"]) == told["generation"]
    assert (found["server"], found["server_version"]) == (told["server"], told["server_version"])
    assert found["workers"] == 2
    assert 20_000_000 < found["memory"] < 400_000_000
    assert 0 < found["uptime"] < 3600
    assert found["deployed"] == host.check_output("date -u -r /srv/shop/live +%FT%TZ")


def test_status_is_a_table_that_people_read(play: Any) -> None:
    lines = play.succeeds(playbook=f"{PLAYBOOKS}/status.yml").splitlines()
    (head,) = (line for line in lines if line.split()[:2] == ["HOST", "APP"])
    row = lines[lines.index(head) + 1]
    assert row.split()[:4] == ["debian13", "shop", "serving", "1"]
    assert row[head.index("SERVER") :].startswith("gunicorn 27.")
    assert row.split()[-1] == "-"  # there is nothing to go back to yet


def test_status_tells_of_an_nginx_that_is_away(host: Any, play: Any) -> None:
    host.check_output("systemctl stop nginx")
    told = play.succeeds(playbook=f"{PLAYBOOKS}/status.yml")
    host.check_output("systemctl start nginx")
    assert "nginx.service is inactive: journalctl -u nginx.service" in told
    assert "nginx.service" not in play.succeeds(playbook=f"{PLAYBOOKS}/status.yml")


def test_status_holds_no_secret(host: Any, play: Any) -> None:
    output = play.succeeds("-vvv", playbook=f"{PLAYBOOKS}/status.yml", status_format="json")
    record = json.loads(host.check_output("cat /srv/shop/live/generation.json"))
    assert '"answered_release"' in output
    assert record["token"] not in output
    assert host.check_output("cat /srv/shop/secret_key") not in output


def test_status_goes_on_when_a_host_is_away(play: Any, one_away: list[str]) -> None:
    output = play.succeeds(*one_away, playbook=f"{PLAYBOOKS}/status.yml")
    rows = [line.split()[:3] for line in output.splitlines()]
    assert [DOWN, "-", "unreachable"] in rows
    assert ["debian13", "shop", "serving"] in rows


def test_status_names_what_to_go_back_to_and_what_a_switch_left(
    host: Any, play: Any, apps: Callable[[], Rows]
) -> None:
    play.succeeds(flask_app_env={"FLASK_TITLE": "Shop"})
    found = apps()["shop"]
    assert found["generation"] == 2
    assert found["rollback"]["generation"] == 1
    assert found["rollback"]["release"] == found["release"]
    host.check_output("systemctl start shop@1.service")
    found = apps()["shop"]
    assert (found["state"], found["others"]) == ("serving", [1])
    assert "shop has generation 1 too, active" in found["problems"][0]
    host.check_output("systemctl stop shop@1.service shop@1.socket")
    assert apps()["shop"]["problems"] == []


def test_status_tells_stopped_from_failed_from_hanging(host: Any, apps: Callable[[], Rows]) -> None:
    host.check_output("systemctl stop shop")
    found = apps()["shop"]
    assert (found["state"], found["workers"], found["uptime"]) == ("stopped", 0, 0)
    assert found["problems"] == ["shop is stopped: systemctl start shop"]
    host.check_output("systemctl start shop")
    wait_until_up(host, "shop@2.service")

    host.check_output("systemctl kill --signal=STOP shop@2.service")
    found = apps()["shop"]
    assert found["state"] == "broken"
    assert found["problems"][0].startswith("shop is broken: no answer to GET /healthz (timed out)")
    host.check_output("systemctl kill --signal=CONT shop@2.service")

    python = "/srv/shop/live/release/venv/bin/python"
    host.check_output(f"mv {python} {python}.away; systemctl --no-block restart shop; sleep 4")
    try:
        found = apps()["shop"]
    finally:
        host.check_output(f"mv {python}.away {python}")
    assert found["state"] == "failed"
    assert found["problems"] == ["shop is failed: journalctl -u shop@2"]
    wait_until_up(host, "shop@2.service")
    assert apps()["shop"]["state"] == "serving"


def test_status_lists_every_app_of_a_host(play: Any, apps: Callable[[], Rows]) -> None:
    play.succeeds(**OTHER)
    found = apps()
    assert {name: app["state"] for name, app in found.items()} == {
        "shop": "serving",
        "shop-api": "serving",
    }
    assert found["shop-api"]["workers"] == 1


# And away with it --------------------------------------------------------------------------------


def remove(play: Any, *options: str, **variables: Any) -> str:
    output: str = play.succeeds(
        *options, playbook=f"{PLAYBOOKS}/remove.yml", flask_app_name="shop", **variables
    )
    return output


def left(host: Any) -> str:
    """What is on the host of the app shop; what is shop-api's is not."""
    places = "/etc/systemd /etc/nginx /etc/flaskops /srv /run /etc/systemd/system/*.wants"
    found = host.check_output(f"find {places} -maxdepth 2 -name '*shop*' -not -name '*shop-api*'")
    units = host.run("systemctl list-units --all --plain --no-legend 'shop.*' 'shop@*'").stdout
    user = host.run("getent passwd shop; getent group shop").stdout
    return f"{found}\n{units}\n{user}".strip()


def other_serves(visitor: Visitor) -> None:
    assert visitor.about(Host="api.example.org")["release"]


def test_nothing_goes_without_being_meant(host: Any, play: Any, visitor: Visitor) -> None:
    playbook = f"{PLAYBOOKS}/remove.yml"
    assert "name the app to remove" in play.fails(playbook=playbook)
    for confirm in ("", "shop-api"):
        told = play.fails(playbook=playbook, flask_app_name="shop", confirm=confirm)
        assert f'confirm: found "{confirm}"; nothing was removed' in told
        assert "This would go from debian13, for good" in told
        assert "unit shop@2.service" in told
        assert "/etc/nginx/sites-enabled/shop.conf" in told
        assert "To remove it, add -e confirm=shop" in told
        assert "shop-api" not in told.replace('found "shop-api"', "")
    told = remove(play, "--check", "--diff")
    assert "directory /srv/shop with" in told
    assert "-unit shop@2.service" in told
    assert "shop-api" not in told
    assert visitor.about()["generation"] == "2"


def test_nothing_goes_while_a_host_is_away(
    play: Any, one_away: list[str], visitor: Visitor
) -> None:
    names = {"flask_app_name": "shop", "confirm": "shop"}
    assert DOWN in play.fails(*one_away, playbook=f"{PLAYBOOKS}/remove.yml", **names)
    assert visitor.about()["generation"] == "2"


@pytest.mark.parametrize("home", ["/srv", "/opt/tools"])
def test_home_that_is_no_apps_is_refused(host: Any, play: Any, home: str) -> None:
    host.check_output("mkdir -p /opt/tools/bin")
    playbook = f"{PLAYBOOKS}/remove.yml"
    names = {"flask_app_name": "shop", "confirm": "shop", "flask_app_home": home}
    told = play.fails(playbook=playbook, **names)
    assert "shop was not removed. home:" in told
    assert "left alone" in told
    assert host.file("/opt/tools/bin").is_directory
    assert host.file("/srv/shop/live").is_symlink


def test_data_is_kept_when_asked_and_found_again(host: Any, play: Any, visitor: Visitor) -> None:
    host.check_output("runuser -u shop -- sh -c 'echo mine > /srv/shop/shared/uploads/one.txt'")
    visits = visitor.about()["session"]["visits"]
    key = host.check_output("cat /srv/shop/secret_key")
    remove(play, confirm="shop", flask_app_keep_data=True)
    assert host.check_output("ls -A /srv/shop").split() == ["secret_key", "shared"]
    assert "shop.service" not in left(host)
    with pytest.raises((OSError, http.client.HTTPException)):
        visitor.about()
    assert "changed=0" in remove(play, confirm="shop", flask_app_keep_data=True)
    assert "changed=0" in remove(play, flask_app_keep_data=True)  # nothing to be meant
    play.succeeds()
    assert host.check_output("cat /srv/shop/secret_key") == key
    assert visitor.about()["session"]["visits"] == visits + 1
    owner = host.check_output("stat -c %U:%a /srv/shop/shared/uploads/one.txt")
    assert owner.startswith("shop:")


def test_all_of_it_goes_and_nothing_else(host: Any, play: Any, visitor: Visitor) -> None:
    host.check_output(
        "mkdir -p /etc/systemd/system/shop.service.d /etc/systemd/system/shop@.service.d; "
        "printf '[Unit]\\nDescription=ours\\n' > /etc/systemd/system/shop-backup.service; "
        "touch /etc/systemd/system/shop@.service.d/more.conf"
    )
    remove(play, confirm="shop")
    assert left(host) == "/etc/systemd/system/shop-backup.service"
    host.check_output("rm /etc/systemd/system/shop-backup.service")
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
    assert host.check_output("journalctl -t shop -o cat -n 1") != ""
    assert "changed=0" in remove(play, confirm="shop")
    other_serves(visitor)


def test_site_puts_it_back(host: Any, play: Any, visitor: Visitor) -> None:
    play.succeeds()
    told = visitor.about()
    assert (told["generation"], told["session"]["visits"]) == ("1", 1)
    other_serves(visitor)
    assert "changed=0" in play.succeeds()
