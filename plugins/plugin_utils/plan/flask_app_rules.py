# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role flask_app refuses, before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.flaskops.stack.plugins.module_utils.app_name import ALLOWED
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import rules
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.deploy_key import DeployKey
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.source import Source

#: Accounts of Debian's base-passwd, and of what stands beside the app.
RESERVED_NAMES = (
    "root",
    "daemon",
    "bin",
    "sys",
    "sync",
    "games",
    "man",
    "lp",
    "mail",
    "news",
    "uucp",
    "proxy",
    "www-data",
    "backup",
    "list",
    "irc",
    "nobody",
    "systemd",
    "ssh",
    "sshd",
    "nginx",
    "redis",
    "memcache",
    "messagebus",
    "admin",
    "sudo",
    "adm",
)
#: A path that is absolute or leads out, and the empty one.
OUTSIDE = re.compile(r"/.*|(.*/)?\.\.?(/.*)?|", re.DOTALL)
#: What the subdirectory of a source is not, besides.
UNCLEAR = re.compile(r".*//.*|~.*", re.DOTALL)
URL_PREFIX = re.compile(r"((/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)?")
#: Debian's rule for the names of packages.
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
#: What git takes for a revision and not for an option.
VERSION = re.compile(r"[^-\s][^\s~^:?*\[\\]*")
#: As Flask has it: dotted module or file, and a name or a call with arguments.
ENTRYPOINT = re.compile(r"([\w./-]+(:[A-Za-z_]\w*(\.\w+)*(\(.*\))?)?)?", re.DOTALL)
PUBLISHED = re.compile(r"/[^\s\"'\\;{}$]*")
#: The wrapper of the app runs with Python 3.9 and newer. Without quotes 3.10 is 3.1.
PYTHON = re.compile(r"/\S+|3\.(9|[1-9][0-9])(\.[0-9]+)?")
#: A user that may do anything, by name or number.
ROOT = ("root", "0")


def option_problems(options: Mapping[str, Any]) -> list[str]:
    """What is wrong whatever the source is."""
    problems = name_problems(options["flask_app_name"])
    problems += rules.home("flask_app_home", options["flask_app_home"])
    problems += value_problems(options)
    if options["flask_app_user"] in ROOT:
        problems.append("flask_app_user: found root; the app must not run as root")
    problems += rules.matches(
        "flask_app_url_prefix",
        options["flask_app_url_prefix"],
        URL_PREFIX,
        "are nothing and a path such as /shop, without a slash at the end",
    )
    problems += rules.matches(
        "flask_app_python",
        options["flask_app_python"],
        PYTHON,
        'are an absolute path on the host and a version from 3.9, in quotes: "3.12"',
    )
    if any(OUTSIDE.fullmatch(path) for path in options["flask_app_shared_paths"]):
        problems.append(
            rules.found(
                "flask_app_shared_paths",
                options["flask_app_shared_paths"],
                "are relative paths in the code, without . or ..",
            )
        )
    problems += fingerprint_problems(options["flask_app_static_fingerprint"])
    for name in ("flask_app_system_packages", "flask_app_build_packages"):
        allowed = "are names of packages of the distribution, such as libpq-dev"
        problems += rules.all_match(name, options[name], PACKAGE, allowed)
    for name in ("build_commands", "first_commands", "release_commands"):
        problems += rules.commands(f"flask_app_{name}", options[f"flask_app_{name}"])
    for name, least in (
        ("flask_app_secret_key_days", 0),
        ("flask_app_static_max_age", 0),
        ("flask_app_keep_releases", 1),
        ("flask_app_commands_timeout", 1),
    ):
        problems += rules.at_least(name, options[name], least)
    return problems


def value_problems(options: Mapping[str, Any]) -> list[str]:
    """Texts that git, Python or Flask would take for something else."""
    problems = rules.matches(
        "flask_app_version",
        options["flask_app_version"],
        VERSION,
        "is a branch, a tag or a commit, which no hyphen begins",
    )
    problems += rules.matches(
        "flask_app_entrypoint",
        options["flask_app_entrypoint"],
        ENTRYPOINT,
        "are module:name, module:factory() and module, in names of Python",
    )
    return problems + rules.all_pairs(
        "flask_app_static",
        options["flask_app_static"],
        is_published,
        "are absolute URL paths without spaces and quotes, and relative paths in the code",
    )


