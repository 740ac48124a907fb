"""The module config_files: several files written as one, after a check has accepted them."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.flaskops.stack.plugins.module_utils.config import transaction
from ansible_collections.flaskops.stack.plugins.modules import config_files

Run = Callable[..., dict[str, Any]]
Systemctl = Callable[..., None]

# Stands for the program: accepts a tree whose main.conf and the files it can see hold no "bad".
CHECK = """
import pathlib, sys
tree = pathlib.Path(sys.argv[1])
for path in sorted(tree.rglob("*")):
    if path.is_file() and "bad" in path.read_text():
        print(f"{path}: refused, it says {path.read_text().strip()}")
        sys.exit(1)
print(f"{tree} is fine")
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the module and return its result."""
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda self, msg, log_args=None: logged.append(msg))

    def run(check_mode: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        logged.clear()
        arguments = {"_ansible_check_mode": check_mode, "_ansible_diff": diff, **params}
        if os.geteuid() == 0:
            arguments.setdefault("check_user", "root")
        with patch_module_args(arguments), pytest.raises(SystemExit):
            config_files.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {**result, "logged": list(logged)}

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A program's configuration directory with two files and Debian's kind of link."""
    tree = tmp_path / "etc"
    (tree / "available").mkdir(parents=True)
    (tree / "enabled").mkdir()
    (tree / "main.conf").write_text("old main\n")
    (tree / "available" / "site").write_text("old site\n")
    (tree / "enabled" / "site").symlink_to(tree / "available" / "site")
    return tree


