"""Apps as other people write them, each asked through nginx for what it is there for."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import platform
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

only_on = ["debian13"]
pytestmark = pytest.mark.units("nginx.service", "*@*.service")

#: Lines of a message that people get of a failure, and seconds until they get it.
MESSAGE_LINES, MESSAGE_SECONDS = 40, 60
FLASK = "import flask\napp = flask.Flask(__name__)\n"
OK = "@app.get('/')\ndef index():\n    return 'ok'\n"


@dataclass
class Site:
    """One app of the host, deployed from files, and asked by its own name."""

    name: str
    play: Any
    port: str
    folder: Path

    def deploy(self, files: dict[str, str], **variables: Any) -> str:
        """Deploy these files, which must succeed; what is said, on one line."""
        done = self.play(**self._written(files), **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def fails(self, files: dict[str, str], **variables: Any) -> str:
        """Deploy these files, which must fail soon, and say why in a few lines."""
        started = time.monotonic()
        done = self.play(**self._written(files), **variables)
        took = time.monotonic() - started
        assert done.returncode != 0, done.stdout
        message = message_of(done.stdout + done.stderr)
        assert len(message) <= MESSAGE_LINES, "\n".join(message)
        assert took < MESSAGE_SECONDS
        return "\n".join(message)

    def _written(self, files: dict[str, str]) -> dict[str, Any]:
        folder = self.folder / self.name
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        source = {"flask_app_source": str(folder)} if files else {}
        return {"flask_app_name": self.name, "flask_app_health_path": "/", **source}

    def ask(self, path: str = "/", **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of an answer."""
        connection = http.client.HTTPConnection(self.port, timeout=30)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        try:
            connection.request("GET", path, headers={"Host": f"{self.name}.example", **named})
            answer = connection.getresponse()
            told = {key.lower(): value for key, value in answer.getheaders()}
            return answer.status, told, answer.read().decode()
        finally:
            connection.close()

    def text(self, path: str = "/", **headers: str) -> str:
        """The body of an answer that must be a good one."""
        status, _, body = self.ask(path, **headers)
        assert status == 200, body
        return body

    @contextmanager
    def websocket(self, path: str) -> Iterator[ClientConnection]:
        """A WebSocket of the app, as a browser opens it."""
        address, port = self.port.split(":")
        plain = socket.create_connection((address, int(port)), timeout=10)
        with connect(f"ws://{self.name}.example{path}", sock=plain, open_timeout=10) as opened:
            yield opened


def message_of(said: str) -> list[str]:
    """The lines of what a run says of its failure, without the tasks before and the recap."""
    lines = said.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith(("fatal:", "[ERROR]")))
    end = next(n for n, line in enumerate(lines) if n > begin and line.startswith("PLAY RECAP"))
    return [line for line in lines[begin:end] if line.strip()]


@pytest.fixture
def site(play: Any, outside: Callable[[int], str], tmp_path: Path) -> Callable[[str], Site]:
    """Return what makes a site of a name."""
    return lambda name: Site(name, play, outside(80), tmp_path)


# Packages and Pythons ----------------------------------------------------------------------------

BANK = f"""\
import psycopg2
{FLASK}
@app.get('/')
def index():
    with psycopg2.connect("dbname=bank") as opened, opened.cursor() as cursor:
        cursor.execute("select 6 * 7")
        return str(cursor.fetchone()[0])
"""


def test_a_package_from_source_and_a_real_database(host: Any, site: Any) -> None:
    bank = site("bank")
    files = {"app.py": BANK, "requirements.txt": "flask\npsycopg2==2.9.11\n"}
    said = bank.fails(files)
    assert "flask_app_build_packages: this build needs more packages, in Debian libpq-dev" in said
    assert "flask_app_python: psycopg2 2.9.11 has no wheel for this version of Python" in said
    for sql in ("create role bank login", "create database bank owner bank"):
        host.check_output(f"runuser -u postgres -- psql -qc '{sql}'")
    bank.deploy(
        files,
        flask_app_system_packages=["libpq5"],
        flask_app_build_packages=["libpq-dev", "build-essential", "python3-dev"],
    )
    assert bank.text() == "42"


