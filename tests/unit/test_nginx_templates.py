"""The nginx role's files, rendered as Ansible renders them, without a host."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

Render = Callable[..., dict[str, str]]

# In a process of its own, because Ansible finds collections by a hook that must come before the
# first import of ansible_collections. A line of JSON in, a line out.
WORKER = """
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

root = sys.argv[1]
init_plugin_loader([f"{root}/collections"])
loader = DataLoader()
role = f"{root}/roles/nginx"
known = {"ansible_search_path": [role], "ansible_managed": "managed"}
for part in ("defaults", "vars"):
    known |= loader.load_from_file(f"{role}/{part}/main.yml", trusted_as_template=True)
for line in sys.stdin:
    templar = Templar(loader=loader, variables=known | json.loads(line))
    files = templar.template(known["__nginx_files"])
    print(json.dumps({file["path"]: file["content"] for file in files}), flush=True)
"""


@pytest.fixture(scope="module")
def render() -> Iterator[Render]:
    """Render the role's files for some variables: path to text."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        stdin, stdout = worker.stdin, worker.stdout
        assert stdin is not None
        assert stdout is not None

        def render(**variables: Any) -> dict[str, str]:
            stdin.write(json.dumps(variables) + "\n")
            stdin.flush()
            files: dict[str, str] = json.loads(stdout.readline())
            return files

        yield render
        stdin.close()


def site(files: dict[str, str], name: str = "app") -> str:
    return files[f"/etc/nginx/sites-enabled/{name}.conf"]


def servers(text: str) -> list[str]:
    """The server blocks of a site's file."""
    return re.findall(r"^server \{$.*?^\}$", text, re.MULTILINE | re.DOTALL)


def directives(text: str, name: str) -> list[str]:
    return re.findall(rf"^\s*{name} (.*);$", text, re.MULTILINE)


def test_everything_follows_from_the_apps_name(render: Render) -> None:
    text = site(render(flask_app_name="pulse"), "pulse")
    assert "server unix:/run/pulse/http.sock;" in text
    assert "alias /srv/pulse/live/release/public/static/;" in text
    assert directives(text, "proxy_pass") == ["http://pulse", "http://pulse"]


def test_a_site_without_a_name_is_the_default(render: Render) -> None:
    (server,) = servers(site(render()))
    assert directives(server, "listen") == ["0.0.0.0:80 default_server", "[::]:80 default_server"]
    assert directives(server, "server_name") == []


def test_a_site_with_a_name_refuses_the_others_first(render: Render) -> None:
    catch_all, server = servers(site(render(nginx_server_name=["a.example", "b.example"])))
    assert directives(catch_all, "return") == ["444"]
    assert directives(catch_all, "listen") == directives(server, "listen")
    assert directives(server, "server_name") == ["a.example b.example"]


def test_two_sites_never_both_claim_the_default(render: Render) -> None:
    for name in ("one", "two"):
        text = site(render(nginx_site=name, nginx_server_name=[f"{name}.example"]), name)
        assert "default_server;" not in text
        assert f"server_name unknown.{name}.invalid;" in text


@pytest.mark.parametrize(
    "header",
    [
        "Host $host$flaskops_host_port",
        'Connection ""',
        "X-Request-ID $request_id",
        "X-Forwarded-For $remote_addr",
        "X-Forwarded-Proto $scheme",
        "X-Forwarded-Host $host$flaskops_host_port",
        'X-Forwarded-Prefix ""',
        'X-Forwarded-Ssl ""',
        'Forwarded ""',
    ],
)
def test_what_the_client_said_of_itself_is_overwritten(render: Render, header: str) -> None:
    assert header in directives(site(render()), "proxy_set_header")


def test_no_location_drops_the_servers_headers(render: Render) -> None:
    """A proxy_set_header in a location would replace all of the server's."""
    (server,) = servers(site(render()))
    for location in re.findall(r"location .*?\{(.*?)\}", server, re.DOTALL):
        assert "proxy_set_header" not in location


