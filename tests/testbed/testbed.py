#!/usr/bin/env python3
"""Real systemd hosts in podman containers, reached over SSH, for the demo and the tests.

A testbed is a named set of hosts on a network of their own. Its state (keys, inventory, known
hosts) lies under `.testbed/` in the checkout; containers and networks carry labels, and only what
carries the label of this checkout is ever touched. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".testbed"
KEY = STATE / "id_ed25519"
CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
IMAGE = "localhost/flaskops-testbed"
RESERVED = ("locks", "results")  # folders in STATE that are no testbeds
LABEL = "org.flaskops.testbed"
LABEL_CHECKOUT = f"{LABEL}.checkout"
LABEL_ROOT = f"{LABEL}.root"
LABEL_HOST = f"{LABEL}.host"
LABEL_SPEC = f"{LABEL}.spec"
LABEL_ADDRESS = f"{LABEL}.address"
SSH_PORT = 22
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
BOOT_TIMEOUT = 60.0  # seconds until a host must have booted and SSH must answer
IMAGE_SPACE = 2 * 1024**3  # bytes needed while an image is made
CAP_SYS_RESOURCE = 24
CNI = Path("/etc/cni/net.d")
CGROUP_V2 = Path("/sys/fs/cgroup/cgroup.controllers")

# What every Debian host has before Ansible comes: nothing a role should install.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# The timers are off because an apt run of the host's own would hold the lock now and then.
HOOKS = (
    'chroot "$1" useradd --create-home --shell /bin/bash admin',
    'printf "%s\\n" "admin ALL=(ALL:ALL) NOPASSWD: ALL" >"$1/etc/sudoers.d/admin"',
    'chmod 0440 "$1/etc/sudoers.d/admin"',
    'chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer',
    'chroot "$1" systemctl --quiet enable ssh.service',
    'rm -f "$1/etc/hostname" "$1/etc/resolv.conf" "$1/etc/machine-id"',
    ': >"$1/etc/machine-id"',
)
PRIVATE_CAS = Path("/usr/local/share/ca-certificates")


class TestbedError(Exception):
    """Something a person can act on; the text says what."""


class PortInUseError(TestbedError):
    """A port on this machine that a host should be published on is taken."""

    def __init__(self, port: int, owner: str) -> None:
        """Keep the port (number) and who holds it (text, may be empty)."""
        self.port = port
        by = f" by {owner}" if owner else ""
        super().__init__(f"port {port} on 127.0.0.1 is in use{by}")


@dataclass(frozen=True)
class Host:
    """One host as asked for: its name, Debian suite and published ports (host port 0: random).

    Its volumes are directories on this machine's own file system instead of the container's.
    """

    name: str
    suite: str
    ports: tuple[tuple[int, int], ...] = ((0, SSH_PORT),)
    volumes: tuple[str, ...] = ()

    def spec(self) -> str:
        """Say in one word what the host is made of, to tell a host with other settings."""
        words = [*(f"{ours}-{theirs}" for ours, theirs in self.ports), *self.volumes]
        return f"{self.suite}:{image_digest(self.suite)}:" + ",".join(words)


@dataclass(frozen=True)
class Container:
    """A container of this checkout as podman reports it."""

    ident: str
    name: str
    testbed: str
    host: str
    spec: str
    running: bool
    address: str = ""  # on the testbed's own network; a restart does not change it
    ports: Mapping[int, int] = field(default_factory=dict)  # container port -> port on 127.0.0.1


def log(text: str) -> None:
    """Tell the person at the terminal, unbuffered."""
    print(text, file=sys.stderr, flush=True)


# Podman ------------------------------------------------------------------------------------------


def machine_config() -> str:
    """Return the containers.conf this machine needs, or an empty text on an ordinary one.

    crun refuses cgroup v1 and hybrid hierarchies, root without CAP_SYS_RESOURCE may not raise
    limits to podman's defaults, and names between containers need netavark.
    """
    engine: list[str] = []
    containers: list[str] = []
    network: list[str] = []
    if not CGROUP_V2.exists():
        engine += ['runtime="runc"', 'cgroup_manager="cgroupfs"', 'events_logger="file"']
    if os.geteuid() == 0 and not has_capability(CAP_SYS_RESOURCE):
        containers.append('default_ulimits=["nofile=20000:20000","nproc=32768:32768"]')
    if CNI.is_dir() and any(CNI.iterdir()):
        network.append('network_backend="netavark"')
    parts = (("engine", engine), ("containers", containers), ("network", network))
    return "".join(f"[{name}]\n" + "\n".join(rows) + "\n" for name, rows in parts if rows)


def has_capability(bit: int) -> bool:
    """Tell whether this process holds the capability with that number."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return True


