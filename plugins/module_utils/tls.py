# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of sites, on the host that serves them; also a program that systemd and certbot run.

    tls.py renew     what certbot.service does: renew what is due, say in one line what failed
    tls.py deployed  certbot's deploy hook: bring the new certificate to the web server
    tls.py fetch     on hosts that issue nothing: take the certificate from the one that does
    tls.py ensure    before the web server starts: there is a certificate, whatever was lost

A site's directory has `live`, a link to the version that is served. A version is a certificate and
its key, never changed once written, so that one rename brings both.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOME = Path("/etc/flaskops/tls")
LETSENCRYPT = Path("/etc/letsencrypt")
#: Where the web server finds what it hands to the other web hosts.
OUTBOX = Path("/var/lib/flaskops/tls")
#: With its path, because the PATH that `su` leaves has no sbin.
NGINX = "/usr/sbin/nginx"
SYSTEM_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
PROGRAM = Path("/usr/local/lib/flaskops/tls.py")
DEPLOY_HOOK = f"/usr/bin/python3 {PROGRAM} deployed"
SELF_SIGNED_DAYS = 3650
DAY = 86400
FETCH_TIMEOUT = 15  # seconds
CERTBOT_TIMEOUT = 600  # seconds
LARGEST_BUNDLE = 1 << 20  # bytes
NOT_RENEWED = re.compile(r"Failed to renew certificate (\S+) with error: (.*)")
THRESHOLD = re.compile(r"^#?\s*renew_before_expiry\s*=.*\n", re.MULTILINE)


class TlsError(Exception):
    """What went wrong, in one line a person can act on."""


