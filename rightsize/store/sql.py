"""Small pieces of SQL that several statements share."""

from __future__ import annotations

UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER = "abcdefghijklmnopqrstuvwxyz"


def folded(expression: str) -> str:
    """Return SQL that trims spaces and folds ASCII letters, and only those: the SQL twin of `rbac.text.fold`."""
    return f"translate(trim({expression}), '{UPPER}', '{LOWER}')"


def quoted(name: str) -> str:
    """Return a column's or table's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def named(*names: str) -> str:
    """Return names as a list of columns."""
    return ", ".join(quoted(name) for name in names)
