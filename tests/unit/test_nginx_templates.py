"""The nginx role's files, rendered by Jinja alone from the plan's data, without a host."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import jinja2.nativetypes
import pytest
from ansible_collections.flaskops.stack.plugins.filter import published as published_filter
from ansible_collections.flaskops.stack.plugins.module_utils.web import build
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.render import Renderer
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role

ROLE = Path(__file__).resolve().parents[2] / "roles" / "nginx"
DEFAULTS = defaults("nginx")
NATIVE = jinja2.nativetypes.NativeEnvironment()
NATIVE.filters.update(
    {
        f"flaskops.stack.{name}": function
        for name, function in published_filter.FilterModule().filters().items()
    },
    bool=bool,
)
# As the role's action has it.
CONTROLLER = Controller(render=Renderer("managed"))

Render = Callable[..., dict[str, str]]


def template(variables: Mapping[str, Any], value: Any) -> Any:
    """The role's own defaults are templates, what people give here is not."""
    if not isinstance(value, str) or "{{" not in value or value not in DEFAULTS.values():
        return value
    names = jinja2.meta.find_undeclared_variables(NATIVE.parse(value))
    known = {name: template(variables, variables[name]) for name in names if name in variables}
    rendered = NATIVE.from_string(value).render(known)
    return "" if rendered is None else rendered


@pytest.fixture
def render() -> Render:
    """Render the role's files for some variables: path to text."""

    def render(told: str = "", **variables: Any) -> dict[str, str]:
        """For a host whose nginx tells this of its build."""
        plan = plan_role("nginx", {**DEFAULTS, **variables}, template, CONTROLLER)
        assert plan.problems == []
        versions = build.versions_in(told)
        files = {one["path"]: one["content"] for one in plan.data["files"]}
        return {path: build.for_build(text, versions) for path, text in files.items()}

    return render


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
        "Upgrade $flaskops_upgrade",
        "Connection $flaskops_connection",
        "X-Request-ID $request_id",
        "X-Forwarded-For $remote_addr",
        "X-Forwarded-Proto $scheme",
        "X-Forwarded-Host $host$flaskops_host_port",
        'X-Forwarded-Prefix ""',
        'X-Forwarded-Ssl ""',
        'Forwarded ""',
        'Remote-User ""',
        'X-Original-URL ""',
        'X-Rewrite-URL ""',
        'X-Scheme ""',
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
    assert params.pop("HTTP_CONNECTION") == "$flaskops_uwsgi_connection"
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
        ({"wsgi_bind": "127.0.0.1:1"}, "127.0.0.1:1"),
    ],
)
def test_the_app_is_where_its_server_listens(
    render: Render, variables: dict[str, Any], server: str
) -> None:
    assert directives(site(render(**variables)), "server") == [server]


TWO = ["192.0.2.11:8000 max_fails=2", "192.0.2.12:8000"]


