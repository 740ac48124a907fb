# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files of a program, written together after the program has accepted them."""
