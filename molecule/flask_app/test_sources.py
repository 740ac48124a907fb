"""Where the app comes from: archives, downloads, wheels, packages, keys.

On one host, the one with the older Python: what differs from host to host is tested beside.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

only_on = ["debian12"]

HOME = "/srv/shop"
APP = "import flask\napp = flask.Flask(__name__)\n"


def selected(host: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(host.check_output(f"cat {HOME}/next/release/release.json"))
    return record


CODE = f"{HOME}/next/release/code"
PUBLIC = f"{HOME}/next/release/public"
MONOREPO = {
    "all-1/README": "two apps and what they share",
    "all-1/lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\ndescription = "x"\n'
    '[build-system]\nrequires = ["flit_core>=3.11,<4"]\nbuild-backend = "flit_core.buildapi"\n',
    "all-1/lib/lib.py": '"""Shared."""\nVALUE = 5\n',
    "all-1/services/shop/app.py": APP,
    "all-1/services/shop/.flaskenv": "GREETING=from the app\n",
    "all-1/services/shop/requirements.txt": "../../lib\n",
    "all-1/services/shop/static/shop.css": "x",
}


def tarball(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            made.addfile(info, io.BytesIO(text.encode()))
    return path


def wheel(folder: Path) -> Path:
    """A real wheel of an app, with what one must have and no more."""
    path = folder / "corner_shop-1.2-py3-none-any.whl"
    info = "corner_shop-1.2.dist-info"
    files = {
        "corner/__init__.py": APP,
        "corner/static/corner.css": "x",
        # Larger than what goes with a module's options.
        "corner/data.txt": "x" * 300_000,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: corner-shop\nVersion: 1.2\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as made:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            made.writestr(zipfile.ZipInfo(name), text)
    return path


def upload(host: Any, path: Path, target: str) -> None:
    """A small file of the controller to a host."""
    content = path.read_bytes().hex()
    write = f"import sys; open({target!r}, 'wb').write(bytes.fromhex({content!r}))"
    host.check_output(f"python3 -c {shlex.quote(write)}")


def test_archive_with_one_app_of_several_and_a_killed_upload(
    host: Any, play: Any, tmp_path: Path
) -> None:
    path = tarball(tmp_path / "all.tar.gz", MONOREPO)
    given = {"flask_app_source": str(path), "flask_app_subdirectory": "services/shop"}
    play.succeeds(**given)
    record = selected(host)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["revision"] == digest[:12]
    assert (record["manifest"], record["subdirectory"]) == ("requirements.txt", "services/shop")
    assert record["packages"]["lib"] == "1", "the app's directory sees what lies beside it"
    assert host.file(f"{CODE}/README").exists
    assert host.file(f"{CODE}/services/shop/instance").linked_to == f"{HOME}/shared/instance"
    assert not host.file(f"{CODE}/instance").exists
    assert host.file(f"{PUBLIC}/static/shop.css").exists
    assert "python-dotenv" in record["packages"]
    assert not host.file(f"{HOME}/next/release/upload").exists
    release = f"{HOME}/releases/{record['id']}"
    host.check_output(
        f"cd {release} && rm -r release.json venv code public && mkdir code upload && "
        "head -c 100 /dev/urandom > upload/all.tar.gz"
    )
    play.succeeds(**given)
    assert host.file(f"{release}/release.json").exists
    assert "changed=0" in play.succeeds(**given)


def test_archive_that_leads_out_is_refused(host: Any, play: Any, tmp_path: Path) -> None:
    before = selected(host)["id"]
    files = {"shop/requirements.txt": "", "shop/../../../../../owned": "x"}
    said = play.fails(flask_app_source=str(tarball(tmp_path / "evil.tar.gz", files)))
    assert "flask_app_source: 'shop/../../../../../owned' leads out of the archive" in said
    assert not host.file("/srv/owned").exists
    assert selected(host)["id"] == before


#: Gives files to who knows the login and the token only.
SERVER = """
import http.server
LOGIN = "Basic ZGVwbG95OnAvei1odXNo"
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") == LOGIN and self.path.endswith("?t=t-hush"):
            return super().do_GET()
        self.send_error(404)
