"""Messages in the form in which they stay readable."""

from __future__ import annotations

import json

from ansible_collections.flaskops.stack.plugins.filter.as_shown import FilterModule

as_shown = FilterModule().filters()["as_shown"]


def test_yaml_shows_text() -> None:
    assert as_shown(["HOST  APP", "app1  shop"], "yaml") == "HOST  APP\napp1  shop"
    told = as_shown([{"host": "é"}], "yaml")
    assert json.loads(told) == [{"host": "é"}]
    assert "é" in told


def test_json_shows_the_value() -> None:
    assert as_shown(["a", "b"], "json") == ["a", "b"]
    assert as_shown({"a": 1}, "json") == {"a": 1}
