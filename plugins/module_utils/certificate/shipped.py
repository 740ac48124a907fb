# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that keeps certificates, as the module copies it to a host.

Ansible brings what a module imports to a host and nothing else, so each file is imported here.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

from ansible_collections.flaskops.stack.plugins.module_utils import (
    certificate,
    files,
    nginx_service,
    processes,
    systemd,
)
from ansible_collections.flaskops.stack.plugins.module_utils.certificate import (
    acme,
    command,
    handover,
    lineage,
    pair,
    program,
    site,
)

#: certbot's own files name this path.
PROGRAM = Path("/usr/local/lib/flaskops/tls.py")
#: The modules keep their names there, below the program's own directory.
TOP = "ansible_collections"
MODULES = (
    certificate,
    acme,
    command,
    files,
    handover,
    lineage,
    nginx_service,
    pair,
    processes,
    program,
    site,
    systemd,
)
START = f"""#!/usr/bin/python3
# Written by flaskops.stack.
import sys

from {program.__name__} import main

sys.exit(main(sys.argv[1:]))
"""


def path(module: ModuleType) -> Path:
    """Where a module is found below the program's directory."""
    words = module.__name__.split(".")
    if module is certificate:
        words.append("__init__")
    return PROGRAM.parent.joinpath(*words).with_suffix(".py")


def texts() -> dict[Path, str]:
    """Every file of the program with its text; the one that is run comes last."""
    # With a file of its own it is found before one that Ansible has installed.
    found = {PROGRAM.parent / TOP / "__init__.py": "# Written by flaskops.stack.\n"}
    found |= {path(module): inspect.getsource(module) for module in MODULES}
    return {**found, PROGRAM: START}
