"""Read which recommendations of other tools are about the use of access, by their key or their title."""

from __future__ import annotations

from fnmatch import fnmatchcase

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of


def says_of(key: str, title: str) -> str | None:
    """Return `overprovisioned` or `inactive` for a recommendation about identities, None for another one."""
    for row in rows_of("tool_recommendations"):
        if (row["key"] and row["key"] == fold(key)) or fnmatchcase(fold(title), row["title"]):
            return row["says"]
    return None