def podman_environment() -> dict[str, str]:
    """Return the environment podman runs in; a config of the caller's own is left alone."""
    env = dict(os.environ)
    if "CONTAINERS_CONF" not in env and (config := machine_config()):
        path = STATE / "containers.conf"
        if not path.is_file() or path.read_text(encoding="utf-8") != config:
            write(path, config)
        env["CONTAINERS_CONF"] = str(path)
    return env


def podman(*args: str, check: bool = True) -> str:
    """Run podman and return its output.

    Raises TestbedError with a line a person can act on when podman is missing or fails.
    """
    try:
        done = subprocess.run(
            ["podman", *args],
            env=podman_environment(),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise TestbedError("podman is not installed: run `make setup`") from None
    if done.returncode and check:
        raise TestbedError(explain(args, done.stderr))
    return done.stdout


def explain(args: Sequence[str], stderr: str) -> str:
    """Turn podman's complaint into one line."""
    text = stderr.lower()
    if "no space left" in text:
        return "no space left on the disk that holds podman's storage (`podman info`, `df -h`)"
    if os.geteuid() and ("subuid" in text or "newuidmap" in text or "insufficient uids" in text):
        return "rootless podman needs sub-ids for your user: `make setup` prints what adds them"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    problems = [line for line in lines if "level=warning" not in line] or lines or ["no message"]
    return f"podman {args[0]} failed: {problems[-1].removeprefix('Error: ')}"


def containers(testbed: str | None = None) -> list[Container]:
    """Return this checkout's containers, of one testbed or of all."""
    wanted = ["--filter", f"label={LABEL_CHECKOUT}={CHECKOUT}"]
    if testbed is not None:
        wanted += ["--filter", f"label={LABEL}={testbed}"]
    found: list[dict[str, Any]] = json.loads(podman("ps", "-a", *wanted, "--format", "json"))
    return [
        Container(
            ident=row["Id"],
            name=row["Names"][0],
            testbed=row["Labels"][LABEL],
            host=row["Labels"][LABEL_HOST],
            spec=row["Labels"][LABEL_SPEC],
            running=row["State"] == "running",
            address=row["Labels"].get(LABEL_ADDRESS, ""),
            ports={
                int(port["container_port"]): int(port["host_port"])
                for port in row.get("Ports") or []
            },
        )
        for row in found
    ]


def networks(testbed: str | None = None) -> list[str]:
    """Return the names of this checkout's networks."""
    wanted = ["--filter", f"label={LABEL_CHECKOUT}={CHECKOUT}"]
    if testbed is not None:
        wanted += ["--filter", f"label={LABEL}={testbed}"]
    return podman("network", "ls", *wanted, "--format", "{{.Name}}").split()


def remove(found: Sequence[Container], nets: Sequence[str]) -> None:
    """Remove containers with their volumes, then networks."""
    if found:
        podman("rm", "--force", "--volumes", "--time", "0", *(item.ident for item in found))
    if nets:
        podman("network", "rm", "--force", *nets)


# Files and locks ---------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as part:
        part.write(text)
    Path(part.name).replace(path)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of this checkout; a second caller waits."""
    folder = STATE / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / name).open("w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_key() -> None:
    """Make the key pair the hosts are reached with, once per checkout."""
    if KEY.is_file():
        return
    with locked("key"):
        if not KEY.is_file():
            run_tool(
                "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "flaskops", "-f", str(KEY)
            )


def run_tool(*argv: str) -> None:
    """Run a program that must succeed; TestbedError holds its last words otherwise."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise TestbedError(f"{argv[0]} is not installed: run `make setup`") from None
    if done.returncode:
        tail = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-8:])
        raise TestbedError(f"{argv[0]} failed:\n{tail}")


