# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Source on the controller as one file whose revision is its content."""

from __future__ import annotations

DOCUMENTATION = r"""
name: source_archive
short_description: Pack source on the controller for deployment
version_added: 0.1.0
author: The flaskops.stack authors
description:
  - Packs a directory of the controller into a tar archive. Of a git checkout that is what git
    tracks, with the changes of the work tree; of any other directory everything but caches and
    virtualenvs.
  - The revision is a digest of names, modes and content, so the same files give the same one.
  - The archive has an entry for its own top, which says that it holds the source itself. It lies in
    Ansible's temporary directory and goes away with it.
  - A file is taken as it is, an archive or a wheel; its revision is a digest of its content.
options:
  _terms:
    description: Directories and files; relative ones start at the current directory.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Show what would be deployed
  ansible.builtin.debug:
    msg: "{{ lookup('flaskops.stack.source_archive', './shop').revision }}"
"""

RETURN = r"""
_raw:
  description:
    - One dict each, with its revision (str), the path of the archive (path) and whether it is
      small (bool), up to 256 KiB.
    - Of a small one also the content (str), in Base64, empty for a larger one. It can go with a
      module's options and spares the round trips of a copy.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.archive import archive_of


class LookupModule(LookupBase):
    """Lookup flaskops.stack.source_archive."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Pack each directory; AnsibleLookupError names what cannot be read."""
        archives = []
        for term in terms:
            root = Path(term).expanduser().absolute()
            if not root.exists():
                raise AnsibleLookupError(f"source_archive: {root} is not a directory")
            try:
                found = archive_of(root, Path(vars(C)["DEFAULT_LOCAL_TMP"]))
            except OSError as error:
                raise AnsibleLookupError(f"source_archive: {error}") from error
            archives.append(
                {
                    "revision": found.revision,
                    "path": found.path,
                    "small": bool(found.content),
                    "content": found.content,
                }
            )
        return archives
