"""The filter directives of templates: a dict in a program's own keys as its configuration file."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskops.stack.plugins.plugin_utils.directives import directives


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sendfile": True, "tcp_nopush": False}, "sendfile on;\ntcp_nopush off;\n"),
        ({"keepalive_requests": 1000}, "keepalive_requests 1000;\n"),
        ({"gzip_types": "text/css text/xml"}, "gzip_types text/css text/xml;\n"),
        (
            {"set_real_ip_from": ["192.0.2.1", "::1"]},
            "set_real_ip_from 192.0.2.1;\nset_real_ip_from ::1;\n",
        ),
        ({"ip_hash": ""}, "ip_hash;\n"),
        ({"sendfile": None, "gzip": True}, "gzip on;\n"),
        (
            {"map $a $b": {"default": "x", '"~^(?<c>.)$"': "$c"}},
            'map $a $b {\n    default x;\n    "~^(?<c>.)$" $c;\n}\n',
        ),
        (
            {"server": [{"listen": 81}, {"listen": 82, "location /": {"return": 204}}]},
            (
                "server {\n    listen 81;\n}\n"
                "server {\n    listen 82;\n    location / {\n        return 204;\n    }\n}\n"
            ),
        ),
        ({"log_format": "main '$uri;'"}, "log_format main '$uri;';\n"),
        ({}, ""),
    ],
)
def test_nginx_gets_its_own_syntax(settings: dict[str, object], text: str) -> None:
    assert directives(settings, "nginx") == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"appendonly": False, "lazyfree-lazy-expire": True},
            "appendonly no\nlazyfree-lazy-expire yes\n",
        ),
        ({"save": ["900 1", "300 10"]}, "save 900 1\nsave 300 10\n"),
        ({"save": ""}, 'save ""\n'),
        ({"port": 0}, "port 0\n"),
        ({"dir": '"/srv/my data"'}, 'dir "/srv/my data"\n'),
        ({"unixsocket": None, "port": 1}, "port 1\n"),
        ({"requirepass": [["plain-1.2"]]}, "requirepass plain-1.2\n"),
        ({"requirepass": [['a "b" c']]}, 'requirepass "a \\"b\\" c"\n'),
        ({"requirepass": [["back\\slash"]]}, 'requirepass "back\\\\slash"\n'),
        ({"requirepass": [["#hash"]]}, 'requirepass "#hash"\n'),
        ({"requirepass": [["it's"]]}, 'requirepass "it\'s"\n'),
        ({"requirepass": [["line\nbreak\t"]]}, 'requirepass "line\\nbreak\\t"\n'),
        ({"rename-command": [["FLUSHALL", ""]]}, 'rename-command FLUSHALL ""\n'),
        ({"save": [[900, 1]]}, "save 900 1\n"),
    ],
)
def test_redis_gets_its_own_syntax(settings: dict[str, object], text: str) -> None:
    assert directives(settings, "redis") == text


def test_lines_are_indented_blocks_included() -> None:
    assert directives({"a": {"b": 1}}, "nginx", indent=4) == "    a {\n        b 1;\n    }\n"


@pytest.mark.parametrize(
    ("settings", "style", "message"),
    [
        (["a"], "nginx", "expects a dict of settings, got a list"),
        ("a on;", "redis", "got str: 'a on;'"),
        ({}, "apache", "style must be one of nginx, redis, got 'apache'"),
        ({"gzip": "on;"}, "nginx", "gzip: the value 'on;' ends with a semicolon"),
        ({"gzip": [["on"]]}, "nginx", r"gzip: expected .* got a list: \['on'\]"),
        ({"a; b": 1}, "nginx", "'a; b' is not the name of a directive"),
        ({1: 1}, "nginx", "1 is not the name of a directive"),
        ({"save": {"900": 1}}, "redis", "save: expected .* got a dict"),
        ({"two words": 1}, "redis", "'two words' is not the name of a directive"),
        ({"dir": "a\nrequirepass b"}, "redis", "dir: a value must be one line"),
        ({"dir": '"/srv'}, "redis", "dir: quotes are not balanced"),
        ({"requirepass": [["a\0b"]]}, "redis", "requirepass: .* NUL"),
    ],
)
def test_errors_name_what_was_received(settings: object, style: str, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        directives(settings, style)
