"""Options of roles as most tests have them, with no template left in them."""

from __future__ import annotations

from typing import Any

NGINX: dict[str, Any] = {
    "nginx_site": "shop",
    "nginx_url_prefix": "",
    "nginx_tls": False,
    "nginx_upstream_protocol": "http",
    "nginx_static_kept": "/srv/shop/assets",
    "nginx_log_skip": ["/"],
    "nginx_static": {"/static/": "/srv/shop/live/release/public/static/"},
}