# Images ------------------------------------------------------------------------------------------


def private_cas() -> list[Path]:
    """Return the certificate authorities this machine trusts besides the distribution's."""
    return sorted(PRIVATE_CAS.glob("**/*.crt")) if PRIVATE_CAS.is_dir() else []


def image_digest(suite: str) -> str:
    """Return a digest of all that goes into a suite's image."""
    recipe = hashlib.sha256(json.dumps([suite, PACKAGES, HOOKS]).encode())
    for path in private_cas():
        recipe.update(path.read_bytes())
    return recipe.hexdigest()[:12]


def image_name(suite: str) -> str:
    """Return the image's name with the tag that its recipe gives it."""
    return f"{IMAGE}:{suite}-{image_digest(suite)}"


def mirror() -> str | None:
    """Return the package archive this Debian machine uses itself, None for mmdebstrap's default."""
    try:
        release = dict(
            line.split("=", 1)
            for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
            if "=" in line
        )
        if release.get("ID") != "debian":
            return None
        done = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    own = release.get("VERSION_CODENAME", "").strip('"')
    for line in done.stdout.splitlines():
        uri, name, component = line.split()
        if name == own and component == "main" and uri.startswith(("http:", "https:")):
            return uri
    return None


def ensure_image(suite: str) -> str:
    """Make the image of a Debian suite unless it is there; return its name."""
    name = image_name(suite)
    if image_exists(name):
        return name
    with locked(f"image-{suite}"):
        if not image_exists(name):
            build_image(suite, name)
    return name


def image_exists(name: str) -> bool:
    """Tell whether podman has an image of that name."""
    return bool(podman("images", "--quiet", "--filter", f"reference={name}").strip())


def build_image(suite: str, name: str) -> None:
    """Make a Debian system with mmdebstrap and import it. Takes a minute."""
    space = shutil.disk_usage(tempfile.gettempdir()).free
    if space < IMAGE_SPACE:
        raise TestbedError(
            f"no space for the image: {tempfile.gettempdir()} has {space // 1024**2} MiB free, "
            f"{IMAGE_SPACE // 1024**2} MiB are needed (TMPDIR chooses another place)"
        )
    log(f"making the image {name} (once, about a minute)")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="image-", dir=STATE) as folder:
        tar = Path(folder, "root.tar")
        hooks = [f"--customize-hook={hook}" for hook in HOOKS]
        if cas := private_cas():
            copies = " ".join(shlex.quote(str(path)) for path in cas)
            hooks.append(f"--customize-hook=copy-in {copies} {PRIVATE_CAS}")
            hooks.append('--customize-hook=chroot "$1" update-ca-certificates >/dev/null')
        source = mirror()
        run_tool(
            "mmdebstrap",
            "--quiet",
            f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            *hooks,
            suite,
            str(tar),
            *([source] if source else []),
        )
        podman(
            "import",
            "--quiet",
            "--change",
            'CMD ["/sbin/init"]',
            "--change",
            "STOPSIGNAL SIGRTMIN+3",
            "--change",
            f"LABEL {LABEL}.image={suite}",
            str(tar),
            name,
        )
    log(f"made the image {name} in {time.monotonic() - start:.0f} s")


# Testbeds ----------------------------------------------------------------------------------------


