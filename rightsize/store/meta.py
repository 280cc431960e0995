"""Read and set the values of the table `base.meta`: a name and a text each."""

from __future__ import annotations

import duckdb


def meta_of(con: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """Return the value of a name, or None."""
    found = con.execute("SELECT value FROM base.meta WHERE name = ?", [name]).fetchall()
    return str(found[0][0]) if found else None


def set_meta(con: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Set the value of a name, inside the transaction of the caller."""
    con.execute("DELETE FROM base.meta WHERE name = ?", [name])
    con.execute("INSERT INTO base.meta VALUES (?, ?)", [name, value])
