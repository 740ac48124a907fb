# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of an app: immutable directories with the code and a virtualenv of its own.

Files import downwards only::

    entry                                       what the module release calls
    releases                                    prepare, build and select a release
    builder                                     the steps of a build, in their order
    installer  static  shared                   the larger steps
    python                                      and a smaller one
    uv  pip  venv  compression  source          one job each
    assets  environment  secret_keys  store
    commands  manifest  dotenv_files  requirement  unpack
    place  options  name  account  trees  error
"""
