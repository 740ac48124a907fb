# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables and .env files as variables of every host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: environment
short_description: Environment variables and .env files as inventory variables
version_added: 0.1.0
author: The flaskops.stack authors
description:
  - An inventory source that adds no hosts. It gives every host of the inventory the variables that
    it finds in the process environment and in C(.env) files.
  - Every option of every role is read from its name in capitals, E(NGINX_SERVER_NAME) for
    C(nginx_server_name), and converted to the option's type. Lists are JSON or have commas between
    their items, dicts are JSON or C(name=value,name=value).
  - What else a C(.env) file holds is the app's, and so are C(FLASK_*) and the names in
    E(FLASK_APP_ENV_NAMES) from the process environment. They come as
    C(flask_app_env_from_environment).
  - Extra variables and what the inventory says about one host win over the environment, the
    environment wins over group_vars and defaults. The process environment wins over C(.env) files.
  - Values are taken literally; Jinja in them is text.
  - Anything wrong ends the command at once with exit status 1, whatever the settings about
    unparsed inventories are. A name close to an option's is wrong.
  - C(.env) files are read as python-dotenv reads them, and may be encrypted with Ansible Vault.
options:
  plugin:
    description: Says that this file is for this plugin.
    type: str
    required: true
    choices: [flaskops.stack.environment]
  env_files:
    description:
      - Files to read, a later one wins over an earlier one. Relative paths start at the directory
        of the inventory source. A file that is missing is an error.
      - Without this option, C(.env) beside the inventory source. Where there is none, C(.env) in
        the current directory, if there is one.
    type: list
    elements: str
  ignored_names:
    description: Names of the process environment to leave alone.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
# environment.yml, beside hosts.yml in the directory of the inventory
plugin: flaskops.stack.environment

---
# Files of this site, and a variable that Kubernetes sets
plugin: flaskops.stack.environment
env_files: [site.env, secrets.env]
ignored_names: [REDIS_PORT]
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.inventory.host import Host
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.unsafe_proxy import wrap_var
from ansible.utils.vars import load_extra_vars
from ansible_collections.flaskops.stack.plugins.plugin_utils import options
from ansible_collections.flaskops.stack.plugins.plugin_utils.environment import (
    APP_VARIABLE,
    EnvironmentProblems,
    variables,
)

#: Names that flask_app_env has with -e, for the role to leave them alone.
SPOKEN = "flask_app_env_spoken"
SETTINGS = {"plugin", "env_files", "ignored_names"}


class Hosts(dict[str, Host]):
    """An inventory's hosts by name, which all get the same variables below their own.

    A group's variables would lose against group_vars, and a host may come after this source, from
    another one or from add_host; so every host gets the variables as it is added.
    """

    def __init__(self, hosts: Mapping[str, Host], given: Mapping[str, Any]) -> None:
        super().__init__(hosts)
        self.given = dict(given)
        before: Mapping[str, Any] = {}
        if isinstance(hosts, Hosts):  # a second source of this plugin: the later one wins
            before = hosts.given
            app = {**before[APP_VARIABLE], **self.given[APP_VARIABLE]}
            self.given = {**before, **self.given, APP_VARIABLE: app}
        for host in self.values():
            self.give(host, before)

    def __setitem__(self, name: str, host: Host) -> None:
        self.give(host, {})
        super().__setitem__(name, host)

    def give(self, host: Host, before: Mapping[str, Any]) -> None:
        """Set what the inventory has not set for this host itself."""
        for name, value in self.given.items():
            if name not in host.vars or (name in before and host.vars[name] is before[name]):
                host.vars[name] = value


def literal(value: Any) -> Any:
    """The same value, never to be templated.

    Only what could be a template is marked: ansible-inventory spells the mark out.
    """
    if isinstance(value, str):
        return wrap_var(value) if "{" in value else value
    if isinstance(value, list):
        return [literal(item) for item in value]
    if isinstance(value, dict):
        return {literal(name): literal(item) for name, item in value.items()}
    return value


def label(path: Path) -> str:
    """A path as short as can be typed here."""
    here, path = Path.cwd(), Path(os.path.normpath(path.absolute()))
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


class InventoryModule(BaseInventoryPlugin):
    """Inventory plugin flaskops.stack.environment."""

    NAME = "flaskops.stack.environment"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:  # noqa: FBT001, FBT002 - Ansible's
        """Give every host the variables; ends the process when anything is wrong."""
        super().parse(inventory, loader, path, cache)
        source = Path(path).absolute()
        try:
            self.configure(path)
            ignored = self.get_option("ignored_names")
            process = {name: value for name, value in os.environ.items() if name not in ignored}
            files = [(label(file), self.text(file, loader)) for file in self.files(source)]
            found = variables(options.load(), files, process, label(source))
            spoken = load_extra_vars(loader).get("flask_app_env")
            if isinstance(spoken, Mapping):  # -e wins
                found[SPOKEN] = sorted(map(str, spoken))
                for name in spoken:
                    found[APP_VARIABLE].pop(name, None)
        except (AnsibleError, EnvironmentProblems) as error:
            self.stop(str(error), error)
        except Exception as error:  # noqa: BLE001 - Ansible would go on without the variables
            self.stop(f"{type(error).__name__}: {error}", error)
        inventory.hosts = Hosts(inventory.hosts, {n: literal(v) for n, v in found.items()})

    def configure(self, path: str) -> None:
        """Read the inventory source; EnvironmentProblems names a setting that there is not."""
        unknown = set(self._read_config_data(path)) - SETTINGS
        if unknown:
            names = ", ".join(sorted(map(str, unknown)))
            raise EnvironmentProblems([f"{label(Path(path))}: there is no setting {names}"])

    def files(self, source: Path) -> list[Path]:
        """The .env files to read; EnvironmentProblems names those that are missing."""
        names = self.get_option("env_files")
        if names is None:
            places = [source.with_name(".env"), Path.cwd() / ".env"]
            return [path for path in places if path.is_file()][:1]
        files = [source.parent / Path(name).expanduser() for name in names]
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise EnvironmentProblems(f"{label(file)}: there is no such file" for file in missing)
        return files

    @staticmethod
    def text(file: Path, loader: Any) -> str:
        """A file's text, decrypted where it is encrypted."""
        try:
            content: bytes = loader._get_file_contents(str(file))[0]  # noqa: SLF001 - no other for 2.18
            return content.decode()
        except UnicodeDecodeError:
            problem = "not UTF-8"
        except AnsibleError as error:
            problem = str(error)
        raise EnvironmentProblems([f"{label(file)}: {problem}"])

    def stop(self, problems: str, error: Exception) -> NoReturn:
        """Say what is wrong and end the process.

        Ansible turns any error of an inventory source into a warning, goes on without it, and would
        deploy with the defaults.
        """
        text = f"ERROR! {self.NAME}: nothing was done\n{problems}"
        self.display.display(text, color=vars(C)["COLOR_ERROR"], stderr=True)
        raise SystemExit(1) from error
