"""Certificates on a host and on the controller: what is served, handed over, refused."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.certificate import (
    handover,
    keeper,
    lineage,
    phases,
    program,
    shipped,
    site,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.acme import Acme
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.command import TlsError
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.handover import Handover
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.pair import (
    Pair,
    comparable,
    self_signed,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.site import Site
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd
from ansible_collections.flaskops.stack.plugins.plugin_utils.certificate import (
    certificate_problem,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["shop.example.com", "www.shop.example.com"]
RELOAD_NGINX = site.reload


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What nginx was asked; a text in it makes nginx refuse."""
    asked: list[str] = []

    def reload() -> None:
        if "refuse" in asked:
            raise TlsError("nginx refuses")
        asked.append("reload")

    monkeypatch.setattr(site, "reload", reload)
    return asked


class Host:
    """A host with the site shop in a directory of its own."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.site = Site("shop", root / "tls")
        self.acme = Acme(self.site)
        self.handover = Handover(self.site)
        self.handover.bundle = root / "shop.cms"
        self.site.home.mkdir(parents=True)
        known = {"source": "acme", "domains": NAMES, "server": "https://acme.example/dir"}
        (self.site.home / "settings.json").write_text(json.dumps(known | settings))

    def lineage(self, pair: Pair, server: str = "https://acme.example/dir") -> None:
        place = self.root / "letsencrypt/live/shop"
        place.mkdir(parents=True, exist_ok=True)
        (place / "fullchain.pem").write_bytes(pair.fullchain)
        (place / "privkey.pem").write_bytes(pair.key)
        renewal = self.root / "letsencrypt/renewal"
        renewal.mkdir(exist_ok=True)
        text = "# renew_before_expiry = 30 days\nversion = 2.1.0\n[renewalparams]\n"
        text += f"server = {server}\n"
        (renewal / "shop.conf").write_text(text)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(lineage, "LETSENCRYPT", tmp_path / "letsencrypt")
    return Host(tmp_path)


def issued(days: int = 90, names: list[str] = NAMES) -> Pair:
    return self_signed(names, "acme", days)


def ended(names: list[str]) -> Pair:
    """One that ended a second ago; openssl does not make such a one in every version."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(90))
        .not_valid_after(now - dt.timedelta(seconds=1))
        .add_extension(alternatives, critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    private = key.private_bytes(*form, serialization.NoEncryption())
    return Pair(made.public_bytes(serialization.Encoding.PEM), private, "acme")


def test_certificate_tells_its_names_and_its_end() -> None:
    facts = issued(9, ["A.example.com", "192.0.2.1"]).facts()
    assert facts.names == {"a.example.com", "192.0.2.1"}
    assert facts.days_left in (8, 9)


def test_addresses_compare_however_they_are_written() -> None:
    names = ["2001:DB8:0::1", "Shop.example.com", "192.0.2.1"]
    made = issued(9, names)
    assert made.facts().names == set(map(comparable, names))
    assert made.facts().names == {"2001:db8::1", "shop.example.com", "192.0.2.1"}
    assert problem(made, "2001:db8:0:0::1", "192.0.2.1") == ""
    assert "2001:db8::2 of certificate_domains" in problem(made, "2001:db8::2")


def test_nginx_is_found_without_sbin_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(argv: Sequence[str], **_given: Any) -> Any:
        asked.append(" ".join(argv))
        shown = "ActiveState=active\nStateChangeTimestampMonotonic=1\n"
        return subprocess.CompletedProcess(argv, 0, shown, "")

    monkeypatch.setattr("subprocess.run", run)
    RELOAD_NGINX()
    assert asked[1:] == ["/usr/sbin/nginx -t -q", "systemctl reload nginx.service"]


def test_key_of_another_certificate_is_refused(host: Host) -> None:
    mixed = Pair(issued().fullchain, issued().key, "files")
    with pytest.raises(TlsError, match="the key does not belong to the certificate"):
        host.site.install(mixed)
    assert host.site.live() is None


def test_new_one_takes_over_and_only_the_one_before_is_kept(host: Host, asked: list[str]) -> None:
    pairs = [issued() for _ in range(3)]
    assert [host.site.install(pair) for pair in (*pairs, pairs[-1])] == [True, True, True, False]
    assert host.site.live() == pairs[-1]
    assert len(asked) == 3
    kept = {path.name for path in (host.site.home / "versions").iterdir()}
    assert kept == {pair.ident for pair in pairs[1:]}
    assert (host.site.link / "privkey.pem").stat().st_mode & 0o777 == 0o600


def test_old_one_stays_when_nginx_refuses(host: Host, asked: list[str]) -> None:
    good = issued()
    host.site.install(good)
    asked.append("refuse")
    with pytest.raises(TlsError, match="nginx refuses"):
        host.site.install(issued())
    assert host.site.live() == good


def test_bootstrap_finds_the_best_there_is(host: Host) -> None:
    assert host.site.bootstrap()
    first = host.site.live()
    assert first is not None
    assert (first.source, first.facts().names) == ("bootstrap", frozenset(NAMES))
    assert not host.site.bootstrap()
    host.site.link.unlink()
    assert host.site.bootstrap()
    assert host.site.live() == first
    (host.site.link / "privkey.pem").write_bytes(b"torn")
    lineage = issued()
    host.lineage(lineage)
    assert host.site.bootstrap()
    assert host.site.live() == lineage


@pytest.mark.parametrize(
    ("pair", "server", "why"),
    [
        (None, "", "there is none yet"),
        ((90, NAMES[:1]), "", "it is for shop.example.com"),
        ((90, NAMES), "https://other.example/dir", "it came from another server"),
        ((-1, NAMES), "", "it ends in -"),
        ((90, NAMES), "", ""),
        ((90, [name.upper() for name in NAMES]), "", ""),
    ],
)
def test_it_is_due_for_a_reason(host: Host, pair: Any, server: str, why: str) -> None:
    if pair is not None:
        days, names = pair
        made = issued(days, names) if days > 0 else ended(names)
        host.lineage(made, server or "https://acme.example/dir")
    told = host.acme.due()
    assert told.startswith(why)
    assert bool(told) == bool(why)


@pytest.mark.parametrize(("days", "hours"), [(90, 720), (45, 360), (6, 48)])
def test_renewal_begins_a_third_of_the_lifetime_before_the_end(
    host: Host, days: int, hours: int
) -> None:
    pair = issued(days)
    host.lineage(pair)
    assert host.acme.set_threshold(pair.facts())
    text = host.acme.lineage.renewal.read_text()
    assert text.startswith(f"renew_before_expiry = {hours} hours\nversion")
    assert not host.acme.set_threshold(pair.facts())


def test_renewal_begins_when_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "LETSENCRYPT", tmp_path / "letsencrypt")
    host = Host(tmp_path, renew_before_days=20)
    host.lineage(issued(90))
    host.acme.set_threshold(issued(90).facts())
    assert "renew_before_expiry = 480 hours\n" in host.acme.lineage.renewal.read_text()


