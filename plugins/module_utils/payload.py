# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wrapper's files, as the switch copies them into a generation.

Ansible brings a module to the host in a zip file, with what the module imports and nothing else. So
every file of the wrapper has to be imported by the package itself.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from ansible_collections.flaskops.stack.plugins.module_utils import wrapper

#: The package's name in a generation, which the servers' configuration imports.
PACKAGE = "flaskops_wsgi"


def files() -> dict[str, str]:
    """Paths below the generation's directory, each with its text."""
    found = {f"{PACKAGE}/__init__.py": inspect.getsource(wrapper)}
    for one in pkgutil.iter_modules(wrapper.__path__):
        module = importlib.import_module(f"{wrapper.__name__}.{one.name}")
        found[f"{PACKAGE}/{one.name}.py"] = inspect.getsource(module)
    return found