def up(name: str, hosts: Sequence[Host], groups: Mapping[str, Sequence[str]]) -> None:
    """Bring a testbed's hosts up and write its inventory; what already runs is left alone.

    Raises TestbedError when a host exists with other settings, a port is taken or a host does not
    boot. Whatever a failed call had created is removed again.
    """
    if os.geteuid() and not CGROUP_V2.exists():
        raise TestbedError(
            "this machine has cgroup v1, where systemd does not boot in an ordinary user's "
            "container: run this as root, or boot with systemd.unified_cgroup_hierarchy=1"
        )
    with locked(name):
        there = {item.host: item for item in containers(name)}
        wanted = {host.name: host for host in hosts}
        for host in hosts:
            if host.name in there and there[host.name].spec != host.spec():
                raise TestbedError(
                    f"host {host.name} of testbed {name} exists with another image, other ports or "
                    f"volumes: run `{command()} down {name}` first"
                )
        missing = [host for host in hosts if host.name not in there]
        stopped = [item for item in there.values() if item.host in wanted and not item.running]
        for host in missing:
            for port, _ in host.ports:
                require_free(port)
        for item in stopped:
            for port in item.ports.values():
                require_free(port)
        ensure_key()
        images = {suite: ensure_image(suite) for suite in {host.suite for host in missing}}
        made: list[str] = []
        try:
            network = ensure_network(name)
            free = free_addresses(network, {item.address for item in there.values()})
            made.extend(
                create(name, host, images[host.suite], network, next(free)) for host in missing
            )
            if starting := made + [item.ident for item in stopped]:
                podman("start", *starting)
            found = {item.host: item for item in containers(name) if item.host in wanted}
            write_inventory(name, found, groups)
            with ThreadPoolExecutor(max_workers=8) as pool:
                fresh = {*made, *(item.ident for item in stopped)}
                list(pool.map(lambda item: wait(item, boot=item.ident in fresh), found.values()))
        except BaseException:
            if made:
                podman("rm", "--force", "--volumes", "--time", "0", *made, check=False)
                if not there:
                    podman("network", "rm", "--force", network_name(name), check=False)
                    shutil.rmtree(STATE / name, ignore_errors=True)
            raise


def network_name(name: str) -> str:
    """Return the name of a testbed's network."""
    return f"flaskops-{CHECKOUT[:4]}-{name}"


def ensure_network(name: str) -> str:
    """Make a testbed's network unless it is there; return its name."""
    network = network_name(name)
    if network not in networks(name):
        podman("network", "create", *labels(name), network)
    return network


def free_addresses(network: str, taken: Collection[str]) -> Iterator[str]:
    """Yield addresses of a testbed's network that no host of it has."""
    (found,) = json.loads(podman("network", "inspect", network))
    hosts = ipaddress.ip_network(found["subnets"][0]["subnet"]).hosts()
    next(hosts)  # the gateway
    return (str(address) for address in hosts if str(address) not in taken)


def labels(name: str) -> list[str]:
    """Return the options that mark a thing as this checkout's."""
    marks = {LABEL: name, LABEL_CHECKOUT: CHECKOUT, LABEL_ROOT: str(ROOT)}
    return [word for key, value in marks.items() for word in ("--label", f"{key}={value}")]


def create(name: str, host: Host, image: str, network: str, address: str) -> str:
    """Create a host's container with the key in it; return its id."""
    ports = [f"127.0.0.1:{ours or ''}:{theirs}" for ours, theirs in host.ports]
    ident = podman(
        "create",
        *("--name", f"{network_name(name)}-{host.name}"),
        *("--hostname", host.name),
        *("--network", network, "--network-alias", host.name, "--ip", address),
        *("--mac-address", mac_of(address)),
        "--systemd=always",
        *labels(name),
        *("--label", f"{LABEL_HOST}={host.name}", "--label", f"{LABEL_SPEC}={host.spec()}"),
        *("--label", f"{LABEL_ADDRESS}={address}"),
        *(word for port in ports for word in ("--publish", port)),
        *(word for volume in host.volumes for word in ("--volume", volume)),
        image,
        "/sbin/init",
    ).strip()
    try:
        with tempfile.TemporaryDirectory(prefix="key-", dir=STATE) as folder:
            keys = Path(folder, "authorized_keys")
            shutil.copyfile(KEY.with_suffix(".pub"), keys)
            keys.chmod(0o644)
            podman("cp", str(keys), f"{ident}:/etc/ssh/authorized_keys")
            drop_in = Path(folder, "testbed.conf")
            drop_in.write_text(
                "AuthorizedKeysFile /etc/ssh/authorized_keys\nUseDNS no\n", encoding="ascii"
            )
            drop_in.chmod(0o644)
            podman("cp", str(drop_in), f"{ident}:/etc/ssh/sshd_config.d/testbed.conf")
    except BaseException:
        podman("rm", "--force", "--volumes", ident, check=False)
        raise
    return ident


