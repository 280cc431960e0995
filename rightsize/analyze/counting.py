"""Count the distinct operations of each verdict over sets of profiles, and name the sets behind the counts.

Principals with the same profiles at the same reach are one set and are counted once. A few profiles are wide (Owner,
Reader), most are narrow. Wide profiles are counted by classes: operations that all wide profiles judge alike. The
operations of narrow profiles are then compared with these one by one.

A tenant has billions of (assignment, operation) pairs and few distinct sets of operations that are judged alike. So
each set is listed once, and a counted row names its set. An operation that has a row of its own is not counted in the
counted row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import RBAC_PLANES, folded, place_of, schema_of
from rightsize.analyze.reasons import Verdict
from rightsize.model.plan import AZURE_ROLES

# Best first: the best verdict counts for an operation that several assignments grant.
RANK = {Verdict.OUT_OF_COVERAGE.value: 3, Verdict.UNOBSERVABLE.value: 2, Verdict.UNUSED.value: 1}
# A profile with more operations is wide; bounds the work, does not change the result.
WIDE_PROFILE = 500
# Rows of narrow operations that are counted together; bounds memory, does not change the result.
BATCH_ROWS = 500_000
_PAIRED = 1 << 32


@dataclass(frozen=True, slots=True)
class Judgements:
    """The verdicts of profiles, as numbers.

    Attributes:
        operations: `(op, name, plane, weight, class)`; the class is null where no wide profile grants the operation.
        narrow: `(profile_id, op, rank)` of the narrow profiles.
        wide: `(profile_id, class, rank)` of the wide ones.
    """

    operations: pl.DataFrame
    narrow: pl.DataFrame
    wide: pl.DataFrame


def read_judgements(profile_operations: pl.DataFrame, weights: pl.DataFrame) -> Judgements:
    """Number the operations of profiles.

    Args:
        profile_operations: `(profile_id, operation, plane, verdict)`.
        weights: `(operation, name, weight)`.
    """
    operations = (
        profile_operations.select("operation", "plane")
        .unique()
        .join(weights, on="operation")
        .sort("plane", "name")
        .with_row_index("op")
    )
    judged = profile_operations.join(operations, on=["operation", "plane"]).select(
        "profile_id", "op", rank=pl.col("verdict").replace_strict(RANK, return_dtype=pl.Int64)
    )
    is_wide = pl.len().over("profile_id") > WIDE_PROFILE
    wide = judged.filter(is_wide).sort("op", "profile_id")
    signatures = (
        wide.group_by("op", maintain_order=True)
        .agg(signature=(pl.col("profile_id") * 4 + pl.col("rank")).cast(pl.String).str.join(","))
        .join(operations.select("op", "plane", "weight"), on="op", maintain_order="left")
        .with_columns(pl.struct("plane", "weight", "signature").rank("dense").cast(pl.Int64).alias("class"))
    )
    operations = operations.join(signatures.select("op", "class"), on="op", how="left", maintain_order="left")
    return Judgements(
        operations=operations.select("op", "name", "plane", "weight", "class"),
        narrow=judged.filter(~is_wide),
        wide=wide.join(signatures.select("op", "class"), on="op").select("profile_id", "class", "rank").unique(),
    )


def count_sets(judgements: Judgements, sets: pl.DataFrame) -> pl.DataFrame:
    """Return `(set, plane)` with the number of operations of each verdict and their `mass`, as if nothing were used.

    The mass of an operation is its weight times the greatest reach at which it is granted.

    Args:
        judgements: The verdicts of profiles.
        sets: `(set, profile_id, reach)`.
    """
    said = _said_by_wide(judgements, sets)
    sizes = judgements.operations.group_by("class", "plane", "weight").agg(size=pl.len().cast(pl.Int64))
    by_class = said.join(sizes, on="class").with_columns(was=pl.lit(0, pl.Int64), held=pl.lit(0, pl.Int64))
    counts = [_summed(by_class)]
    rows = judgements.narrow.group_by("profile_id").agg(rows=pl.len().cast(pl.Int64))
    costs = sets.join(rows, on="profile_id").group_by("set").agg(pl.col("rows").sum()).sort("set")
    batches = costs.with_columns(batch=pl.col("rows").cum_sum() // BATCH_ROWS)
    for part in batches.partition_by("batch"):
        narrow = _said_by_narrow(judgements, sets.join(part, on="set", how="semi"))
        counts.append(_summed(_against_wide(judgements, narrow, said)))
    total = pl.concat(counts).group_by("set", "plane").agg(pl.all().sum())
    return total.sort("set", "plane")


def look_up(judgements: Judgements, sets: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Return `(set, op, rank, reach)` of the wanted `(set, op)` that some profile of the set grants."""
    narrow = (
        wanted.join(sets, on="set")
        .join(judgements.narrow, on=["profile_id", "op"])
        .select("set", "op", "rank", "reach")
    )
    classes = judgements.operations.select("op", "class").drop_nulls()
    wide = (
        wanted.join(classes, on="op")
        .join(_said_by_wide(judgements, sets), on=["set", "class"])
        .select("set", "op", "rank", "reach")
    )
    return pl.concat([narrow, wide]).group_by("set", "op").agg(pl.col("rank").max(), pl.col("reach").max())