# From host to host -------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Host, Host]:
    """An issuer and another host that have been introduced to each other."""
    first = Host(tmp_path / "first")
    second = Host(tmp_path / "second", issuer=False, issuer_url="http://first:80/x")
    peers = first.site.home / "peers"
    peers.mkdir()
    (peers / "second.example.pem").write_bytes(second.handover.own_certificate())
    second.handover.issuer.write_bytes(first.handover.own_certificate())

    def download(url: str, host: str) -> bytes:
        assert (url, host) == ("http://first:80/x", NAMES[0])
        return first.handover.bundle.read_bytes()

    monkeypatch.setattr(handover, "download", download)
    return first, second


def test_certificate_is_handed_over(two: tuple[Host, Host]) -> None:
    first, second = two
    pair = issued()
    first.site.install(pair)
    assert first.handover.publish()
    assert not first.handover.publish()
    assert pair.key.splitlines()[1] not in first.handover.bundle.read_bytes()
    assert second.handover.fetch()
    assert second.site.live() == pair
    assert not second.handover.fetch()


def test_host_that_was_not_introduced_cannot_read_it(
    two: tuple[Host, Host], tmp_path: Path
) -> None:
    first, _ = two
    first.site.install(issued())
    first.handover.publish()
    stranger = Host(tmp_path / "third", issuer_url="http://first:80/x")
    stranger.handover.own_certificate()
    stranger.handover.issuer.write_bytes(first.handover.own_certificate())
    with pytest.raises(TlsError, match="openssl cms"):
        stranger.handover.fetch()
    assert stranger.site.live() is None


