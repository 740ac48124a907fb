"""How much logic stands in the YAML of roles and playbooks: it may only become less.

A count above its ceiling fails, and so does a ceiling that the count has left far below: lower it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What each count may be now, and what it is to become.
CEILINGS = {
    "lines": 3000,
    "ifs": 20,
    "filters": 120,
    "wiring": 0,
    "private": 40,
}
GOALS = {"lines": 3000, "ifs": 20, "filters": 120, "wiring": 0, "private": 40}
#: How far above its count a ceiling may be, as a share and in absolute numbers.
SLACK, LEAST_SLACK = 0.05, 2

EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def files(*suffixes: str) -> list[Path]:
    """Return the files of roles and playbooks with these suffixes, argument specs aside."""
    found = (path for top in ("roles", "playbooks") for path in (ROOT / top).rglob("*"))
    return sorted(path for path in found if path.suffix in suffixes and path.parent.name != "meta")


def count() -> Counter[str]:
    """Return the lines of YAML and Jinja, and what of logic is in the YAML."""
    found: Counter[str] = Counter()
    private: set[str] = set()
    for path in files(".j2", ".jinja"):
        found["lines"] += path.read_text(encoding="utf-8").count("\n")
    for path in files(".yml"):
        text = path.read_text(encoding="utf-8")
        found["lines"] += text.count("\n")
        for expression in EXPRESSION.findall(text):
            found["ifs"] += len(re.findall(r"\bif\b", expression))
            found["filters"] += expression.count("|")
        found["wiring"] += len(re.findall(r"\bwiring_", text))
        private |= set(re.findall(r"\b__[a-z]\w+", text))
    found["private"] = len(private)
    return found


COUNTS = count()


@pytest.mark.parametrize("name", CEILINGS)
def test_logic_in_yaml_only_becomes_less(name: str) -> None:
    found, ceiling = COUNTS[name], CEILINGS[name]
    assert found <= ceiling, f"{name}: {found}, at most {ceiling}; the logic belongs into Python"
    slack = max(LEAST_SLACK, math.ceil(found * SLACK))
    lowest = max(found, GOALS[name])
    assert ceiling <= max(found + slack, GOALS[name]), f"{name}: lower the ceiling to {lowest}"