def test_the_uwsgi_protocol_has_a_counterpart_of_everything(render: Render) -> None:
    http, uwsgi = site(render()), site(render(nginx_upstream_protocol="uwsgi"))
    assert directives(uwsgi, "uwsgi_pass") == ["app", "app"]
    assert not re.findall(r"^\s*(proxy_|keepalive)", uwsgi, re.MULTILINE)
    assert "uwsgi" not in http
    for name in ("connect_timeout", "read_timeout", "send_timeout", "buffers", "buffer_size"):
        assert directives(uwsgi, f"uwsgi_{name}") == directives(http, f"proxy_{name}")
    params = dict(line.split(" ", 1) for line in directives(uwsgi, "uwsgi_param"))
    assert params.pop("HTTP_CONNECTION") == "close"
    for header in directives(http, "proxy_set_header"):
        name, value = header.split(" ")
        if name != "Connection":
            param = f"HTTP_{name.upper().replace('-', '_')}"
            assert params.pop(param) == f"{value} if_not_empty"
    assert {"PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "CONTENT_LENGTH"} <= set(params)


def test_one_variable_sets_the_protocol_of_the_site(render: Render) -> None:
    assert directives(site(render(wsgi_protocol="uwsgi")), "uwsgi_pass") == ["app", "app"]


@pytest.mark.parametrize(
    ("variables", "server"),
    [
        ({"gunicorn_bind": "127.0.0.1:1"}, "127.0.0.1:1"),
        ({"gunicorn_bind": "127.0.0.1:1", "wsgi_server": "uwsgi"}, "unix:/run/app/http.sock"),
        ({"uwsgi_bind": "127.0.0.1:2", "wsgi_server": "uwsgi"}, "127.0.0.1:2"),
    ],
)
def test_the_app_is_where_its_server_listens(
    render: Render, variables: dict[str, Any], server: str
) -> None:
    assert directives(site(render(**variables)), "server") == [server]


def test_static_files_are_directories_or_single_files(render: Render) -> None:
    text = site(render(nginx_static={"/s/": "/srv/a/s/", "/favicon.ico": "/srv/a/f.ico"}))
    assert "location ^~ /s/ {\n        alias /srv/a/s/;" in text
    assert "location = /favicon.ico {\n        alias /srv/a/f.ico;" in text


def test_no_static_files_means_no_alias(render: Render) -> None:
    assert "alias" not in site(render(nginx_static={}))


@pytest.mark.parametrize(
    ("variables", "name", "values"),
    [
        (
            {"nginx_bind": ["192.0.2.1"], "nginx_port": 8080},
            "listen",
            ["192.0.2.1:8080 default_server"],
        ),
        ({"nginx_client_max_body_size": "1g"}, "client_max_body_size", ["1g"]),
        ({"nginx_proxy_read_timeout": 5}, "proxy_read_timeout", ["5s"]),
        ({"nginx_gzip": False}, "gzip", ["off"]),
        ({"nginx_upstream_keepalive": 0}, "keepalive", []),
        ({"nginx_upstream_keepalive": 4}, "keepalive", ["4"]),
        (
            {"nginx_upstream_servers": ["192.0.2.11:8000 weight=2", "192.0.2.12:8000"]},
            "server",
            ["192.0.2.11:8000 weight=2", "192.0.2.12:8000"],
        ),
    ],
)
def test_variables_reach_the_site(
    render: Render, variables: dict[str, Any], name: str, values: list[str]
) -> None:
    assert directives(site(render(**variables)), name) == values


def test_server_text_stands_verbatim_at_the_end(render: Render) -> None:
    text = "location = /a {\n    return 204; # {{ not a template }}\n}\n"
    assert site(render(nginx_server_config=text)).endswith(f"\n\n{text}}}\n")


def test_http_settings_are_merged_over_the_roles(render: Render) -> None:
    main = render(
        nginx_config={"keepalive_timeout": "5s", "gzip_types": None, "limit_rate": ["1k", "2k"]}
    )["/etc/nginx/nginx.conf"]
    assert directives(main, "keepalive_timeout") == ["5s"]
    assert directives(main, "gzip_types") == []
    assert directives(main, "limit_rate") == ["1k", "2k"]
    assert directives(main, "server_tokens") == ["off"]


def test_a_copy_of_the_directory_can_be_checked(render: Render) -> None:
    """An absolute include would read the live files."""
    includes = directives(render()["/etc/nginx/nginx.conf"], "include")
    assert {"modules-enabled/*.conf", "conf.d/*.conf", "sites-enabled/*"} <= set(includes)
    assert [path for path in includes if path.startswith("/")] == []


def test_every_file_says_who_wrote_it(render: Render) -> None:
    for path, text in render().items():
        assert text.startswith("#\n# managed\n#\n"), path
        assert text.endswith("\n"), path
