"""Find the operations that Azure checks inside other writes (linked checks), from the rule file `linked_checks`.

There are two kinds of such operations. Some are only checked inside other writes (`subnets/join/action`), so no log
names them. Others are also called directly (`storageAccounts/listKeys/action`), and logged then. Inside a write they
are checked as well, and no log shows that.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from rightsize.rbac.patterns import parse_pattern
from rightsize.rbac.text import Folded, fold
from rightsize.rules.matching import first_match, folded, matching_pairs
from rightsize.rules.tables import Row, rows_of

_LINKED_CHECK = "linked_check"
_ALL_TYPES = "*/write"


def linked_writes(checked: str) -> tuple[str, ...]:
    """Return the patterns of the writes inside which an operation is checked, by the rules; empty for most."""
    return _writes_of("linked_checks", checked)


def names_a_write(pattern: str) -> bool:
    """Return whether a pattern of writes names a type, and not all types of a provider, or below a type."""
    return not pattern.endswith(_ALL_TYPES)


def linkless_writes(checked: str) -> tuple[str, ...]:
    """Return the patterns of writes that cannot reference an object for which an operation is checked."""
    return _writes_of("linkless_writes", checked)


@cache
def named_writes() -> frozenset[Folded]:
    """Return the folded writes that a rule on linked checks names: Resource Manager sees them, whatever else does."""
    return frozenset(fold(row["write"]) for row in rows_of("linked_checks") if "*" not in row["write"])


def callable_checks() -> tuple[str, ...]:
    """Return the patterns of the operations that are checked inside writes and also called directly."""
    return tuple(dict.fromkeys(row["checked"] for row in _callable_rows()))


def causes_of_callable_checks() -> tuple[str, ...]:
    """Return the patterns of the writes inside which `callable_checks` are checked."""
    return tuple(dict.fromkeys(row["write"] for row in _callable_rows()))


def linked_pairs(checked: pl.Series, writes: pl.Series) -> pl.DataFrame:
    """Return `(checked, write)` for each given operation that is checked inside a given write, all folded.

    Operations that are never called directly are left out.
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


@cache
def _writes_of(rules: str, checked: str) -> tuple[str, ...]:
    # One name at a time: building a frame for each of hundreds of patterns costs far more than the matching.
    name = fold(checked)
    return tuple(row["write"] for row in rows_of(rules) if parse_pattern(row["checked"]).matches(name))


@cache
def _is_never_called(operation: str) -> bool:
    rows = [row for row in rows_of("observability") if row["plane"] == "control"]
    index = first_match(folded(pl.Series([operation])), [row["pattern"] for row in rows]).item()
    return index is not None and rows[index]["reason"] == _LINKED_CHECK
