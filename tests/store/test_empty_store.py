"""The shipped empty store is what the statements make, and a new store is a copy of it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from rightsize.store import connection
from rightsize.store.connection import open_store
from rightsize.store.ddl import SHIPPED, packed, place_empty_store
from rightsize.store.migrations import making_statements
from tests.golden_files import WRITES

_CATALOGUE = (
    "SELECT schema_name, table_name, comment, sql, estimated_size FROM duckdb_tables()",
    "SELECT schema_name, view_name, comment, sql FROM duckdb_views() WHERE NOT internal",
    "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal",
    "SELECT name, CASE name WHEN 'content_revision' THEN '' ELSE value END FROM base.meta",
)


def _content(path: Path) -> list[list[tuple[object, ...]]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return [sorted(con.execute(one).fetchall(), key=repr) for one in _CATALOGUE]


def _made_by_statements(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr(connection, "place_empty_store", lambda *_: False)
        open_store(path, read_only=False).close()
    return path


def test_the_shipped_store_is_of_todays_statements(tmp_path: Path) -> None:
    """`RIGHTSIZE_WRITE_GOLDEN=1` makes it anew after a change of the schema."""
    if WRITES:
        with duckdb.connect(str(tmp_path / "store")) as con:
            con.execute(";\n".join(("BEGIN", *making_statements(), "COMMIT")))
        SHIPPED.write_bytes(packed(making_statements(), tmp_path / "store"))
    assert place_empty_store(tmp_path / "new", making_statements())


@pytest.mark.slow
def test_a_copied_store_is_what_the_statements_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, views, texts, comments and version are equal, and each store has a revision of its own."""
    open_store(tmp_path / "copied.duckdb", read_only=False).close()
    made = _made_by_statements(tmp_path / "made.duckdb", monkeypatch)
    assert _content(tmp_path / "copied.duckdb") == _content(made)


def test_a_store_of_other_statements_is_no_copy(tmp_path: Path) -> None:
    """A developer who changes the schema gets the store of the changed statements."""
    assert not place_empty_store(tmp_path / "new", [*making_statements(), "CREATE TABLE base.more (name VARCHAR)"])
    assert list(tmp_path.iterdir()) == []


def test_a_copy_never_replaces_a_file(tmp_path: Path) -> None:
    """Another process may have made a store in the meantime."""
    (tmp_path / "new").write_bytes(b"theirs")
    assert not place_empty_store(tmp_path / "new", making_statements())
    assert (tmp_path / "new").read_bytes() == b"theirs"
    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_without_links_there_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system has no links, the statements make the store."""

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("rightsize.store.ddl.os.link", refuse)
    assert not place_empty_store(tmp_path / "new", making_statements())
    assert list(tmp_path.iterdir()) == []
