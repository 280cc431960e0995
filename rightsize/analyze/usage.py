"""Aggregate the use of the window: what each principal did, where, and under which evidence."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from rightsize.analyze.display_names import is_unnamed
from rightsize.analyze.inputs import Inputs, once
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.window import Window

CALL = ("principal_id", "principal_name", "name", "place", "plane", "evidence")
"""The columns that identify a row of `observe`: the caller, the operation, the scope and the evidence."""


_OBSERVED: dict[str, pl.DataType] = {
    "u": pl.UInt32(),
    **{name: pl.String() for name in (*CALL, "operation", "scope")},
    "denied": pl.Int64(),
    "events": pl.Int64(),
    "days": pl.Int64(),
    "first_seen": pl.Datetime("us"),
    "last_seen": pl.Datetime("us"),
    "quarantined": pl.Boolean(),
}


def observe(inputs: Inputs, window: Window, *, unnamed: bool = False) -> pl.DataFrame:
    """Return the calls of the window, one row per (principal, operation, scope, plane, evidence), numbered by `u`.

    With `unnamed` these are the calls whose log names no operation, else all others.

    Columns: `u`, `principal_id` (null where no listing resolves `principal_name`), `principal_name`, `operation` and
    `name` (folded), `scope` and `place` (folded), `plane`, `evidence` (folded id), `events`, `days`, `first_seen`,
    `last_seen`, `quarantined`, `denied`.

    Calls that succeeded, failed after authorisation or were seen to start are use; refused calls are demand and counted
    apart. Suspect calls are not use. Their outcome is not known, so on each day they are subtracted from use first. A
    row without other use is `quarantined`, and its numbers are those of the suspect calls.
    """
    if not _has_calls(inputs, window, unnamed=unnamed):
        return pl.DataFrame(schema=_OBSERVED)
    kept = pl.when(pl.col("clean") > 0)
    rows = (
        use_by_day(inputs, window, unnamed=unnamed)
        .group_by(CALL)
        .agg(
            pl.col("operation").min(),
            pl.col("scope").min(),
            clean=pl.col("clean").sum(),
            use=pl.col("use").sum(),
            clean_days=kept.then("day").n_unique() - kept.then("day").is_null().any().cast(pl.UInt32),
            use_days=pl.col("day").filter(pl.col("use") > 0).n_unique(),
            clean_first=kept.then("first_seen").min(),
            clean_last=kept.then("last_seen").max(),
            use_first=pl.col("first_seen").min(),
            use_last=pl.col("last_seen").max(),
            denied=pl.col("denied").fill_null(0).sum(),
        )
        .collect()
        .sort(CALL)
        .with_row_index("u")
    )
    is_clean = pl.col("clean") > 0
    return rows.select(
        "u",
        *CALL,
        "operation",
        "scope",
        "denied",
        events=pl.when(is_clean).then("clean").otherwise("use"),
        days=pl.when(is_clean).then("clean_days").otherwise("use_days").cast(pl.Int64),
        first_seen=pl.when(is_clean).then("clean_first").otherwise("use_first"),
        last_seen=pl.when(is_clean).then("clean_last").otherwise("use_last"),
        quarantined=~is_clean & (pl.col("use") > 0),
    )


def use_by_day(inputs: Inputs, window: Window, *, unnamed: bool = False) -> pl.LazyFrame:
    """Return the rows of `usage_days` in the window, with `name`, `place`, `evidence` and `principal_id` folded.

    Calls whose log names no operation are left out; with `unnamed` only these are returned.

    `use` counts the calls that exercised the permission, `clean` those of them that are not suspect. The frame is lazy,
    since callers want few of its columns and there are millions of rows.
    """
    use = pl.sum_horizontal(pl.col(outcome).fill_null(0) for outcome in ("succeeded", "failed", "started"))
    clean = pl.max_horizontal(use - pl.col("suspect").fill_null(0), 0)
    wanted = inputs.usage_days.lazy().filter(window.holds("day") & _is_wanted(inputs, unnamed=unnamed))
    return _with_folded(wanted, inputs).with_columns(use=use, clean=clean)


def _has_calls(inputs: Inputs, window: Window, *, unnamed: bool) -> bool:
    """Return whether a frame of calls has rows, as far as that costs nothing to know."""
    if unnamed and _unnamed(inputs).is_empty():
        return False
    return bool(inputs.usage_days.select(window.holds("day").any()).item())


def _is_wanted(inputs: Inputs, *, unnamed: bool) -> pl.Expr:
    odd = _unnamed(inputs)
    is_odd = pl.col("operation").is_in(odd.implode()) & (pl.col("plane") == "control") if len(odd) else pl.lit(False)
    return is_odd if unnamed else ~is_odd


@once("usage_days")
def _unnamed(inputs: Inputs) -> pl.Series:
    # Operations repeat on many days; check each once.
    texts = inputs.usage_days["operation"].drop_nulls().unique()
    return texts.to_frame().filter(is_unnamed(pl.col("operation")))["operation"]


def named_use(days: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    """Return the rows of `usage_days` of operations with these folded names; each distinct name is folded once."""
    spelt = days["operation"].drop_nulls().unique()
    return days.filter(pl.col("operation").is_in(spelt.filter(folded(spelt).is_in(list(names))).implode()))


def _with_folded(wanted: pl.LazyFrame, inputs: Inputs) -> pl.LazyFrame:
    operations, scopes, evidence = _spellings(inputs)
    return (
        wanted.join(operations.lazy(), on="operation")
        .join(scopes.lazy(), on="scope")
        .join(evidence.lazy(), on="role_assignment_id", how="left", nulls_equal=True)
        .with_columns(principal_id=folded(pl.col("principal_id")))
    )


@once("usage_days")
def _spellings(inputs: Inputs) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return `(operation, name)`, `(scope, place)` and `(role_assignment_id, evidence)`, folded."""
    # Names and scopes repeat on many days; fold each once.
    days = inputs.usage_days
    operations = days.select(pl.col("operation").unique())
    scopes = days.select(pl.col("scope").unique())
    evidence = days.select(pl.col("role_assignment_id").unique())
    return (
        operations.with_columns(name=folded(operations["operation"])),
        scopes.with_columns(place=place_of(scopes["scope"])),
        evidence.with_columns(evidence=folded(evidence["role_assignment_id"])),
    )
