"""What every role promises: defaults, argument specs, README and scenario say the same."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
#: Scenarios that are named otherwise than the role whose example they run.
SCENARIOS = {"certificate": "tls", "wsgi": "gunicorn"}
#: The one case in which a role includes another: a WSGI server's includes its base.
SERVERS = {(server, "tasks", "main.yml") for server in ("gunicorn", "uwsgi")}
HEADINGS = ["Example", "How it behaves", "Variables", "Tags", "Supported systems"]

each_role = pytest.mark.parametrize("role", ROLES)


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def spec(role: str) -> dict[str, Any]:
    entries = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    options: dict[str, Any] = entries["main"]["options"]
    return options


def is_own(role: str, name: str) -> bool:
    """Whether an option is the role's; others it declares because it reads them."""
    return name.startswith(f"{role}_")


def readme(role: str) -> str:
    return (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")


@each_role
def test_defaults_and_argument_specs_name_the_same(role: str) -> None:
    """What a server's role hands over has no default, and what is borrowed is another role's."""
    options = {name: option for name, option in spec(role).items() if is_own(role, name)}
    handed = [name for name in options if name.startswith("wsgi_server_")]
    defaults = [name for name in load(f"roles/{role}/defaults/main.yml") if is_own(role, name)]
    assert defaults + handed == list(options)


@each_role
def test_documented_defaults_are_the_defaults(role: str) -> None:
    options = spec(role)
    for name, value in load(f"roles/{role}/defaults/main.yml").items():
        if options[name].get("required"):
            assert value in ("", None, []), name
        elif value is None:  # what the plan works out, and the spec describes
            assert options[name]["default"], name
        elif is_own(role, name) and not (isinstance(value, str) and "{{" in value):
            assert options[name]["default"] == value, name


@each_role
def test_readme_has_one_order(role: str) -> None:
    assert re.findall(r"^## (.*)$", readme(role), re.MULTILINE) == HEADINGS


@each_role
def test_readme_example_is_what_the_scenario_runs(role: str) -> None:
    example = re.search(r"## Example\n\n```yaml\n(.*?)```", readme(role), re.DOTALL)
    assert example is not None
    scenario = ROOT / "molecule" / SCENARIOS.get(role, role)
    assert example[1] == (scenario / "converge.yml").read_text(encoding="utf-8")


@each_role
def test_readme_names_every_tag(role: str) -> None:
    tags: list[str] = []
    tasks = load(f"roles/{role}/tasks/main.yml")
    if "converge.yml" in tasks[-1].values():
        tasks[-1:] = load(f"roles/{role}/tasks/converge.yml")
    for task in tasks:
        tags += [tag for tag in task["tags"] if tag not in [*tags, "never"]]
    section = readme(role).split("## Tags", 1)[1].split("##", 1)[0].strip()
    assert re.findall(r"`(\w+)`", section.splitlines()[0]) == tags


@each_role
def test_internal_names_are_marked(role: str) -> None:
    internal = ROOT / "roles" / role / "vars" / "main.yml"
    for name in load(f"roles/{role}/vars/main.yml") if internal.exists() else ():
        assert name.startswith(f"__{role}_"), name


@each_role
def test_what_a_role_borrows_is_declared_where_it_belongs(role: str) -> None:
    for name, option in spec(role).items():
        if not is_own(role, name):
            (owner,) = [other for other in ROLES if is_own(other, name)]
            there = spec(owner)[name]
            for part in ("type", "elements", "choices"):
                assert option.get(part) == there.get(part), name
            assert "default" not in option, name


@each_role
def test_templates_say_that_they_are_managed(role: str) -> None:
    for path in (ROOT / "roles" / role / "templates").rglob("*.j2"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == "{{ ansible_managed | comment }}", path


@each_role
def test_role_depends_on_no_other_and_no_group(role: str) -> None:
    assert load(f"roles/{role}/meta/main.yml")["dependencies"] == []
    for path in (ROOT / "roles" / role).rglob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bgroups\b[.\[]|become:", text), path
        included = re.findall(r"(?:include|import)_role:\n +name: (\S+)", text)
        assert included == (["flaskops.stack.wsgi"] if path.parts[-3:] in SERVERS else []), path


@pytest.mark.parametrize("path", sorted((ROOT / "molecule").glob("*/molecule.yml")), ids=str)
def test_a_scenario_is_only_its_platforms(path: Path) -> None:
    """That of a stranger's repository says besides where the collection is."""
    more = ["ansible"] if path.parent.name == "roles" else []
    assert list(yaml.safe_load(path.read_text(encoding="utf-8"))) == ["platforms", *more]


PLUGINS = [
    path
    for kind in ("modules", "lookup", "inventory", "doc_fragments")
    for path in sorted((ROOT / "plugins" / kind).glob("*.py"))
]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_documentation_of_plugins_can_be_read(path: Path) -> None:
    texts = re.compile(
        r'^ *(DOCUMENTATION|EXAMPLES|RETURN) = r?"""(.*?)"""', re.MULTILINE | re.DOTALL
    )
    found = dict(texts.findall(path.read_text("utf-8")))
    assert "DOCUMENTATION" in found
    for text in found.values():
        assert all(yaml.safe_load_all(text))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "plugins/filter").glob("*.py")), ids=lambda path: path.stem
)
def test_every_filter_is_documented(path: Path) -> None:
    module = importlib.import_module(
        f"ansible_collections.flaskops.stack.plugins.filter.{path.stem}"
    )
    for name in module.FilterModule().filters():
        told = load(f"plugins/filter/{name}.yml")
        assert list(told) == ["DOCUMENTATION", "EXAMPLES", "RETURN"]
        assert told["DOCUMENTATION"]["name"] == name


class AskedError(Exception):
    """A module got as far as telling Ansible what it takes."""


def shape(options: dict[str, Any], inner: str) -> dict[str, Any]:
    """What must be the same in a module's documentation and in its argument spec."""
    return {
        name: (
            option.get("type", "str"),
            option.get("elements"),
            bool(option.get("required", False)),
            option.get("choices"),
            # What is empty says nothing.
            option.get("default") or None,
            shape(option.get(inner) or {}, inner),
        )
        for name, option in options.items()
    }


@pytest.mark.parametrize(
    "path", sorted((ROOT / "plugins/modules").glob("*.py")), ids=lambda p: p.stem
)
def test_a_module_takes_what_its_documentation_says(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(
        f"ansible_collections.flaskops.stack.plugins.modules.{path.stem}"
    )
    taken: dict[str, Any] = {}

    def note(_self: object, argument_spec: dict[str, Any], **rest: Any) -> None:
        taken.update(argument_spec)
        raise AskedError

    monkeypatch.setattr(basic.AnsibleModule, "__init__", note)
    with pytest.raises(AskedError):
        module.main()
    told = yaml.safe_load(module.DOCUMENTATION)
    options = told["options"]
    for fragment in told.get("extends_documentation_fragment", []):
        name = fragment.rpartition(".")[2]
        there = importlib.import_module(
            f"ansible_collections.flaskops.stack.plugins.doc_fragments.{name}"
        )
        options |= yaml.safe_load(there.ModuleDocFragment.DOCUMENTATION)["options"]
    assert shape(options, "suboptions") == shape(taken, "options")
