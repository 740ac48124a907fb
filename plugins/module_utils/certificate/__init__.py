# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of sites on the host that serves them.

The module certificate uses this package, and copies it to the host (``shipped``), where systemd
and certbot run it (``program``) without Ansible. So what ``program`` imports, imports nothing of
Ansible.

A site's directory has ``live``, a link to the version that is served. A version is a certificate
and its key, never changed once written, so that one rename brings both.
"""
