"""Refuse a store into which nothing was loaded."""

from __future__ import annotations

from rightsize.model.errors import InputError
from rightsize.store.connection import Store

_TABLES = ("role_assignments", "principals", "operations", "usage_days")
"""The tables that also hold rows where no load is noted, as in a store that was made by hand."""


def require_content(store: Store) -> None:
    """Raise InputError where nothing was ever loaded.

    Raises:
        InputError: The store is empty.
    """
    if not any(store.has_rows(name) for name in ("loads", *_TABLES)):
        raise InputError(
            "nothing is loaded into this store",
            hint="`rightsize load PATH…` reads exports, `rightsize demo` makes a sample; `--db` names another store",
        )
