"""The static files that nginx serves by default."""

from __future__ import annotations

from ansible_collections.flaskops.stack.plugins.filter.published import FilterModule

published = FilterModule().filters()["published"]


def test_by_default_it_is_flasks_own_folder() -> None:
    assert published({}, "/srv/a") == {"/static/": "/srv/a/live/release/public/static/"}


def test_what_the_app_names_takes_its_place() -> None:
    found = published({"/assets/": "x", "media": "y"}, "/srv/a", "/shop")
    assert found == {
        "/shop/assets/": "/srv/a/live/release/public/assets/",
        "/shop/media/": "/srv/a/live/release/public/media/",
    }
