# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units that keep certificates on a host."""

from __future__ import annotations

from ansible_collections.flaskops.stack.plugins.module_utils.certificate.shipped import PROGRAM

MANAGED = "# Written by flaskops.stack.\n"
RUN_PROGRAM = f"/usr/bin/python3 {PROGRAM}"

#: Before nginx starts there is a certificate, whatever was lost.
ENSURE = f"""{MANAGED}[Unit]
Description=Certificates that nginx starts with
Before=nginx.service

[Service]
Type=oneshot
ExecStart={RUN_PROGRAM} ensure
SyslogIdentifier=flaskops-tls

[Install]
WantedBy=nginx.service
"""
FETCH = f"""{MANAGED}[Unit]
Description=Certificates from the host that issues them
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={RUN_PROGRAM} fetch
SyslogIdentifier=flaskops-tls
"""
FETCH_TIMER = f"""{MANAGED}[Unit]
Description=Certificates from the host that issues them, every hour

[Timer]
OnCalendar=hourly
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target
"""
CERTBOT = f"""{MANAGED}# Says what failed in one line, and trusts private ACME servers.
[Service]
ExecStart=
ExecStart={RUN_PROGRAM} renew
SyslogIdentifier=flaskops-tls
"""
ENSURE_UNIT = "flaskops-tls.service"
FETCH_UNIT = "flaskops-tls-fetch.service"
FETCH_TIMER_UNIT = "flaskops-tls-fetch.timer"
CERTBOT_DROPIN = "certbot.service.d/flaskops.conf"
CERTBOT_TIMER = "certbot.timer"
#: Every file that the units are in.
FILES = (ENSURE_UNIT, FETCH_UNIT, FETCH_TIMER_UNIT, CERTBOT_DROPIN)
