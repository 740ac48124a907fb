"""Module release: directories, commands, permissions. The commands really run in Molecule."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import pwd
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils import files as host_files
from ansible_collections.flaskops.stack.plugins.module_utils.environment import from_file
from ansible_collections.flaskops.stack.plugins.modules import release

ME = release.Owner(os.getuid(), os.getgid())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(release.Owner, "named", classmethod(lambda cls, name: ME))
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    monkeypatch.setattr(os, "lchown", lambda *_: None)
    return tmp_path / "shop"


def params(home: Path, id_: str = "abc-1", **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "shop",
        "home": str(home),
        "user": "shop",
        "id": id_,
        "revision": "abc",
        "source": "./shop",
        "archive": "",
        "archive_name": "",
        "requirement": "",
        "checkout": None,
        "make_key": True,
        "subdirectory": "",
        "environment": '{"GREETING": "hi"}',
        "environment_defaults": "",
        "key_days": 31,
        "installer": "uv",
        "uv_version": "1.2.3",
        "python": "/usr/bin/python3",
        "extra_packages": [],
        "server_package": "",
        "build_environment": "",
        "shared_paths": ["instance", "uploads"],
        "static": {},
        "fingerprint": "",
        "keep": 2,
    }
    return values | changes


class Recorder:
    """Stands for Builder.run: remembers commands, and makes what `install` would have made."""

    def __init__(self, brings: tuple[str, ...] = ()) -> None:
        self.commands: list[str] = []
        self.brings = brings

    def __call__(self, builder: release.Builder, *command: str) -> str:
        if command[0] == "cp":
            subprocess.run(command, check=True)
            return ""
        self.commands.append(" ".join(Path(word).name if "/" in word else word for word in command))
        for name in self.brings:
            info = builder.venv / "lib/python3.11/site-packages" / f"{name}.dist-info"
            info.mkdir(parents=True, exist_ok=True)
        return ""


def build(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    brings: tuple[str, ...] = (),
    **changes: Any,
) -> Recorder:
    recorder = Recorder(brings)

    def run(self: release.Builder, *command: str) -> str:
        return recorder(self, *command)

    monkeypatch.setattr(release.Builder, "run", run)
    monkeypatch.setattr(release.Builder, "_bootstrap_uv", lambda self: "uv")
    releases = release.Releases(params(home, **changes), check_mode=False)
    releases.prepare()
    code = releases.release / "code"
    for name, text in files.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    releases.build()
    releases.select()
    return recorder


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (["uv.lock", "pyproject.toml", "requirements.txt"], "uv sync --locked --no-dev"),
        (["requirements.txt", "pyproject.toml"], "-r requirements.txt"),
        (["pyproject.toml"], "uv pip install --python venv ."),
        (["setup.py"], "uv pip install --python venv ."),
    ],
)
def test_most_exact_manifest_wins(
    home: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], command: str
) -> None:
    recorder = build(home, monkeypatch, dict.fromkeys(files, ""))
    assert any(command in line for line in recorder.commands)
    record = json.loads((home / "releases/abc-1/release.json").read_text())
    assert record["manifest"] == files[0]


def test_source_that_says_nothing_of_its_needs_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(release.ReleaseError, match=r"uv\.lock, requirements\.txt"):
        build(home, monkeypatch, {"app.py": ""})
    assert not (home / "releases/abc-1/release.json").exists()


@pytest.mark.parametrize(
    ("text", "locked"),
    [
        ("flask==3.1.2\n", False),
        ("flask==3.1.2 \\\n    --hash=sha256:00\n", True),
        ("flask==3.1.2 --hash=sha256:00\n", True),
        ("# say --hash= to lock\nflask\n", False),
    ],
)
def test_hashes_once_given_are_required_of_all(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, locked: bool
) -> None:
    recorder = build(home, monkeypatch, {"requirements.txt": text})
    assert any("--require-hashes" in line for line in recorder.commands) is locked


@pytest.mark.parametrize(
    ("pyproject", "installed"), [("[build-system]\n", True), ("[tool.x]\n", False)]
)
def test_project_beside_requirements_is_installed_if_it_can_be(
    home: Path, monkeypatch: pytest.MonkeyPatch, pyproject: str, installed: bool
) -> None:
    files = {"requirements.txt": "", "pyproject.toml": pyproject}
    recorder = build(home, monkeypatch, files)
    assert ("uv pip install --python venv --no-deps ." in recorder.commands) is installed


def test_pip_is_the_fallback(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = build(home, monkeypatch, {"requirements.txt": ""}, installer="pip")
    assert recorder.commands[:2] == [
        "python3 -m venv venv",
        "python -m pip install --quiet -r requirements.txt",
    ]


def test_pip_says_that_it_cannot_read_a_uv_lock(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(release.ReleaseError, match=r"found pip, but a uv\.lock needs uv"):
        build(home, monkeypatch, {"uv.lock": "", "pyproject.toml": ""}, installer="pip")


@pytest.mark.parametrize(
    ("brings", "files", "added"),
    [
        ((), {}, ["gunicorn==27.0.1"]),
        (("gunicorn-23.0.0",), {}, []),
        (("gunicorn-23.0.0",), {".flaskenv": ""}, ["python-dotenv==1.2.4"]),
        (("gunicorn-23.0.0", "python_dotenv-1.0.0"), {".env": ""}, []),
    ],
)
def test_server_and_dotenv_are_added_unless_the_app_brings_them(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    brings: tuple[str, ...],
    files: dict[str, str],
    added: list[str],
) -> None:
    files = {"requirements.txt": "", **files}
    recorder = build(home, monkeypatch, files, brings, server_package="gunicorn==27.0.1")
    last = [line for line in recorder.commands if "pip install" in line and "==" in line]
    assert last == ([f"uv pip install --python venv {' '.join(added)}"] if added else [])


@pytest.mark.parametrize(
    ("files", "static", "url"),
    [
        ({"static/a.css": "x"}, {}, "static/a.css"),
        ({"shop/__init__.py": "", "shop/static/a.css": "x"}, {}, "static/a.css"),
        ({"src/shop/__init__.py": "", "src/shop/static/a.css": "x"}, {}, "static/a.css"),
        ({"assets/a.css": "x"}, {"/files/": "assets"}, "files/a.css"),
    ],
)
def test_static_files_are_published_by_url(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    static: dict[str, str],
    url: str,
) -> None:
    build(home, monkeypatch, {"requirements.txt": "", **files}, static=static)
    published = home / "releases/abc-1/public" / url
    assert published.read_text() == "x"
    assert published.stat().st_mode & 0o777 == 0o644


def test_static_directory_that_is_not_there_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(release.ReleaseError, match=r"flask_app_static: /s names 'nowhere'"):
        build(home, monkeypatch, {"requirements.txt": ""}, static={"/s": "nowhere"})


def test_code_is_closed_to_others_and_to_the_apps_own_pen(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(home, monkeypatch, {"requirements.txt": "", "app.py": "", "bin/run": ""})
    for path in release.tree(home / "releases/abc-1/code"):
        if not os.path.islink(path):
            assert os.stat(path).st_mode & 0o027 == 0, path


def test_shared_paths_outlive_a_release(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = {"requirements.txt": "", "instance/config.py": "shipped", "instance/new.py": "new"}
    build(home, monkeypatch, shipped | {"instance/new.py": "first"})
    kept = home / "shared/instance"
    (kept / "config.py").write_text("edited on the host")
    build(home, monkeypatch, shipped, id_="abc-2")
    code = home / "releases/abc-2/code"
    assert os.readlink(code / "instance") == str(kept)
    assert (code / "instance/config.py").read_text() == "edited on the host"
    assert (code / "instance/new.py").read_text() == "first"
    assert (code / "uploads").resolve() == home / "shared/uploads"


def test_instance_folder_of_an_installed_package_is_shared(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installs(self: release.Builder, *command: str) -> str:
        site = self.venv / "lib/python3.11/site-packages"
        info = site / "shop-1.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (site / "shop").mkdir(exist_ok=True)
        (site / "shop/__init__.py").touch()
        url = self.code.resolve().as_uri()
        (info / "direct_url.json").write_text(json.dumps({"url": url, "dir_info": {}}))
        (info / "RECORD").write_text("shop/__init__.py,,\nshop-1.dist-info/RECORD,,\n")
        return ""

    monkeypatch.setattr(release.Builder, "run", installs)
    monkeypatch.setattr(release.Builder, "_bootstrap_uv", lambda self: "uv")
    releases = release.Releases(params(home), check_mode=False)
    releases.prepare()
    (releases.release / "code/pyproject.toml").write_text("[build-system]\n")
    releases.build()
    link = home / "releases/abc-1/venv/var/shop-instance"
    assert os.readlink(link) == str(home / "shared/instance")


def test_a_complete_release_is_found_and_selected(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(home, monkeypatch, {"requirements.txt": ""})
    assert os.readlink(home / "next/release") == "../releases/abc-1"
    again = release.Releases(params(home), check_mode=False)
    again.prepare()
    again.select()
    assert not again.changed


def test_an_incomplete_release_is_removed_and_never_selected(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(home, monkeypatch, {"requirements.txt": ""})
    broken = release.Releases(params(home, "bad-1"), check_mode=False)
    broken.prepare()
    assert os.readlink(home / "next/release") == "../releases/abc-1"
    again = release.Releases(params(home), check_mode=False)
    again.prepare()
    assert again.removed == ["bad-1"]
    assert sorted(path.name for path in (home / "releases").iterdir()) == ["abc-1"]


def test_pruning_spares_what_a_generation_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 5):
        build(home, monkeypatch, {"requirements.txt": ""}, id_=f"r-{number}")
        marker = home / f"releases/r-{number}/release.json"
        os.utime(marker, (number, number))
        if number == 1:
            (home / "generations/1").mkdir()
            (home / "generations/1/release").symlink_to(home / "releases/r-1")
    assert sorted(path.name for path in (home / "releases").iterdir()) == ["r-1", "r-4"]


def test_environment_is_completed_on_the_host(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(home, monkeypatch, {"requirements.txt": ""})
    lines = (home / "next/env").read_text().splitlines()
    key = (home / "secret_key").read_text().strip()
    assert len(key) >= 64
    assert lines == [
        'GREETING="hi"',
        'FLASKOPS_RELEASE="abc-1"',
        'FLASKOPS_REVISION="abc"',
        f'FLASK_SECRET_KEY="{key}"',
        f'SECRET_KEY="{key}"',
    ]
    assert (home / "next/env").stat().st_mode & 0o777 == 0o640
    assert (home / "secret_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["SECRET_KEY", "FLASK_SECRET_KEY"])
def test_a_given_secret_key_is_not_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    build(home, monkeypatch, {"requirements.txt": ""}, environment=json.dumps({name: "given"}))
    text = (home / "next/env").read_text()
    assert text.count("SECRET_KEY") == 1
    assert not (home / "secret_key").exists()


def environment(home: Path) -> dict[str, str]:
    return from_file((home / "next/env").read_text())


@pytest.mark.parametrize("days", [31, 0])
def test_earlier_keys_are_accepted_for_their_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    home.mkdir()
    now = int(time.time())
    lines = ["signs", "waits", f"recent {now - 86400}", f"old {now - 32 * 86400}"]
    (home / "secret_key").write_text("\n".join(lines) + "\n")
    build(home, monkeypatch, {"requirements.txt": ""}, key_days=days)
    found = environment(home)
    assert found["SECRET_KEY"] == found["FLASK_SECRET_KEY"] == "signs"
    for name in ("SECRET_KEY_FALLBACKS", "FLASK_SECRET_KEY_FALLBACKS"):
        assert json.loads(found[name]) == (["waits", "recent"] if days else ["waits"])


def test_a_key_that_still_signs_is_accepted_however_old(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "live").mkdir(parents=True)
    (home / "live/env").write_text('SECRET_KEY="old"\n')
    (home / "secret_key").write_text(f"new\nold {int(time.time()) - 90 * 86400}\n")
    build(home, monkeypatch, {"requirements.txt": ""})
    assert json.loads(environment(home)["SECRET_KEY_FALLBACKS"]) == ["old"]
    build(home, monkeypatch, {"requirements.txt": ""}, key_days=0)
    assert "SECRET_KEY_FALLBACKS" not in environment(home)


def test_a_carriage_return_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        build(
            home, monkeypatch, {"requirements.txt": ""}, environment=json.dumps({"PEM": "a\r\nb"})
        )
    assert b'PEM="a\r\nb"\n' in (home / "next/env").read_bytes()


@pytest.mark.parametrize(
    ("given", "shipped", "left"),
    [
        ("", {}, {"CACHE_TYPE": "Redis", "FLASK_CACHE_TYPE": "Redis", "REDIS_URL": 'r"$'}),
        ('{"CACHE_TYPE": "x"}', {}, {"CACHE_TYPE": "x", "REDIS_URL": 'r"$'}),
        ('{"FLASK_CACHE_TYPE": "x"}', {}, {"FLASK_CACHE_TYPE": "x", "REDIS_URL": 'r"$'}),
        ("", {".flaskenv": "FLASK_CACHE_TYPE=mine\n"}, {"REDIS_URL": 'r"$'}),
        ("", {".env": "# REDIS_URL=x\nexport REDIS_URL = mine\n'CACHE_TYPE'=1"}, {}),
        ("", {".env": "SECRET_KEY=mine\n"}, {"CACHE_TYPE": "Redis", "REDIS_URL": 'r"$'}),
        (
            "",
            {".env": "TEXT='\nREDIS_URL=none\n'\nno statement\nCACHE_TYPE=mine\n"},
            {"REDIS_URL": 'r"$'},
        ),
    ],
    ids=["nothing", "bare", "prefixed", "flaskenv", "both", "key", "in-a-value"],
)
def test_defaults_give_way_to_what_anybody_set(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    shipped: dict[str, str],
    left: dict[str, str],
) -> None:
    defaults = json.dumps({"CACHE_TYPE": "Redis", "FLASK_CACHE_TYPE": "Redis", "REDIS_URL": 'r"$'})
    build(
        home,
        monkeypatch,
        {"requirements.txt": "", **shipped},
        environment=given,
        environment_defaults=defaults,
    )
    found = environment(home)
    names = ("CACHE_TYPE", "FLASK_CACHE_TYPE", "REDIS_URL")
    if "SECRET_KEY" in str(shipped):
        assert "SECRET_KEY" not in found
        left = {**left, "FLASK_CACHE_TYPE": "Redis"}
    else:
        assert "SECRET_KEY" in found
    assert {name: found[name] for name in names if name in found} == left


def test_no_id_means_the_release_that_is_live(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(release.ReleaseError, match="nothing is live there yet"):
        release.Releases(params(home, id_=""), check_mode=False)
    for number in (1, 2):
        build(home, monkeypatch, {"requirements.txt": ""}, id_=f"r-{number}")
    (home / "generations/1").mkdir()
    (home / "generations/1/release").symlink_to(home / "releases/r-1")
    (home / "live").symlink_to("generations/1")
    releases = release.Releases(params(home, id_="", revision=""), check_mode=False)
    releases.prepare()
    releases.select()
    assert os.readlink(home / "next/release") == "../releases/r-1"
    assert environment(home)["FLASKOPS_RELEASE"] == "r-1"
    assert environment(home)["FLASKOPS_REVISION"] == "abc"


def test_check_mode_changes_nothing(home: Path) -> None:
    releases = release.Releases(params(home), check_mode=True)
    releases.prepare()
    assert releases.changed
    assert not home.exists()


def test_a_failed_command_shows_the_end_of_its_output(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = release.Releases(params(home), check_mode=False)
    releases.prepare()
    builder = release.Builder(params(home), releases.release, ME)
    script = "import sys; [print('line', n) for n in range(100)]; sys.exit(7)"
    with pytest.raises(release.ReleaseError) as failed:
        builder.run("/usr/bin/env", "python3", "-c", script)
    lines = str(failed.value).splitlines()
    assert lines[0].endswith("ended with 7:")
    assert lines[-1] == "  | line 99"
    assert len(lines) == release.OUTPUT_LINES + 1


@pytest.mark.parametrize("link", ["/etc/hostname", "../../../../next/env"])
def test_static_link_out_of_the_source_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    prepared = release.Releases(params(home), check_mode=False)
    prepared.prepare()
    static = prepared.release / "code/static"
    static.mkdir()
    (static / "leak.txt").symlink_to(link)
    builder = release.Builder(params(home), prepared.release, ME)
    with pytest.raises(release.ReleaseError, match=r"leak\.txt is a link to .* outside"):
        builder._publish_static()
    assert not (prepared.release / "public/static/leak.txt").exists()


def test_git_leaves_nothing_in_a_release(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "requirements.txt": "",
        ".git": "gitdir: x",
        "sub/.git": "gitdir: y",
        "deep/.git/x": "",
    }
    build(home, monkeypatch, files)
    code = home / "releases/abc-1/code"
    assert not list(code.rglob(".git"))


def test_a_release_another_run_has_completed_is_not_touched(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(home, monkeypatch, {"requirements.txt": ""})
    monkeypatch.setattr(release, "give", lambda *_: pytest.fail("touched a complete release"))
    release.Releases(params(home), check_mode=False).build()


def test_secrets_of_the_build_stay_out_of_its_errors(home: Path) -> None:
    index = 'https://user:hush"hush@index.example.org'
    given = json.dumps({"UV_DEFAULT_INDEX": index, "UV_RETRIES": 1})
    releases = release.Releases(params(home), check_mode=False)
    releases.prepare()
    builder = release.Builder(params(home, build_environment=given), releases.release, ME)
    assert builder.given == {"UV_DEFAULT_INDEX": index, "UV_RETRIES": "1"}
    with pytest.raises(release.ReleaseError) as failed:
        builder.run("/bin/sh", "-c", 'echo "$UV_DEFAULT_INDEX at 1"; exit 3')
    assert "hush" not in str(failed.value)
    assert "******** at 1" in str(failed.value)


def test_check_mode_sees_a_changed_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(home, monkeypatch, {"requirements.txt": ""})
    before = (home / "next/env").read_text()
    releases = release.Releases(params(home, environment='{"GREETING": "ho"}'), check_mode=True)
    releases.prepare()
    releases.select()
    assert releases.changed
    assert (home / "next/env").read_text() == before


SUB: dict[str, Any] = {"subdirectory": "services/shop"}


def test_everything_of_the_app_is_in_its_subdirectory(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "requirements.txt": "none --hash=sha256:00",
        "static/all.css": "",
        ".flaskenv": "CACHE_TYPE=all\n",
        "services/shop/setup.py": "",
        "services/shop/static/shop.css": "x",
        "services/shop/.env": "REDIS_URL=shop\n",
        "services/shop/instance/config.py": "shipped",
    }
    defaults = json.dumps({"CACHE_TYPE": "x", "REDIS_URL": "y", "OTHER": "z"})
    recorder = build(home, monkeypatch, files, environment_defaults=defaults, **SUB)
    release_ = home / "releases/abc-1"
    assert "uv pip install --python venv ." in recorder.commands
    assert "uv pip install --python venv python-dotenv==1.2.4" in recorder.commands
    record = json.loads((release_ / "release.json").read_text())
    assert (record["manifest"], record["subdirectory"]) == ("setup.py", "services/shop")
    assert [path.name for path in (release_ / "public/static").iterdir()] == ["shop.css"]
    assert (release_ / "code/services/shop/instance").is_symlink()
    assert (home / "shared/instance/config.py").read_text() == "shipped"
    assert not (release_ / "code/instance").exists()
    found = environment(home)
    assert "OTHER" in found
    assert {"CACHE_TYPE", "REDIS_URL"}.isdisjoint(found), "Flask looks upwards for these files"


@pytest.mark.parametrize(
    ("root", "manifest"),
    [
        ("[tool.uv.workspace]\nmembers = ['services/*']\n", "uv.lock"),
        ("[project]\n", "pyproject.toml"),
    ],
)
def test_the_lock_of_a_workspace_locks_its_members(
    home: Path, monkeypatch: pytest.MonkeyPatch, root: str, manifest: str
) -> None:
    files = {"uv.lock": "", "pyproject.toml": root, "services/shop/pyproject.toml": ""}
    build(home, monkeypatch, files, **SUB)
    assert json.loads((home / "releases/abc-1/release.json").read_text())["manifest"] == manifest


@pytest.mark.parametrize("link", ["", "/etc", "../../../../.."])
def test_a_subdirectory_that_is_none_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    prepared = release.Releases(params(home, **SUB), check_mode=False)
    prepared.prepare()
    services = prepared.release / "code/services"
    services.mkdir()
    if link:
        (services / "shop").symlink_to(link)
    with pytest.raises(release.ReleaseError, match=r"found 'services/shop', .* are services"):
        prepared.build()


def test_a_shared_path_through_a_link_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    (victim / "uploads").mkdir(parents=True)
    prepared = release.Releases(params(home, shared_paths=["var/uploads"]), check_mode=False)
    prepared.prepare()
    (prepared.release / "code/var").symlink_to(victim)
    builder = release.Builder(params(home, shared_paths=["var/uploads"]), prepared.release, ME)
    with pytest.raises(release.ReleaseError, match="var/uploads leads out of the source"):
        builder._link_shared()
    assert (victim / "uploads").is_dir()


def uploaded(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, **changes: Any
) -> Recorder:
    """Build a release of what was uploaded, or of nothing but a requirement."""
    recorder = Recorder()

    def run(self: release.Builder, *command: str) -> str:
        site = self.venv / "lib/python3.11/site-packages"
        info = site / "Corner_Shop-1.2.dist-info"
        (site / "corner/static").mkdir(parents=True, exist_ok=True)
        (site / "corner/__init__.py").touch()
        (site / "corner/static/a.css").write_text("x")
        recorder(self, *command)
        info.mkdir(exist_ok=True)
        (info / "RECORD").write_text("corner/__init__.py,,\n")
        return ""

    monkeypatch.setattr(release.Builder, "run", run)
    monkeypatch.setattr(release.Builder, "_bootstrap_uv", lambda self: "uv")
    releases = release.Releases(params(home, **changes), check_mode=False)
    if name:
        releases.prepare()
        (releases.release / "upload" / name).write_bytes(content)
    releases.build()
    assert releases.removed == []
    return recorder


@pytest.mark.parametrize(
    ("name", "changes", "command", "manifest"),
    [
        ("", {"requirement": "corner-shop[x]==1.2"}, "corner-shop[x]==1.2", "corner-shop[x]==1.2"),
        ("corner_shop-1.2-py3-none-any.whl", {}, "corner_shop-1.2-py3-none-any.whl", None),
        (
            "corner_shop-1.2-py3-none-any.whl",
            {"installer": "pip", "extra_packages": ["redis"]},
            "corner_shop-1.2-py3-none-any.whl",
            None,
        ),
    ],
    ids=["pypi", "wheel", "pip"],
)
def test_a_package_is_the_app(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    changes: dict[str, Any],
    command: str,
    manifest: str | None,
) -> None:
    recorder = uploaded(home, monkeypatch, name, b"", **changes)
    assert any(line.endswith(f" {command}") for line in recorder.commands)
    assert any(line.endswith(" redis") for line in recorder.commands) is bool(
        changes.get("extra_packages")
    )
    path = home / "releases/abc-1"
    record = json.loads((path / "release.json").read_text())
    assert record["manifest"] == (manifest or name)
    assert (path / "public/static/a.css").read_text() == "x"
    assert (path / "venv/var/corner-instance").is_symlink()
    assert not (path / "upload").exists()


def test_an_archive_becomes_the_code(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name in ("shop-1/requirements.txt", "shop-1/.git/config"):
            made.addfile(tarfile.TarInfo(name), io.BytesIO())
    uploaded(home, monkeypatch, "shop.tar.gz", buffer.getvalue())
    path = home / "releases/abc-1"
    assert (path / "code/requirements.txt").exists()
    assert not (path / "code/.git").exists()
    assert not (path / "upload").exists()


def test_a_small_archive_comes_with_the_options_and_needs_nothing_prepared(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = home / "releases/abc-1/code/left-by-a-killed-run"
    left.mkdir(parents=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("shop-1/requirements.txt"), io.BytesIO())
    content = base64.b64encode(buffer.getvalue()).decode()
    uploaded(home, monkeypatch, "", b"", archive=content, archive_name="shop.tar.gz")
    path = home / "releases/abc-1"
    assert (path / "code/requirements.txt").exists()
    assert not left.exists()
    assert not (path / "upload").exists()


def test_a_bad_archive_is_named_with_the_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(release.ReleaseError, match=r"^flask_app_source: shop\.tar\.gz: "):
        uploaded(home, monkeypatch, "shop.tar.gz", b"half")
    assert not (home / "releases/abc-1/release.json").exists()


def test_what_git_fetched_becomes_the_code_in_one_call(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout = tmp_path / "source"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(checkout)]
    init = ["git", "init", "-q", f"--separate-git-dir={checkout}.git", str(checkout)]
    subprocess.run(init, check=True)
    (checkout / "requirements.txt").touch()
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    given = {"checkout": str(checkout)}
    with pytest.raises(release.ReleaseError, match="another run has fetched another revision"):
        uploaded(home, monkeypatch, "", b"", **given)
    uploaded(home, monkeypatch, "", b"", revision=head.stdout.strip(), **given)
    assert (home / "releases/abc-1/code/requirements.txt").exists()
    assert not (home / "releases/abc-1/code/.git").exists()


def test_a_release_without_a_key_waits_for_the_other_hosts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(home, monkeypatch, {"requirements.txt": ""})
    releases = release.Releases(params(home, make_key=False), check_mode=False)
    assert releases.may_select()
    assert len(releases.key_digest()) == 16
    (home / "secret_key").unlink()
    assert not releases.may_select()
    assert releases.key_digest() == ""
    assert not release.Releases(params(home, "bad-1"), check_mode=False).may_select()


def test_a_user_is_as_asked() -> None:
    entry = pwd.getpwuid(os.getuid())
    assert release.is_as_asked(release.user_entry(entry.pw_name), {})
    assert release.is_as_asked(entry, {"home": entry.pw_dir, "shell": None})
    assert not release.is_as_asked(entry, {"home": "/nowhere", "shell": entry.pw_shell})
    assert not release.is_as_asked(release.user_entry("no-such-user"), {})


FINGERPRINT = r"[.-][0-9a-f]{8,}([.][A-Za-z0-9]+)+$"


def test_texts_are_compressed_once_and_only_where_it_pays(tmp_path: Path) -> None:
    files = {"a.css": "x" * 5000, "small.css": "x", "photo.jpg": "x" * 5000, "own.js": "y" * 5000}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "own.js.gz").write_text("the app's own")
    (tmp_path / "noise.js").write_bytes(os.urandom(5000))
    texts = [path for path in sorted(tmp_path.iterdir()) if release.worth_compressing(path)]
    assert [path.name for path in texts] == ["a.css", "noise.js", "own.js"]
    release.compress(texts)
    assert gzip.decompress((tmp_path / "a.css.gz").read_bytes()) == b"x" * 5000
    assert (tmp_path / "own.js.gz").read_text() == "the app's own"
    assert not (tmp_path / "noise.js.gz").exists()


def test_files_of_the_same_content_have_the_same_time(tmp_path: Path) -> None:
    for folder, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "x.css").write_text(text)
        release.date_by_content(tmp_path / folder)
    (tmp_path / "d").symlink_to("nowhere")
    release.date_by_content(tmp_path)
    first, same, other = ((tmp_path / name / "deep/x.css").stat().st_mtime for name in "abc")
    assert first == same != other
    assert min(first, other) >= release.FIRST_DATE
    assert max(first, other) < release.FIRST_DATE + release.DATES < time.time()


def test_brotli_compresses_what_gzip_did(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "brotli"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr(release, "BROTLI", str(program))
    files = {"requirements.txt": "", "static/a.css": "x" * 5000, "static/b.css": "x"}
    done = build(home, monkeypatch, files)
    assert [command for command in done.commands if "brotli" in command] == [
        "brotli --keep -- a.css"
    ]
    assert (home / "releases/abc-1/public/static/a.css.gz").is_file()


def test_fingerprinted_files_stay_as_long_as_their_release(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        css = f"static/app.{number}2345678.css"
        files = {"requirements.txt": "", css: str(number) * 2000, "static/plain.css": str(number)}
        build(home, monkeypatch, files, id=f"abc-{number}", fingerprint=FINGERPRINT)
        os.utime(home / f"releases/abc-{number}/release.json", (number, number))
    assets = home / "assets/static"
    # Two releases are kept.
    names = [f"app.{number}2345678.css{more}" for number in (2, 3) for more in ("", ".gz")]
    assert sorted(path.name for path in assets.iterdir()) == names
    assert (assets / "app.22345678.css").read_text() == "2" * 2000
    assert assets.stat().st_mode & 0o777 == 0o755
    build(home, monkeypatch, {"requirements.txt": ""}, id="abc-4", fingerprint="")
    assert list(assets.iterdir()) == []


def test_a_build_killed_before_its_marker_lacks_nothing_when_it_has_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker is the last thing but the removal of others."""
    files = {"requirements.txt": "", "static/app.12345678.css": "x"}
    build(home, monkeypatch, files, id="abc-1", fingerprint=FINGERPRINT, keep=1)
    seen: list[Any] = []
    write = host_files.write

    def written(path: Path, *rest: Any, **owner: Any) -> None:
        if path.name == release.MARKER:
            mode = path.parent.stat().st_mode & 0o777
            seen[:] = [mode, *sorted(p.name for p in (home / "assets/static").iterdir())]
            seen.append((home / "releases/abc-1").exists())
        write(path, *rest, **owner)

    monkeypatch.setattr(host_files, "write", written)
    files = {"requirements.txt": "", "static/app.87654321.css": "x"}
    build(home, monkeypatch, files, id="abc-2", fingerprint=FINGERPRINT, keep=1)
    assert seen == [0o755, "app.87654321.css", True]
    assert not (home / "releases/abc-1").exists()


def test_static_files_that_cannot_be_gathered_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "link", full)
    files = {"requirements.txt": "", "static/app.12345678.css": "x"}
    said = r"/assets: the static files of all releases cannot be gathered: .*No space left"
    with pytest.raises(release.ReleaseError, match=said):
        build(home, monkeypatch, files, fingerprint=FINGERPRINT)
    assert not (home / "releases/abc-1/release.json").exists()
