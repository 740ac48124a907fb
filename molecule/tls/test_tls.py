"""Two web hosts with TLS: a certificate by ACME that renews itself, what fails, what visitors get.

web1 (Debian 13) has the certificate issued, web2 (Debian 12) takes it from there. The ACME server
finds each name on another of the two. The checks build on one another, in this order.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from cryptography import x509
from cryptography.hazmat.primitives import hashes

import plays
import testbed

HERE = Path(__file__).resolve().parent
STATE = testbed.STATE / "tls"
WEB = ("web1", "web2")
NAMES = ["shop.example.com", "www.shop.example.com"]
LIVE = "/etc/flaskops/tls/shop/live/fullchain.pem"
RENEWAL = "/etc/letsencrypt/renewal/shop.conf"
UV = Path(sys.executable).with_name("uv")

pytestmark = pytest.mark.units("nginx.service", "certbot.service", "flaskops-tls*")

each_web = pytest.mark.parametrize("web", WEB)
Hosts = dict[str, Any]


@pytest.fixture(scope="module")
def hosts() -> Hosts:
    """All hosts at once; checks that use it run once."""
    inventory = STATE / "inventory.yml"
    return {
        name: testinfra.get_host(f"ansible://{name}?ansible_inventory={inventory}&sudo=true")
        for name in (*WEB, "acme")
    }


def run(
    *options: str, playbook: str = "web.yml", limit: str = "web", **variables: Any
) -> subprocess.CompletedProcess[str]:
    return plays.run(HERE, limit, *options, timeout=300, playbook=playbook, **variables)


def succeeds(*options: str, **variables: Any) -> str:
    return plays.output(run(*options, **variables))


def fails(*options: str, **variables: Any) -> str:
    """The playbook must fail; its output on one line."""
    return plays.complaint(run(*options, **variables))


def port(hosts: Hosts, web: str, number: int = 443) -> int:
    ports: dict[str, int] = hosts[web].backend.get_variables()["testbed_ports"]
    return ports[str(number)]


def shown(
    hosts: Hosts,
    web: str,
    name: str = NAMES[0],
    latest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> x509.Certificate:
    """The certificate that a visitor is shown whose browser knows no later version of TLS."""
    context = ssl.create_default_context()
    context.maximum_version = latest
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = ("127.0.0.1", port(hosts, web))
    with (
        socket.create_connection(address, timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        sent = secured.getpeercert(binary_form=True)
    assert sent is not None
    return x509.load_der_x509_certificate(sent)


def print_of(hosts: Hosts, web: str, name: str = NAMES[0]) -> str:
    return shown(hosts, web, name).fingerprint(hashes.SHA256()).hex()


def eventually(truth: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether something becomes true: nobody is told when certbot has ended."""
    end = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True


def everywhere(truth: Callable[[str], bool]) -> bool:
    """Whether something becomes true of both web hosts."""
    return all(eventually(functools.partial(truth, web)) for web in WEB)


def ends(hosts: Hosts, web: str) -> float:
    """When what a visitor is shown ends, in seconds since the epoch."""
    return shown(hosts, web).not_valid_after_utc.timestamp()


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


def issuer(certificate: x509.Certificate) -> str:
    return certificate.issuer.rfc4514_string()


def curl(hosts: Hosts, web: str, url: str, *options: str) -> str:
    """What curl says on the host itself, headers first."""
    name = url.split("/")[2]
    to = f"--connect-to {name}:443:127.0.0.1:443 --connect-to {name}:80:127.0.0.1:80"
    words = f"curl -sk -D- --max-time 10 {to} {' '.join(options)} '{url}'"
    return str(hosts[web].check_output(words))


@contextlib.contextmanager
def lost_names(hosts: Hosts) -> Iterator[None]:
    """The ACME server, which reads them again every 5 seconds, finds no names meanwhile."""
    change = "cp /etc/hosts /root/hosts; grep -v example /root/hosts > /etc/hosts; sleep 6"
    hosts["acme"].check_output(change)
    try:
        yield
    finally:
        hosts["acme"].check_output("cat /root/hosts > /etc/hosts; sleep 6")


