# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site of nginx on a host: its files, as this build of nginx takes them, and its pages."""
