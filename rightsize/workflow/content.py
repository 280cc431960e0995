"""Refuse a store into which nothing was loaded."""

from __future__ import annotations

from rightsize.model.errors import InputError
from rightsize.store.connection import Store

_TABLES = ("loads", "role_assignments", "principals", "operations", "base.usage_days")


def require_content(store: Store) -> None:
    """Raise InputError where nothing was ever loaded.

    Raises:
        InputError: The store is empty.
    """
    found = " OR ".join(f"EXISTS (SELECT 1 FROM {name})" for name in _TABLES)
    if not store.frame(f"SELECT {found} AS found")["found"].item():
        raise InputError(
            "nothing is loaded into this store",
            hint="`rightsize load PATH…` reads exports, `rightsize demo` makes a sample; `--db` names another store",
        )
