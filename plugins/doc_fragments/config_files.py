# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that write a program's configuration files as one."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of module_utils.config.module.FILES_OPTIONS."""

    DOCUMENTATION = r"""
options:
  files:
    description: Files to write. Missing parent directories are created with mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Permission bits in octal.
        type: str
        default: '0644'
      owner:
        description: Name of the owner. Left as it is when not given.
        type: str
      group:
        description: Name of the group. Left as it is when not given.
        type: str
      secret:
        description: Keep the text out of the diff and out of the check's message.
        type: bool
        default: false
  absent:
    description:
      - Absolute paths of files and links that must not exist. C(*) and C(?) stand for what they do
        in a shell, but never for one of O(files).
    type: list
    elements: path
    default: []
  tree:
    description:
      - Directory that is copied aside for the check, with the changes made in the copy.
      - Symbolic links that point into the directory point into the copy there; others point where
        they always did.
    type: path
  check:
    description:
      - Command that accepts or refuses the new files, as a list of arguments. Runs only when a file
        changes. Exit code 0 accepts, unless O(check_ready) is given.
      - C({tree}) is replaced by the copy of O(tree), C({scratch}) by an empty directory that is
        removed afterwards, C({port}) by a free TCP port.
      - In check mode a program that is not installed yet is not asked.
    type: list
    elements: str
  unit:
    description:
      - The systemd unit that reads the files. When it is active and one of the files is newer than
        its last start or reload, the result is changed although no file is. A handler that an
        earlier run lost, for example because the run was killed, is so made up for.
    type: str
"""