def mac_of(address: str) -> str:
    """Return a MAC address that a host keeps over a restart, as a real one does."""
    return ":".join(["02", "00", *(f"{byte:02x}" for byte in ipaddress.ip_address(address).packed)])


def require_free(port: int) -> None:
    """Raise PortInUseError when something listens on that port of 127.0.0.1 (0: any will do)."""
    if not port:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise TestbedError(
                f"port {port} needs root on this machine: choose one above 1023"
            ) from None
        except OSError:
            raise PortInUseError(port, port_owner(port)) from None


def port_owner(port: int) -> str:
    """Return who listens on a port of this machine as far as we may see, else an empty text."""
    with contextlib.suppress(TestbedError):
        for item in containers():
            if item.running and port in item.ports.values():
                return f"host {item.host} of testbed {item.testbed} in this checkout"
    with contextlib.suppress(OSError):
        done = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False
        )
        if '(("' in done.stdout:
            program = done.stdout.split('(("', 1)[1]
            pid = program.split("pid=", 1)[1].split(",", 1)[0]
            return f"{program.split(chr(34), 1)[0]} (pid {pid})"
    return ""


def host_variables(name: str, item: Container) -> dict[str, Any]:
    """Return the inventory variables of a running host.

    The control path holds the container's id: a later host on the same port never meets a
    connection that was left open to this one.
    """
    control = f"~/.ansible/cp/flaskops-{item.ident[:12]}"
    known = shlex.quote(f'UserKnownHostsFile="{STATE / name / "known_hosts"}"')
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": item.ports[SSH_PORT],
        "ansible_user": "admin",
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": (
            f"-o {known} -o StrictHostKeyChecking=accept-new -o IdentitiesOnly=yes"
            f" -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={control}"
        ),
        "private_address": item.address,
        "testbed_container": item.name,
        "testbed_ports": {str(port): ours for port, ours in sorted(item.ports.items())},
    }


