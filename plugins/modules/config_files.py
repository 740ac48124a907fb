#!/usr/bin/python
# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files of one program together, after the program has accepted them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Write several configuration files as one, after a check has accepted them
description:
  - Writes and removes the configuration files of one program in one remote call.
  - Before anything is written, the program is asked. The directory O(tree) is copied aside, the
    changes are made in the copy, and O(check) runs on it. When it refuses, nothing on the host has
    changed and the module fails with the program's own message.
  - Every file is replaced by a rename, with its owner and mode already set, so that no reader ever
    finds half a file or a secret with a loose mode. When a write fails midway, what was written
    before it is put back.
  - A path that is a symbolic link is replaced by a file; the link's target is left alone.
version_added: 0.1.0
author: The flaskops.stack authors
options:
  files:
    description: Files to write. Missing parent directories are created with mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Permission bits in octal.
        type: str
        default: '0644'
      owner:
        description: Name of the owner. Left as it is when not given.
        type: str
      group:
        description: Name of the group. Left as it is when not given.
        type: str
      secret:
        description: Keep the text out of the diff and out of the check's message.
        type: bool
        default: false
  absent:
    description:
      - Absolute paths of files and links that must not exist. C(*) and C(?) stand for what they do
        in a shell, but never for one of O(files).
    type: list
    elements: path
    default: []
  tree:
    description:
      - Directory that is copied aside for the check, with the changes made in the copy.
      - Symbolic links that point into the directory point into the copy there; others point where
        they always did.
    type: path
  check:
    description:
      - Command that accepts or refuses the new files, as a list of arguments. Runs only when a file
        changes. Exit code 0 accepts, unless O(check_ready) is given.
      - C({tree}) is replaced by the copy of O(tree), C({scratch}) by an empty directory that is
        removed afterwards, C({port}) by a free TCP port.
      - In check mode a program that is not installed yet is not asked.
    type: list
    elements: str
  check_ready:
    description:
      - Text in the output of O(check) that means accepted. The command is then stopped. For servers
        without a dry run; ending before it has printed the text means refused.
    type: str
  check_timeout:
    description: Longest time for O(check) in seconds. No verdict in time means refused.
    type: float
    default: 10.0
  check_user:
    description: User who runs O(check), with no supplementary groups.
    type: str
    default: root
  packages:
    description:
      - Distribution packages without which the files mean nothing. When one is missing, nothing
        else is looked at or done, and RV(missing_packages) names it.
    type: list
    elements: str
    default: []
  requires:
    description:
      - What must be there on the host, each path with what is said when it is missing. Nothing is
        changed then.
    type: dict
    default: {}
  unit:
    description:
      - The systemd unit that reads the files. When it is active and one of the files is newer than
        its last start or reload, the result is changed although no file is. A handler that an
        earlier run lost, for example because the run was killed, is so made up for.
    type: str
attributes:
  check_mode:
    description: The check runs, nothing is written.
    support: full
  diff_mode:
    description: A unified diff a file; of a secret file only that it changes.
    support: full
"""

EXAMPLES = r"""
- name: Configure nginx
  flaskops.stack.config_files:
    files:
      - path: /etc/nginx/nginx.conf
        content: "{{ lookup('ansible.builtin.template', 'etc/nginx/nginx.conf.j2') }}"
        owner: root
        group: root
        mode: "0644"
    absent: [/etc/nginx/sites-enabled/default]
    tree: /etc/nginx
    check: [/usr/sbin/nginx, -t, -q, -c, "{tree}/nginx.conf"]
    unit: nginx.service
  notify: Reload nginx

- name: Configure a server that has no dry run
  flaskops.stack.config_files:
    files:
      - path: /etc/redis/local.conf
        content: "maxmemory 64mb\n"
    tree: /etc/redis
    check: [redis-server, "{tree}/local.conf", --port, "{port}", --dir, "{scratch}"]
    check_ready: eady to accept connections
    check_timeout: 5
    check_user: redis
