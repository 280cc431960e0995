"""Mark each change of what an analysis reads with a random revision, so that a stored analysis is known to be older.

The revision is in the table `meta`, outside digests, plans and views: two stores of equal content have different ones.
"""

from __future__ import annotations

import secrets

import duckdb

from rightsize.store.meta import set_meta

CONTENT_REVISION = "content_revision"
"""Its name in the table `meta`."""


def new_revision() -> str:
    """Return a random revision."""
    return secrets.token_hex(16)


def change_revision(con: duckdb.DuckDBPyConnection) -> None:
    """Give the content a new revision, inside the transaction that changes it."""
    set_meta(con, CONTENT_REVISION, new_revision())
