# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations of an app on a host, and the switch from one to the next.

Files import downwards only::

    entry                                  what the module switch calls
    switch  finish  rollback               the ways from one generation to another
    lifecycle                              what becomes of one generation
    description  trial  lease  report      one job each
    wanted  store  units  request          what is asked for, the disk, systemd, HTTP
    companions  error
"""