def is_published(url: str, place: str) -> bool:
    """Whether an entry of flask_app_static names a path below the site and one in the code."""
    return bool(PUBLISHED.fullmatch(url)) and not OUTSIDE.fullmatch(place)


def name_problems(name: str) -> list[str]:
    """A name that could not be a user's, a directory's and a unit's, or belongs to the system."""
    if rules.APP_NAME.fullmatch(name) and name not in RESERVED_NAMES:
        return []
    return [
        rules.found(
            "flask_app_name",
            name,
            f"are {ALLOWED}, and no name of the system such as {', '.join(RESERVED_NAMES)}",
        )
    ]


def fingerprint_problems(pattern: str) -> list[str]:
    """A text that is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        return [
            rules.found(
                "flask_app_static_fingerprint", pattern, f"is a regular expression ({error})"
            )
        ]
    return []


def source_problems(options: Mapping[str, Any], source: Source, key: DeployKey) -> list[str]:
    """What is wrong with the source and with what is said of it."""
    return (
        kind_problems(source)
        + requirements_problems(options, source)
        + checksum_problems(options["flask_app_checksum"], source)
        + key_problems(key, source)
        + subdirectory_problems(options["flask_app_subdirectory"], source)
    )


def kind_problems(source: Source) -> list[str]:
    """A source that is none."""
    if source.kind:
        return []
    return [
        rules.found(
            "flask_app_source",
            source.shown,
            "are a git URL (https://, ssh://, file:// or user@host:path);"
            " an existing directory, archive (.tar.gz, .tar.xz, .tar.bz2, .tar, .zip) or wheel"
            " (NAME-VERSION-py3-none-any.whl) on the controller;"
            " the URL of an archive or a wheel, with flask_app_checksum; and pypi:NAME==VERSION",
        )
    ]


def checksum_problems(checksum: str, source: Source) -> list[str]:
    """A download without a checksum, or a checksum of something else."""
    if source.kind == "url" and not source.revision:
        return [
            f"flask_app_checksum: found {rules.shown(checksum)}; allowed for {source.shown} is"
            f" sha256: and 64 hexadecimal digits (a git repository of that address is"
            f" git+{source.shown})"
        ]
    if checksum and source.kind not in {"url", ""}:
        return [
            f"flask_app_checksum: found {rules.shown(checksum)} for {source.shown};"
            " allowed is one only for a URL to download"
        ]
    return []


def key_problems(key: DeployKey, source: Source) -> list[str]:
    """A key that nothing needs, or that is none. A key that is taken for a path is not shown."""
    problems = []
    if key.given and not source.ssh:
        problems.append(
            f"flask_app_deploy_key: found one for {source.shown}; allowed is one only for git"
            " over ssh (ssh://user@host/path or user@host:path)"
        )
    if key.given and not key.text:
        problems.append(
            f"flask_app_deploy_key: found {key.shown}; allowed are a file on the controller with"
            " a private ssh key, and the text of one"
        )
    return problems


def requirements_problems(options: Mapping[str, Any], source: Source) -> list[str]:
    """A requirements file that is not in the source, or one for what has none."""
    path = options["flask_app_requirements"]
    if path and OUTSIDE.fullmatch(path):
        allowed = "is a relative path in the source, without . or .."
        return [rules.found("flask_app_requirements", path, allowed)]
    if path and source.is_package:
        return [
            f"flask_app_requirements: found {rules.shown(path)}; allowed is none for a package,"
            f" {source.shown}"
        ]
    top = Path(source.address) / options["flask_app_subdirectory"]
    if path and source.kind == "directory" and not (top / path).is_file():
        return [
            f"flask_app_requirements: found {rules.shown(path)}, which is no file of {source.shown}"
        ]
    return []


def subdirectory_problems(path: str, source: Source) -> list[str]:
    """A directory that is not in the source."""
    if not path:
        return []
    problems = []
    if OUTSIDE.fullmatch(path) or UNCLEAR.fullmatch(path):
        problems.append(
            rules.found(
                "flask_app_subdirectory", path, "is a relative path in the source, without . or .."
            )
        )
    if source.kind == "directory" and not (Path(source.address) / path).is_dir():
        problems.append(
            f"flask_app_subdirectory: found {rules.shown(path)}, which is no directory of"
            f" {source.shown}"
        )
    if source.is_package:
        problems.append(
            f"flask_app_subdirectory: found {rules.shown(path)}; allowed is none for a package,"
            f" {source.shown}"
        )
    return problems
