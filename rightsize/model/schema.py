"""Define what a table and a column declare: the one source of DDL, polars schemas, comments and the schema page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ColumnType(Enum):
    """The types that columns have; the value is the DuckDB spelling. Times are UTC without an offset."""

    TEXT = "VARCHAR"
    TEXTS = "VARCHAR[]"
    BOOL = "BOOLEAN"
    INT = "BIGINT"
    REAL = "DOUBLE"
    TIME = "TIMESTAMP"
    DAY = "DATE"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type, its meaning, and whether it is part of the natural key.

    The store computes a `computed` column itself: neither exports nor analyses have it.
    """

    name: str
    type: ColumnType
    comment: str
    key: bool = False
    computed: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view that SQL users see.

    `derived` tables are recomputed from others at the end of a load; `answer` tables are written by `analyze`,
    `propose` and `check`; `loaded` tables hold the content of exports.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    kind: str = "loaded"  # loaded | derived | answer | view

    @property
    def key(self) -> tuple[str, ...]:
        """Return the names of the columns that identify a row."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def given(self) -> tuple[Column, ...]:
        """Return the columns that exports or analyses give, without those that the store computes."""
        return tuple(column for column in self.columns if not column.computed)

    @property
    def read(self) -> tuple[Column, ...]:
        """Return the columns that analyses read: of an answer those that an analysis gave."""
        return self.given if self.kind == "answer" else self.columns

    def column(self, name: str) -> Column:
        """Return the column of that name, or raise KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")
