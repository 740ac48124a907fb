"""How the app is found."""

from __future__ import annotations

import pytest
from ansible_collections.flaskops.stack.plugins.module_utils.wrapper import finder

from wrapped import FLASK, app_file, ask


@pytest.mark.parametrize(
    ("file", "text", "entrypoint"),
    [
        ("app.py", FLASK.format(name="app", say="found"), ""),
        ("wsgi.py", FLASK.format(name="application", say="found"), ""),
        ("shop/__init__.py", FLASK.format(name="app", say="found"), "shop"),
        ("shop.py", FLASK.format(name="site", say="found"), "shop:site"),
        (
            "shop.py",
            "import flask\ndef create_app(say='found'):\n"
            "    app = flask.Flask('x')\n"
            "    app.add_url_rule('/', view_func=lambda: say)\n    return app\n",
            "shop:create_app",
        ),
        (
            "shop.py",
            "import flask\ndef make(say):\n"
            "    app = flask.Flask('x')\n"
            "    app.add_url_rule('/', view_func=lambda: say)\n    return app\n",
            "shop:make('found')",
        ),
        (
            "plain.py",
            "def serve(environ, start_response):\n"
            "    start_response('200 OK', [])\n    return [b'found']\n",
            "plain:serve",
        ),
    ],
)
def test_app_is_found_as_flask_finds_it(file: str, text: str, entrypoint: str) -> None:
    app_file(file, text)
    assert ask(finder.find_app(entrypoint))[2] == b"found"


def test_flask_app_of_the_environment_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    app_file("app.py", FLASK.format(name="app", say="wrong"))
    app_file("other.py", FLASK.format(name="app", say="found"))
    monkeypatch.setenv("FLASK_APP", "other")
    assert ask(finder.find_app(""))[2] == b"found"


def test_wsgi_py_of_the_app_is_not_mistaken_for_ours() -> None:
    app_file("wsgi.py", FLASK.format(name="app", say="theirs"))
    assert ask(finder.find_app("wsgi:app"))[2] == b"theirs"