def write_inventory(
    name: str, found: Mapping[str, Container], groups: Mapping[str, Sequence[str]]
) -> None:
    """Write `.testbed/NAME/inventory.yml` (JSON, which is YAML as well)."""
    Path("~/.ansible/cp").expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)
    children: dict[str, Any] = {
        group: {"hosts": {host: {} for host in members}} for group, members in groups.items()
    }
    hosts = {host: host_variables(name, found[host]) for host in sorted(found)}
    inventory = {"all": {"hosts": hosts, "children": children}}
    path = STATE / name / "inventory.yml"
    text = json.dumps(inventory, indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write(path, text)


def ssh_argv(name: str, item: Container) -> list[str]:
    """Return the ssh command for a host, as Ansible would call it."""
    known = host_variables(name, item)
    common = [
        str(Path(word).expanduser()) if word.startswith("~") else word
        for word in shlex.split(known["ansible_ssh_common_args"])
    ]
    return ["ssh", *common, "-i", str(KEY), "-p", str(known["ansible_port"]), "admin@127.0.0.1"]


def wait(item: Container, *, boot: bool) -> None:
    """Wait until SSH answers and, after a boot, until systemd has finished starting.

    Raises TestbedError with what the host says of itself when BOOT_TIMEOUT seconds have passed.
    """
    deadline = time.monotonic() + BOOT_TIMEOUT
    while not ssh_banner(item.ports[SSH_PORT]):
        if time.monotonic() > deadline:
            tail = podman("logs", "--tail", "15", item.ident, check=False)
            raise TestbedError(
                f"host {item.host}: SSH did not answer in {BOOT_TIMEOUT:.0f} s\n{tail}".strip()
            )
        time.sleep(0.1)
    if not boot:
        return
    state = ""
    while time.monotonic() < deadline:
        state = remote(item, "systemctl is-system-running --wait")
        if state == "running":
            return
        if state == "degraded":
            failed = remote(item, "systemctl list-units --state=failed --plain --no-legend")
            log(f"host {item.host} is degraded: {failed}")
            return
        time.sleep(0.2)
    raise TestbedError(f"host {item.host}: not up in {BOOT_TIMEOUT:.0f} s, systemd says {state!r}")


def remote(item: Container, text: str) -> str:
    """Run a command on a host over SSH and return what it printed; empty when it could not."""
    done = subprocess.run(
        [*ssh_argv(item.testbed, item), text],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=BOOT_TIMEOUT,
    )
    return done.stdout.strip()


def ssh_banner(port: int) -> bool:
    """Tell whether an SSH server greets on that port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            return link.recv(4) == b"SSH-"
    except OSError:
        return False


def down(name: str) -> None:
    """Remove a testbed's containers, network and state; nothing there is fine."""
    with locked(name):
        remove(containers(name), networks(name))
        shutil.rmtree(STATE / name, ignore_errors=True)


def clean() -> None:
    """Remove every testbed of this checkout, the images no other checkout uses, and `.testbed`.

    Containers and networks of checkouts that no longer exist are removed as well.
    """
    if shutil.which("podman"):
        everything: list[dict[str, Any]] = json.loads(
            podman("ps", "-a", "--filter", f"label={LABEL}", "--format", "json")
        )
        idents = [row["Id"] for row in everything if ours_or_orphan(row["Labels"])]
        if idents:
            podman("rm", "--force", "--volumes", "--time", "0", *idents)
        nets: list[dict[str, Any]] = json.loads(
            podman("network", "ls", "--filter", f"label={LABEL}", "--format", "json")
        )
        names = [
            str(row.get("name") or row.get("Name"))
            for row in nets
            if ours_or_orphan(row.get("labels") or row.get("Labels") or {})
        ]
        if names:
            podman("network", "rm", "--force", *names)
        names = podman(
            "images", "--filter", f"reference={IMAGE}", "--format", "{{.Repository}}:{{.Tag}}"
        ).split()
        for name in names:
            podman("rmi", name, check=False)
            if image_exists(name):
                log(f"kept {name}: a host of another checkout runs on it")
    shutil.rmtree(STATE, ignore_errors=True)


def ours_or_orphan(marks: Mapping[str, str]) -> bool:
    """Tell whether a labelled thing belongs to this checkout or to one that was deleted."""
    root = marks.get(LABEL_ROOT, "")
    return marks.get(LABEL_CHECKOUT) == CHECKOUT or not (Path(root) / "tests/testbed").is_dir()


def ssh(name: str, host: str, words: Sequence[str]) -> None:
    """Become an ssh session on a host, with its terminal, or run a command there."""
    for item in containers(name):
        if item.host == host and item.running:
            argv = [*ssh_argv(name, item), *words]
            os.execvp(argv[0], argv)
    raise TestbedError(f"testbed {name} has no running host {host}")


# Command line ------------------------------------------------------------------------------------


def command() -> str:
    """Return how a person calls this program from the top of the checkout."""
    return str(Path(__file__).resolve().relative_to(ROOT))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=command(), description=(__doc__ or "").split("\n", 1)[0])
    sub = parser.add_subparsers(dest="action", required=True)
    one = sub.add_parser("up", help="bring hosts up and write .testbed/NAME/inventory.yml")
    one.add_argument("name")
    one.add_argument("--host", action="append", default=[], metavar="NAME=SUITE")
    one.add_argument("--group", action="append", default=[], metavar="GROUP=HOST,HOST")
    one.add_argument("--ssh-port", action="append", default=[], metavar="HOST:PORT")
    one.add_argument(
        "--publish",
        action="append",
        default=[],
        metavar="HOST:PORT:CONTAINER_PORT",
        help="on 127.0.0.1; an empty PORT takes a free one",
    )
    one.add_argument(
        "--platforms",
        action="store_true",
        help="read the hosts from standard input: a JSON list of {name, suite, groups, publish}",
    )
    two = sub.add_parser("down", help="remove a testbed")
    two.add_argument("name")
    sub.add_parser("clean", help="remove every testbed of this checkout, images and .testbed")
    images = sub.add_parser("images", help="make the images of these suites unless they are there")
    images.add_argument("suites", nargs="*", default=["trixie", "bookworm"], metavar="SUITE")
    session = sub.add_parser("ssh", help="log in to a host, or run a command there")
    session.add_argument("name")
    session.add_argument("host")
    session.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser.parse_args(argv)


