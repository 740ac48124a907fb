# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of NAME=value lines on the controller as one dict."""

from __future__ import annotations

DOCUMENTATION = r"""
name: dotenv
short_description: Read .env files of the controller
version_added: 0.1.0
author: The flaskops.stack authors
description:
  - Reads files as python-dotenv reads them, which need not be installed. A line that cannot be read
    is an error. C(${NAME}) is filled in from the process environment, else from above.
  - Files encrypted with Ansible Vault are decrypted.
options:
  _terms:
    description:
      - Files to read, a later one wins over an earlier one.
      - Relative paths are looked for in C(files) beside the playbook, beside the playbook, and in
        the current directory.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Show what is in a file
  ansible.builtin.debug:
    msg: "{{ lookup('flaskops.stack.dotenv', 'shop.env') }}"
"""

RETURN = r"""
_raw:
  description: One dict of names and texts.
  type: list
  elements: dict
"""

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.flaskops.stack.plugins.plugin_utils.environment import read_files


class LookupModule(LookupBase):
    """Lookup flaskops.stack.dotenv."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        """Read the files; AnsibleLookupError names the file, and the line, that is wrong."""
        texts = [(term, self.text(term, variables)) for term in map(str, terms)]
        problems: list[str] = []
        found = read_files(texts, os.environ, problems)
        if problems:
            raise AnsibleLookupError("\n".join(problems))
        return [{name: given.value for name, given in found.items()}]

    def text(self, term: str, variables: Any) -> str:
        """One file's text, decrypted where it is encrypted."""
        term = str(Path(term).expanduser())
        path = self.find_file_in_search_path(variables, "files", term, ignore_missing=True)
        if not path and Path(term).is_file():
            path = str(Path(term).absolute())
        if not path:
            raise AnsibleLookupError(f"{term}: there is no such file")
        try:
            loader: Any = self._loader
            content: bytes = loader._get_file_contents(path)[0]  # noqa: SLF001 - no other for 2.18
            return content.decode()
        except (AnsibleError, UnicodeDecodeError) as error:
            problem = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise AnsibleLookupError(f"{term}: {problem}") from error
