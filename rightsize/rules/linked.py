"""Linked checks: which operations Azure checks inside which writes, from the rule file `linked_checks`.

An operation is of one of two kinds. Some are only ever checked inside other writes (`subnets/join/action`), so no log
names them. Others are called by themselves too (`storageAccounts/listKeys/action`), and logged then; inside a write
they are checked all the same, and no log shows that.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from rightsize.rules.matching import first_match, folded, matches, matching_pairs
from rightsize.rules.tables import Row, rows_of

_LINKED_CHECK = "linked_check"


def linked_writes(checked: str) -> tuple[str, ...]:
    """Return the patterns of the writes inside which an operation is checked; none for most operations.

    Of an operation that is only ever checked inside other writes it is any write, where no rule names one.
    """
    return _writes_of("linked_checks", checked) or (("*/write",) if _is_never_called(checked) else ())


def linkless_writes(checked: str) -> tuple[str, ...]:
    """Return the patterns of writes that can reference nothing for which an operation is checked."""
    return _writes_of("linkless_writes", checked)


def callable_checks() -> tuple[str, ...]:
    """Return the patterns of the operations that are checked inside writes, and called by themselves too."""
    return tuple(dict.fromkeys(row["checked"] for row in _callable_rows()))


def causes_of_callable_checks() -> tuple[str, ...]:
    """Return the patterns of the writes inside which `callable_checks` are checked."""
    return tuple(dict.fromkeys(row["write"] for row in _callable_rows()))


def linked_pairs(checked: pl.Series, writes: pl.Series) -> pl.DataFrame:
    """Return `(checked, write)`: which of some operations is checked inside which of some writes, all folded.

    Operations that are never called by themselves are not in the answer.
    """
    rows = pl.DataFrame(_callable_rows()).select("checked", "write")
    sides = {"checked": checked.unique(), "write": writes.unique()}
    for side, names in sides.items():
        found = matching_pairs(names, rows[side].unique().sort())
        rows = rows.join(found, left_on=side, right_on="pattern").drop(side).rename({"name": side})
    return rows.select("checked", "write").unique().sort("checked", "write")


@cache
def _callable_rows() -> tuple[Row, ...]:
    return tuple(row for row in rows_of("linked_checks") if not _is_never_called(row["checked"]))


def _writes_of(rules: str, checked: str) -> tuple[str, ...]:
    names = pl.DataFrame({"name": folded(pl.Series([checked]))})
    rows = [row for row in rows_of(rules) if names.select(matches(pl.col("name"), row["checked"])).item()]
    return tuple(row["write"] for row in rows)


@cache
def _is_never_called(operation: str) -> bool:
    rows = [row for row in rows_of("observability") if row["plane"] == "control"]
    index = first_match(folded(pl.Series([operation])), [row["pattern"] for row in rows]).item()
    return index is not None and rows[index]["reason"] == _LINKED_CHECK