def due(hosts: Hosts, web: str = "web1") -> None:
    """Let certbot think that it is time to renew."""
    line = "renew_before_expiry = 9999 days"
    hosts[web].check_output(f"sed -i 's/^renew_before_expiry.*/{line}/' {RENEWAL}")


def complaints(hosts: Hosts, web: str) -> list[str]:
    hosts[web].check_output("journalctl --sync")
    told = hosts[web].check_output("journalctl -t flaskops-tls -o cat --no-pager")
    return [line for line in told.splitlines() if line.startswith("certificate")]


# Self-signed, as converge.yml has it -------------------------------------------------------------


@each_web
def test_self_signed_certificate_has_the_sites_names(hosts: Hosts, web: str) -> None:
    certificate = shown(hosts, web, "demo.example.com")
    assert names(certificate) == {"demo.example.com", "www.demo.example.com"}
    assert certificate.issuer == certificate.subject


@each_web
def test_unknown_name_gets_no_certificate(hosts: Hosts, web: str) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        shown(hosts, web, "evil.example.org")


@each_web
def test_plain_http_is_sent_to_https(hosts: Hosts, web: str) -> None:
    answer = curl(hosts, web, "http://demo.example.com/a/b?c=d")
    assert answer.startswith("HTTP/1.1 301")
    assert "\nLocation: https://demo.example.com/a/b?c=d" in answer
    assert "strict-transport" not in answer.lower()


@each_web
def test_nginx_has_no_doubts(hosts: Hosts, web: str) -> None:
    assert (
        hosts[web].check_output("nginx -t 2>&1 | grep -v -e 'syntax is ok' -e successful || true")
        == ""
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"certificate_source": "acme", "nginx_server_name": ["*.example.com"]}, 'none with "*"'),
        ({"nginx_tls_port": 80}, "nginx_tls_port: found 80"),
    ],
)
def test_nonsense_is_refused_before_anything_changes(
    hosts: Hosts, variables: dict[str, Any], message: str
) -> None:
    state = "find /etc/flaskops /etc/nginx -type f -printf '%p %T@\n' | sort"
    before = hosts["web1"].check_output(state)
    assert message in fails(playbook="converge.yml", limit="web1", **variables)
    assert hosts["web1"].check_output(state) == before


def test_given_files_are_served_and_must_fit(hosts: Hosts, tmp_path: Path) -> None:
    def made(name: str) -> dict[str, str]:
        key, chain = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9"]
        words += ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:*.example.com"]
        words += ["-keyout", str(key), "-out", str(chain)]
        subprocess.run(words, check=True, capture_output=True)
        return {"certificate_fullchain": str(chain), "certificate_private_key": str(key)}

    given: dict[str, Any] = {"playbook": "converge.yml", "limit": "web1"}
    given |= {"certificate_source": "files", "nginx_server_name": ["demo.example.com"]}
    one, other = made("one"), made("other")
    before = print_of(hosts, "web1", "demo.example.com")
    mixed = {**one, "certificate_private_key": other["certificate_private_key"]}
    assert "found the key of another certificate" in fails(**given, **mixed)
    assert print_of(hosts, "web1", "demo.example.com") == before
    text = succeeds("-vv", **given, **one)
    assert Path(one["certificate_private_key"]).read_text().splitlines()[1] not in text
    assert eventually(lambda: issuer(shown(hosts, "web1", "demo.example.com")) == "CN=one")
    assert "changed=0" in succeeds(**given, **one)


def test_http3_is_for_nginx_that_knows_it(hosts: Hosts) -> None:
    again = {"playbook": "converge.yml", "nginx_http3": True}
    told = fails(**again, limit="web2")
    assert "nginx_http3: found true with nginx 1.22.1; it is allowed with nginx 1.25" in told
    succeeds(**again, limit="web1")
    assert "h3=" in curl(hosts, "web1", "https://demo.example.com/")
    answer = curl(hosts, "web1", "https://demo.example.com/", "--http3-only")
    assert answer.startswith("HTTP/3 502"), "there is no app"
    assert "strict-transport-security" in answer.lower()


