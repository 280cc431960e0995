"""Count for each assignment the days when its holder worked, and the novelties of those days, as columns.

A *novelty* is an operation at a place where it would have to be granted. An operation counts only if a log would have
shown it, and if a plan would remove it without its use. For all other operations the days are no evidence.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from rightsize.analyze.coverage import arm_tokens
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.log_gaps import Gaps, find_gaps
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.text import folded
from rightsize.analyze.usage import use_by_day
from rightsize.analyze.verdicts import Analysis
from rightsize.analyze.window import Window
from rightsize.propose.needs.needs import LIFECYCLE_SIBLINGS
from rightsize.propose.risk.seasonality import MONTH_END, WEEK, find_seasons, with_cycles

KEY = ["role_assignment_id", "state"]
_DAYS = ["active_days", "active_span", "use_days", "use_span"]
_COUNTS = ["once", "twice", "new_weeks"]
_EARLY = ["early_days", *(f"early_{name}" for name in _COUNTS)]
_NOVELTY = [*KEY, "plane", "name", "target", "member"]
_ONE = ["novelty"]
"""The number of a novelty: millions of days are sorted by it, and the text columns of a novelty are long."""
_UNIT = ["unit"]
"""The number of an assignment."""


def read_incidence(
    inputs: Inputs, analysis: Analysis, placed: pl.DataFrame, singled: pl.DataFrame, *, lifecycle: bool = False
) -> pl.DataFrame:
    """Return one row for each assignment with operations whose use a log would show.

    Args:
        inputs: The tables.
        analysis: The verdicts.
        placed: As `needs.assignments.place_uses` returns it.
        singled: `(role_assignment_id, state, target, bit)` of operations that are assigned to single members of a
            group: there the first use of each member is a novelty.
        lifecycle: Whether a plan keeps update and delete wherever create was used; then they are no novelties there.

    Returns:
        `role_assignment_id`, `state`, `role`, `holder_type`; `active_days` of the holder (or of the members of a
        group): days with a call or with a token for Azure Resource Manager, the first of them, `active_since`, and
        the `active_span` from it to the last; `use_days` and `use_span` of the assignment; `once` and `twice`,
        novelties of one spell of at most a week and of two spells; `new_weeks`, the weeks with a novelty that was
        seen once; `missing_days`, the days of the window that its logs do not cover, and `missing_since`, those since
        `active_since` (both are left out of all counts); `foretold` and `came`, see `_foretell`; `period`, `every`,
        `cycles` and `new_cycles` where its use follows the calendar; `seasonal_operations`, the number of its novelties
        that follow the calendar.
    """
    calls = _calls(inputs, analysis)
    seen = _novelties(calls, placed, singled, analysis, lifecycle=lifecycle)
    active = _active_days(inputs, analysis, calls)
    return count_incidence(_observable(inputs, analysis), active, seen, analysis.window, find_gaps(analysis))


def count_incidence(
    units: pl.DataFrame, active: pl.DataFrame, seen: pl.DataFrame, window: Window, gaps: Gaps
) -> pl.DataFrame:
    """Return the units with the counts of active days and novelties, in the columns of `read_incidence`.

    Args:
        units: `role_assignment_id`, `state`, `role`, `holder_type`, `holder`: the assignments or grants.
        active: `(holder, day)`, with repeats: the days on which each holder worked.
        seen: `role_assignment_id`, `state`, `novelty` (a number), `day`: the days of each novelty.
        window: The window of these days.
        gaps: The days that logs do not cover: what happened on them is no sample.
    """
    frame = units.join(gaps.of, on=KEY, how="left", maintain_order="left").with_row_index("unit")
    seen = seen.join(frame.select(*KEY, *_UNIT, "gap"), on=KEY).join(gaps.days, on=["gap", "day"], how="anti")
    seen = seen.select(*_UNIT, *_ONE, "day")
    for part in (
        _worked(frame, active, window, gaps),
        seen.group_by(_UNIT).agg(use_days=pl.col("day").n_unique(), use_span=_span()),
        _counts(seen),
        _came(seen, _late_from(window)),
        find_seasons(seen.select(*_UNIT, "day"), _UNIT),
        _cycles(seen),
        find_seasons(seen, _ONE).join(_owners(seen), on=_ONE).group_by(_UNIT).agg(seasonal_operations=pl.len()),
    ):
        on = _UNIT if "unit" in part.columns else ["holder", "gap"]
        frame = frame.join(part, on=on, how="left", nulls_equal=True)
    numbers = [*_DAYS, *_COUNTS, "came", "seasonal_operations", *_EARLY, "missing_days", "missing_since"]
    return (
        frame.with_columns(pl.col(numbers).fill_null(0).cast(pl.Int64))
        .with_columns(foretold=_foretell())
        .drop(_EARLY)
        .with_columns(
            cycles=pl.when(pl.col("period") == MONTH_END).then("ends").otherwise("spells").cast(pl.Int64),
            new_cycles=pl.when(pl.col("period") == MONTH_END).then("new_ends").otherwise("new_spells").cast(pl.Int64),
        )
        .drop("ends", "spells", "new_ends", "new_spells", "gap", *_UNIT)
        .sort(KEY)
    )


def _worked(units: pl.DataFrame, active: pl.DataFrame, window: Window, gaps: Gaps) -> pl.DataFrame:
    """Return the days on which holders worked and the missing days, one row a holder and set of missing days.

    Columns: `holder`, `gap` (null for none), `active_days`, `early_days` (the active days of the first two thirds of
    the window), `active_since`, `active_span`, `missing_days`, `missing_since`.
    """
    pairs = units.select("holder", "gap").unique()
    days = pairs.join(active.unique(), on="holder").join(gaps.days, on=["gap", "day"], how="anti")
    summed = days.group_by("holder", "gap").agg(
        active_days=pl.col("day").n_unique(),
        early_days=pl.col("day").filter(pl.col("day") < _late_from(window)).n_unique(),
        active_since=pl.col("day").min(),
        active_span=_span(),
    )
    known = pairs.join(summed, on=["holder", "gap"], how="left", nulls_equal=True)
    since = pl.coalesce("active_since", pl.lit(window.first_day))
    missing = (
        known.join(gaps.days, on="gap")
        .group_by("holder", "gap")
        .agg(missing_days=pl.len(), missing_since=(pl.col("day") >= since).sum())
    )
    return known.join(missing, on=["holder", "gap"], how="left", nulls_equal=True)


def _span() -> pl.Expr:
    """Return the number of days from the first to the last, both included."""
    return (pl.col("day").max() - pl.col("day").min()).dt.total_days() + 1


def _calls(inputs: Inputs, analysis: Analysis) -> pl.LazyFrame:
    """Return `(principal_id, plane, name, place, day)` of the use outside quarantine, with repeats."""
    return (
        use_by_day(inputs, analysis.window)
        .filter(pl.col("clean") > 0)
        .select("plane", "name", "place", "day", principal_id=pl.coalesce("principal_id", "principal_name"))
    )


def _novelties(
    calls: pl.LazyFrame, placed: pl.DataFrame, singled: pl.DataFrame, analysis: Analysis, *, lifecycle: bool
) -> pl.DataFrame:
    """Return the days of each novelty, by its number.

    A novelty is an operation, the place where it has to be granted, and a group member or null.
    """
    judged = analysis.profile_operations.filter(pl.col("verdict") == Verdict.UNUSED)
    concluded = judged.select("profile_id", "plane", name=folded(pl.col("operation")))
    shown = (
        placed.lazy()
        .join(singled.lazy().unique().with_columns(single=True), on=[*KEY, "target", "bit"], how="left")
        .with_columns(member=pl.when(pl.col("single")).then("principal_id"))
        .select(*_NOVELTY, "principal_id", "place")
        .unique()
        .join(analysis.profiles.lazy(), on=KEY)
        .join(concluded.lazy(), on=["profile_id", "plane", "name"], how="semi")
        .drop("profile_id")
        .collect()
    )
    if lifecycle:
        shown = shown.join(_siblings(shown), on=_NOVELTY, how="anti", nulls_equal=True)
    numbers = shown.select(_NOVELTY).unique().with_row_index("novelty")
    owners = numbers.select(*KEY, *_ONE)
    done = ["principal_id", "plane", "name", "place"]
    numbered = shown.lazy().join(numbers.lazy(), on=_NOVELTY, nulls_equal=True).select(*_ONE, *done).collect()
    days = calls.join(numbered.lazy(), on=done).select("novelty", "day").unique().collect()
    return days.join(owners, on=_ONE)


def _siblings(shown: pl.DataFrame) -> pl.DataFrame:
    """Return the update and delete operations that `--lifecycle` keeps beside a used create of the same resource."""
    found = [
        shown.filter(pl.col("name").str.ends_with(made)).with_columns(
            name=pl.col("name").str.strip_suffix(made) + sibling
        )
        for made, siblings in LIFECYCLE_SIBLINGS.items()
        for sibling in siblings
    ]
    return pl.concat(found).select(_NOVELTY).unique()


def _owners(seen: pl.DataFrame) -> pl.DataFrame:
    """Return the assignment of each novelty."""
    return seen.select(*_UNIT, *_ONE).unique(_ONE)


def _counts(seen: pl.DataFrame) -> pl.DataFrame:
    """Return `once`, `twice` and `new_weeks` of each assignment.

    Work comes in spells: an operation of Monday is often used on Tuesday too, so the days of one spell are not
    independent samples. A novelty is seen once if all its days lie within a week, and twice if it has two spells with
    a pause between them.
    """
    spells = (
        with_cycles(seen, _ONE)
        .group_by(_ONE)
        .agg(first=pl.col("day").min(), last=pl.col("day").max(), spells=pl.col("spell").max() + 1)
    )
    within = (pl.col("last") - pl.col("first")).dt.total_days() < WEEK
    return (
        spells.join(_owners(seen), on=_ONE)
        .group_by(_UNIT)
        .agg(
            once=within.sum(),
            twice=(pl.col("spells") == 2).sum(),
            new_weeks=pl.col("first").filter(within).dt.truncate("1w").n_unique(),
        )
    )


def corrected(samples: pl.Expr, once: str, twice: str, new_weeks: str) -> pl.Expr:
    """Return the number of weeks with a novelty, times the correction of Chao and Jost (2012) for those seen twice."""
    weight = (samples - 1) * pl.col(once)
    correction = pl.when(weight > 0).then(weight / (weight + 2 * pl.col(twice))).otherwise(1.0)
    return pl.col(new_weeks) * correction


def _late_from(window: Window) -> dt.date:
    """Return the first day of the last third of a window."""
    return window.last_day - dt.timedelta(days=window.days // 3 - 1)


def _came(seen: pl.DataFrame, late_from: dt.date) -> pl.DataFrame:
    """Return the counts of the first two thirds of the window, as `early_once` and so on, and `came`.

    `came` is the number of weeks in the last third with a novelty that was not seen before. Only assignments that were
    used in the first two thirds have a row.
    """
    early = _counts(seen.filter(pl.col("day") < late_from)).rename({name: f"early_{name}" for name in _COUNTS})
    firsts = seen.group_by(*_UNIT, *_ONE).agg(pl.col("day").min()).filter(pl.col("day") >= late_from)
    weeks = firsts.group_by(_UNIT).agg(came=pl.col("day").dt.truncate("1w").n_unique())
    return early.join(weeks, on=_UNIT, how="left")


def _foretell() -> pl.Expr:
    """Return the number of weeks with a novelty that the first two thirds of the window forecast for the last third.

    It is the same estimate that the whole window gives for the days ahead, here for the active days of the last third.
    `came` beside it shows how well the estimate fits this kind of work.
    """
    early = pl.col("early_days")
    late = pl.col("active_days") - early
    forecast = corrected(early, *_EARLY[1:]) * late / early
    return pl.when(early > 0).then(forecast).otherwise(0.0)


def _observable(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the assignments with operations of the verdict `unused`, with holder, role and holder type."""
    concluded = analysis.profile_operations.filter(pl.col("verdict") == Verdict.UNUSED)["profile_id"].unique()
    open_ones = analysis.profiles.filter(pl.col("profile_id").is_in(concluded.implode())).select(KEY)
    types = inputs.principals.select(holder=folded(pl.col("principal_id")), listed_type="principal_type")
    return (
        inputs.role_assignments.select(
            *KEY,
            "principal_type",
            holder=folded(pl.col("principal_id")),
            role=folded(pl.col("role_definition_id")),
        )
        .join(open_ones, on=KEY, how="semi")
        .join(types.unique("holder"), on="holder", how="left")
        .with_columns(holder_type=pl.coalesce("listed_type", "principal_type"))
        .drop("listed_type", "principal_type")
    )