http.server.ThreadingHTTPServer(("127.0.0.1", 8098), Handler).serve_forever()
"""


def test_download_is_checked_and_its_secrets_are_shown_nowhere(
    host: Any, play: Any, tmp_path: Path
) -> None:
    path = tarball(tmp_path / "shop.tgz", {"shop/app.py": APP, "shop/requirements.txt": ""})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    host.check_output("mkdir -p /opt/files")
    upload(host, path, "/opt/files/shop.tgz")
    host.check_output(
        "systemd-run --quiet --collect --unit=files --working-directory=/opt/files "
        f"python3 -c {shlex.quote(SERVER)}; sleep 1"
    )
    since = host.check_output("date +%s")
    url = "http://deploy:p%2Fz-hush@127.0.0.1:8098/shop.tgz?t=t-hush"
    before = selected(host)["id"]
    try:
        given = {"flask_app_source": url, "flask_app_checksum": f"sha256:{digest}"}
        wrong = {**given, "flask_app_checksum": f"sha256:{'0' * 64}"}
        refused = play.fails("-vvv", "--diff", **wrong)
        assert selected(host)["id"] == before
        missing = play.fails(**{**given, "flask_app_source": url.replace("/shop", "/none")})
        told = play.succeeds("-vvv", "--diff", **given)
    finally:
        host.check_output("systemctl stop files")
    assert "changed=0" in play.succeeds(**given), "nothing is downloaded again"
    assert "flask_app_source: http://127.0.0.1:8098/shop.tgz: The checksum for" in refused
    assert "http://127.0.0.1:8098/none.tgz: Request failed HTTP Error 404" in missing
    for output in (refused, missing, told):
        assert "-hush" not in output
    record = selected(host)
    assert record["revision"] == digest[:12]
    assert record["source"] == "http://127.0.0.1:8098/shop.tgz"
    journal = host.check_output(f"journalctl --no-pager --since=@{since}")
    assert not [line for line in journal.splitlines() if "z-hush" in line]
    assert host.run(f"grep -rl -e z-hush -e t-hush {HOME}").stdout == ""


def test_an_app_without_a_manifest_is_built_by_its_own_commands(
    host: Any, play: Any, tmp_path: Path
) -> None:
    """A tool of the distribution, a command that makes a static file, and one that fails."""
    path = tarball(tmp_path / "bare.tar.gz", {"bare/app.py": APP, "bare/shop.txt": "hello"})
    given: dict[str, Any] = {"flask_app_source": str(path)}
    refused = play.fails(**given)
    assert "flask_app_source: found none of uv.lock, requirements.txt" in refused
    assert "flask_app_extra_packages" in refused
    before = selected(host)["id"]
    given |= {
        "flask_app_extra_packages": ["flask==3.1.2"],
        "flask_app_system_packages": ["bc"],
        "flask_app_build_env": {"PRICE": "6 * 7"},
        "flask_app_build_commands": [
            "mkdir static && flask --version && id -un > static/who.txt",
            'echo "$PRICE" | bc > static/price.txt',
        ],
    }
    broken = [*given["flask_app_build_commands"], "echo so it goes; false"]
    failed = play.fails(**{**given, "flask_app_build_commands": broken})
    assert "command 3 of flask_app_build_commands: `sh -c echo so it goes; false` ended" in failed
    assert "log: so it goes" in failed
    assert selected(host)["id"] == before, "what was there is still what runs"
    assert "changed=0" not in play.succeeds(**given)
    record = selected(host)
    assert (record["manifest"], record["packages"]["flask"]) == ("", "3.1.2")
    assert host.file(f"{PUBLIC}/static/who.txt").content_string == "shop\n"
    assert host.file(f"{PUBLIC}/static/price.txt").content_string == "42\n"
    assert host.file(f"{CODE}/static/who.txt").user == "root", "it belongs to the release"
    assert "changed=0" in play.succeeds(**given)


#: A package that has to be compiled, as many have for which there is no wheel.
COMPILED = {
    "fast-1/setup.py": "from setuptools import Extension, setup\n"
    "setup(name='fast', version='1', ext_modules=[Extension('fast', ['fast.c'])])\n",
    "fast-1/fast.c": '#include <Python.h>\nstatic struct PyModuleDef fast = {0, "fast"};\n'
    "PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&fast); }\n",
}


def test_a_build_that_lacks_a_compiler_names_the_variable(
    host: Any, play: Any, tmp_path: Path
) -> None:
    path = tarball(tmp_path / "fast.tar.gz", COMPILED)
    given = {"flask_app_source": str(path), "flask_app_extra_packages": ["flask==3.1.2"]}
    failed = play.fails(**given)
    assert "flask_app_build_packages: this build needs more packages, in Debian build-ess" in failed
    play.succeeds(**given, flask_app_build_packages=["gcc", "libc6-dev", "python3-dev"])
    assert selected(host)["packages"]["fast"] == "1"


def test_wheel_is_the_app(host: Any, play: Any, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    play.succeeds(
        flask_app_source=str(path),
        flask_app_entrypoint="corner:app",
        flask_app_extra_packages=["itsdangerous==2.2.0"],
    )
    record = selected(host)
    assert record["revision"] == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert record["manifest"] == path.name
    assert record["packages"] == {"corner-shop": "1.2", "itsdangerous": "2.2.0"}
    assert host.file(f"{PUBLIC}/static/corner.css").exists
    instance = f"{HOME}/next/release/venv/var/corner-instance"
    assert host.file(instance).linked_to == f"{HOME}/shared/instance"


def test_package_of_an_index_is_the_app(host: Any, play: Any) -> None:
    source = "pypi:itsdangerous==2.2.0"
    play.succeeds(flask_app_source=source)
    record = selected(host)
    assert record["id"].startswith("2.2.0-")
    assert (record["revision"], record["source"]) == ("2.2.0", source)
    assert record["packages"]["itsdangerous"] == "2.2.0"
    assert host.check_output(f"find {CODE}/ -type f") == ""
    python = f"{HOME}/next/release/venv/bin/python"
    host.check_output(f"cd {CODE} && runuser -u shop -- {python} -c 'import itsdangerous'")


def test_deploy_key_opens_the_repository_and_is_shown_nowhere(
    host: Any, play: Any, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    script = f"""
        set -e
        rm -rf /opt/private /opt/inner
        cp -a /etc/ssh/authorized_keys /etc/ssh/kept
        echo '{public}' >> /etc/ssh/authorized_keys
        for name in inner private; do
            git init -q -b main /opt/$name && cd /opt/$name
            git config user.name t && git config user.email t@example.org
            touch requirements.txt && git add . && git commit -qm one
        done
        git config --global protocol.file.allow always
        git submodule --quiet add file:///opt/inner inner
        sed -i 's|file://|ssh://root@127.0.0.1|' .gitmodules && git add . && git commit -qm two
    """
    host.check_output(f"bash -c {shlex.quote(script)}")
    try:
        source = "root@127.0.0.1:/opt/private"
        text = key.read_text()
        told = play.succeeds("-vvv", "--diff", flask_app_source=source, flask_app_deploy_key=text)
        again = play.succeeds(flask_app_source=source, flask_app_deploy_key=str(key))
    finally:
        host.check_output("mv /etc/ssh/kept /etc/ssh/authorized_keys")
    assert "changed=0" in again, "the key's file is as good as its text"
    assert host.file(f"{CODE}/inner/requirements.txt").exists
    assert selected(host)["source"] == source
    kept = host.file(f"{HOME}/deploy_key")
    assert (kept.user, kept.mode) == ("root", 0o600)
    for line in text.splitlines()[1:-1]:
        assert line not in told
    assert host.run(f"grep -rl -F {shlex.quote(text.splitlines()[2])} {HOME}").stdout.split() == [
        f"{HOME}/deploy_key"
    ]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {
                "flask_app_source": "https://me:hush@x.org/shop.zip?t=hush",
                "flask_app_deploy_key": "BASE64+OF+hush=",
                "flask_app_subdirectory": "../x",
            },
            [
                'flask_app_checksum: found ""; allowed for https://x.org/shop.zip is sha256:',
                "flask_app_deploy_key: found one for https://x.org/shop.zip; allowed is",
                "flask_app_deploy_key: found text that is neither; allowed are a file",
                'flask_app_subdirectory: found "../x"; allowed is',
            ],
        ),
        (
            {"flask_app_subdirectory": "none", "flask_app_checksum": "sha256:00"},
            [
                'flask_app_subdirectory: found "none", which is no directory of',
                'flask_app_checksum: found "sha256:00" for',
            ],
        ),
        (
            {"flask_app_source": "pypi:shop>=1"},
            ['flask_app_source: found "pypi:shop>=1"; allowed are', "and pypi:NAME==VERSION"],
        ),
        (
            {"flask_app_source": "pypi:shop==1", "flask_app_subdirectory": "x"},
            ['flask_app_subdirectory: found "x"; allowed is none for a package, pypi:shop==1'],
        ),
    ],
    ids=["url", "directory", "range", "package"],
)
def test_bad_source_is_named_before_anything_changes(
    host: Any, play: Any, variables: dict[str, Any], said: list[str]
) -> None:
    host.check_output("touch /run/marker")
    output = play.fails(**variables)
    for message in said:
        assert message in output
    assert "hush" not in output
    assert host.check_output("find /srv /etc -newer /run/marker -not -type d | head") == ""