"""

RETURN = r"""
settled:
  description:
    - Whether nothing is left to do. No package is missing, no file changed, and O(unit), where
      there is one, runs with these files and is enabled.
  returned: always
  type: bool
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: always
  type: list
  elements: str
changed_files:
  description: Paths written or removed, or that would be in check mode.
  returned: always
  type: list
  elements: str
checked:
  description: Whether the check ran.
  returned: always
  type: bool
check_output:
  description: What the check printed, with the live paths in place of the copy's.
  returned: when the check ran
  type: str
stale:
  description: Whether no file changes but O(unit) has not loaded the files yet.
  returned: always
  type: bool
daemon_reload:
  description: Whether systemd has to read its units again.
  returned: always
  type: bool
unit_active:
  description: Whether O(unit) is active; not when systemd only tries to start it again.
  returned: always
  type: bool
unit_wish:
  description:
    - How O(unit) is brought up, as M(ansible.builtin.systemd_service) has it in its C(state).
      V(started), or V(restarted) while systemd tries it again and again, when only a start of ours
      says why it fails.
  returned: always
  type: str
unit_settled:
  description: Whether O(unit) is active and enabled, so that starting it would change nothing.
  returned: always
  type: bool
"""

import difflib
import glob
import grp
import os
import pwd
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskops.stack.plugins.module_utils.packages import missing
from ansible_collections.flaskops.stack.plugins.module_utils.systemd import Systemd, Unit

HIDDEN = "(secret)"
#: The result of a module that has looked and done nothing.
UNTOUCHED: dict[str, Any] = {
    "changed": False,
    "missing_packages": [],
    "changed_files": [],
    "checked": False,
    "stale": False,
    "daemon_reload": False,
    "unit_active": False,
    "unit_wish": "restarted",
    "unit_settled": False,
    "settled": False,
}
DIRECTORY_MODE = 0o755
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ConfigError(Exception):
    """What the user is told; nothing on the host has changed when it is raised."""


class QuietModule(AnsibleModule):
    """Logs the paths it was called with; Ansible's own log entry would hold every file's text.

    Its masking compares values, and the text of several lines looks different inside a logged list.
    """

    def _log_invocation(self) -> None:
        paths = [entry["path"] for entry in self.params["files"]] + self.params["absent"]
        self.log(f"Invoked for {', '.join(paths)}")


@dataclass(frozen=True)
class Wanted:
    """One file as it shall be. An id of None leaves owner or group as it is."""

    path: str
    content: bytes
    mode: int
    uid: int | None
    gid: int | None
    secret: bool


@dataclass(frozen=True)
class Found:
    """What stands at a path now; ``kind`` is file, link, absent or other."""

    kind: str
    content: bytes = b""
    mode: int = 0
    uid: int = -1
    gid: int = -1
    target: str = ""
    mtime: float = 0.0

    def matches(self, wanted: Wanted) -> bool:
        return (
            self.kind == "file"
            and self.content == wanted.content
            and self.mode == wanted.mode
            and wanted.uid in (None, self.uid)
            and wanted.gid in (None, self.gid)
        )


@dataclass
class Writer:
    """Writes and removes files and can take all of it back."""

    module: AnsibleModule
    undo: list[tuple[str, Found]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def write(self, wanted: Wanted, found: Found) -> None:
        self._make_parents(os.path.dirname(wanted.path))
        self.undo.append((wanted.path, found))
        uid = found.uid if wanted.uid is None and found.kind == "file" else wanted.uid
        gid = found.gid if wanted.gid is None and found.kind == "file" else wanted.gid
        self._replace(wanted.path, wanted.content, wanted.mode, uid, gid)

    def remove(self, path: str, found: Found) -> None:
        self.undo.append((path, found))
        os.unlink(path)

    def take_back(self) -> list[str]:
        """Restore what was there; returns the paths that could not be restored."""
        lost = []
        for path, found in reversed(self.undo):
            restored = False
            with suppress(OSError):
                self._restore(path, found)
                restored = True
            if not restored:
                lost.append(path)
        for directory in reversed(self.made):
            with suppress(OSError):
                os.rmdir(directory)
        return lost

    def _restore(self, path: str, found: Found) -> None:
        if found.kind == "absent":
            with suppress(FileNotFoundError):
                os.unlink(path)
        elif found.kind == "link":
            self._replace_link(path, found.target)
        else:
            self._replace(path, found.content, found.mode, found.uid, found.gid)

    def _make_parents(self, directory: str) -> None:
        missing = []
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            os.mkdir(path)
            self.made.append(path)
            os.chmod(path, DIRECTORY_MODE)  # whatever the umask is
            self._label(path, path)

    # Not AnsibleModule.atomic_move: it gives a new file the umask's mode first, and an existing one
    # the old file's, so a secret would be readable for a moment.
    def _replace(
        self, path: str, content: bytes, mode: int, uid: int | None, gid: int | None
    ) -> None:
        handle, name = tempfile.mkstemp(prefix=".flaskops-", dir=os.path.dirname(path))
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                if uid is not None or gid is not None:
                    os.fchown(
                        stream.fileno(), -1 if uid is None else uid, -1 if gid is None else gid
                    )
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
            self._label(name, path)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise

    def _replace_link(self, path: str, target: str) -> None:
        name = f"{path}.flaskops-{os.getpid()}"
        os.symlink(target, name)
        os.replace(name, path)

    def _label(self, name: str, path: str) -> None:
        if self.module.selinux_enabled():
            self.module.set_context_if_different(
                name, self.module.selinux_default_context(path), changed=False
            )


def look_at(path: str) -> Found:
    """What stands at ``path``. Raises ConfigError for what is neither a file nor a link."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Found("absent")
    if stat.S_ISLNK(status.st_mode):
        return Found("link", target=os.readlink(path))
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is neither a file nor a link; it is left alone")
    return Found(
        "file",
        Path(path).read_bytes(),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        mtime=status.st_mtime,
    )