def check_name(kind: str, name: str) -> None:
    """Raise TestbedError when a host's name cannot be one; a testbed's may have underscores."""
    plain = name.replace("_", "-") if kind == "testbed" else name
    if not NAME.fullmatch(plain) or name in RESERVED:
        raise TestbedError(f"{kind} {name!r}: expected lower-case letters, digits and hyphens")


def requested_hosts(args: argparse.Namespace) -> list[Host]:
    """Build the hosts from the options of `up`; TestbedError names an option that does not fit."""
    if args.platforms:
        add_platforms(args, sys.stdin.read())
    ports: dict[str, list[tuple[int, int]]] = {}
    suites: dict[str, str] = {}
    for text in args.host:
        host, found, suite = text.partition("=")
        if not (host and found and suite):
            raise TestbedError(f"--host {text}: expected NAME=SUITE, for example web1=trixie")
        check_name("host", host)
        suites[host] = suite
        ports[host] = [(0, SSH_PORT)]
    try:
        for text in args.ssh_port:
            host, ours = text.split(":")
            ports[host][0] = (int(ours), SSH_PORT)
        for text in args.publish:
            host, ours, theirs = text.split(":")
            ports[host].append((int(ours or 0), int(theirs)))
    except (KeyError, ValueError):
        raise TestbedError(
            f"{text}: expected HOST:PORT or HOST:PORT:CONTAINER_PORT with a host given by --host"
        ) from None
    if not suites:
        raise TestbedError("no hosts given: --host NAME=SUITE, for example --host web1=trixie")
    return [Host(host, suites[host], tuple(ports[host])) for host in suites]


def add_platforms(args: argparse.Namespace, text: str) -> None:
    """Add hosts given as Molecule gives its platforms to the options of `up`.

    `publish` lists container ports; free ports of this machine are taken for them.
    """
    try:
        for platform in json.loads(text):
            name = platform["name"]
            args.host.append(f"{name}={platform['suite']}")
            args.group += [f"{group}={name}" for group in platform.get("groups", [])]
            args.publish += [f"{name}::{port}" for port in platform.get("publish", [])]
    except (KeyError, TypeError, ValueError) as error:
        raise TestbedError(
            f"the platforms must be a list of mappings with name and suite: {error!r}"
        ) from None


def requested_groups(args: argparse.Namespace, hosts: Sequence[Host]) -> dict[str, list[str]]:
    """Build the groups from the options of `up`; TestbedError names an option that does not fit."""
    names = {host.name for host in hosts}
    groups: dict[str, list[str]] = {}
    for text in args.group:
        group, found, members = text.partition("=")
        unknown = set(members.split(",")) - names
        if not found or unknown:
            raise TestbedError(f"--group {text}: expected GROUP=HOST,HOST with hosts from --host")
        groups.setdefault(group, []).extend(members.split(","))
    return groups


def interrupt(_signal: int, _frame: object) -> None:
    """Let TERM unwind like Ctrl-C, so that what was begun is removed."""
    raise KeyboardInterrupt


def main(argv: Sequence[str]) -> int:
    """Run one command; return the exit status."""
    signal.signal(signal.SIGTERM, interrupt)
    args = parse(argv)
    try:
        if "name" in args:
            check_name("testbed", args.name)
        if args.action == "up":
            hosts = requested_hosts(args)
            up(args.name, hosts, requested_groups(args, hosts))
        elif args.action == "down":
            down(args.name)
        elif args.action == "clean":
            clean()
        elif args.action == "images":
            for suite in args.suites:
                print(ensure_image(suite))
        else:
            ssh(args.name, args.host, args.words)
    except TestbedError as error:
        log(f"testbed: {error}")
        return 1
    except KeyboardInterrupt:
        log("testbed: interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