# By ACME, on two hosts ---------------------------------------------------------------------------


def test_check_mode_foresees_the_first_certificate(hosts: Hosts) -> None:
    """Nginx cannot try a site whose certificate is yet to be made."""
    told = succeeds("--check", "--diff")
    assert "ssl_certificate /etc/flaskops/tls/shop/live/fullchain.pem;" in told
    assert not hosts["web1"].file("/etc/flaskops/tls/shop").exists


def test_first_certificate_is_issued_and_handed_over(hosts: Hosts) -> None:
    """The second name was asked of web2, which has to pass the challenge on."""
    succeeds()
    assert everywhere(lambda web: "Pebble" in issuer(shown(hosts, web)))
    assert everywhere(lambda web: names(shown(hosts, web)) == set(NAMES))
    assert print_of(hosts, "web1") == print_of(hosts, "web2")


def test_key_is_for_root_alone_and_crosses_the_network_encrypted_only(hosts: Hosts) -> None:
    for web in WEB:
        secret = hosts[web].check_output("sed -n 2p /etc/flaskops/tls/shop/live/privkey.pem")
        asked = "find /etc/flaskops /etc/letsencrypt /var/lib/flaskops -name '*.pem' -type f"
        assert hosts[web].run(f"runuser -u www-data -- cat {LIVE}").failed
        others = f"{asked} -perm /077 -exec grep -lF '{secret}' {{}} +; true"
        assert hosts[web].check_output(others) == ""
        assert secret not in hosts[web].check_output("journalctl --no-pager | grep -v sudo")
    address = hosts["web1"].backend.get_variables()["private_address"]
    url = f"http://{address}/.well-known/flaskops-tls/shop"
    asked = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Host: {NAMES[0]}' {url}"
    assert hosts["acme"].check_output(asked) == "403"
    assert hosts["web2"].check_output(asked) == "200"


