"""Which names roles and playbooks read: a role what its spec declares, nobody what is private."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import spec
from jinja2 import Environment, meta, nodes

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
JINJA = Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701 - only read

#: What Ansible itself gives every task.
MAGIC = {
    "ansible_check_mode",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_failed_result",
    "ansible_managed",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "hostvars",
    "inventory_hostname",
    "item",
    "lookup",
    "now",
    "omit",
    "q",
    "query",
    "role_path",
    "undef",
}
#: Keywords whose value is an expression without braces.
BARE = {"when", "changed_when", "failed_when", "until", "that", "var"}


def texts(value: Any, *, bare: bool = False) -> Iterator[str]:
    """Yield every template in a YAML value; an expression without braces gets some."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, bare=key in BARE)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, bare=bare)
    elif isinstance(value, str):
        yield f"{{{{ {value} }}}}" if bare and "{{" not in value else value


def set_by_tasks(value: Any) -> Iterator[str]:
    """Yield the names that tasks set: their vars, results and loop variables."""
    if isinstance(value, list):
        for inner in value:
            yield from set_by_tasks(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in ("vars", "ansible.builtin.set_fact") and isinstance(inner, dict):
                yield from inner
            if key in ("register", "loop_var", "index_var") and isinstance(inner, str):
                yield inner
            yield from set_by_tasks(inner)


def read_by(text: str, known: set[str]) -> set[str]:
    """Return the names a template reads, also those it only spells: ``hostvars[x]["name"]``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a regular expression's backslashes
        tree = JINJA.parse(text)
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        node.name = "string"  # Ansible's own are unknown here, and only their arguments count
    spelled = {node.attr for node in tree.find_all(nodes.Getattr)}
    spelled |= {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
    return meta.find_undeclared_variables(tree) | {
        name for name in spelled if name in known or name.startswith(("wiring_", "__"))
    }


def yaml_files(top: Path) -> Iterator[Any]:
    """Yield the content of the YAML files below a directory, argument specs aside."""
    for path in sorted(top.rglob("*.yml")):
        if path.parent.name != "meta":
            yield yaml.safe_load(path.read_text(encoding="utf-8"))


def undeclared(role: str) -> set[str]:
    """Return the names that a role reads although its spec does not declare them."""
    top = ROOT / "roles" / role
    known = {name for each in ROLES for name in spec(each)}
    contents = list(yaml_files(top))
    found: set[str] = set()
    for content in contents:
        for text in texts(content):
            found |= read_by(text, known)
    for path in [*top.rglob("*.j2"), *top.rglob("*.jinja")]:
        # The plan renders these, with one name each for all that it gives them.
        found |= read_by(path.read_text(encoding="utf-8"), known) - {"plan", "site", "unit"}
    own = {name for content in contents for name in set_by_tasks(content)}
    own |= {name for name in found if name.startswith(f"__{role}_")}
    return found - set(spec(role)) - own - MAGIC


def test_names_are_found_wherever_they_stand() -> None:
    task = {
        "when": ["a_b is defined", "not __c_d.changed"],
        "with": {"x": "{{ hostvars[item]['e_f'] | default(g_h) }}", "y": "{{ hostvars.z.i_j }}"},
        "loop": "{% for one in many %}{{ one.name }}{% endfor %}",
    }
    found: set[str] = set()
    for text in texts(task):
        found |= read_by(text, {"e_f", "i_j"})
    assert found == {"a_b", "__c_d", "hostvars", "item", "e_f", "g_h", "i_j", "many"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_only_what_its_spec_declares(role: str) -> None:
    assert undeclared(role) == set()


def test_a_playbook_reads_no_private_name_of_a_role() -> None:
    private = re.compile(rf"\b__(?:{'|'.join(ROLES)})_\w+")
    found = {}
    for path in sorted((ROOT / "playbooks").rglob("*.yml")):
        names = set(private.findall(path.read_text(encoding="utf-8")))
        if names:
            found[str(path.relative_to(ROOT / "playbooks"))] = names
    assert found == {}