def _said_by_wide(judgements: Judgements, sets: pl.DataFrame) -> pl.DataFrame:
    return (
        sets.join(judgements.wide, on="profile_id")
        .group_by("set", "class")
        .agg(pl.col("rank").max(), pl.col("reach").max())
    )


def _said_by_narrow(judgements: Judgements, sets: pl.DataFrame) -> pl.DataFrame:
    # Two numbers in one: grouping by one column takes half of the time.
    both = pl.col("set").cast(pl.UInt64) * _PAIRED + pl.col("op").cast(pl.UInt64)
    return (
        sets.join(judgements.narrow, on="profile_id")
        .group_by(pair=both)
        .agg(pl.col("rank").max(), pl.col("reach").max())
        .select(
            set=(pl.col("pair") // _PAIRED).cast(sets.schema["set"]),
            op=(pl.col("pair") % _PAIRED).cast(judgements.narrow.schema["op"]),
            rank="rank",
            reach="reach",
        )
    )


def _against_wide(judgements: Judgements, narrow: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return narrow operations with the rank and reach that the wide profiles of their set give them already."""
    before = said.rename({"rank": "was", "reach": "held"})
    return (
        narrow.join(judgements.operations.select("op", "plane", "weight", "class"), on="op")
        .join(before, on=["set", "class"], how="left")
        .with_columns(pl.col("was").fill_null(0), pl.col("held").fill_null(0))
        .with_columns(
            rank=pl.max_horizontal("rank", "was"), reach=pl.max_horizontal("reach", "held"), size=pl.lit(1, pl.Int64)
        )
    )


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Sum rows of `size` operations that had rank `was` and reach `held`, and now have `rank` and `reach`."""
    size = pl.col("size")
    counts = {
        name: size.filter(pl.col("rank") == rank).sum() - size.filter(pl.col("was") == rank).sum()
        for name, rank in RANK.items()
    }
    gained = size * pl.col("weight") * (pl.col("reach") - pl.col("held"))
    return rows.group_by("set", "plane").agg(**counts, mass=gained.sum())


def count_verdicts(verdicts: pl.DataFrame) -> dict[str, int]:
    """Return the number of granted operations over all assignments, the number by verdict, and the unexplained ones.

    A used operation counts once for each assignment. `granted` is the sum of the four verdicts on it.

    Args:
        verdicts: As the table `verdicts`, of planes whose counts have one unit.
    """
    used = verdicts.filter(pl.col("verdict") == Verdict.USED)
    single = used.select("role_assignment_id", "state", "plane", "operation").unique()
    single = single.with_columns(folded(single["operation"])).unique()
    counted = verdicts.filter(~pl.col("verdict").is_in([Verdict.USED, Verdict.UNEXPLAINED]))
    counts = {verdict.value: 0 for verdict in Verdict}
    counts |= dict(counted.group_by("verdict").agg(pl.col("operations").sum()).drop_nulls().iter_rows())
    counts[Verdict.USED.value] = single.height
    granted = sum(counts.values())
    counts[Verdict.UNEXPLAINED.value] = count_unexplained(verdicts)
    return {"granted": granted} | counts


def unexplained_operations() -> pl.Expr:
    """Return the number of unexplained operations in the rows of one principal: distinct by plane, operation and scope.

    A row that names no operation stands for `operations` of them.
    """
    is_named = pl.col("operation").is_not_null()
    operation = pl.struct("plane", folded(pl.col("operation")), place_of(pl.col("scope")))
    return operation.filter(is_named).n_unique().cast(pl.Int64) + pl.col("operations").filter(~is_named).sum()


def count_unexplained(verdicts: pl.DataFrame) -> int:
    """Return the number of unexplained operations of all principals."""
    rows = verdicts.filter(pl.col("verdict") == Verdict.UNEXPLAINED)
    return int(rows.group_by("principal_id").agg(number=unexplained_operations())["number"].sum())


def count_unexplained_by_plane(verdicts: pl.DataFrame) -> dict[str, int]:
    """Return the number of unexplained operations of Azure roles, then of each plane beyond them that has some."""
    beyond = sorted(set(verdicts["plane"].drop_nulls()) - set(RBAC_PLANES))
    parts = {AZURE_ROLES: list(RBAC_PLANES), **{plane: [plane] for plane in beyond}}
    counts = {name: count_unexplained(verdicts.filter(pl.col("plane").is_in(of))) for name, of in parts.items()}
    return {name: number for name, number in counts.items() if number}


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
