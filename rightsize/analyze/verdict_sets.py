"""Name the distinct sets of operations behind counted verdicts, each by a hash of its content.

A tenant has billions of (assignment, operation) pairs and few distinct sets of operations that are judged alike. So
each set is listed once, and a counted row names its set. An operation that has a row of its own is not counted in the
counted row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import polars as pl

from rightsize.analyze.inputs import schema_of

SETS_SCHEMA = schema_of("verdict_operation_sets")
_PARTS = ("one", "two", "three", "four")


def name_sets(judged: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(*key, set_id)` of the groups of operations, and the rows of `verdict_operation_sets`.

    The name of a set is a hash of its operations and their planes, in whatever order and wherever they are judged.

    Args:
        judged: Columns `operation`, `plane` and those of the key, each operation once a group.
        key: The columns that identify a group.
    """
    hashed = _hashed(judged.select("operation", "plane").unique())
    sums = [pl.col(part).sum() for part in _PARTS]
    groups = (
        judged.lazy().join(hashed.lazy(), on=["operation", "plane"]).group_by(key).agg(*sums, size=pl.len()).collect()
    )
    distinct = groups.select(*_PARTS, "size").unique()
    named = distinct.with_columns(set_id=pl.Series([_name(*row) for row in distinct.iter_rows()], dtype=pl.String))
    named_groups = groups.join(named, on=[*_PARTS, "size"]).select(*key, "set_id")
    first = named_groups.sort(*key).unique("set_id", keep="first", maintain_order=True)
    rows = judged.lazy().join(first.lazy(), on=list(key)).select(*SETS_SCHEMA).collect()
    return named_groups, rows.sort("set_id", "plane", "operation")


def _hashed(operations: pl.DataFrame) -> pl.DataFrame:
    """Return the operations with four numbers of 32 bits each, which add up without an overflow."""
    texts = (f"{plane} {name}".encode() for name, plane in operations.iter_rows())
    digests = [hashlib.sha256(text).digest() for text in texts]
    numbers = {
        part: pl.Series([int.from_bytes(one[4 * at : 4 * at + 4]) for one in digests], dtype=pl.UInt64)
        for at, part in enumerate(_PARTS)
    }
    return operations.with_columns(**numbers)


def _name(*numbers: int) -> str:
    return hashlib.sha256(" ".join(map(str, numbers)).encode()).hexdigest()[:16]
