"""Declare all tables and views: `tables.csv` has their grain and kind, `columns.csv` their columns.

They are the one source of DDL, polars schemas, comments and the schema page.

Tables of the store stand in the order in which they may be created: a view follows what it reads. Those whose name
begins with `evidence/` are tables of evidence in a plan folder. A column has the role `key` if it is part of the
natural key, and `computed` if the store computes it.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


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


_EVIDENCE = "evidence/"


def _rows(name: str) -> list[list[str]]:
    """Return the rows of a file beside this module, without its heading."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()[1:], strict=True))


def _declared() -> dict[str, Table]:
    columns: dict[str, list[Column]] = defaultdict(list)
    types = {kind.name.lower(): kind for kind in ColumnType}
    for of, name, kind, role, meaning in _rows("columns.csv"):
        columns[of].append(Column(name, types[kind], meaning, role == "key", role == "computed"))
    return {
        name: Table(name.removeprefix(_EVIDENCE), grain, tuple(columns[name]), kind)
        for name, kind, grain in _rows("tables.csv")
    }


_DECLARED = _declared()
TABLES = tuple(one for name, one in _DECLARED.items() if not name.startswith(_EVIDENCE))
EVIDENCE_TABLES = tuple(one for name, one in _DECLARED.items() if name.startswith(_EVIDENCE))

_OF_THE_STORE = ("logged_principal_id", "access", "token_id", "session_id", "event_key")
EVENT_COLUMNS = tuple(one.name for one in _DECLARED["events"].columns if one.name not in _OF_THE_STORE)
"""The columns of an event that every log gives, in the order of the contract; the store has further ones."""

JOB_TABLES = ("jobs", "job_operations", "job_holders")
"""The tables of the jobs of a plan."""

LISTED_MEMBER = "directoryRoles/"
"""The prefix of the id of an assignment from the older listing of roles, `directoryRoles/ROLE/MEMBER`."""


def table(name: str) -> Table:
    """Return the table of that name, or raise KeyError; `evidence/NAME` is a table of evidence."""
    return _DECLARED[name]