def test_certificate_of_another_sender_is_refused(two: tuple[Host, Host], tmp_path: Path) -> None:
    first, second = two
    forger = Host(tmp_path / "forger")
    forger.handover.own_certificate()
    (forger.site.home / "peers").mkdir()
    (forger.site.home / "peers/second.pem").write_bytes(second.handover.own_certificate())
    forger.site.install(issued())
    forger.handover.publish()
    first.handover.bundle.write_bytes(forger.handover.bundle.read_bytes())
    with pytest.raises(TlsError, match="openssl cms"):
        second.handover.fetch()
    assert second.site.live() is None


def test_older_one_played_again_is_ignored(two: tuple[Host, Host]) -> None:
    first, second = two
    old = issued()
    first.site.install(old)
    first.handover.publish()
    replay = first.handover.bundle.read_bytes()
    time.sleep(1.1)  # a certificate's beginning is in whole seconds
    new = issued()
    first.site.install(new)
    first.handover.publish()
    second.handover.fetch()
    first.handover.bundle.write_bytes(replay)
    assert not second.handover.fetch()
    assert second.site.live() == new


# Renewal -----------------------------------------------------------------------------------------


def test_failed_renewal_is_one_line(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site, "HOME", host.site.home.parent)
    host.site.install(issued(30))
    said = (
        "Failed to renew certificate shop with error: no route\n"
        "All renewals failed. The following certificates could not be renewed:\n"
        "1 renew failure(s), 0 parse failure(s)\n"
    )
    done = subprocess.CompletedProcess([], 1, said.encode())
    monkeypatch.setattr("subprocess.run", certbot(done, subprocess.run))
    assert program.main(["renew"]) == 1
    told = capsys.readouterr().err
    assert told == (
        "certificate shop was not renewed; the old one serves on, for 29 days. "
        "certbot says: no route\n"
    )


def certbot(done: Any, real: Any) -> Any:
    """A subprocess.run in which certbot has this outcome."""

    def run(argv: list[str], **given: Any) -> Any:
        return done if argv[0] == "certbot" else real(argv, **given)

    return run


# The module --------------------------------------------------------------------------------------


