"""Read the declarations of all tables and views: `tables.csv` has their grain and kind, `columns.csv` their columns.

Tables of the store stand in the order in which they may be created: a view follows what it reads. Those whose name
begins with `evidence/` are tables of evidence in a plan folder. A column has the role `key` if it is part of the
natural key, and `computed` if the store computes it.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from rightsize.model.schema import Column, ColumnType, Table

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
