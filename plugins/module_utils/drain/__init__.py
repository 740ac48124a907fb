# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts taken out of the sites that nginx balances, and put back."""