VERSION = f"import platform\n{FLASK}app.add_url_rule('/', view_func=platform.python_version)\n"


def test_a_python_that_the_host_does_not_have(host: Any, site: Any) -> None:
    """From a mirror of the test's own: the Python of another Debian, packed as uv's are."""
    archive = "/srv/mirror/python.tar.gz"
    digest = host.check_output(f"sha256sum {archive}").split()[0]
    mirror = "http://127.0.0.1:8321"
    host.check_output(
        "systemctl is-active mirror || systemd-run --quiet --unit=mirror"
        " --working-directory=/srv/mirror python3 -m http.server --bind 127.0.0.1 8321"
    )

    def offer(sha256: str) -> None:
        told = {
            "name": "cpython",
            "arch": {"family": platform.machine(), "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": 3,
            "minor": 11,
            "patch": 2,
            "prerelease": "",
            "url": f"{mirror}/python.tar.gz",
            "sha256": sha256,
            "variant": None,
            "build": "20250101",
        }
        text = json.dumps({f"cpython-3.11.2-linux-{platform.machine()}-gnu": told})
        host.check_output(f"cat > /srv/mirror/pythons.json <<'END'\n{text}\nEND")

    snake = site("snake")
    files = {"app.py": VERSION, "requirements.txt": "flask\n"}
    given: dict[str, Any] = {"flask_app_python": "3.11"}
    # Nothing here leads to where uv's Pythons are.
    said = snake.fails(files, **given, flask_app_build_env={"UV_HTTP_RETRIES": "0"})
    assert "flask_app_python: found '3.11', which this host does not have" in said
    assert "UV_PYTHON_INSTALL_MIRROR in flask_app_build_env" in said
    given |= {"flask_app_build_env": {"UV_PYTHON_DOWNLOADS_JSON_URL": f"{mirror}/pythons.json"}}
    offer(hashlib.sha256(b"something else").hexdigest())
    said = snake.fails(files, **given)
    assert "ash mismatch" in said
    offer(digest)
    snake.deploy(files, **given)
    assert snake.text() == "3.11.2"
    assert host.file("/opt/uv/python").mode == 0o755
    # It is there now, and nothing is asked of the mirror.
    host.check_output("systemctl stop mirror")
    snake.deploy(files, **given)


def test_an_app_says_which_python_it_needs(site: Any) -> None:
    files = {
        "app.py": FLASK + OK,
        "pyproject.toml": "[project]\nname = 'old'\nversion = '1'\nrequires-python = '<3.13'\n"
        "dependencies = ['flask']\n",
    }
    said = site("old").fails(files)
    assert "flask_app_python: found '/usr/bin/python3', which is Python 3.13" in said
    assert "requires-python in the app's pyproject.toml is <3.13" in said


def test_a_package_that_nobody_asked_for_is_named_and_the_old_one_serves_on(site: Any) -> None:
    lacks = site("lacks")
    lacks.deploy({"app.py": FLASK + OK, "requirements.txt": "flask\n"})
    said = lacks.fails({"app.py": "import pandas\n" + FLASK + OK})
    assert "No module named 'pandas'" in said
    assert "flask_app_extra_packages: the virtualenv has no pandas" in said
    assert lacks.text() == "ok"


def test_an_app_without_a_manifest(site: Any) -> None:
    bare = site("bare")
    files = {"app.py": FLASK + OK}
    assert "flask_app_extra_packages" in bare.fails(files)
    bare.deploy(files, flask_app_extra_packages=["flask"])
    assert bare.text() == "ok"


def test_a_package_from_pypi_with_a_file_of_its_configuration(
    host: Any, site: Any, tmp_path: Path
) -> None:
    """A calendar server: WSGI, but no Flask."""
    dates = site("dates")
    config = tmp_path / "radicale.conf"
    template = "[auth]\ntype = none\n[storage]\nfilesystem_folder = {shared}/dates\n"
    shared = "/srv/dates/shared/instance"
    given = {
        "flask_app_source": "pypi:radicale==3.5.8",
        "flask_app_entrypoint": "radicale:application",
        "flask_app_env": {"RADICALE_CONFIG": f"{shared}/radicale.conf"},
        "flask_app_files": [{"path": "instance/radicale.conf", "src": str(config)}],
        "wsgi_health_path": "/.web/",
    }
    config.write_text(template.format(shared=shared))
    dates.deploy({}, **given)
    status, _, _ = dates.ask("/.web/")
    assert status == 200
    place = "/srv/dates/live/files/instance/radicale.conf"
    assert (host.file(place).mode, host.file(place).group) == (0o640, "dates")
    # What one generation is given, the one before does not see.
    config.write_text(config.read_text() + "[web]\ntype = none\n")
    dates.deploy({}, **given)
    assert dates.ask("/.web/")[0] != 200
    before = host.check_output("readlink /srv/dates/live")
    dates.play.succeeds(playbook="back.yml", flask_app_name="dates")
    assert host.check_output("readlink /srv/dates/live") != before
    assert dates.ask("/.web/")[0] == 200


# Builds ------------------------------------------------------------------------------------------

SETTINGS = """\
import os, pathlib
SECRET_KEY = os.environ['SECRET_KEY']
ALLOWED_HOSTS = ['polls.example']
INSTALLED_APPS = ['django.contrib.staticfiles', 'polls']
ROOT_URLCONF = 'urls'
STATIC_URL = '/static/'
STATIC_ROOT = pathlib.Path(__file__).parent / 'collected'
"""
DJANGO = {
    "requirements.txt": "django<6\n",
    "manage.py": "import os, sys\nfrom django.core.management import execute_from_command_line\n"
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')\n"
    "execute_from_command_line(sys.argv)\n",
    "settings.py": SETTINGS,
    "urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n"
    "urlpatterns = [path('', lambda request: HttpResponse(request.get_host()))]\n",
    "wsgi.py": "import os\nfrom django.core.wsgi import get_wsgi_application\n"
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')\n"
    "application = get_wsgi_application()\n",
    "polls/__init__.py": "",
    "polls/static/polls.css": "body { color: teal }\n",
}


def test_a_project_of_django_with_collected_files(site: Any) -> None:
    polls = site("polls")
    given = {
        "flask_app_entrypoint": "wsgi:application",
        "flask_app_static": {"/static/": "collected"},
        # A command of a build sees nothing of the app's own environment.
        "flask_app_build_env": {"SECRET_KEY": "of the build alone"},
        "wsgi_health_host": "polls.example",
    }
    said = polls.fails(
        DJANGO, **given, flask_app_build_commands=["true", "python manage.py collect"]
    )
    assert "command 2 of flask_app_build_commands" in said
    polls.deploy(
        DJANGO, **given, flask_app_build_commands=["python manage.py collectstatic --noinput"]
    )
    assert polls.text() == "polls.example"
    assert polls.text("/static/polls.css") == "body { color: teal }\n"


def test_translations_that_are_compiled_in_the_build(site: Any) -> None:
    app = (
        "import flask, flask_babel\napp = flask.Flask(__name__)\n"
        "def wanted():\n    return flask.request.accept_languages.best_match(['en', 'de'])\n"
        "flask_babel.Babel(app, locale_selector=wanted)\n"
        "@app.get('/')\ndef index():\n    return flask_babel.gettext('good morning')\n"
    )
    catalogue = (
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "good morning"\nmsgstr "guten Morgen"\n'
    )
    hello = site("hello")
    hello.deploy(
        {
            "app.py": app,
            "requirements.txt": "flask-babel\n",
            "translations/de/LC_MESSAGES/messages.po": catalogue,
        },
        flask_app_build_commands=["pybabel compile -d translations"],
    )
    assert hello.text(Accept_Language="de") == "guten Morgen"
    assert hello.text(Accept_Language="en") == "good morning"


def test_what_is_for_the_first_release_alone_runs_once(host: Any, site: Any) -> None:
    seed = site("seed")
    app = (
        FLASK + OK + "@app.cli.command()\ndef plant():\n"
        "    with open(app.instance_path + '/log', 'a') as file:\n        file.write('planted ')\n"
    )
    given = {
        "flask_app_first_commands": ["flask plant"],
        "flask_app_migrate_command": "printf 'grown ' >> instance/log",
    }
    broken = app.replace("return 'ok'", "flask.abort(500)")
    seed.fails({"app.py": broken, "requirements.txt": "flask\n"}, **given)
    for release in range(2):
        seed.deploy({"app.py": f"{app}# {release}\n"}, **given)
    log = host.check_output("cat /srv/seed/shared/instance/log").split()
    assert log == ["planted", "grown", "grown", "grown"]


# Async, WebSockets, streams ----------------------------------------------------------------------

QUART = """\
import asyncio
from quart import Quart, request, websocket
app = Quart(__name__)
@app.before_serving
async def connect():
    app.connected = True
@app.get('/')
async def index():
    assert app.connected
    return {'address': request.remote_addr, 'host': request.host, 'scheme': request.scheme}
@app.get('/events')
async def events():
    async def each():
        for number in range(3):
            yield f'data: {number}\\n\\n'.encode()
            await asyncio.sleep(0.5)
    return each(), 200, {'Content-Type': 'text/event-stream'}
@app.websocket('/echo')
async def echo():
    while True:
        await websocket.send(await websocket.receive())
"""


def arrivals(site: Site, path: str) -> list[float]:
    """When each block of an answer has come, in seconds after the first."""
    connection = http.client.HTTPConnection(site.port, timeout=30)
    connection.request("GET", path, headers={"Host": f"{site.name}.example"})
    answer = connection.getresponse()
    found = []
    while answer.read1(1000):
        found.append(time.monotonic())
    connection.close()
    return [moment - found[0] for moment in found]


def test_an_app_of_quart(site: Any) -> None:
    quick = site("quick")
    files = {"app.py": QUART, "requirements.txt": "quart\n"}
    said = quick.fails(files)
    assert "found Quart, which speaks ASGI: set gunicorn_worker_class: asgi" in said
    given = {"gunicorn_worker_class": "asgi", "wsgi_proxy_hops": 1}
    quick.deploy(files, **given)
    told = json.loads(quick.text(X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https"))
    assert (told["host"], told["scheme"]) == ("quick.example", "http")
    assert told["address"] not in ("192.0.2.1", "127.0.0.1", "<local>", None)
    times = arrivals(quick, "/events")
    assert len(times) == 3
    assert times[-1] > 0.8
    with quick.websocket("/echo") as opened:
        opened.send("hello")
        assert opened.recv(timeout=5) == "hello"
    lives_through_a_switch(quick, {"app.py": QUART + "# changed\n"}, "/echo", **given)
    broken = QUART.replace("assert app.connected", "raise RuntimeError('away')")
    assert "Health check failed" in quick.fails({"app.py": broken}, **given)
    assert json.loads(quick.text())["host"] == "quick.example"


def lives_through_a_switch(
    site: Site, changed: dict[str, str], path: str, **variables: Any
) -> None:
    """A WebSocket goes on while the generation after it takes over, and is then closed properly."""
    grace = 6
    variables |= {"wsgi_graceful_timeout": grace}
    site.deploy(changed, **variables)  # the generation that is to end has that grace
    with site.websocket(path) as opened:
        answers: list[float] = []
        ended: list[ConnectionClosed] = []

        def talk() -> None:
            try:
                while True:
                    opened.send("still there?")
                    assert opened.recv(timeout=10) == "still there?"
                    answers.append(time.monotonic())
                    time.sleep(0.1)
            except ConnectionClosed as error:
                ended.append(error)

        talker = threading.Thread(target=talk)
        talker.start()
        source = site.folder / site.name / "app.py"
        source.write_text(source.read_text() + "# changed again\n")
        before = time.monotonic()
        site.deploy({"README": "a new release"}, **variables)
        talker.join(timeout=30)
    assert ended, "it was not closed"
    assert ended[0].rcvd is not None
    assert ended[0].rcvd.code == 1001
    pauses = [b - a for a, b in itertools.pairwise(answers)]
    assert max(pauses) < 3
    assert answers[-1] - before > grace - 3
    with site.websocket(path) as opened:
        opened.send("again")
        assert opened.recv(timeout=5) == "again"


def test_flask_sock_with_threads(site: Any) -> None:
    app = (
        "import flask, flask_sock, time\napp = flask.Flask(__name__)\n" + OK + "\n"
        "@flask_sock.Sock(app).route('/echo')\n"
        "def echo(ws):\n    while True:\n        ws.send(ws.receive())\n"
        "@app.get('/events')\ndef events():\n"
        "    def each():\n        for number in range(3):\n"
        "            yield f'data: {number}\\n\\n'\n            time.sleep(0.5)\n"
        "    return flask.Response(each(), mimetype='text/event-stream')\n"
    )
    talks = site("talks")
    lives_through_a_switch(
        talks, {"app.py": app, "requirements.txt": "flask-sock\n"}, "/echo", gunicorn_threads=20
    )
    times = arrivals(talks, "/events")
    assert len(times) == 3
    assert times[-1] > 0.8


CHAT = (
    "import flask, flask_socketio\napp = flask.Flask(__name__)\n" + OK + "\n"
    "chat = flask_socketio.SocketIO(app)\n"
    "@chat.on('message')\ndef message(text):\n    flask_socketio.send(f'you said {text}')\n"
)


@pytest.mark.parametrize(
    ("name", "worker"),
    [
        ("chat", {"gunicorn_worker_class": "gevent"}),
        ("gossip", {"gunicorn_threads": 20}),
    ],
)
def test_flask_socketio(host: Any, site: Any, name: str, worker: dict[str, Any]) -> None:
    """Over a WebSocket of the protocol Engine.IO 4 and Socket.IO 5."""
    chat = site(name)
    chat.deploy(
        {"app.py": CHAT, "requirements.txt": "flask-socketio\nsimple-websocket\n"}, **worker
    )
    with chat.websocket("/socket.io/?EIO=4&transport=websocket") as opened:
        assert str(opened.recv(timeout=5)).startswith("0{")
        opened.send("40")
        assert str(opened.recv(timeout=5)).startswith("40{")
        opened.send('42["message","hello"]')
        assert opened.recv(timeout=5) == '42["message","you said hello"]'
    kind = worker.get("gunicorn_worker_class", "gthread")
    assert f"Using worker: {kind}" in host.check_output(f"journalctl -o cat -t {name}")


def test_async_views_of_flask(site: Any) -> None:
    app = (
        "import asyncio, flask\napp = flask.Flask(__name__)\n"
        "@app.get('/')\nasync def index():\n"
        "    found = await asyncio.gather(*(asyncio.sleep(0.1, n) for n in range(3)))\n"
        "    return str(sum(found))\n"
    )
    later = site("later")
    later.deploy({"app.py": app, "requirements.txt": "flask[async]\n"})
    assert later.text() == "3"
    wrapped = app + "from asgiref.wsgi import WsgiToAsgi\nserved = WsgiToAsgi(app)\n"
    later.deploy(
        {"app.py": wrapped},
        gunicorn_worker_class="asgi",
        flask_app_entrypoint="app:served",
        wsgi_proxy_hops=1,
    )
    assert later.text() == "3"
    said = later.fails({"app.py": app}, gunicorn_worker_class="asgi")
    assert "found Flask, which speaks WSGI: set gunicorn_worker_class: gthread" in said
    assert later.text() == "3"


# Queues ------------------------------------------------------------------------------------------


def test_celery_returns_results(site: Any) -> None:
    app = (
        "import celery, flask\napp = flask.Flask(__name__)\n"
        "queue = celery.Celery('sums', broker='redis://127.0.0.1/1',"
        " backend='redis://127.0.0.1/1')\n"
        "@queue.task\ndef add(a, b):\n    return a + b\n"
        "@app.get('/')\ndef index():\n    return 'ok'\n"
        "@app.get('/sum')\ndef sum_():\n    return str(add.delay(20, 22).get(timeout=20))\n"
    )
    sums = site("sums")
    worker = {"name": "worker", "command": "celery -A app.queue worker --concurrency 1"}
    sums.deploy(
        {"app.py": app, "requirements.txt": "flask\ncelery[redis]\n"}, flask_app_processes=[worker]
    )
    assert sums.text("/sum") == "42"


def test_rq_returns_results(site: Any) -> None:
    app = (
        "import time, flask, redis, rq, jobs\napp = flask.Flask(__name__)\n"
        "queue = rq.Queue('jobs', connection=redis.Redis(db=2))\n"
        "@app.get('/')\ndef index():\n    return 'ok'\n"
        "@app.get('/sum')\ndef sum_():\n"
        "    job = queue.enqueue(jobs.add, 20, 22)\n"
        "    for _ in range(100):\n"
        "        if job.get_status(refresh=True) == 'finished':\n"
        "            return str(job.return_value())\n"
        "        time.sleep(0.2)\n"
        "    return job.get_status(), 500\n"
    )
    work = site("work")
    worker = {"name": "worker", "command": "rq worker --url redis://127.0.0.1/2 jobs"}
    work.deploy(
        {
            "app.py": app,
            "jobs.py": "def add(a, b):\n    return a + b\n",
            "requirements.txt": "flask\nrq\n",
        },
        flask_app_processes=[worker],
    )
    assert work.text("/sum") == "42"


# What an app may do ------------------------------------------------------------------------------


def test_an_app_that_imports_what_asks_the_kernel_for_more(site: Any) -> None:
    asks = site("asks")
    app = "import os, pdb, readline\ntry:\n    os.nice(-5)\nexcept PermissionError:\n    pass\n"
    asks.deploy({"app.py": app + FLASK + OK, "requirements.txt": "flask\n"})
    assert asks.text() == "ok"


@pytest.mark.parametrize(
    ("line", "told", "setting"),
    [
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
            "SIGSEGV",
            "wsgi_unit_config",
        ),
        ("import os\nos.nice(-5)\n", "Operation not permitted", "wsgi_unit_config"),
        # Read-only where the test hosts can have that, and root's in any case.
        ("open('/opt/here', 'w')\n", "'/opt/here'", "flask_app_shared_paths"),
        ("app = None\n", "NoAppException", "flask_app_entrypoint"),
    ],
)
def test_an_app_that_dies_at_its_start_ends_it_at_once(
    site: Any, line: str, told: str, setting: str
) -> None:
    dies = site("dies")
    good = {"app.py": FLASK + OK, "requirements.txt": "flask\n"}
    dies.deploy(good)
    said = dies.fails({"app.py": FLASK + OK + line})
    assert told in said
    assert f"{setting}:" in said
    assert "serves on" in said
    assert dies.text() == "ok"


def test_a_flaskenv_for_development_does_not_turn_the_debugger_on(site: Any) -> None:
    app = FLASK + "@app.get('/')\ndef index():\n    return str(app.debug)\n"
    draft = site("draft")
    draft.deploy(
        {"app.py": app, "requirements.txt": "flask\n", ".flaskenv": "FLASK_DEBUG=1\nFLASK_ENV=x\n"}
    )
    assert draft.text() == "False"


# What people do on the host ----------------------------------------------------------------------


def test_a_command_in_the_apps_shoes(host: Any, site: Any) -> None:
    tool = site("tool")
    app = FLASK + OK + "@app.cli.command()\ndef where():\n    import os\n    print(os.getcwd())\n"
    tool.deploy({"app.py": app, "requirements.txt": "flask\n"}, flask_app_env={"GREETING": "a $b"})
    release = host.check_output("readlink -f /srv/tool/live/release")
    assert host.check_output("flaskops tool run flask where") == f"{release}/code"
    told = host.check_output("flaskops tool run sh -c 'id -un; echo \"$GREETING\"; exec 2>&1'")
    assert told.splitlines() == ["tool", "a $b"]
    assert host.run("flaskops tool run sh -c 'exit 7'").rc == 7
    assert host.run("flaskops tool run sh -c '> /srv/tool/live/env'").rc != 0
    assert "Booting worker" in host.check_output("flaskops tool logs --no-pager")
    assert "tool.socket" in host.check_output("flaskops tool status")
    assert "found no app 'tol'" in host.run("flaskops tol status").stderr
    offers = "COMP_WORDS=(flaskops to) COMP_CWORD=1; _flaskops; echo ${COMPREPLY[@]}"
    complete = f"bash -c '. /etc/bash_completion.d/flaskops; {offers}'"
    assert host.check_output(complete) == "tool"
    said = tool.play.succeeds(
        playbook="../../playbooks/run.yml",
        flask_app_name="tool",
        run_command='flask where; echo "$GREETING"',
    )
    assert f"- {release}/code" in said
    assert "- a $b" in said


def test_a_key_in_the_code_is_told(site: Any) -> None:
    weak = site("weak")
    app = FLASK + OK + "app.secret_key = 'dev'\n"
    said = weak.deploy({"app.py": app, "requirements.txt": "flask\n"})
    assert "weak signs with a SECRET_KEY of its own, not with the one it was" in said
    told = weak.play.succeeds(playbook="../../playbooks/status.yml", status_app="weak")
    assert "debian13: weak signs with a SECRET_KEY of its own" in told
    strong = FLASK + OK + "import os\napp.secret_key = os.environ['SECRET_KEY']\n"
    assert "SECRET_KEY of its own" not in weak.deploy({"app.py": strong})


def test_a_process_that_is_down_is_told(host: Any, site: Any) -> None:
    pair = site("pair")
    pair.deploy(
        {"app.py": FLASK + OK, "requirements.txt": "flask\n"},
        flask_app_processes=[{"name": "worker", "command": "sleep 1000"}],
    )
    status = {"playbook": "../../playbooks/status.yml", "status_app": "pair"}
    assert "pair runs pair.worker@1 (active)" in pair.play.succeeds(**status)
    host.check_output("systemctl stop pair.worker@1")
    told = pair.play.succeeds(**status)
    assert "degraded" in told
    assert "pair.worker@1 of pair is stopped: journalctl -u pair.worker@1" in told


# Runs that must change nothing -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"flask_app_home": "/srv/elsewhere"},
            "flask_app_home: found '/srv/elsewhere'; firm is live with '/srv/firm'",
        ),
        ({"flask_app_user": "www-data"}, "flask_app_user: found 'www-data'; firm is live with"),
        ({"wsgi_socket_group": "nobody-here"}, "this host has no group nobody-here"),
        ({"wsgi_bind": "127.0.0.1:22"}, "cannot listen on 127.0.0.1:22: Address already in use"),
        ({"wsgi_bind": "unix:/etc/hostname"}, "cannot listen on unix:/etc/hostname: there is some"),
        ({"gunicorn_wrokers": 2}, "gunicorn_wrokers: there is no such option; did you mean gunic"),
    ],
)
def test_what_is_live_is_not_touched(
    host: Any, site: Any, given: dict[str, Any], told: str
) -> None:
    firm = site("firm")
    files = {"app.py": FLASK + OK, "requirements.txt": "flask\n"}
    firm.deploy(files)
    state = "readlink /srv/firm/live; stat -c '%U %n' /srv/firm/shared/*; ls /srv"
    before = host.check_output(f"{state}; systemctl show -P MainPID,NRestarts 'firm@*'")
    assert told in " ".join(
        firm.fails({}, flask_app_source=str(firm.folder / "firm"), **given).split()
    )
    assert host.check_output(f"{state}; systemctl show -P MainPID,NRestarts 'firm@*'") == before
    assert firm.text() == "ok"


def test_the_name_of_a_service_makes_no_user_and_no_folder(host: Any, site: Any) -> None:
    taken = site("dbus")
    said = taken.fails({"app.py": FLASK + OK, "requirements.txt": "flask\n"})
    assert "flask_app_name: found 'dbus'" in said
    assert not host.file("/srv/dbus").exists
    assert not host.user("dbus").exists


def test_secrets_of_a_failing_command_are_hidden(site: Any) -> None:
    quiet = site("quiet")
    said = quiet.fails(
        {"app.py": FLASK + OK, "requirements.txt": "flask\n"},
        flask_app_env={"STRIPE_API_KEY": "sk_live_4eC39H", "GREETING": "hello"},
        flask_app_migrate_command="env; exit 1",
    )
    assert "flask_app_migrate_command ended with 1" in said
    assert "GREETING=hello" in said
    assert "sk_live" not in said