def read_wanted(files: list[dict[str, Any]], *, check_mode: bool) -> list[Wanted]:
    """The files as asked for. Raises ConfigError for a bad path, mode, owner or group.

    A package or role that has not run yet creates owners, so in check mode a missing one is fine.
    """

    def number(kind: str, path: str, name: str | None) -> int | None:
        if name is None:
            return None
        try:
            return pwd.getpwnam(name).pw_uid if kind == "owner" else grp.getgrnam(name).gr_gid
        except KeyError:
            if check_mode:
                return None
            raise ConfigError(f"{path}: {kind} {name!r} does not exist on this host") from None

    wanted = []
    for entry in files:
        path = entry["path"]
        try:
            mode = int(entry["mode"], 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o7777:
            raise ConfigError(f"{path}: mode must be octal such as '0644', got {entry['mode']!r}")
        wanted.append(
            Wanted(
                path,
                entry["content"].encode("utf-8", "surrogateescape"),
                mode,
                number("owner", path, entry["owner"]),
                number("group", path, entry["group"]),
                entry["secret"],
            )
        )
    return wanted


def check_paths(paths: list[str]) -> None:
    """Raises ConfigError for a relative path and for one that is named twice."""
    seen = set()
    for path in paths:
        if not os.path.isabs(path):
            raise ConfigError(f"a path must be absolute, got {path!r}")
        if path in seen:
            raise ConfigError(f"{path} is named twice in files and absent")
        seen.add(path)


@dataclass(frozen=True)
class Stage:
    """A copy of ``tree`` at ``copy`` in which changes can be tried."""

    tree: str
    copy: str
    privileged: bool

    def fill(self) -> None:
        """Copy the tree; a link into the tree points into the copy, any other where it did."""
        os.mkdir(self.copy, DIRECTORY_MODE)
        for directory, subdirectories, names in os.walk(self.tree):
            for name in subdirectories + names:
                source = os.path.join(directory, name)
                if os.path.islink(source):
                    pointed = os.path.normpath(os.path.join(directory, os.readlink(source)))
                    target = self._copied(pointed) if self.holds(pointed) else pointed
                    os.symlink(target, self._copied(source))
                elif os.path.isdir(source):
                    os.mkdir(self._copied(source))
                    shutil.copystat(source, self._copied(source))
                elif os.path.isfile(source):
                    shutil.copy2(source, self._copied(source))
                else:
                    continue
                self._keep_owner(source)
        if os.path.isdir(self.tree):
            shutil.copystat(self.tree, self.copy)
            self._keep_owner(self.tree)

    def holds(self, path: str) -> bool:
        """Whether ``path`` lies in the tree."""
        return path.startswith(self.tree + "/")

    def write(self, new: Wanted) -> None:
        """Put a file into the copy. Raises ConfigError when that would leave the copy."""
        here = self._changeable(new.path)
        os.makedirs(os.path.dirname(here), exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(here)
        with open(os.open(here, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(new.content)
            if self.privileged:
                chown(stream.fileno(), new.uid, new.gid)
            os.fchmod(stream.fileno(), new.mode)

    def remove(self, path: str) -> None:
        """Take a file out of the copy. Raises ConfigError when that would leave the copy."""
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._changeable(path))

    def _copied(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.copy, os.path.relpath(path, self.tree)))

    def _changeable(self, path: str) -> str:
        here = self._copied(path)
        real = os.path.realpath(os.path.dirname(here))
        if real != self.copy and not real.startswith(self.copy + "/"):
            raise ConfigError(
                f"{path}: its directory is a link out of {self.tree}, so no copy can be checked"
            )
        return here

    def _keep_owner(self, source: str) -> None:
        if self.privileged:
            status = os.lstat(source)
            os.chown(self._copied(source), status.st_uid, status.st_gid, follow_symlinks=False)


def chown(descriptor: int, uid: int | None, gid: int | None) -> None:
    """Set the owner of an open file; None leaves it as it is."""
    os.fchown(descriptor, -1 if uid is None else uid, -1 if gid is None else gid)


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def account(user: str) -> pwd.struct_passwd:
    """The user who runs the check. Raises ConfigError when there is none of that name."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(f"check_user {user!r} does not exist on this host") from None


def run_check(
    argv: list[str], ready: str | None, timeout: float, user: str | None
) -> tuple[bool, str]:
    """Run ``argv`` for at most ``timeout`` seconds: (accepted, what it printed).

    With ``ready`` the command has to print that text, is then stopped, and its exit code does not
    count. ``user`` of None keeps the current one. Raises ConfigError when it cannot be started.
    """
    identity: dict[str, Any] = {}
    if user is not None:
        entry = account(user)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": PROGRAM_PATH, "LC_ALL": "C"},
            start_new_session=True,
            **identity,
        )
    except OSError as error:
        raise ConfigError(f"the check {argv[0]!r} cannot be started: {error.strerror}") from error
    output, accepted, deadline = b"", False, time.monotonic() + timeout
    pipe = cast("IO[bytes]", process.stdout)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                chunk = os.read(pipe.fileno(), 65536)
                output += chunk
                if ready is not None and ready.encode() in output:
                    accepted = True
                    break
                if not chunk:
                    code = process.wait(max(0.1, deadline - time.monotonic()))
                    accepted = ready is None and code == 0
                    if not accepted:
                        output = output.rstrip() + f"\n(exit code {code})".encode()
                    break
            else:
                output = output.rstrip() + f"\n(no verdict within {timeout:g} s)".encode()
    except subprocess.TimeoutExpired:
        output = output.rstrip() + f"\n(still running after {timeout:g} s)".encode()
    finally:
        stop(process)
    return accepted, output.decode("utf-8", "replace").strip()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it has started."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()


def without_secrets(text: str, secrets: list[bytes]) -> str:
    """``text`` without the lines of secret files; programs like to quote what they refuse."""
    for content in secrets:
        for line in map(str.strip, content.decode("utf-8", "replace").splitlines()):
            if line and not line.startswith("#"):
                text = text.replace(line, HIDDEN)
    return text


def difference(found: Found, wanted: Wanted) -> str:
    """A unified diff with the change of mode and owner, without the text of a secret."""
    head = f"--- {wanted.path}\n+++ {wanted.path}\n"
    body = ""
    if found.kind == "link":
        body += f"-link to {found.target}\n"
    if found.kind == "file" and found.mode != wanted.mode:
        body += f"-mode {found.mode:04o}\n+mode {wanted.mode:04o}\n"
    for name, old, new in (("uid", found.uid, wanted.uid), ("gid", found.gid, wanted.gid)):
        if found.kind == "file" and new not in (None, old):
            body += f"-{name} {old}\n+{name} {new}\n"
    if wanted.secret:
        return head + body + (HIDDEN + "\n" if found.content != wanted.content else "")
    lines = difflib.unified_diff(
        found.content.decode("utf-8", "replace").splitlines(),
        wanted.content.decode("utf-8", "replace").splitlines(),
        lineterm="",
    )
    return head + body + "".join(f"{line}\n" for line in list(lines)[2:])


def has_check(argv: list[str] | None, *, check_mode: bool) -> bool:
    """Whether there is a program to ask; in check mode it may not be installed yet."""
    if not argv:
        return False
    return not check_mode or shutil.which(argv[0], path=PROGRAM_PATH) is not None


def verify(params: dict[str, Any], wanted: list[Wanted], absent: list[str]) -> str:
    """What the check printed about the changes. Raises ConfigError when it refuses."""
    argv: list[str] = params["check"]
    privileged = os.geteuid() == 0
    tree: str | None = params["tree"] and os.path.normpath(params["tree"])
    user: str | None = params["check_user"] if privileged else None
    top = tempfile.mkdtemp(prefix="flaskops-")
    try:
        top = os.path.realpath(top)
        scratch = os.path.join(top, "scratch")
        os.mkdir(scratch, 0o700)
        values = {"{scratch}": scratch}
        if tree:
            values["{tree}"] = os.path.join(top, "tree")
            stage = Stage(tree, values["{tree}"], privileged)
            stage.fill()
            for path in filter(stage.holds, absent):
                stage.remove(path)
            for new in wanted:
                if stage.holds(new.path):
                    stage.write(new)
        if any("{port}" in word for word in argv):
            values["{port}"] = str(free_port())
        if user is not None:
            for directory in (top, scratch):
                os.chown(directory, account(user).pw_uid, account(user).pw_gid)
        words = list(argv)
        for placeholder, value in values.items():
            words = [word.replace(placeholder, value) for word in words]
        accepted, output = run_check(words, params["check_ready"], params["check_timeout"], user)
        if tree:
            output = output.replace(values["{tree}"], tree)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    output = without_secrets(output, [new.content for new in wanted if new.secret])
    if not accepted:
        name = os.path.basename(argv[0])
        raise ConfigError(
            f"{name} refuses the new configuration; nothing was changed. It says:\n{output}"
        )
    return output


def check_required(messages: dict[str, str]) -> None:
    """Raise ConfigError with what is said of the paths that are missing."""
    if lacking := [path for path in messages if not os.path.exists(path)]:
        raise ConfigError("\n".join(messages[path] for path in lacking))


def existing(paths: list[str], kept: set[str]) -> list[str]:
    """What paths with wildcards stand for, without what is to be there; others as they are."""
    found: list[str] = []
    for path in paths:
        meant = sorted(set(glob.glob(path)) - kept) if glob.has_magic(path) else [path]
        found += (one for one in meant if one not in found)
    return found


def apply(module: AnsibleModule) -> dict[str, Any]:
    """Bring the files about; returns the module's result. Raises ConfigError."""
    params = module.params
    if lacking := missing(params["packages"]):
        return UNTOUCHED | {"missing_packages": lacking}
    check_required(params["requires"])
    check_paths([entry["path"] for entry in params["files"]] + params["absent"])
    wanted = read_wanted(params["files"], check_mode=module.check_mode)
    found = [look_at(new.path) for new in wanted]
    changes = [(new, old) for new, old in zip(wanted, found) if not old.matches(new)]
    absent = existing(params["absent"], {new.path for new in wanted})
    removals = [(path, old) for path in absent if (old := look_at(path)).kind != "absent"]
    changed_files = [new.path for new, _old in changes] + [path for path, _old in removals]

    unit = Systemd().unit(params["unit"]) if params["unit"] else Unit()
    stale = not changed_files and unit.older_than(file.mtime for file in found)
    reload_needed = unit.reload_needed or any(
        path.startswith("/etc/systemd/system/") for path in changed_files
    )
    changed = bool(changed_files) or stale
    unit_settled = unit.settled and not reload_needed
    result: dict[str, Any] = UNTOUCHED | {
        "changed": changed,
        "changed_files": changed_files,
        "stale": stale,
        "daemon_reload": reload_needed,
        "unit_active": unit.since is not None,
        "unit_wish": "started" if unit.since is not None else "restarted",
        "unit_settled": unit_settled,
        "settled": not changed and (unit_settled or not params["unit"]),
    }
    if not changed_files:
        return result
    if has_check(params["check"], check_mode=module.check_mode):
        result["checked"] = True
        result["check_output"] = verify(
            params, [new for new, _old in changes], [path for path, _old in removals]
        )
    if module._diff:  # noqa: SLF001 - Ansible has no public name for it
        texts = [difference(old, new) for new, old in changes]
        texts += [f"--- {path}\n-removed\n" for path, _old in removals]
        result["diff"] = {"prepared": "".join(texts)}
    if not module.check_mode:
        write_all(Writer(module), changes, removals)
    return result


def write_all(
    writer: Writer, changes: list[tuple[Wanted, Found]], removals: list[tuple[str, Found]]
) -> None:
    """Write and remove, all or nothing. Raises ConfigError."""
    path = ""
    try:
        for new, old in changes:
            path = new.path
            writer.write(new, old)
        for path, old in removals:
            writer.remove(path, old)
    except OSError as error:
        lost = writer.take_back()
        after = f"these could not be put back: {', '.join(lost)}" if lost else "nothing was changed"
        raise ConfigError(f"cannot write {path}: {error.strerror}; {after}") from error


def main() -> None:
    """Ansible's entry point."""
    module = QuietModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True, "no_log": True},
                    "mode": {"type": "str", "default": "0644"},
                    "owner": {"type": "str"},
                    "group": {"type": "str"},
                    "secret": {"type": "bool", "default": False, "no_log": False},
                },
            },
            "absent": {"type": "list", "elements": "path", "default": []},
            "tree": {"type": "path"},
            "check": {"type": "list", "elements": "str"},
            "check_ready": {"type": "str"},
            "check_timeout": {"type": "float", "default": 10.0},
            "check_user": {"type": "str", "default": "root"},
            "packages": {"type": "list", "elements": "str", "default": []},
            "requires": {"type": "dict", "default": {}},
            "unit": {"type": "str"},
        },
        required_by={"check_ready": ["check"], "tree": ["check"]},
        supports_check_mode=True,
    )
    try:
        module.exit_json(**apply(module))
    except ConfigError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