def mozilla(hosts: Hosts, web: str, profile: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What sslyze says of a site, by one of Mozilla's guidelines."""
    root = hosts["acme"].check_output("curl -sk https://localhost:15000/roots/0")
    (folder / "root.pem").write_text(f"{root}\n")
    words = [str(UV), "tool", "run", "--quiet", "--from", "sslyze==6.3.1", "sslyze"]
    words += [f"--mozilla_config={profile}", f"--certinfo_ca_file={folder / 'root.pem'}"]
    words.append(f"{NAMES[0]}:{port(hosts, web)}{{127.0.0.1}}")
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


@each_web
def test_mozilla_has_nothing_to_say(hosts: Hosts, web: str, tmp_path: Path) -> None:
    done = mozilla(hosts, web, "intermediate", tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "OK - Compliant" in done.stdout


def test_modern_profile_is_mozillas_and_refuses_tls_1_2(hosts: Hosts, tmp_path: Path) -> None:
    """For both sites, because nginx takes the versions from the first one of an address."""

    def apply(**variables: Any) -> None:
        succeeds(playbook="converge.yml", limit="web1", nginx_http3=True, **variables)
        succeeds(limit="web1", **variables)

    try:
        apply(nginx_tls_profile="modern")
        with pytest.raises(ssl.SSLError):
            shown(hosts, "web1", latest=ssl.TLSVersion.TLSv1_2)
        told = mozilla(hosts, "web1", "modern", tmp_path).stdout
    finally:
        apply()
    # The ACME server of the tests signs with RSA.
    doubts = re.findall(r"\* (\w+): ", told.partition("FAILED - Not compliant.")[2])
    assert doubts == ["certificate_signatures"], told[-3000:]
    shown(hosts, "web1", latest=ssl.TLSVersion.TLSv1_2)


@each_web
def test_gixy_finds_nothing(hosts: Hosts, web: str, tmp_path: Path) -> None:
    """In all sites of the scenario, self-signed and by ACME."""
    skipped = [
        # One default_server would refuse a second site that brings its own; the first server of an
        # address closes unknown names in its place, which gixy does not see.
        "default_server_flag",
        # Wants open_file_cache, with which nginx goes on serving the files of the release before.
        "try_files_is_evil_too",
    ]
    (tmp_path / "nginx.conf").write_text(hosts[web].check_output("nginx -T 2>/dev/null"))
    words = [str(UV), "tool", "run", "--quiet", "--from", "gixy-ng==0.2.59", "gixy"]
    done = subprocess.run(
        [*words, "--skips", ",".join(skipped), str(tmp_path / "nginx.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unspecified: 0" in done.stdout


@each_web
def test_nobody_is_asked_for_stapling(hosts: Hosts, web: str) -> None:
    """Let's Encrypt has ended OCSP, and nginx would complain of its certificates."""
    text = hosts[web].check_output("nginx -T 2>/dev/null")
    assert text.count("ssl_certificate /etc/flaskops/tls/") == 2  # demo and shop
    assert not re.search(r"ssl_stapling\s+on", text)


@each_web
def test_every_answer_has_hsts_over_http2(hosts: Hosts, web: str) -> None:
    for path, status in (("/static/a.txt", 200), ("/", 502)):
        answer = curl(hosts, web, f"https://{NAMES[0]}{path}", "--http2")
        assert answer.startswith(f"HTTP/2 {status}")
        assert answer.lower().count("strict-transport-security: max-age=63072000") == 1


def test_run_with_nothing_to_change_asks_no_acme_server(hosts: Hosts) -> None:
    """It would wait for an answer for longer than a play may take."""
    hosts["acme"].check_output("systemctl kill --signal=STOP acme-0.service")
    try:
        assert succeeds().count("changed=0") == 2
    finally:
        hosts["acme"].check_output("systemctl kill --signal=CONT acme-0.service")


def test_renewal_reaches_visitors_of_both_hosts_by_itself(hosts: Hosts) -> None:
    before, pid = print_of(hosts, "web1"), hosts["web1"].check_output("cat /run/nginx.pid")
    due(hosts)
    hosts["web1"].check_output("systemctl start certbot.service")
    assert eventually(lambda: print_of(hosts, "web1") != before)
    assert print_of(hosts, "web2") == before
    hosts["web2"].check_output("systemctl start flaskops-tls-fetch.service")
    assert eventually(lambda: print_of(hosts, "web2") == print_of(hosts, "web1"))
    assert hosts["web1"].check_output("cat /run/nginx.pid") == pid
    assert "renew_before_expiry = 719 hours" in hosts["web1"].check_output(f"cat {RENEWAL}")
    for web, timer in (("web1", "certbot.timer"), ("web2", "flaskops-tls-fetch.timer")):
        assert hosts[web].service(timer).is_enabled
        assert hosts[web].service(timer).is_running


def test_renewal_that_fails_is_told_in_one_line_and_the_old_one_serves(hosts: Hosts) -> None:
    before, said = print_of(hosts, "web1"), len(complaints(hosts, "web1"))
    due(hosts)
    with lost_names(hosts):
        assert hosts["web1"].run("systemctl start certbot.service").failed
    assert print_of(hosts, "web1") == before
    (line,) = complaints(hosts, "web1")[said:]
    begins = r"certificate shop was not renewed; the old one serves on, for (89|90) days\. "
    assert re.match(begins + "certbot says: .", line), line
    due(hosts)
    hosts["web1"].check_output("systemctl start certbot.service")
    assert eventually(lambda: print_of(hosts, "web1") != before)
    assert len(complaints(hosts, "web1")) == said + 1


def test_certificate_that_has_ended_is_issued_anew_by_a_run(hosts: Hosts) -> None:
    """Of the server whose certificates live for 20 seconds; Nginx starts with it nevertheless."""
    address = hosts["acme"].backend.get_variables()["private_address"]
    short = {"certificate_acme_server": f"https://{address}:14001/dir"}
    succeeds(**short)
    ended = ends(hosts, "web1")
    assert ended - time.time() < 20
    time.sleep(max(ended - time.time() + 1, 0))
    for web in WEB:
        hosts[web].check_output("systemctl restart nginx")
        assert ends(hosts, web) == ended
    succeeds(**short)
    assert everywhere(lambda web: ends(hosts, web) > ended)


def test_another_name_and_another_server_are_issued_anew(hosts: Hosts) -> None:
    ended = ends(hosts, "web1")
    more = [*NAMES, "more.example.com"]
    succeeds(nginx_server_name=more)
    assert everywhere(lambda web: names(shown(hosts, web)) == set(more))
    for web in WEB:
        assert ends(hosts, web) > ended + 9999


def test_lost_certificate_does_not_keep_nginx_from_starting(hosts: Hosts) -> None:
    hosts["web2"].check_output("rm -r /etc/flaskops/tls/shop/live /etc/flaskops/tls/shop/versions")
    hosts["web2"].check_output("systemctl restart nginx")
    assert shown(hosts, "web2").issuer == shown(hosts, "web2").subject
    hosts["web2"].check_output("systemctl start flaskops-tls-fetch.service")
    assert eventually(lambda: print_of(hosts, "web2") == print_of(hosts, "web1"))


def test_the_tag_alone_issues_what_is_missing(hosts: Hosts) -> None:
    before = print_of(hosts, "web1")
    hosts["web1"].check_output(f"cd /etc/letsencrypt && rm -r live/shop archive/shop {RENEWAL}")
    succeeds("--tags=certificate_issue")
    assert hosts["web1"].file(RENEWAL).exists
    assert everywhere(lambda web: print_of(hosts, web) != before)
    assert print_of(hosts, "web1") == print_of(hosts, "web2")


def test_status_tells_when_it_ends(hosts: Hosts) -> None:
    told = succeeds(playbook="../../playbooks/status.yml")
    for web in WEB:
        assert re.search(rf"{web}: certificate shop, by ACME, ends in (89|90) days", told), told


def test_other_host_takes_over_as_the_issuer(hosts: Hosts) -> None:
    """With certbot 2.1, of Debian 12."""
    before = print_of(hosts, "web1")
    given = {"certificate_issuer": "web2"}
    succeeds(**given)
    assert eventually(lambda: print_of(hosts, "web2") != before)
    assert eventually(lambda: print_of(hosts, "web1") == print_of(hosts, "web2"))
    assert succeeds(**given).count("changed=0") == 2
    assert not hosts["web1"].file(RENEWAL).exists
    issued = print_of(hosts, "web2")
    due(hosts, "web2")
    hosts["web2"].check_output("systemctl start certbot.service")
    assert eventually(lambda: print_of(hosts, "web2") != issued)
    hosts["web1"].check_output("systemctl start flaskops-tls-fetch.service")
    assert eventually(lambda: print_of(hosts, "web1") == print_of(hosts, "web2"))


def test_it_can_be_removed(hosts: Hosts) -> None:
    away = {"nginx_state": "absent", "certificate_state": "absent"}
    succeeds(**away)
    for web in WEB:
        assert not hosts[web].file("/etc/flaskops/tls/shop").exists
        assert hosts[web].check_output("nginx -t 2>&1 | grep -c successful") == "1"
    assert not hosts["web2"].file(RENEWAL).exists
    assert succeeds(**away).count("changed=0") == 2


def test_site_by_acme_stands_in_one_run(hosts: Hosts) -> None:
    """From nothing: an app on a third host, which both web hosts ask, and a certificate."""
    succeeds(playbook="site.yml", limit="all")
    for web, name in zip(WEB, ("pulse.example.com", "www.pulse.example.com"), strict=True):
        head, _, body = curl(hosts, web, f"https://{name}/about.json").rpartition("\r\n\r\n")
        assert head.startswith("HTTP/2 200"), head
        asked = json.loads(body)["request"]
        assert (asked["scheme"], asked["host"]) == ("https", name)
        assert "Pebble" in issuer(shown(hosts, web, name))
        assert curl(hosts, web, f"http://{name}/about.json").startswith("HTTP/1.1 301")
    assert print_of(hosts, "web1", name) == print_of(hosts, "web2", name)
    assert succeeds(playbook="site.yml", limit="all").count("changed=0") == 3
