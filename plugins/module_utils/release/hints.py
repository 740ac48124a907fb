# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the distribution that a failed build seems to lack, by what compilers say."""

from __future__ import annotations

import re

OPTION = "flask_app_build_packages"
#: A compiler and Python's headers, without which nothing is built from source.
COMPILER = "build-essential python3-dev"
#: A C or C++ compiler, as commands and messages name it.
CC = r"(?:\S*[-/])?(?:gcc|g\+\+|cc|c\+\+)"
#: Packages of Python that are often built, and what they need, whatever their compiler says first.
NAMED = (
    ("psycopg2", "libpq-dev"),
    ("mysqlclient", "default-libmysqlclient-dev pkg-config"),
    ("lxml", "libxml2-dev libxslt1-dev"),
    ("pillow", "libjpeg-dev zlib1g-dev"),
    ("cryptography", "cargo libssl-dev pkg-config"),
    ("python-ldap", "libldap-dev libsasl2-dev"),
    ("uwsgi", "libpcre2-dev"),
)
#: What stands in the output, and the packages that help, by Debian's names.
SIGNS = (
    *((rf"(?i)failed to build [`']{name}\b", f"{more} {COMPILER}") for name, more in NAMED),
    (r"pg_config(?: executable)?:? not found|libpq-fe\.h", f"libpq-dev {COMPILER}"),
    (
        r"mysql_config: not found|mysqlclient.*pkg-config|Can not find valid pkg-config name"
        r"|mysql\.h",
        f"default-libmysqlclient-dev pkg-config {COMPILER}",
    ),
    (
        r"xml2-config|libxml2 and libxslt development packages|libxml/\w+\.h",
        f"libxml2-dev libxslt1-dev {COMPILER}",
    ),
    (r"RequiredDependencyException: (?:zlib|jpeg)", f"libjpeg-dev zlib1g-dev {COMPILER}"),
    (r"can't find Rust compiler|Cargo, the Rust package manager", f"cargo libssl-dev {COMPILER}"),
    (r"ffi\.h: No such file", f"libffi-dev {COMPILER}"),
    (r"openssl/\w+\.h: No such file", f"libssl-dev {COMPILER}"),
    (r"zlib\.h: No such file", f"zlib1g-dev {COMPILER}"),
    (r"(?:lber|ldap|sasl)\.h: No such file", f"libldap-dev libsasl2-dev {COMPILER}"),
    (r"Python\.h: No such file", COMPILER),
    (
        rf"you need a C compiler|unable to execute '?{CC}|{CC}: (?:command )?not found"
        rf"|error: command '{CC}' failed: No such file|No such file or directory: '{CC}'",
        COMPILER,
    ),
)
PYTHON = "flask_app_python"
#: How uv and pip say that a package does not run with this Python.
WRONG_PYTHON = re.compile(
    r"current Python version \([^)]*\) does not satisfy|requires a different Python"
    r"|Ignored the following versions that require a different python"
)
#: How they say that a package could not be built.
NO_WHEEL = re.compile(
    r"Failed to (?:download and )?build [`'](?P<name>[\w.-]+?)(?:==(?P<version>[\w.+!-]+))?[`']"
    r"|Failed building wheel for (?P<pip>[\w.-]+)"
)
#: A header that none of these knows.
HEADER = re.compile(r"fatal error: (\S+\.h\w*): No such file")


def hint(output: str) -> str:
    """What to set when a build failed with this output; empty when nobody can tell."""
    for sign, packages in SIGNS:
        if re.search(sign, output):
            return f"{OPTION}: this build needs more packages, in Debian {packages}"
    found = HEADER.search(output)
    if found:
        return f"{OPTION}: this build needs the package of the distribution that has {found[1]}"
    return ""


def python_hint(output: str) -> str:
    """What to say of the version of Python when an installation failed with this output."""
    if WRONG_PYTHON.search(output):
        return f"{PYTHON}: a package asks for another version of Python than this one"
    found = NO_WHEEL.search(output)
    if found:
        name = found["pip"] or " ".join(filter(None, (found["name"], found["version"])))
        return (
            f"{PYTHON}: {name} has no wheel for this version of Python and had to be built from"
            ' source; an older one, as "3.11", may have a wheel'
        )
    return ""
