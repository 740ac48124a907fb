# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: all that follows from options and inventory, as plain data.

A role's task ``flaskops.stack.plan: {role: NAME}`` reads the options that the role's argument
spec declares, converts them by its types, checks them by rules, and returns what the role's
templates and modules take. The playbooks begin with ``flaskops.stack.plan: {}``, which plans all
tiers of a host at once and returns the options that follow from the topology.

The files, each importing only what stands above it:

- ``rules``: one rule, one message.
- ``options``: the specs and defaults of the roles; values by the types of the specs.
- ``result``: what a planner is given and what it returns.
- ``redis``, ``memcached``, ...: one planner a role.
- ``roles``: the planner of each role, by its name.
- ``site``: hosts, tiers, addresses, who asks whom.
- ``tiers``: the plan of one host over all its tiers.

Everything here is pure: no host is asked, and a test takes milliseconds. The action plugin ``plan``
is the door to it.
"""
