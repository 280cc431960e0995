"""The schema page, the comments in the store and the declared schema agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rightsize.model.tables import TABLES
from rightsize.store.connection import open_store
from rightsize.store.ddl import write_schema_page


def test_every_table_is_listed_once_by_its_kind() -> None:
    head, _, _ = write_schema_page().partition("\n## ")
    assert sorted(re.findall(r"\[`(\w+)`\]", head)) == sorted(table.name for table in TABLES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_every_column_stands_on_the_page(table: object) -> None:
    """Each table has a section with each of its columns, keys marked, in one line of a table."""
    section = write_schema_page().split(f"\n## {table.name}\n")[1].split("\n## ")[0]  # type: ignore[attr-defined]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "`" in line.split("|")[1]]
    assert len(rows) == len(table.columns)  # type: ignore[attr-defined]
    for row, column in zip(rows, table.columns, strict=True):  # type: ignore[attr-defined]
        assert row.split("|")[1].strip() == (f"**`{column.name}`**" if column.key else f"`{column.name}`")


@pytest.mark.slow
def test_the_store_has_what_the_page_says(tmp_path: Path) -> None:
    """A new store shows every table of the page to `sql`, with its columns in order."""
    with open_store(tmp_path / "s.duckdb", read_only=False) as store:
        for table in TABLES:
            described = store.connection.execute(f"DESCRIBE main.{table.name}").fetchall()
            assert [(row[0], row[1]) for row in described] == [(c.name, c.type.value) for c in table.columns]
