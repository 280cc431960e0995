"""Build the frames that every plane has (verdicts, counts, scores, refusals) for directory roles."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.directory.tables import DirectoryTables
from rightsize.analyze.planes import ASSIGNMENTS_SCHEMA, DENIED_SCHEMA, PRINCIPALS_SCHEMA
from rightsize.analyze.reasons import OutOfCoverage, Unused, Verdict
from rightsize.analyze.verdicts import VERDICTS_SCHEMA

# The mass of Global Administrator, which scores 100, and how fast the score rises; as for Azure roles.
_FULL_MASS = 9_000
_RISE = 0.3
_IN_UNIT = 4
_COUNTED = ("used", "unused", "unobservable", "out_of_coverage")


def counted_actions(judged: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    """Return the spelling of the actions that verdicts only count."""
    singly = (Verdict.USED.value, OutOfCoverage.USED_BEFORE_WINDOW.value)
    rest = judged.filter(~pl.col("verdict").is_in(singly) & ~pl.col("reason").is_in(singly))
    named = tables.actions.select("name", operation="action", plane=pl.lit("directory"))
    return rest.join(named, on="name").drop("name")


def verdict_rows(
    judged: pl.DataFrame,
    used: pl.DataFrame,
    before: pl.DataFrame,
    left: pl.DataFrame,
    groups: pl.DataFrame,
    tables: DirectoryTables,
    covered: int,
) -> pl.DataFrame:
    """Return the rows of the table `verdicts`.

    Args:
        judged: `(a, name, verdict, reason)`: the verdict of each action that an assignment grants.
        used: Use in the window, with the assignment that it is credited to.
        before: Use before it that still counts, likewise.
        left: Use that no role explains, with `reason`.
        groups: `(a, verdict, reason, set_id)` of the actions that are only counted.
        tables: The tables.
        covered: The number of days of the window that the audit log covers.
    """
    in_part = pl.col("reason") == Unused.COVERED_IN_PART.value
    about = tables.assignments.select("a", "role_assignment_id", "state", holder="principal_id", held_at="scope")
    single = used.join(about, on="a").with_columns(
        principal_id=pl.coalesce("principal_id", "principal_name"),
        verdict=pl.lit(Verdict.USED.value),
        operations=pl.lit(1, dtype=pl.Int64),
    )
    single = single.unique(["a", "principal_id", "name", "place"], keep="first", maintain_order=True)
    was_used = pl.col("reason") == OutOfCoverage.USED_BEFORE_WINDOW.value
    earlier = (
        judged.filter(was_used)
        .join(before.drop("name", "reason"), left_on=["a", "name"], right_on=["a", "way"])
        .group_by("a", "name", "verdict", "reason")
        .agg(
            pl.col("events").sum(),
            pl.col("days", "last_seen").max(),
            pl.col("first_seen").min(),
        )
        .join(tables.actions.select("name", operation="action"), on="name")
        .join(about, on="a")
        .with_columns(principal_id="holder", scope="held_at", operations=pl.lit(1, dtype=pl.Int64))
    )
    counted = (
        judged.filter((pl.col("verdict") != Verdict.USED.value) & ~was_used)
        .group_by("a", "verdict", "reason")
        .agg(operations=pl.len().cast(pl.Int64))
        .join(groups, on=["a", "verdict", "reason"], how="left")
        .join(about, on="a")
        .with_columns(principal_id="holder", scope="held_at", covered_days=pl.when(in_part).then(covered))
    )
    unknown = tables.assignments.filter(~pl.col("role_known")).with_columns(
        verdict=pl.lit(Verdict.OUT_OF_COVERAGE.value), reason=pl.lit(OutOfCoverage.ROLE_DEFINITION_MISSING.value)
    )
    strange = left.with_columns(
        principal_id=pl.coalesce("principal_id", "principal_name"),
        verdict=pl.lit(Verdict.UNEXPLAINED.value),
        operations=pl.lit(1, dtype=pl.Int64),
    )
    return pl.concat([_declared(frame) for frame in (single, earlier, counted, unknown, strange)])


def _declared(frame: pl.DataFrame) -> pl.DataFrame:
    rows = frame.with_columns(plane=pl.lit("directory"))
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in VERDICTS_SCHEMA.items()
    )


def _magnitude(mass: pl.Expr) -> pl.Expr:
    return (mass.cast(pl.Float64) / _FULL_MASS).pow(_RISE).clip(0.0, 1.0)


def _scored(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Count and score `(by, name, verdict, earlier, mass)`; `earlier` use is no excess."""
    counts = {word: (pl.col("verdict") == word).sum().cast(pl.Int64) for word in _COUNTED}
    is_used = (pl.col("verdict") == Verdict.USED.value) | pl.col("earlier")
    table = rows.group_by(by).agg(
        **counts,
        granted=pl.len().cast(pl.Int64),
        mass=pl.col("mass").sum(),
        excess=pl.col("mass").filter(~is_used).sum(),
    )
    share = (pl.col("excess") / pl.col("mass")).fill_nan(0.0)
    return table.with_columns(
        creep=(100 * share * _magnitude(pl.col("excess"))).round(1), risk=(100 * _magnitude(pl.col("mass"))).round(1)
    )


def _weighed(judged: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    places = tables.assignments.select("a", "place", holder="principal_id")
    reach = pl.when(pl.col("place") == "/").then(_IN_UNIT).otherwise(1)
    return (
        judged.join(tables.actions.select("name", "weight"), on="name")
        .join(places, on="a")
        .with_columns(
            mass=pl.col("weight") * reach / _IN_UNIT,
            earlier=pl.col("reason") == OutOfCoverage.USED_BEFORE_WINDOW.value,
        )
    )


def principal_rows(judged: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    """Return one row for each principal that a role reaches; of several verdicts on an action the best counts."""
    words = [Verdict.USED.value, Verdict.OUT_OF_COVERAGE.value, Verdict.UNOBSERVABLE.value, Verdict.UNUSED.value]
    rank = pl.col("verdict").replace_strict({word: place for place, word in enumerate(words)}, return_dtype=pl.Int64)
    rows = (
        _weighed(judged, tables)
        .join(tables.membership.select("principal_id", "holder"), on="holder")
        .sort("principal_id", "name", rank, "mass", descending=[False, False, False, True])
        .unique(["principal_id", "name"], keep="first", maintain_order=True)
    )
    scored = _scored(rows, "principal_id").with_columns(plane=pl.lit("directory"))
    return scored.select(pl.col(name).cast(type_) for name, type_ in PRINCIPALS_SCHEMA.items()).sort("principal_id")


def assignment_rows(judged: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    """Return one row per assignment, with counts and scores."""
    scored = _scored(_weighed(judged, tables), "a")
    zero = [pl.col(name).fill_null(0) for name in ("granted", *_COUNTED, "creep", "risk")]
    rows = tables.assignments.join(scored, on="a", how="left", maintain_order="left").with_columns(*zero)
    named = rows.with_columns(
        plane=pl.lit("directory"),
        role_definition_id="role",
        role_name=pl.coalesce("role_name", "role"),
    )
    return named.select(pl.col(name).cast(type_) for name, type_ in ASSIGNMENTS_SCHEMA.items())


def denied_rows(usage: pl.DataFrame) -> pl.DataFrame:
    """Return the refused actions of each principal."""
    rows = usage.filter((pl.col("denied") > 0) & pl.col("principal_id").is_not_null()).with_columns(
        plane=pl.lit("directory"), used=pl.col("events") > 0
    )
    return rows.select(pl.col(name).cast(type_) for name, type_ in DENIED_SCHEMA.items())
