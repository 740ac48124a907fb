# Copyright: The flaskops.stack authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module status found on all hosts, as rows and as a table for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

#: Columns of the table and what stands in them.
COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "HOST": lambda row: str(row["host"]),
    "APP": lambda row: str(row.get("name") or ""),
    "STATE": lambda row: str(row["state"]),
    "GEN": lambda row: str(row.get("generation") or ""),
    "RELEASE": lambda row: str(row.get("release") or ""),
    "REVISION": lambda row: str(row.get("revision") or "")[:REVISION_SHOWN],
    "SERVER": lambda row: f"{row.get('server') or ''} {row.get('server_version') or ''}".strip(),
    "WORKERS": lambda row: str(row.get("workers") or ""),
    "UPTIME": lambda row: duration(row["uptime"]) if row.get("uptime") else "",
    "MEMORY": lambda row: size(row["memory"]) if row.get("memory") else "",
    "DEPLOYED": lambda row: moment(row.get("deployed") or ""),
    "ROLLBACK": lambda row: target(row.get("rollback") or {}),
}
#: Where a certificate came from.
SOURCES = {
    "acme": "by ACME",
    "files": "as given",
    "self_signed": "self-signed",
    "bootstrap": "self-signed until the first is issued",
    "lost": "lost",
}
#: As many characters of a revision as git shows.
REVISION_SHOWN = 7
NOTHING = "-"
GAP = "  "
UNITS = ("B", "kB", "MB", "GB", "TB")
PARTS = ((86400, "d"), (3600, "h"), (60, "min"))
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def duration(seconds: float) -> str:
    """Seconds in the two largest units from minutes on: 3 d 4 h, 5 h 10 min, 14 min, 50 s."""
    left = int(seconds)
    if left < PARTS[-1][0]:
        return f"{left} s"
    parts: list[str] = []
    for length, unit in PARTS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def size(count: float) -> str:
    """Bytes in a unit that leaves at most three digits before the point: 81 MB."""
    amount = float(count)
    for unit in UNITS[:-1]:
        if round(amount) < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} {UNITS[-1]}"


def moment(text: str) -> str:
    """A time as `ls -l` shows it, in UTC: 23 Nov 01:22, or 23 Nov 2025 in another year."""
    if not text:
        return ""
    when = time.strptime(text, TIME_FORMAT)
    day = f"{when.tm_mday} {MONTHS[when.tm_mon - 1]}"
    if when.tm_year != time.gmtime().tm_year:
        return f"{day} {when.tm_year}"
    return f"{day} {when.tm_hour:02}:{when.tm_min:02}"


def target(rollback: Mapping[str, Any]) -> str:
    """A generation and, where it is known, its revision: 6 9c0b1ae."""
    if not rollback:
        return ""
    return f"{rollback['generation']} {rollback['revision'][:REVISION_SHOWN]}".strip()


def status_rows(results: Any) -> list[dict[str, Any]]:
    """One row a host and app from the results of the module status by host.

    A host that could not be asked, or that has no app, has a row that says so.
    """
    if not isinstance(results, Mapping):
        raise AnsibleFilterError(
            f"status_rows: results are a dict by host, found {type(results).__name__}"
        )
    rows: list[dict[str, Any]] = []
    for host, result in results.items():
        said = str(result.get("msg") or "").strip().splitlines() or [""]
        if result.get("unreachable"):
            rows.append({"host": host, "state": "unreachable", "problems": [said[0]]})
        elif "apps" not in result:
            rows.append({"host": host, "state": "unknown", "problems": [said[0]]})
        elif not result["apps"]:
            rows.append({"host": host, "state": "no apps", "problems": []})
        rows += [{"host": host, **app} for app in result.get("apps") or []]
        # With the host's first row: there is one a host in any case.
        first = next(row for row in rows if row["host"] == host)
        first["problems"] = [*first["problems"], *(result.get("problems") or [])]
        first["certificates"] = list(result.get("certificates") or [])
        first["pages"] = list(result.get("pages") or [])
    return rows


def status_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines for people: a table, then a line a problem, and what runs beside the servers."""
    cells = [[cell(row) or NOTHING for cell in COLUMNS.values()] for row in rows]
    table = [list(COLUMNS), *cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    told = [f"{row['host']}: {text}" for row in rows for text in row["problems"]]
    certificates = [
        f"{row['host']}: certificate {one['name']}, {SOURCES[one['source']]}, {end(one)}"
        for row in rows
        for one in row.get("certificates") or []
    ]
    pages = [
        f"{row['host']}: {one['site']} answered {one['kept'] * 100 // one['asked']} % of its "
        f"latest {one['asked']} requests for cached pages from the cache"
        for row in rows
        for one in row.get("pages") or []
    ]
    beside = [
        f"{row['host']}: {row['name']} runs "
        + ", ".join(f"{one['unit']} ({one['state']})" for one in row["companions"])
        for row in rows
        if row.get("companions")
    ]
    return lines + told + beside + certificates + pages


def end(certificate: Mapping[str, Any]) -> str:
    """When a certificate ends."""
    days = certificate["days_left"]
    return f"ends in {days} days" if days >= 0 else "has ended: run site.yml"


class FilterModule:
    """Filters of flaskops.stack for playbooks/status.yml."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"status_rows": status_rows, "status_table": status_table}