def snapshot(directory: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything below a directory: inode and content, or a link's target."""
    return {
        str(path): (
            path.lstat().st_ino,
            str(path.readlink()) if path.is_symlink() else path.read_bytes(),
        )
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def checker(tmp_path: Path) -> list[str]:
    script = tmp_path / "check.py"
    script.write_text(CHECK)
    return [sys.executable, str(script), "{tree}"]


@pytest.fixture
def tight_umask() -> Iterator[None]:
    """An administrator's umask."""
    umask = os.umask(0o077)
    yield
    os.umask(umask)


@pytest.mark.usefixtures("tight_umask")
def test_files_are_written_with_their_modes(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "b" / "one.conf", tmp_path / "two.conf"
    result = run(
        files=[
            {"path": str(first), "content": "one\n"},
            {"path": str(second), "content": "two ü\n", "mode": "0640"},
        ]
    )
    assert result["changed"]
    assert result["changed_files"] == [str(first), str(second)]
    assert (first.read_text(), second.read_text()) == ("one\n", "two ü\n")
    assert stat.S_IMODE(first.stat().st_mode) == 0o644
    assert stat.S_IMODE(second.stat().st_mode) == 0o640
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o755


def test_a_second_run_changes_nothing_and_asks_nobody(run: Run, tree: Path, tmp_path: Path) -> None:
    files = [{"path": str(tree / "main.conf"), "content": "new\n", "mode": "0600"}]
    absent = [str(tree / "enabled" / "site")]
    params = {"files": files, "absent": absent, "tree": str(tree), "check": checker(tmp_path)}
    assert run(**params)["changed"]
    before = snapshot(tree)
    result = run(**params)
    assert not result["changed"]
    assert result["changed_files"] == []
    assert not result["checked"]
    assert snapshot(tree) == before


def test_a_loose_mode_is_put_right(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "secret.conf"
    path.write_text("x\n")
    path.chmod(0o644)
    params = {"files": [{"path": str(path), "content": "x\n", "mode": "0600"}]}
    assert run(**params)["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not run(**params)["changed"]


def test_a_refused_change_leaves_everything_untouched(run: Run, tree: Path, tmp_path: Path) -> None:
    command = checker(tmp_path)
    before = snapshot(tmp_path)
    result = run(
        files=[
            {"path": str(tree / "main.conf"), "content": "new\n"},
            {"path": str(tree / "enabled" / "more.conf"), "content": "this is bad\n"},
            {"path": str(tmp_path / "outside" / "unit.conf"), "content": "new\n"},
        ],
        absent=[str(tree / "enabled" / "site")],
        tree=str(tree),
        check=command,
    )
    assert result["failed"]
    assert f"{tree}/enabled/more.conf: refused, it says" in result["msg"]
    assert "nothing was changed" in result["msg"]
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "outside").exists()


def test_the_check_sees_the_change_and_not_the_live_file(
    run: Run, tree: Path, tmp_path: Path
) -> None:
    (tree / "main.conf").write_text("bad\n")
    params = {"tree": str(tree), "check": checker(tmp_path)}
    result = run(files=[{"path": str(tree / "main.conf"), "content": "good\n"}], **params)
    assert result["checked"]
    assert result["check_output"] == f"{tree} is fine"


def test_the_check_sees_a_removal(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "enabled" / "old").write_text("bad\n")
    result = run(absent=[str(tree / "enabled" / "old")], tree=str(tree), check=checker(tmp_path))
    assert result["changed_files"] == [str(tree / "enabled" / "old")]
    assert not (tree / "enabled" / "old").exists()


def test_an_absolute_link_into_the_tree_shows_the_new_file(
    run: Run, tree: Path, tmp_path: Path
) -> None:
    script = tmp_path / "see.py"
    script.write_text("import sys; print(open(sys.argv[1] + '/enabled/site').read())")
    result = run(
        files=[{"path": str(tree / "available" / "site"), "content": "new site\n"}],
        tree=str(tree),
        check=[sys.executable, str(script), "{tree}"],
    )
    assert result["check_output"] == "new site"
    assert (tree / "enabled" / "site").is_symlink()


def test_links_out_of_the_tree_keep_pointing_there(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "module.conf").write_text("from outside")
    (tree / "enabled" / "module").symlink_to("../../module.conf")
    script = tmp_path / "see.py"
    script.write_text("import sys; print(open(sys.argv[1] + '/enabled/module').read())")
    result = run(
        files=[{"path": str(tree / "main.conf"), "content": "new\n"}],
        tree=str(tree),
        check=[sys.executable, str(script), "{tree}"],
    )
    assert result["check_output"] == "from outside"


def test_a_linked_directory_out_of_the_tree_is_never_written_through(
    run: Run, tree: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.conf").write_text("live\n")
    (tree / "linked").symlink_to(outside)
    result = run(
        files=[{"path": str(tree / "linked" / "x.conf"), "content": "new\n"}],
        tree=str(tree),
        check=checker(tmp_path),
    )
    assert result["failed"]
    assert "is a link out of" in result["msg"]
    assert (outside / "x.conf").read_text() == "live\n"


def test_a_link_is_replaced_and_its_target_left_alone(run: Run, tree: Path) -> None:
    link = tree / "enabled" / "site"
    assert run(files=[{"path": str(link), "content": "own\n"}])["changed"]
    assert not link.is_symlink()
    assert link.read_text() == "own\n"
    assert (tree / "available" / "site").read_text() == "old site\n"


def test_a_failing_write_takes_back_what_was_written(
    run: Run, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "main.conf").chmod(0o600)
    before = {path: content for path, (_inode, content) in snapshot(tmp_path).items()}
    rename = Path.rename
    written: list[str] = []

    def full_disk(source: Path, target: Path) -> Path:
        if target.name == "third.conf":
            written.extend(path.name for path in tree.rglob("*"))
            raise OSError(28, "No space left on device")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", full_disk)
    result = run(
        files=[
            {"path": str(tree / "main.conf"), "content": "new\n"},
            {"path": str(tree / "enabled" / "site"), "content": "new\n"},
            {"path": str(tmp_path / "made" / "second.conf"), "content": "new\n"},
            {"path": str(tree / "third.conf"), "content": "new\n"},
        ]
    )
    assert result["failed"]
    assert "third.conf: No space left on device; nothing was changed" in result["msg"]
    assert written, "nothing had been written when the disk was full"
    after = {path: content for path, (_inode, content) in snapshot(tmp_path).items()}
    assert after == before
    assert stat.S_IMODE((tree / "main.conf").stat().st_mode) == 0o600
    assert not (tmp_path / "made").exists()


def test_check_mode_asks_but_writes_nothing(run: Run, tree: Path, tmp_path: Path) -> None:
    params = {"tree": str(tree), "check": checker(tmp_path)}
    before = snapshot(tmp_path)
    good = run(True, files=[{"path": str(tree / "main.conf"), "content": "new\n"}], **params)
    assert good["changed"]
    assert good["checked"]
    bad = run(True, files=[{"path": str(tree / "main.conf"), "content": "bad\n"}], **params)
    assert bad["failed"]
    assert snapshot(tmp_path) == before


def test_check_mode_passes_where_nothing_is_installed_yet(run: Run, tmp_path: Path) -> None:
    result = run(
        True,
        files=[
            {
                "path": str(tmp_path / "none" / "a.conf"),
                "content": "a\n",
                "owner": "nobody-yet",
                "group": "nobody-yet",
            }
        ],
        tree=str(tmp_path / "none"),
        check=["/nonexistent/program"],
        check_user="nobody-yet",
    )
    assert result["changed"]
    assert not result["checked"]
    assert not (tmp_path / "none").exists()


def test_diff_shows_text_and_mode(run: Run, tree: Path) -> None:
    (tree / "main.conf").chmod(0o600)
    result = run(
        diff=True,
        files=[{"path": str(tree / "main.conf"), "content": "first\nnew main\n"}],
        absent=[str(tree / "available" / "site")],
    )
    lines = result["diff"]["prepared"].splitlines()
    assert lines[:2] == [f"--- {tree}/main.conf", f"+++ {tree}/main.conf"]
    assert {"-mode 0600", "+mode 0644", "-old main", "+first", "+new main"} <= set(lines)
    assert lines[-2:] == [f"--- {tree}/available/site", "-removed"]


SECRET_TEXT = 'hello\n# rem\nrequirepass "hunter2 bad"\n'


def test_secrets_are_in_no_diff_no_message_and_no_log(run: Run, tree: Path, tmp_path: Path) -> None:
    secret = {"path": str(tree / "secret.conf"), "content": SECRET_TEXT, "secret": True}
    refused = run(diff=True, files=[secret], tree=str(tree), check=checker(tmp_path))
    assert "secret.conf: refused, it says" in refused["msg"]
    assert "hunter2" not in json.dumps(refused)
    (tree / "secret.conf").write_text("requirepass older\n")
    written = run(diff=True, files=[secret])
    assert written["changed"]
    assert "(secret)" in written["diff"]["prepared"]
    assert written["logged"], "nothing was logged"
    for word in ("hunter2", "older"):
        assert word not in json.dumps(written)


def server(tmp_path: Path, body: str) -> list[str]:
    script = tmp_path / "server.py"
    script.write_text(f"import pathlib, sys, time\n{body}\n")
    return [sys.executable, "-u", str(script), "{tree}", "{scratch}", "{port}"]


def test_a_server_that_becomes_ready_is_accepted_and_stopped(
    run: Run, tree: Path, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    command = server(
        tmp_path,
        f"import os; pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        "pathlib.Path(sys.argv[2], 'own').write_text('')\n"
        "print('ready on', int(sys.argv[3]))\ntime.sleep(60)",
    )
    started = time.monotonic()
    result = run(
        files=[{"path": str(tree / "main.conf"), "content": "new\n"}],
        tree=str(tree),
        check=command,
        check_ready="ready on",
    )
    assert result["changed"]
    assert time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('no such setting'); sys.exit(0)", "no such setting"),
        ("print('starting'); time.sleep(60)", r"starting\n\(no verdict within 0.5 s\)"),
    ],
)
def test_a_server_that_is_never_ready_is_refused(
    run: Run, tree: Path, tmp_path: Path, body: str, message: str
) -> None:
    command = server(tmp_path, body)
    before = snapshot(tree)
    result = run(
        files=[{"path": str(tree / "main.conf"), "content": "new\n"}],
        tree=str(tree),
        check=command,
        check_ready="ready on",
        check_timeout=0.5,
    )
    assert result["failed"]
    assert re.search(message, result["msg"])
    assert snapshot(tree) == before


def test_nothing_is_left_in_the_temporary_directory(
    run: Run, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for content in ("good\n", "bad\n"):
        run(
            files=[{"path": str(tree / "main.conf"), "content": content}],
            tree=str(tree),
            check=checker(tmp_path),
        )
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"files": [{"path": "relative", "content": ""}]}, "must be absolute, got 'relative'"),
        ({"files": [{"path": "/a", "content": "", "mode": "rw-r--r--"}]}, "got 'rw-r--r--'"),
        ({"files": [{"path": "/a", "content": ""}], "absent": ["/a"]}, "/a is named twice"),
        (
            {"files": [{"path": "/a", "content": "", "owner": "no-one"}]},
            "owner 'no-one' does not exist",
        ),
        ({"files": [{"path": "/tmp", "content": ""}]}, "/tmp is neither a file nor a link"),
        ({"check_ready": "x"}, "missing parameter.*check"),
    ],
)
def test_errors_name_what_was_received(run: Run, params: dict[str, Any], message: str) -> None:
    result = run(**params)
    assert result["failed"]
    assert re.search(message, result["msg"])


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """Let systemctl say this of a unit whose state changed so many seconds ago."""

    def systemctl(active: str, age: float, reload: str = "no") -> None:
        moment = int((time.monotonic() - age) * 1e6)
        program = tmp_path / "bin" / "systemctl"
        program.parent.mkdir()
        program.write_text(
            f"#!/bin/sh\necho ActiveState={active}\necho NeedDaemonReload={reload}\n"
            f"echo StateChangeTimestampMonotonic={moment}\necho UnitFileState=enabled\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return systemctl


@pytest.mark.parametrize(
    ("active", "age", "stale"),
    [("active", 3600, True), ("active", 0, False), ("inactive", 3600, False)],
)
def test_a_unit_that_has_not_loaded_the_files_makes_it_changed(
    run: Run, old_file: Path, systemctl: Systemctl, active: str, age: int, *, stale: bool
) -> None:
    systemctl(active, age)
    result = run(files=[{"path": str(old_file), "content": "a\n"}], unit="a.service")
    assert result["stale"] is stale
    assert result["changed"] is stale
    assert result["changed_files"] == []


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file as wanted, written a minute ago."""
    path = tmp_path / "a.conf"
    path.write_text("a\n")
    path.chmod(0o644)
    os.utime(path, (time.time() - 60, time.time() - 60))
    return path


def test_a_unit_changed_behind_systemds_back_needs_a_daemon_reload(
    run: Run, systemctl: Systemctl
) -> None:
    systemctl("active", 0, reload="yes")
    assert run(unit="a.service")["daemon_reload"]
    assert not run()["daemon_reload"]


def test_a_drop_in_needs_a_daemon_reload(run: Run) -> None:
    path = "/etc/systemd/system/flaskops-test.service.d/a.conf"
    result = run(True, files=[{"path": path, "content": "[Service]\n"}])
    assert result["daemon_reload"]


def test_a_wildcard_removes_what_is_there_but_not_what_is_wanted(run: Run, tree: Path) -> None:
    for name in ("a", "b", "c"):
        (tree / name).mkdir()
        (tree / name / "shop.conf").write_text("old\n")
    (tree / "c" / "front.conf").write_text("old\n")
    kept = str(tree / "b" / "shop.conf")
    files = [{"path": kept, "content": "new\n"}]
    result = run(files=files, absent=[str(tree / "*" / "shop.conf"), str(tree / "[a" / "x")])
    gone = [str(tree / "a" / "shop.conf"), str(tree / "c" / "shop.conf")]
    assert result["changed_files"] == [kept, *gone]
    assert sorted(path.name for path in tree.glob("?/*")) == ["front.conf", "shop.conf"]
    assert not run(files=files, absent=[str(tree / "*" / "shop.conf")])["changed"]


def test_missing_packages_are_named_and_nothing_else_is_done(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transaction, "missing", lambda names: names[1:])
    path = tmp_path / "one.conf"
    files = [{"path": str(path), "content": "one\n"}]
    result = run(files=files, packages=["nginx", "certbot"])
    assert (result["missing_packages"], result["settled"]) == (["certbot"], False)
    assert not result["changed"]
    assert not path.exists()


def test_what_is_required_is_said_before_anything_changes(run: Run, tmp_path: Path) -> None:
    path, here = tmp_path / "one.conf", {str(tmp_path): "not said"}
    files = [{"path": str(path), "content": "one\n"}]
    result = run(files=files, requires=here | {str(tmp_path / "none"): "who: found nothing"})
    assert (result["failed"], result["msg"]) == (True, "who: found nothing")
    assert not path.exists()
    assert run(files=files, requires=here)["changed"]


def test_files_without_a_unit_are_settled_when_they_are_there(run: Run, tmp_path: Path) -> None:
    files = [{"path": str(tmp_path / "one.conf"), "content": "one\n"}]
    assert [run(files=files)["settled"] for _ in range(2)] == [False, True]


@pytest.mark.parametrize(("active", "wish"), [("active", "started"), ("inactive", "restarted")])
def test_a_unit_is_settled_when_it_runs_with_the_files(
    run: Run, old_file: Path, systemctl: Systemctl, active: str, wish: str
) -> None:
    systemctl(active, 0)
    result = run(files=[{"path": str(old_file), "content": "a\n"}], unit="a.service")
    assert (result["settled"], result["unit_wish"]) == (active == "active", wish)