class QuietSystemd(Systemd):
    """One that does what it is told, and whose units are enabled and active."""

    def must(self, verb: str, *units: str) -> None:
        pass

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        return {"UnitFileState": "enabled", "ActiveState": "active"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the module's code in a directory, on the certificate wild; what came of it."""
    monkeypatch.setattr(site, "HOME", tmp_path / "tls")
    monkeypatch.setattr(handover, "OUTBOX", tmp_path / "outbox")
    monkeypatch.setattr(lineage, "LETSENCRYPT", tmp_path / "letsencrypt")
    monkeypatch.setattr(shipped, "PROGRAM", tmp_path / "lib/tls.py")
    monkeypatch.setattr(phases, "SITES", tmp_path / "sites")
    (tmp_path / "sites").mkdir()

    def run(action: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
        given: dict[str, Any] = dict.fromkeys(
            ("email", "server", "acme_ca", "issuer", "issuer_url", "host"), ""
        )
        given |= {"name": "wild", "source": "self_signed", "domains": NAMES, "leaving": ""}
        given |= {"state": "absent" if action == "remove" else "present"}
        given |= {"webroot": str(tmp_path / "acme"), "renew_before_days": 0, "hosts": []}
        done = phases.Phases(given | params, QuietSystemd(tmp_path / "units"), dry=check)
        getattr(done, action)()
        return done.result()

    return run


@pytest.mark.parametrize("check", [False, True])
def test_certificate_that_another_site_serves_stays(
    machine: Any, tmp_path: Path, check: bool
) -> None:
    machine("prepare")
    home, unit = tmp_path / "tls/wild", tmp_path / "units/flaskops-tls.service"
    other = tmp_path / "sites/other.conf"
    text = f"ssl_certificate {home}/live/fullchain.pem;"
    for name in ("shop.conf", "other.conf"):
        (tmp_path / "sites" / name).write_text(text)
    (tmp_path / "sites/folder").mkdir()
    (tmp_path / "sites/lost").symlink_to("nowhere")
    told = machine("remove", leaving="shop", check=check)
    assert (told["changed"], told["kept_for"]) == (False, [str(other)])
    assert told["msg"] == f"certificate wild stays, for {other}"
    assert (home / "live/fullchain.pem").is_file()
    assert unit.is_file()
    other.write_text(text.replace("wild", "wild-2"))
    told = machine("remove", leaving="shop", check=check)
    assert (told["changed"], told["kept_for"]) == (True, [])
    assert home.exists() == unit.exists() == check


@pytest.mark.parametrize(("issuer", "host"), [("", "web1"), ("web1", "web2")])
def test_certificate_that_no_site_has_is_renewed_no_more(
    machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issuer: str, host: str
) -> None:
    machine("prepare", source="acme", issuer=issuer, host=host)
    forgotten: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda _program: "/usr/bin/it")
    monkeypatch.setattr(
        keeper.Keeper, "delete_lineage", lambda self: forgotten.append(self.site.name)
    )
    renewal = tmp_path / "letsencrypt/renewal/wild.conf"
    renewal.parent.mkdir(parents=True)
    renewal.touch()
    timer = tmp_path / "units/flaskops-tls-fetch.timer"
    assert timer.exists() == (host == "web2")
    served = tmp_path / "sites/shop.conf"
    served.write_text(f"ssl_certificate {tmp_path}/tls/wild/live/fullchain.pem;")
    assert not machine("retire")["changed"]
    served.unlink()
    assert machine("retire", check=True)["changed"]
    assert timer.exists() == (host == "web2")
    assert machine("retire")["changed"]
    assert forgotten == ["wild"]
    assert not timer.exists()
    assert (tmp_path / "tls/wild/live/fullchain.pem").is_file()
    renewal.unlink()
    assert not machine("retire")["changed"]


def test_self_signed_certificate_for_an_address_is_made_once(machine: Any) -> None:
    assert machine("prepare", domains=["2001:DB8::1"])["changed"]
    assert not machine("prepare", domains=["2001:DB8::1"])["changed"]
    assert not machine("prepare", domains=["2001:DB8::1"], check=True)["changed"]


def test_program_runs_on_a_host_without_ansible(machine: Any, tmp_path: Path) -> None:
    machine("prepare")
    command = [sys.executable, "-S", str(tmp_path / "lib/tls.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: tls.py renew|deployed|fetch|ensure\n")
    machine("remove")
    assert list((tmp_path / "lib").iterdir()) == []


# Between web hosts -------------------------------------------------------------------------------


def play(hosts: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run web.yml, with which nobody answers, with TLS by ACME."""
    given = {"certificate_source": "acme", "nginx_server_name": NAMES, **variables}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", hosts, *options]
    command += ["playbooks/web.yml", "-e", json.dumps(given)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_web_hosts_that_are_known_by_name_only_are_refused_first() -> None:
    done = play("a.example,192.0.2.2,")
    told = " ".join(done.stdout.split())
    assert "private_address: found a.example for a.example; several web hosts" in told
    assert told.count("failed=1") == 2
    assert "TASK [flaskops.stack" not in told


@pytest.mark.parametrize(("prefix", "asked"), [("", True), ("/shop", False)])
def test_app_below_a_path_needs_no_certificate(prefix: str, asked: bool) -> None:
    nowhere = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    done = play("a.example,", "--tags=certificate", **nowhere, flask_app_url_prefix=prefix)
    assert ("unreachable=1" in done.stdout) == asked, done.stdout


# On the controller -------------------------------------------------------------------------------


def problem(pair: Pair, *names: str, key: bytes = b"") -> str:
    return certificate_problem(pair.fullchain.decode(), (key or pair.key).decode(), names)


def test_what_fits_has_no_problem() -> None:
    pair = issued(9, ["*.example.com", "Example.com"])
    assert problem(pair, "shop.example.com", "example.COM") == ""


@pytest.mark.parametrize("name", ["example.com", "a.b.example.com", "example.org"])
def test_name_that_a_certificate_does_not_cover_is_told(name: str) -> None:
    told = problem(issued(9, ["*.example.com"]), name)
    assert told.endswith(f"{name} of certificate_domains is not among them")


def test_what_does_not_fit_is_told_without_the_key() -> None:
    one, other = issued(), issued()
    assert "the key of another certificate" in problem(one, key=other.key)
    torn = certificate_problem(one.fullchain.decode(), "-----BEGIN hush", [])
    assert torn.startswith("certificate_private_key: found no key")
    assert "hush" not in torn
    assert "found no certificate" in certificate_problem("", one.key.decode(), [])


def test_certificate_that_has_ended_is_told() -> None:
    assert "that ended on" in problem(ended(NAMES))
