"""The wrapper as a package: its version stands for its code, and a generation gets all of it."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils import payload, wrapper

SOURCE = Path(__file__).resolve().parents[3] / "plugins/module_utils/wrapper"
#: The version and the digest of the code it stands for.
VERSION, DIGEST = 2, "7a047cbd94e8ac0a"


def without_prose(node: Any) -> Any:
    """What a file does: its syntax tree without places, docstrings and annotations.

    Python's own ``ast.dump`` differs from one version to the next in what is empty.
    """
    if isinstance(node, list):
        return [without_prose(one) for one in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    told = dict(ast.iter_fields(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
        told["body"] = told["body"][1:]
    for annotation in ("annotation", "returns", "type_comment"):
        told.pop(annotation, None)
    kept = {name: value for name, value in told.items() if value not in (None, [])}
    return [type(node).__name__, {name: without_prose(value) for name, value in kept.items()}]


def digest_of(texts: dict[str, str]) -> str:
    shape = {name: without_prose(ast.parse(text)) for name, text in texts.items()}
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def test_the_version_stands_for_the_code() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in SOURCE.glob("*.py")}
    assert (wrapper.VERSION, digest_of(texts)) == (VERSION, DIGEST), (
        "The wrapper's code has changed. Raise VERSION in module_utils/wrapper/__init__.py, so "
        "that apps run with the change, and note version and digest in this file. Code that does "
        "the same as before can keep the version: running apps are then not restarted."
    )


def test_prose_is_not_code() -> None:
    code = 'def one(a: int = 1) -> int:\n    """Return it."""\n    return a\n'
    prose = '"""A file."""\ndef one(a=1):\n    # as it is\n    return a\n'
    assert digest_of({"a.py": code}) == digest_of({"a.py": prose})
    assert digest_of({"a.py": code}) != digest_of({"a.py": code.replace("1", "2")})


def test_a_generation_gets_every_file_of_the_package() -> None:
    expected = {f"flaskops_wsgi/{path.name}": path.read_text() for path in SOURCE.glob("*.py")}
    assert payload.files() == expected


def test_the_package_imports_all_of_its_files() -> None:
    """Ansible brings nothing else to a host."""
    names = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert names <= set(vars(wrapper))


def test_it_is_a_package_of_its_own_in_a_generation(tmp_path: Path) -> None:
    """The app's modules may have the names of ours."""
    for name, text in payload.files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    said = "import sys; print(sorted({'app', 'health', 'static', 'wsgi'} & set(sys.modules)))"
    alone = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path[:0] = ['.']; import flaskops_wsgi; {said}",
    ]
    done = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    launch = tmp_path / "flaskops_wsgi/launch.py"
    server = tmp_path / "server"
    server.write_text('#!/bin/sh\necho "$@"\n')
    server.chmod(0o755)
    done = subprocess.run(
        [sys.executable, launch, server, "--ini", "x"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "--ini x\n"
