"""The plan as people may see it."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.show import lines, public

PLAN: dict[str, Any] = {
    "tiers": ["cache", "app"],
    "roles": {"cache": ["redis"], "app": []},
    "options": {
        "redis_bind": ["127.0.0.1"],
        "redis_password": "hunter2",
        "redis_with_packages": ["redis-server"],
        "flask_app_env_defaults": {"REDIS_URL": "redis://shop:hunter2@192.0.2.1:6379/0", "HOPS": 1},
    },
    "packages": ["redis-server", "git"],
    "hints": ["redis_maxmemory_policy: a queue loses jobs"],
}


def test_no_secret_is_shown() -> None:
    shown = public(PLAN)
    assert "hunter2" not in str(shown)
    assert shown["options"]["redis_password"] == "(secret)"
    url = shown["options"]["flask_app_env_defaults"]["REDIS_URL"]
    assert url == "redis://(secret)@192.0.2.1:6379/0"


def test_what_nobody_gives_is_left_out() -> None:
    assert "redis_with_packages" not in public(PLAN)["options"]


def test_each_thing_has_a_line() -> None:
    assert lines({"web1": public(PLAN)}) == [
        "web1: cache, app",
        "  cache                             redis",
        "  app                               -",
        '  redis_bind                        ["127.0.0.1"]',
        "  redis_password                    (secret)",
        "  flask_app_env_defaults.REDIS_URL  redis://(secret)@192.0.2.1:6379/0",
        "  flask_app_env_defaults.HOPS       1",
        "  packages                          git redis-server",
        "  hint 1                            redis_maxmemory_policy: a queue loses jobs",
    ]
