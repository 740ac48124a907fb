# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An app taken away from a host: its units, its files, its user."""