def _active_days(inputs: Inputs, analysis: Analysis, calls: pl.LazyFrame) -> pl.DataFrame:
    """Return `(holder, day)` of the work of each holder of an assignment; the days of a group are its members' days."""
    tokens = arm_tokens(inputs, analysis.window).select("principal_id", "day").drop_nulls()
    called = calls.select("principal_id", "day").drop_nulls().unique().collect()
    days = pl.concat([called, tokens]).unique()
    holders = folded(inputs.role_assignments["principal_id"]).unique()
    through = analysis.tenant.membership.filter(pl.col("holder").is_in(holders.implode()))
    return days.join(through, on="principal_id").select("holder", "day")


def _cycles(seen: pl.DataFrame) -> pl.DataFrame:
    """Return for each assignment the number of spells and month ends with use, and of those with a new novelty."""
    marked = seen.join(with_cycles(seen, _UNIT), on=[*_UNIT, "day"])
    columns = [("spell", "spells", "new_spells"), ("month_end", "ends", "new_ends")]
    found = seen.select(_UNIT).unique()
    for cycle, count, new in columns:
        cycled = marked.filter(pl.col(cycle).is_not_null())
        single = cycled.group_by(*_UNIT, *_ONE).agg(pl.col(cycle).min(), number=pl.col(cycle).n_unique())
        every = cycled.group_by(_UNIT).agg(pl.col(cycle).n_unique().alias(count))
        fresh = single.filter(pl.col("number") == 1).group_by(_UNIT).agg(pl.col(cycle).n_unique().alias(new))
        found = found.join(every, on=_UNIT, how="left").join(fresh, on=_UNIT, how="left")
    return found.with_columns(pl.col("spells", "new_spells", "ends", "new_ends").fill_null(0))