@pytest.mark.parametrize(
    ("variables", "method"),
    [
        ({}, "least_conn"),
        ({"nginx_upstream_method": "hash $remote_addr consistent"}, "hash $remote_addr consistent"),
        ({"nginx_upstream_method": "round_robin"}, None),
        ({"nginx_upstream_servers": TWO[:1]}, None),
    ],
)
def test_several_servers_share_the_work(
    render: Render, variables: dict[str, Any], method: str | None
) -> None:
    text = site(render(**{"nginx_upstream_servers": TWO, **variables}))
    block = re.findall(r"^upstream app \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)[0]
    found = [line.strip(" ;") for line in block.splitlines()]
    others = [line for line in found if not line.startswith(("zone", "server", "keepalive", "#"))]
    assert others == ([method] if method else [])


def test_only_trusted_proxies_are_believed(render: Render) -> None:
    text = site(
        render(
            nginx_site="a-b",
            nginx_server_name=["a.example", "*.b.example", ".c.example"],
            nginx_trusted_proxies=["192.0.2.0/24", "2001:db8::1"],
        ),
        "a-b",
    )
    assert directives(text, "set_real_ip_from") == ["192.0.2.0/24", "2001:db8::1"]
    assert directives(text, "real_ip_recursive") == ["off"]
    headers = dict(line.split(" ", 1) for line in directives(text, "proxy_set_header"))
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "$flaskops_a_b_scheme"
    assert headers["X-Forwarded-Host"] == headers["Host"] == "$flaskops_a_b_host"
    pattern = re.findall(r'"~\*(\^1:.*)" \$flaskops_a_b_named;', text)[0].replace("?<", "?P<")
    for name in ("a.example", "x.b.example:8443", "c.example", "x.c.example"):
        assert re.search(pattern, f"1:{name}"), name
        assert not re.search(pattern, f"0:{name}"), name
    for name in ("axexample", "b.example", "evil.example", "a.example.evil", "a.example, b", ""):
        assert not re.search(pattern, f"1:{name}"), name


@pytest.mark.parametrize(
    ("hops", "said", "found"),
    [
        (2, "203.0.113.9, 192.0.2.7", "203.0.113.9"),
        (2, "192.0.2.66, 203.0.113.9,192.0.2.7", "203.0.113.9"),
        # A visitor may be in a network of the proxies.
        (2, "203.0.113.1, 192.0.2.66, 192.0.2.7", "192.0.2.66"),
        (3, "203.0.113.1, 2001:db8::1 , 192.0.2.66, 192.0.2.7", "2001:db8::1"),
        # Some name the port as well.
        (2, "203.0.113.9:5555, 192.0.2.7", "203.0.113.9"),
        (2, "[2001:db8::1]:5555, 192.0.2.7:80", "2001:db8::1"),
        (2, "::ffff:203.0.113.9, 192.0.2.7", "::ffff:203.0.113.9"),
        (2, "[::ffff:203.0.113.9]:80, 192.0.2.7", "::ffff:203.0.113.9"),
        (3, "203.0.113.9, 192.0.2.7", None),
        (2, "evil, 192.0.2.7", None),
        (2, "", None),
    ],
)
def test_of_more_proxies_so_many_addresses_are_passed_over(
    render: Render, hops: int, said: str, found: str | None
) -> None:
    text = site(render(nginx_trusted_proxies="192.0.2.0/24", nginx_trusted_hops=str(hops)))
    assert directives(text, "real_ip_recursive") == ["on"]
    assert "X-Forwarded-For $flaskops_app_client" in directives(text, "proxy_set_header")
    assert directives(text, "set \\$flaskops_client") == ["$flaskops_app_client"]
    pattern = re.findall(r'"~(\^1:.*)" \$flaskops_app_visitor;', text)[0].replace("?<", "?P<")
    match = re.search(pattern, f"1:{said}")
    assert (match and match["flaskops_app_visitor"]) == found
    assert not re.search(pattern, f"0:{said}")


def test_an_app_below_a_path_goes_by_what_its_site_knows(render: Render) -> None:
    trusted = {"nginx_server_name": "Shop.example", "nginx_trusted_proxies": "192.0.2.0/24"}
    files = render(**trusted, nginx_trusted_hops=2)
    told = dict(line.split(" ", 1) for line in directives(site(files), "set"))
    assert told["$flaskops_client"] == "$flaskops_app_client"
    assert told["$flaskops_scheme"] == "$flaskops_app_scheme"
    assert told["$flaskops_host"] == "$flaskops_app_host"
    assert "flaskops/shop.example.d/*.conf" in directives(site(files), "include")
    for name in ("client", "scheme", "host"):
        assert f'map "" $flaskops_{name} ' in files["/etc/nginx/nginx.conf"]
    below = render(nginx_site="sub", nginx_url_prefix="/sub", nginx_trusted_hops=2, **trusted)
    text = site(below, "sub") + below["/etc/nginx/flaskops/shop.example.d/sub.conf"]
    assert "trusted" not in text
    headers = dict(line.split(" ", 1) for line in directives(text, "proxy_set_header"))
    assert headers["X-Forwarded-For"] == "$flaskops_client"
    assert headers["X-Forwarded-Proto"] == "$flaskops_scheme"
    assert headers["X-Forwarded-Host"] == headers["Host"] == "$flaskops_host"


def test_a_name_in_two_ways_of_writing_is_one_place_for_apps_below_it(render: Render) -> None:
    text = site(render(nginx_server_name=["Shop.example", "shop.example", "*.shop.example"]))
    assert [line for line in directives(text, "include") if "flaskops" in line] == [
        "flaskops/shop.example.d/*.conf",
        "flaskops/_.shop.example.d/*.conf",
    ]


def test_without_proxies_nobody_is_believed(render: Render) -> None:
    plain = site(render())
    assert "real_ip" not in plain
    assert "_trusted" not in plain
    assert "X-Forwarded-For $remote_addr" in directives(plain, "proxy_set_header")


@pytest.mark.parametrize("protocol", ["proxy", "uwsgi"])
def test_cookies_that_are_no_matter_do_not_reach_cached_pages(
    render: Render, protocol: str
) -> None:
    wanted = "http" if protocol == "proxy" else "uwsgi"
    text = site(render(nginx_cache={"/news/": "1m"}, nginx_upstream_protocol=wanted))
    passed = directives(text, "proxy_set_header" if protocol == "proxy" else "uwsgi_param")
    assert any(line.split()[1] == "$flaskops_app_cookie" for line in passed)
    news = re.findall(r"location /news/ \{(.*?)\}", text, re.DOTALL)[0]
    assert "set $flaskops_app_cookie $flaskops_app_told;" in news
    assert "$flaskops_app_period" in directives(text, f"{protocol}_cache_key")[0]
    assert "cookie" not in site(render(nginx_upstream_protocol=wanted))


def test_pages_below_a_path_can_be_cached_as_a_whole(render: Render) -> None:
    files = render(
        flask_app_name="shop",
        flask_app_url_prefix="/shop",
        flask_app_health_path="/healthz",
        nginx_cache={"/shop/": "1m", "/shop/mine/": "off"},
    )
    text = files["/etc/nginx/flaskops/_.d/shop.conf"]
    found = re.findall(r"^    location (\S* ?/\S*) \{$", text, re.MULTILINE)
    assert len(set(found)) == len(found)
    assert {"= /shop", "^~ /shop/", "= /shop/mine", "^~ /shop/mine/"} <= set(found)
    assert '"/shop/healthz" 1;' in site(files, "shop")


@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
def test_an_app_below_a_path_has_locations_and_no_server(render: Render, protocol: str) -> None:
    files = render(
        flask_app_name="shop",
        flask_app_url_prefix="/a/shop",
        nginx_server_name=["www.example", "example"],
        nginx_upstream_protocol=protocol,
    )
    assert servers(site(files, "shop")) == []
    assert directives(site(files, "shop"), "server") == ["unix:/run/shop/http.sock"]
    text = files["/etc/nginx/flaskops/www.example.d/shop.conf"]
    found = re.findall(r"^    location (.*) \{$", text, re.MULTILINE)
    mine = ["@flaskops_shop", "@flaskops_shop_kept"]
    assert found == ["= /a/shop", "^~ /a/shop/", *mine, "^~ /a/shop/static/"]
    assert "try_files $flaskops_shop_path @flaskops_shop;" in text, "below assets/ without prefix"
    assert "alias /srv/shop/live/release/public/static/;" in text
    if protocol == "http":
        assert directives(text, "proxy_pass") == ["http://shop$flaskops_shop_uri"] * 2
        assert directives(text, "proxy_set_header").count("X-Forwarded-Prefix /a/shop") == 2
    else:
        params = directives(text, "uwsgi_param")
        assert params.count("PATH_INFO $flaskops_shop_path") == 2
        assert params.count("HTTP_X_FORWARDED_PREFIX /a/shop if_not_empty") == 2


def test_a_site_takes_in_the_apps_below_its_names(render: Render) -> None:
    included = directives(site(render(nginx_server_name=["a.example", "*.b.example"])), "include")
    assert included == ["flaskops/a.example.d/*.conf", "flaskops/_.b.example.d/*.conf"]
    files = render()
    assert directives(site(files), "include") == ["flaskops/_.d/*.conf"]
    assert not [path for path in files if path.startswith("/etc/nginx/flaskops/")]


def test_static_files_are_directories_or_single_files(render: Render) -> None:
    text = site(render(nginx_static={"/s/": "/srv/a/s/", "/favicon.ico": "/srv/a/f.ico"}))
    assert "location ^~ /s/ {\n        alias /srv/a/s/;" in text
    assert "location = /favicon.ico {\n        alias /srv/a/f.ico;" in text
    assert directives(text, "try_files") == ["$uri @app", "$uri @app_kept"]
    assert directives(text, "error_page") == ["404 405 = @app_kept"] * 2


def test_a_site_can_be_a_directory_of_files_alone(render: Render) -> None:
    text = site(render(nginx_static={"/": "/srv/www/"}))
    assert "location ^~ / {\n        alias /srv/www/;" in text
    assert directives(text, "try_files") == directives(text, "error_page") == []
    assert "proxy_pass" not in text
    assert "upstream" not in text.replace("$upstream", "")


def test_with_an_app_what_is_no_file_is_asked_of_it(render: Render) -> None:
    text = site(render(nginx_static={"/": "/srv/www/"}, flask_app_name="shop"), "shop")
    assert text.count("location ^~ / {") == 1
    assert "location / {" not in text
    assert directives(text, "try_files") == ["$uri @app", "$uri @app_kept"]
    assert directives(text, "error_page") == ["404 405 = @app_kept"]
    assert directives(text, "proxy_pass") == ["http://shop"]


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
        ({"nginx_upstream_keepalive": 0}, "keepalive_time", []),
        ({"nginx_upstream_keepalive": 4}, "keepalive_time", ["1s"]),
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


CACHED = {"nginx_cache": {"= /": "10s", "/news/": "1m", "/news/admin/": "off"}}


def test_pages_are_cached_where_it_is_said_and_nowhere_else(render: Render) -> None:
    (server,) = servers(site(render(**CACHED)))
    kept = re.findall(r"location ([^{]*) \{[^}]*proxy_cache app_pages;[^}]*301 308 (\w+);", server)
    assert kept == [("= /", "10s"), ("/news/", "1m")]
    assert {"/", "= /news", "/news/admin/", "= /news/admin"} <= set(directives_of(server))
    assert "proxy_cache" not in site(render())


def directives_of(server: str) -> list[str]:
    """What the locations of a server are for."""
    return re.findall(r"location ([^{]*) \{", server)


def test_a_pages_key_has_all_that_the_app_is_told(render: Render) -> None:
    (key,) = directives(site(render(**CACHED)), "proxy_cache_key")
    for part in ("$request_method", "$scheme", "$host$flaskops_host_port", "$request_uri"):
        assert part in key
    assert "$realpath_root" in key, "and what is live"


def test_the_uwsgi_protocol_caches_alike(render: Render) -> None:
    http, uwsgi = site(render(**CACHED)), site(render(**CACHED, nginx_upstream_protocol="uwsgi"))
    assert "proxy_" not in uwsgi
    for name in ("cache", "cache_key", "cache_valid", "cache_lock", "cache_methods"):
        found = directives(http, f"proxy_{name}")
        assert found
        assert directives(uwsgi, f"uwsgi_{name}") == found


def test_names_of_cookies_are_no_patterns(render: Render) -> None:
    text = site(render(**CACHED, nginx_cache_cookies=["my.session", "b-c"]))
    assert "(my\\.session|b\\-c)" in text


def test_a_page_of_its_own_is_logged_though_it_is_the_health_path(render: Render) -> None:
    skipped = r"_unlogged \{\n    default 0;\n(.*?)\}"
    found = re.search(skipped, site(render(flask_app_health_path="/")), re.DOTALL)
    assert found is not None
    assert found[1] == ""
    found = re.search(skipped, site(render(flask_app_health_path="/healthz?db=1")), re.DOTALL)
    assert found is not None
    assert found[1] == '    "/healthz" 1;\n'


def test_no_location_takes_the_servers_headers_away(render: Render) -> None:
    """An add_header in a location would replace all of the server's."""
    (server,) = servers(site(render(**CACHED)))
    for location in re.findall(r"location .*?\{(.*?)\}", server, re.DOTALL):
        assert "add_header" not in location


def test_a_syslog_server_gets_both_logs_besides(render: Render) -> None:
    main = render(nginx_syslog_server="192.0.2.50")["/etc/nginx/nginx.conf"]
    assert [len(directives(main, name)) for name in ("access_log", "error_log")] == [2, 2]
    main = render(nginx_config={"access_log": "off"})["/etc/nginx/nginx.conf"]
    assert directives(main, "access_log") == ["off"]


def test_server_text_cannot_take_the_sites_headers_away(render: Render) -> None:
    text = "location /ws {\n    proxy_set_header X-Mine 1;\n    proxy_pass http://app;\n}\n"
    (server,) = servers(site(render(nginx_server_config=text)))
    top, _, location = server.partition("location /ws")
    assert directives(top, "proxy_set_header") == directives(location, "proxy_set_header")[1:]


def test_server_text_stands_verbatim_at_the_end(render: Render) -> None:
    text = "location = /a {\n    return 204; # {{ not a template }}\n}\n"
    assert site(render(nginx_server_config=text)).endswith(f"\n\n{text}}}\n")


@pytest.mark.parametrize(
    ("types", "lines"),
    [
        (None, ['default ""', "text/html Accept-Encoding"]),
        ("text/css", ['default ""', "text/html Accept-Encoding", "text/css Accept-Encoding"]),
        (["text/html", "*"], ["default Accept-Encoding", "text/html Accept-Encoding"]),
    ],
)
def test_files_that_may_be_compressed_say_so(render: Render, types: Any, lines: list[str]) -> None:
    text = render(nginx_config={"gzip_types": types})["/etc/nginx/nginx.conf"]
    block = text.split("map $sent_http_content_type $flaskops_file_vary {\n")[1].split("}")[0]
    assert [line.strip(" ;") for line in block.splitlines() if line.strip()] == lines


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


# TLS ---------------------------------------------------------------------------------------------

TLS = {"certificate_source": "acme", "nginx_server_name": ["a.example", "b.example"]}
OLD = "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.20 7 Apr 2026\n"


def test_without_a_certificate_nothing_is_said_of_tls(render: Render) -> None:
    text = site(render(nginx_server_name=["a.example"]))
    assert not re.search(r"ssl|443|Strict|acme|301", text)


def test_certificate_brings_tls_and_sends_plain_http_there(render: Render) -> None:
    unknown, plain, server = servers(site(render(**TLS)))
    assert directives(unknown, "ssl_reject_handshake") == ["on"]
    assert directives(unknown, "listen") == [
        "0.0.0.0:80",
        "[::]:80",
        "0.0.0.0:443 ssl",
        "[::]:443 ssl",
    ]
    assert directives(plain, "return") == ["301 https://$host$request_uri"]
    assert directives(plain, "server_name") == ["a.example b.example"]
    assert directives(plain, "listen") == ["0.0.0.0:80", "[::]:80"]
    assert directives(server, "listen") == ["0.0.0.0:443 ssl", "[::]:443 ssl"]
    live = "/etc/flaskops/tls/app/live"
    assert directives(server, "ssl_certificate") == [f"{live}/fullchain.pem"]
    assert directives(server, "ssl_certificate_key") == [f"{live}/privkey.pem"]


def test_challenge_is_answered_in_plain_http_by_the_issuer(render: Render) -> None:
    challenge = "location ^~ /.well-known/acme-challenge/ {\n        "
    for more, index in (({}, 1), ({"nginx_tls_redirect": False}, 1)):
        here = servers(site(render(**TLS, **more)))[index]
        assert f"{challenge}root /var/lib/flaskops/acme;" in here
    there = site(render(**TLS, nginx_tls_challenge_host="2001:db8::1"))
    assert "proxy_pass http://[2001:db8::1]:80;" in there
    assert "root /var/lib" not in there
    assert challenge not in site(render(**TLS | {"certificate_source": "files"}))


def test_only_peers_may_take_the_certificate(render: Render) -> None:
    text = site(render(**TLS, nginx_tls_peers=["192.0.2.2"]))
    assert (
        "allow 192.0.2.2;\n        deny all;\n        alias /var/lib/flaskops/tls/app.cms;" in text
    )
    assert "deny" not in site(render(**TLS))


@pytest.mark.parametrize(
    ("variables", "count"),
    [
        ({}, 1),
        ({"nginx_tls_redirect": False}, 0),
        ({"nginx_hsts_max_age": -1}, 0),
        ({"nginx_hsts_max_age": 0}, 1),
    ],
)
def test_hsts_is_in_the_server_and_no_location_takes_its_place(
    render: Render, variables: dict[str, Any], count: int
) -> None:
    text = site(render(**TLS, **variables))
    assert text.count("Strict-Transport-Security") == count
    age = variables.get("nginx_hsts_max_age", 63072000)
    assert text.count(f'Strict-Transport-Security "max-age={age}" always') == count
    assert "add_header" in text
    assert not re.search(r"location [^{]*\{[^}]*add_header", text)
    for location in re.findall(r"location [^{]*\{[^}]*\}", text):
        if "add_header" in location:
            assert ("Strict-Transport-Security" in location) == bool(count)


def test_older_nginx_and_openssl_get_what_they_know(render: Render) -> None:
    old = site(render(OLD, **TLS))
    assert "0.0.0.0:443 ssl http2" in directives(old, "listen")
    assert directives(old, "http2") == []
    assert set(directives(old, "ssl_ecdh_curve")) == {"X25519:prime256v1:secp384r1"}
    new = site(render(**TLS))
    assert set(directives(new, "http2")) == {"on"}
    assert set(directives(new, "ssl_ecdh_curve")) == {"?X25519MLKEM768:X25519:prime256v1:secp384r1"}


def test_modern_is_tls_1_3_only(render: Render) -> None:
    text = site(render(**TLS, nginx_tls_profile="modern"))
    assert set(directives(text, "ssl_protocols")) == {"TLSv1.3"}
    assert directives(text, "ssl_ciphers") == []


def test_http3_claims_an_address_once(render: Render) -> None:
    listens = directives(site(render(**TLS, nginx_http3=True)), "listen")
    assert listens.count("0.0.0.0:443 quic reuseport") == 1
    assert listens.count("0.0.0.0:443 quic") == 1
    alone = site(render(certificate_source="self_signed", nginx_http3=True))
    assert directives(alone, "listen").count("[::]:443 quic reuseport default_server") == 1
    assert 'h3=":443"; ma=86400' in alone


def test_another_port_is_named_in_the_redirect(render: Render) -> None:
    text = site(render(**TLS, nginx_tls_port=8443))
    assert directives(text, "return")[1] == "301 https://$host:8443$request_uri"