def run(
    argv: list[str],
    given: bytes = b"",
    timeout: float = 60,
    env: dict[str, str] | None = None,
) -> bytes:
    """Output of a command; TlsError with the last thing it said when it fails."""
    try:
        done = subprocess.run(
            argv,
            input=given,
            capture_output=True,
            check=False,
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TlsError(f"{argv[0]}: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        said = " ".join(line.strip() for line in lines[-6:]) or f"exit code {done.returncode}"
        raise TlsError(f"{' '.join(argv[:2])}: {said}")
    return done.stdout


def openssl(*argv: str, given: bytes = b"") -> bytes:
    """Output of an openssl command; secrets go in by the standard input or by files."""
    return run(["openssl", *argv], given)


def write(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Write a file whole or not at all; whether that changed it."""
    with suppress(OSError):
        if path.read_bytes() == content and path.stat().st_mode & 0o7777 == mode:
            return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".flaskops-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    return True


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key; where they came from in one word."""

    fullchain: bytes
    key: bytes
    source: str

    @property
    def ident(self) -> str:
        """A name for this very certificate and key."""
        return hashlib.sha256(self.fullchain + self.key).hexdigest()[:16]

    def facts(self) -> Facts:
        """What the certificate says of itself; TlsError when it is none or the key is another's."""
        told = openssl(
            *("x509", "-noout", "-startdate", "-enddate", "-ext", "subjectAltName"),
            given=self.fullchain,
        ).decode("utf-8", "replace")
        public = openssl("x509", "-noout", "-pubkey", given=self.fullchain)
        if public != openssl("pkey", "-pubout", given=self.key):
            raise TlsError("the key does not belong to the certificate")
        dates = dict(re.findall(r"^not(Before|After)=(.*)$", told, re.MULTILINE))
        names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", told)
        return Facts(
            ssl.cert_time_to_seconds(dates["Before"]),
            ssl.cert_time_to_seconds(dates["After"]),
            frozenset(map(comparable, names)),
        )


@dataclass(frozen=True)
class Facts:
    """Seconds since the epoch between which a certificate is good, and its names."""

    since: float
    until: float
    names: frozenset[str]

    @property
    def days_left(self) -> int:
        """Whole days until it ends, below 0 when it has ended."""
        return int((self.until - time.time()) // DAY)


def comparable(name: str) -> str:
    """A name in lower case, an address in its short form; openssl tells the long one."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(name))
    return name.lower()


def self_signed(names: list[str], source: str, days: int = SELF_SIGNED_DAYS) -> Pair:
    """A new certificate that nobody trusts, for these names."""
    alternatives = ",".join(
        ("IP:" if re.fullmatch(r"[0-9.]+|.*:.*", name) else "DNS:") + name for name in names
    )
    config = (
        "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n"
        f"[dn]\nCN={names[0][:64]}\n"
        f"[ext]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName={alternatives}\n"
    )
    with tempfile.TemporaryDirectory(prefix="flaskops-") as folder:
        place = Path(folder)
        (place / "config").write_text(config, encoding="utf-8")
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", str(days), "-config", str(place / "config")),
            *("-keyout", str(place / "key"), "-out", str(place / "cert")),
        )
        return Pair((place / "cert").read_bytes(), (place / "key").read_bytes(), source)


class Site:
    """The certificate of one site."""

    def __init__(self, name: str, home: Path | None = None) -> None:
        self.name = name
        self.home = (home or HOME) / name
        self.link = self.home / "live"
        self.identity = (self.home / "host.pem", self.home / "host.key")
        self.issuer = self.home / "issuer.pem"
        self.bundle = OUTBOX / f"{name}.cms"

    @property
    def settings(self) -> dict[str, Any]:
        """What the role wrote; empty when it wrote nothing."""
        try:
            told: dict[str, Any] = json.loads((self.home / "settings.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return told

    # What is served ------------------------------------------------------------------------------

    def live(self) -> Pair | None:
        """What the web server is given, None when it is lost."""
        return self.version(self.link)

    @staticmethod
    def version(place: Path) -> Pair | None:
        """The certificate in a directory."""
        try:
            return Pair(
                (place / "fullchain.pem").read_bytes(),
                (place / "privkey.pem").read_bytes(),
                (place / "source").read_text("utf-8").strip(),
            )
        except OSError:
            return None

    def install(self, pair: Pair) -> bool:
        """Serve this one; whether it is new. TlsError when the web server refuses it."""
        before = self.live()
        if before == pair:
            return False
        pair.facts()
        versions = self.home / "versions"
        versions.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = versions / pair.ident
        if self.version(place) != pair:
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=versions))
            write(draft / "fullchain.pem", pair.fullchain)
            write(draft / "privkey.pem", pair.key)
            write(draft / "source", pair.source.encode())
            shutil.rmtree(place, ignore_errors=True)
            draft.rename(place)
        old = os.readlink(self.link) if self.link.is_symlink() else ""
        self.point(f"versions/{pair.ident}")
        try:
            reload_nginx()
        except TlsError:
            if before is not None:
                self.point(old)
            raise
        self.prune({pair.ident, os.path.basename(old)})
        return True

    def point(self, target: str) -> None:
        """Let `live` lead there, in one step."""
        draft = self.home / f".live-{os.getpid()}"
        with suppress(FileNotFoundError):
            draft.unlink()
        draft.symlink_to(target)
        draft.replace(self.link)

    def prune(self, keep: set[str]) -> None:
        """Remove versions that are neither served nor were just before."""
        for place in (self.home / "versions").iterdir():
            if place.name not in keep:
                shutil.rmtree(place, ignore_errors=True)

    def bootstrap(self) -> bool:
        """Where there is nothing to serve, find or make something; whether that was so."""
        live = self.live()
        with suppress(TlsError):
            if live is not None:
                live.facts()
                return False
        versions = self.home / "versions"
        known = [self.lineage(), *map(self.version, versions.glob("[0-9a-f]*"))]
        good: dict[float, Pair] = {}
        for pair in filter(None, known):
            with suppress(TlsError):
                good[pair.facts().until] = pair
        pair = good[max(good)] if good else self.make_self_signed("bootstrap")
        return self.install(pair)

    def make_self_signed(self, source: str) -> Pair:
        """A self-signed one with the site's names."""
        return self_signed(self.settings.get("domains") or [self.name], source)

    # ACME ----------------------------------------------------------------------------------------

    @property
    def renewal(self) -> Path:
        """Certbot's own file about it."""
        return LETSENCRYPT / "renewal" / f"{self.name}.conf"

    def lineage(self) -> Pair | None:
        """The certificate as certbot has it."""
        place = LETSENCRYPT / "live" / self.name
        try:
            chain, key = (place / "fullchain.pem"), (place / "privkey.pem")
            return Pair(chain.read_bytes(), key.read_bytes(), "acme")
        except OSError:
            return None

    def due(self) -> str:
        """Why it must be issued anew; empty when it need not."""
        settings = self.settings
        pair = self.lineage()
        if pair is None or not self.renewal.is_file():
            return "there is none yet"
        try:
            facts = pair.facts()
        except TlsError as error:
            return str(error)
        if facts.names != set(map(comparable, settings["domains"])):
            return f"it is for {', '.join(sorted(facts.names))}"
        server = re.search(r"^server = (.*)$", self.renewal.read_text("utf-8"), re.MULTILINE)
        if server is None or server[1].strip() != settings["server"]:
            return "it came from another server"
        if facts.until - time.time() < self.threshold(facts):
            return f"it ends in {facts.days_left} days"
        return ""

    def threshold(self, facts: Facts) -> float:
        """Seconds before its end at which it is renewed."""
        days: float = self.settings.get("renew_before_days") or 0
        return days * DAY or (facts.until - facts.since) / 3

    def issue(self) -> None:
        """Have it issued, whatever there is. TlsError with what certbot says."""
        settings = self.settings
        email = (
            ["--email", settings["email"]]
            if settings["email"]
            else ["--register-unsafely-without-email"]
        )
        argv = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot"]
        argv += ["--webroot-path", settings["webroot"], "--cert-name", self.name, *email]
        argv += ["--server", settings["server"], "--key-type", "ecdsa", "--no-eff-email"]
        argv += ["--force-renewal", "--renew-with-new-domains", "--deploy-hook", DEPLOY_HOOK]
        for domain in settings["domains"]:
            argv += ["--domain", domain]
        with trusted([self]) as env:
            try:
                run(argv, timeout=CERTBOT_TIMEOUT, env=env)
            except TlsError as error:
                raise TlsError(f"certificate {self.name} was not issued. {error}") from error

    def deploy(self) -> bool:
        """Bring what certbot has to the web server and to the other hosts; whether it was new."""
        pair = self.lineage()
        if pair is None:
            return False
        changed = self.set_threshold(pair.facts())
        changed = self.install(pair) or changed
        return self.publish() or changed

    def set_threshold(self, facts: Facts) -> bool:
        """Tell certbot when to renew: its own 30 days do not suit every lifetime."""
        hours = max(int(self.threshold(facts) // 3600), 1)
        line = f"renew_before_expiry = {hours} hours\n"
        text = self.renewal.read_text("utf-8")
        new = line + THRESHOLD.sub("", text)
        return write(self.renewal, new.encode(), 0o644) if line not in text else False

    # Several hosts -------------------------------------------------------------------------------

    def own_certificate(self) -> bytes:
        """What others know this host by; made when there is none."""
        public, private = self.identity
        try:
            pair = Pair(public.read_bytes(), private.read_bytes(), "host")
            pair.facts()
        except (OSError, TlsError):
            pair = self_signed([f"{self.name}.invalid"], "host", 36500)
            write(private, pair.key)
            write(public, pair.fullchain, 0o644)
        return pair.fullchain

    def peers(self) -> dict[str, bytes]:
        """Certificates of the hosts that it is handed to, by host."""
        return {path.stem: path.read_bytes() for path in (self.home / "peers").glob("*.pem")}

    def publish(self, *, again: bool = False) -> bool:
        """Put what is live where the other hosts get it, for them alone to read.

        Signed with this host's key and encrypted for theirs, so it needs no way of its own.
        """
        pair, peers = self.live(), self.peers()
        if pair is None or not peers:
            return False
        mark = self.home / "published"
        wanted = hashlib.sha256(b"".join([pair.ident.encode(), *sorted(peers.values())]))
        digest = wanted.hexdigest().encode()
        if not again and self.bundle.is_file() and mark.is_file() and mark.read_bytes() == digest:
            return False
        public, private = map(str, self.identity)
        text = json.dumps({"fullchain": pair.fullchain.decode(), "key": pair.key.decode()})
        signed = openssl(
            *("cms", "-sign", "-binary", "-nodetach", "-outform", "DER"),
            *("-signer", public, "-inkey", private),
            given=text.encode(),
        )
        paths = [str(path) for path in sorted((self.home / "peers").glob("*.pem"))]
        sealed = openssl(
            *("cms", "-encrypt", "-aes-256-gcm", "-binary", "-outform", "DER", *paths),
            given=signed,
        )
        write(self.bundle, sealed, 0o640)
        with suppress(LookupError):
            shutil.chown(self.bundle, "root", "www-data")
        write(mark, digest)
        return True

    def fetch(self) -> bool:
        """Take the certificate from the host that issues it; whether it was new here. TlsError."""
        settings = self.settings
        sealed = download(settings["issuer_url"], settings["domains"][0])
        public, private = map(str, self.identity)
        signed = openssl(
            *("cms", "-decrypt", "-binary", "-inform", "DER", "-recip", public, "-inkey", private),
            given=sealed,
        )
        # The one signer that counts is the issuer as Ansible has introduced it.
        text = openssl(
            *("cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-nointern"),
            *("-certfile", str(self.issuer)),
            given=signed,
        )
        told = json.loads(text)
        pair = Pair(told["fullchain"].encode(), told["key"].encode(), "acme")
        live = self.live()
        if live is not None and live.source == "acme":
            with suppress(TlsError):
                if pair.facts().since < live.facts().since:  # an old one, played again
                    return False
        return self.install(pair)


def download(url: str, host: str) -> bytes:
    """What another host's web server has for a site; TlsError when it gives nothing."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=FETCH_TIMEOUT)
    try:
        connection.request("GET", parts.path, headers={"Host": host})
        answer = connection.getresponse()
        content = answer.read(LARGEST_BUNDLE)
    except (OSError, http.client.HTTPException) as error:
        raise TlsError(f"{url} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise TlsError(f"{url} answers {answer.status}")
    return content


def sites() -> list[Site]:
    """All sites of this host that have a certificate."""
    return [Site(path.parent.name) for path in sorted(HOME.glob("*/settings.json"))]


def reload_nginx() -> None:
    """Let nginx, if it runs, read its certificates again; TlsError when it refuses them."""
    asked = ["systemctl", "is-active", "--quiet", "nginx.service"]
    if subprocess.run(asked, check=False, stderr=subprocess.DEVNULL).returncode:
        return
    try:
        run([NGINX, "-t", "-q"])
        run(["systemctl", "reload", "nginx.service"])
    except TlsError as error:
        raise TlsError(f"the old certificate stays, for nginx refuses: {error}") from error


class trusted:  # noqa: N801 - a context manager, used like a function
    """Environment in which certbot trusts private ACME servers besides the public ones."""

    def __init__(self, known: list[Site]) -> None:
        self.texts = [text for site in known if (text := site.settings.get("acme_ca"))]
        self.path = ""

    def __enter__(self) -> dict[str, str]:
        if not self.texts:
            return {}
        handle, self.path = tempfile.mkstemp(prefix="flaskops-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            if SYSTEM_CAS.is_file():
                stream.write(SYSTEM_CAS.read_text("utf-8"))
            stream.write("\n".join(self.texts) + "\n")
        return {"REQUESTS_CA_BUNDLE": self.path}

    def __exit__(self, *_rest: object) -> None:
        if self.path:
            os.unlink(self.path)


# The program -------------------------------------------------------------------------------------


def say(text: str) -> None:
    """One line for the journal, as an error."""
    mark = "<3>" if "JOURNAL_STREAM" in os.environ else ""
    print(mark + " ".join(text.split()), file=sys.stderr, flush=True)


def remaining(site: Site) -> str:
    """How long what is served is good for, in words."""
    live = site.live()
    try:
        days = live.facts().days_left if live else -1
    except TlsError:
        days = -1
    return f"the old one serves on, for {days} days" if days >= 0 else "the old one has ended"


def renew() -> int:
    """Renew what is due; an exit status."""
    known = sites()
    argv = ["certbot", "--quiet", "renew", "--no-random-sleep-on-renew"]
    with trusted(known) as env:
        done = subprocess.run(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    output = done.stdout.decode("utf-8", "replace")
    failed = NOT_RENEWED.findall(output)
    for name, why in failed:
        serving = f"; {remaining(Site(name))}" if (HOME / name).is_dir() else ""
        say(f"certificate {name} was not renewed{serving}. certbot says: {why}")
    if done.returncode and not failed:
        say(f"certbot renew failed: {(output.strip().splitlines() or ['no message'])[-1]}")
    # A hook that could not do its work is made up for.
    return each("deployed", known) or int(done.returncode != 0)


def each(action: str, known: list[Site]) -> int:
    """Do one thing for every site it is for; an exit status."""
    status = 0
    for site in known:
        acme = site.settings.get("source") == "acme"
        issuer = site.settings.get("issuer", True)
        try:
            if action == "ensure":
                site.bootstrap()
            elif action == "deployed" and acme and issuer:
                site.deploy()
            elif action == "fetch" and acme and not issuer:
                site.fetch()
        except (TlsError, OSError, ValueError, KeyError) as error:
            say(f"certificate {site.name}: {error}; {remaining(site)}")
            status = 1
    return status


def main(argv: list[str]) -> int:
    """Do what the first word says; an exit status."""
    os.umask(0o077)
    if argv == ["renew"]:
        return renew()
    if len(argv) == 1 and argv[0] in ("deployed", "fetch", "ensure"):
        return each(argv[0], sites())
    print("usage: tls.py renew|deployed|fetch|ensure", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
