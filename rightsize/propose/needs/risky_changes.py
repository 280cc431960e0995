"""Find the risky changes: a job has them only where most of its workers use them, and a group only for all members.

They give privilege or read secrets (`rules/split_off.csv`), run code as somebody else, or delete (`rules/add_ons.csv`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import polars as pl

from rightsize.propose.core.bitsets import OperationIndex
from rightsize.rules.matching import first_match
from rightsize.rules.operations import split_off
from rightsize.rules.tables import rows_of

RiskKind = Literal["privilege", "code", "secret", "delete"]
RiskyChanges = Mapping[RiskKind, int]
"""The risky changes by kind, as sets of operations; each has the first kind that fits."""
_KINDS: tuple[RiskKind, ...] = ("privilege", "code", "secret", "delete")
_SPLIT: tuple[tuple[RiskKind, str], ...] = (("privilege", "always"), ("secret", "rarely_used"))


def risky_changes(operations: pl.DataFrame, index: OperationIndex) -> dict[RiskKind, int]:
    """Return the risky changes by kind.

    Args:
        operations: The annotated catalogue, as in `Tenant`.
        index: The operations.
    """
    found: dict[RiskKind, int] = dict.fromkeys(_KINDS, 0)
    split = operations.select("plane", "name", split=split_off(operations))
    for kind, word in _SPLIT:
        found[kind] |= index.mask(split.filter(pl.col("split") == word).select("plane", "name").iter_rows())
    frame = index.frame()
    for plane in ("control", "data"):
        rows = [row for row in rows_of("add_ons") if row["plane"] == plane]
        here = frame.filter(pl.col("plane") == plane)
        number = first_match(here["name"], [row["pattern"] for row in rows])
        kinds = pl.Series([row["kind"] for row in rows], dtype=pl.String).gather(number)
        named = here.with_columns(kind=kinds).drop_nulls("kind").group_by("kind").agg("bit")
        for word, bits in named.iter_rows():
            found[cast(RiskKind, word)] |= index.mask_of_bits(bits)
    taken = index.reads
    for kind in _KINDS:
        found[kind] &= ~taken
        taken |= found[kind]
    return found
