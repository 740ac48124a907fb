"""Roles in a playbook of somebody's own: no playbook of the collection connects them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import testbed

pytestmark = pytest.mark.units("nginx.service", "shop@*.service", "proj@*.service")

#: The smallest Django project that answers, with a command that works until it is stopped.
DJANGO = {
    "requirements.txt": "django==5.2.8\n",
    "manage.py": """
import os, signal, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
if sys.argv[1:] == ["work"]:
    signal.pause()
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "proj/__init__.py": "",
    "proj/settings.py": """
import os
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "proj.urls"
""",
    "proj/urls.py": """
import django
from django.http import JsonResponse
from django.urls import path

def index(request):
    server = request.META.get("SERVER_SOFTWARE", "")
    return JsonResponse({"django": django.get_version(), "server": server})

urlpatterns = [path("", index)]
""",
    "proj/wsgi.py": """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
application = get_wsgi_application()
""",
}


def about(host: Any) -> dict[str, Any]:
    """What the shop tells of itself through nginx."""
    address = "http://shop.example/about.json"
    told = host.check_output(f"curl -sSf --resolve shop.example:80:127.0.0.1 {address}")
    found: dict[str, Any] = json.loads(told)
    return found


def test_three_roles_serve_an_app(host: Any) -> None:
    assert about(host)["server"].startswith("gunicorn")


def test_a_release_has_the_server_of_its_play(host: Any) -> None:
    found = host.check_output("ls /srv/shop/live/release/venv/bin")
    assert "gunicorn" in found.split()
    assert "uwsgi" not in found.split()


def test_a_name_that_is_no_more_is_refused_with_the_new_one(play: Any) -> None:
    assert "gunicorn_bind was renamed to wsgi_bind" in play.fails(gunicorn_bind="127.0.0.1:1")


def test_the_server_can_be_another(host: Any, play: Any) -> None:
    play.succeeds(playbook="uwsgi.yml")
    assert about(host)["server"].lower().startswith("uwsgi")
    assert "changed=0" in play.succeeds(playbook="uwsgi.yml")
    play.succeeds()
    assert about(host)["server"].startswith("gunicorn")


def test_a_django_project_has_processes_and_timers(host: Any, play: Any, tmp_path: Path) -> None:
    for name, text in DJANGO.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    play.succeeds(playbook="django.yml", flask_app_source=str(tmp_path))
    asked = "curl -sSf --unix-socket /run/proj/http.sock http://localhost/"
    told = json.loads(host.check_output(asked))
    assert told["django"].startswith("5.2")
    assert told["server"].startswith("gunicorn")
    number = host.check_output("readlink /srv/proj/live").removeprefix("generations/")
    assert host.service(f"proj.worker@{number}.service").is_running
    timers = host.check_output("systemctl list-timers --all --plain --no-legend 'proj.*'")
    assert f"proj.nightly@{number}.timer" in timers
    again = play.succeeds(playbook="django.yml", flask_app_source=str(tmp_path))
    assert "changed=0" in again


def test_nothing_of_a_checkout_is_used(host: Any, play: Any) -> None:
    """The roles are those of the tarball."""
    told = play.succeeds("-vv", "--list-tasks")
    assert "flaskops.stack.gunicorn" in told
    installed = testbed.STATE / "roles" / "collections/ansible_collections/flaskops/stack"
    assert not (installed / "ansible.cfg").exists()
    assert not (installed / "tests").exists()


def test_caches_serve_alone(host: Any, play: Any) -> None:
    play.succeeds(playbook="caches.yml")
    assert host.check_output("redis-cli config get maxmemory").split() == [
        "maxmemory",
        "33554432",
    ]
    asked = "printf 'stats settings\\r\\nquit\\r\\n' | nc -q 1 127.0.0.1 11211"
    assert "STAT maxbytes 33554432" in host.check_output(asked)
    assert "changed=0" in play.succeeds(playbook="caches.yml")


def test_a_certificate_is_made_alone(host: Any, play: Any) -> None:
    play.succeeds(playbook="certificate.yml")
    shown = host.check_output(
        "openssl x509 -noout -ext subjectAltName -in /etc/flaskops/tls/mail/live/fullchain.pem"
    )
    assert "DNS:mail.example" in shown
    assert "changed=0" in play.succeeds(playbook="certificate.yml")


def ask(host: Any, name: str, path: str = "/") -> str:
    """What Nginx answers under a name, with the status in the last line."""
    resolve = f"--resolve {name}:80:127.0.0.1"
    told: str = host.check_output(f"curl -sS -w '\\n%{{http_code}}' {resolve} http://{name}{path}")
    return told


def test_nginx_serves_a_directory_of_files_alone(host: Any, play: Any) -> None:
    host.check_output("mkdir -p /srv/www/about && echo home > /srv/www/index.html")
    host.check_output("echo us > /srv/www/about/index.html && echo text > /srv/www/a.txt")
    play.succeeds(playbook="files.yml")
    assert ask(host, "docs.example") == "home\n\n200"
    assert ask(host, "docs.example", "/about/") == "us\n\n200"
    assert ask(host, "docs.example", "/a.txt") == "text\n\n200"
    assert ask(host, "docs.example", "/none.txt").endswith("404")
    assert "changed=0" in play.succeeds(playbook="files.yml")


def test_nginx_may_be_there_before_the_app(host: Any, play: Any) -> None:
    play.succeeds(playbook="front.yml")
    assert ask(host, "later.example").endswith("502")
    assert "changed=0" in play.succeeds(playbook="front.yml")
    # The other sites are still there.
    assert about(host)["server"].startswith("gunicorn")
