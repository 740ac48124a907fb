"""The shape of the Python: small files, modules that are doors, imports that only go down."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
#: Lines of code, without blank lines, comments, docstrings and documentation.
FILE_LINES, DOOR_LINES = 300, 80
#: The floors, with those that each may import from besides its own.
BELOW: dict[str, set[str]] = {
    "module_utils": set(),
    "plugin_utils": {"module_utils"},
    "modules": {"module_utils"},
}
#: What a module's documentation is assigned to.
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(text: str) -> int:
    """Return how many lines of a file hold code."""
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        told = isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in DOCUMENTATION for target in node.targets
        )
        if isinstance(node, ast.stmt) and (alone or told):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            found |= set(range(token.start[0], token.end[0] + 1))
    return len(found - prose)


def too_long(files: list[Path], limit: int) -> set[str]:
    """Return the files with more lines of code than allowed."""
    return {
        path.relative_to(PLUGINS).as_posix()
        for path in files
        if code_lines(path.read_text("utf-8")) > limit
    }


def imported(path: Path) -> set[str]:
    """Return the floors of the collection that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            words = node.module.split(".")
            if words[:4] == ["ansible_collections", "flaskops", "stack", "plugins"]:
                found.add(words[4] if len(words) > 4 else node.names[0].name)
    return found


def test_lines_of_prose_do_not_count() -> None:
    text = '"""One."""\n\n# Two.\nDOCUMENTATION = r"""\na: 1\n"""\n\n\ndef f():\n    """F."""\n'
    assert code_lines(text + "    return [\n        1,\n    ]\n") == 4


def test_files_are_small() -> None:
    assert not too_long(sorted(PLUGINS.rglob("*.py")), FILE_LINES), "two nouns in one file?"


def test_modules_are_doors() -> None:
    doors = sorted((PLUGINS / "modules").glob("*.py"))
    assert not too_long(doors, DOOR_LINES), "logic belongs into module_utils"


def test_imports_only_go_down() -> None:
    found = {
        path.relative_to(PLUGINS).as_posix()
        for floor, below in BELOW.items()
        for path in (PLUGINS / floor).rglob("*.py")
        if not imported(path) <= below | {floor}
    }
    assert not found, "an import from a floor above"
