"""What becomes of the text for nginx's server block that somebody wrote."""

from __future__ import annotations

import pytest
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.nginx_text import (
    NOTE,
    completed,
    kept,
)

OWN = [
    "proxy_set_header Host $host",
    "proxy_set_header X-Forwarded-For $remote_addr",
    "add_header Strict-Transport-Security always",
]


def test_a_location_with_a_header_for_the_app_keeps_those_of_the_site() -> None:
    text = """\
location /ws {
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header host "example.com";
    proxy_pass http://shop;
}"""
    assert (
        completed(text, OWN)
        == f"""\
location /ws {{
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header host "example.com";
    proxy_pass http://shop;
    {NOTE}
    proxy_set_header X-Forwarded-For $remote_addr;
}}"""
    )


def test_each_block_keeps_what_it_would_lose() -> None:
    text = "location / { proxy_set_header A b; location /a { add_header C d; return 204; } }"
    lines = completed(text, OWN).splitlines()
    assert [line.strip() for line in lines] == [
        "location / { proxy_set_header A b; location /a { add_header C d; return 204;",
        NOTE,
        "add_header Strict-Transport-Security always;",
        "}",
        NOTE,
        "proxy_set_header Host $host;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "}",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "client_max_body_size 5m;",
        "proxy_set_header X-Mine 1;",
        "location = /login {\n    limit_req zone=login;\n    proxy_pass http://demo;\n}",
        "location /a { # proxy_set_header A b;\n return 200 'proxy_set_header A b; }'; }",
        'location /a { return 200 "\\"; proxy_set_header A b;"; }',
        "location /a { set $b ${c}proxy_set_header; return 200 x${c}; }",
        "location ~ ^/[0-9]$ { return 200; }",
        "location /a { proxy_set_header A b; ",
        "location /a { proxy_set_header A b; } }",
    ],
)
def test_text_that_loses_nothing_or_is_none_of_nginx_stays_as_it_is(text: str) -> None:
    assert completed(text, OWN) == text


def test_what_the_text_says_for_the_whole_site_is_said_once() -> None:
    text = "proxy_set_header HOST example.com;\nlocation /a { proxy_set_header X-Forwarded-For b; }"
    assert kept(text, OWN) == OWN[1:]
    assert kept("", OWN) == kept("location / {", OWN) == OWN
