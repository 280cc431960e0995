"""Count for each assignment the days when its holder worked, and the novelties of those days, as columns.

A *novelty* is an operation at a place where it would have to be granted. An operation counts only if a log would have
shown it, and if a plan would remove it without its use. For all other operations the days are no evidence.

Each assignment is counted twice: over the days before the last days of the window, to see what came in these last
days, and over the whole window, to say what may come afterwards.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.observability.undecided import Gaps, find_gaps
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.shared_texts import numbered, texts_of
from rightsize.analyze.verdicts.coverage import arm_tokens
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.usage import use_by_day
from rightsize.analyze.window import Window

KEY = ["role_assignment_id", "state"]
HORIZON_DAYS = 30
CELL = ("basis", "operations", "new_weeks")
"""The columns that say what kind of evidence an assignment has; with `early_` before them, for the early days."""
EARLY = "early_"
_NOVELTY = [*KEY, "plane", "name", "target", "member"]
_USED = ("plane", "name", "target", "bit")
_ONE = ["novelty"]
"""The number of a novelty: millions of days are sorted by it, and the text columns of a novelty are long."""
_UNIT = ["unit"]
"""The number of an assignment."""
MONTH_END = "month_end"
REGULAR = "regular_pause"

_AROUND = 3
"""The number of days before, and after, the midnight at the end of a month that count as its end."""
_FEWEST_DAYS = 3
_FEWEST_ENDS = 2
_SHARE_AT_ENDS = 0.8
"""Six of thirty days lie around a month end, so three days of use all lie there by chance once in 125 times."""
_FEWEST_SPELLS = 3
WEEK = 7
"""The longest pause in days within one spell of work: a weekend or a weekly rhythm does not end a spell."""
_LONG = 14
"""The shortest interval in days of a regular rhythm: with shorter ones, days are fair samples."""
_SLACK = 3
"""The number of days by which regular intervals may differ, since months differ in length."""


def tested_days(window: Window) -> int:
    """Return the number of last days that show what came: as many as a chance is for, at most a third of the window."""
    return max(1, min(HORIZON_DAYS, window.days // 3))


def read_incidence(inputs: Inputs, analysis: Analysis, placed: pl.LazyFrame, singled: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each assignment with operations whose use a log would show.

    Args:
        inputs: The tables.
        analysis: The verdicts.
        placed: As `needs.assignments.place_uses` returns it.
        singled: `(role_assignment_id, state, target, bit)` of operations that are assigned to single members of a
            group: there the first use of each member is a novelty.

    Returns:
        `role_assignment_id`, `state`, `role`, `holder_type`, and

        - `basis`: `seasonal` (use follows the calendar, see `find_seasons`), `used`, `unused` (the holder worked, and
          not by this assignment), or `silent` (the holder did nothing);
        - `operations`: the number of novelties; `new_weeks`: weeks with a novelty that no other week has;
        - `period`, the calendar pattern, or null;
        - `active_days` of the holder (or of the members of a group): days with a call or with a token for Azure
          Resource Manager; `span_days`: the days from the first of them to the end of the window, with one mean pause,
          or all days where there is none; days without a log are in neither;
        - `early_basis`, `early_operations`, `early_new_weeks`: the same over the days before the last `tested_days`;
        - `came`: 1 where the last days brought a novelty that was not seen before, else 0;
        - `is_tested`: whether `came` is evidence: the assignment existed before the last days, and logs cover at
          least two thirds of them.
    """
    calls = _calls(inputs, analysis)
    seen = _novelties(calls, placed, singled, analysis)
    active = _active_days(inputs, analysis, calls)
    return count_incidence(_observable(inputs, analysis), active, seen, analysis.window, find_gaps(analysis))


def count_incidence(
    units: pl.DataFrame, active: pl.DataFrame, seen: pl.DataFrame, window: Window, gaps: Gaps
) -> pl.DataFrame:
    """Return the units with the counts of active days and novelties, in the columns of `read_incidence`.

    Args:
        units: `role_assignment_id`, `state`, `role`, `holder_type`, `holder`: the assignments or grants; `created_on`
            where listings say it.
        active: `(holder, day)`, with repeats: the days on which each holder worked.
        seen: `role_assignment_id`, `state`, `novelty` (a number), `day`: the days of each novelty.
        window: The window of these days.
        gaps: The days that logs do not cover: what happened on them is no sample.
    """
    late_from = window.last_day - dt.timedelta(days=tested_days(window) - 1)
    frame = units.join(gaps.of, on=KEY, how="left", maintain_order="left").with_row_index("unit")
    seen = seen.join(frame.select(*KEY, *_UNIT, "gap"), on=KEY).join(gaps.days, on=["gap", "day"], how="anti")
    seen = seen.select(*_UNIT, *_ONE, "day")
    early = pl.col("day") < late_from
    frame = frame.join(_worked(frame, active, window, gaps), on=["holder", "gap"], how="left", nulls_equal=True)
    for part in (
        _evidence(seen),
        _evidence(seen.filter(early)).select(*_UNIT, pl.exclude(_UNIT).name.prefix(EARLY)),
        _came(seen, late_from),
    ):
        frame = frame.join(part, on=_UNIT, how="left")
    made = pl.col("created_on").dt.date() if "created_on" in units.columns else pl.lit(None, dtype=pl.Date)
    counts = [f"{of}{name}" for of in ("", EARLY) for name in ("active_days", "operations", "new_weeks")]
    return (
        frame.with_columns(pl.col(*counts, "came", "late_missing").fill_null(0).cast(pl.Int64))
        .with_columns(
            _basis("").alias("basis"),
            _basis(EARLY).alias(f"{EARLY}basis"),
            active_days=pl.max_horizontal("active_days", "use_days"),
            is_tested=(made < late_from).fill_null(True) & (pl.col("late_missing") * 3 <= tested_days(window)),
        )
        .select(
            *KEY,
            *("role", "holder_type", "basis", "operations", "new_weeks", "period", "active_days", "span_days"),
            *(f"{EARLY}{name}" for name in CELL),
            *("came", "is_tested"),
        )
        .sort(KEY)
    )


def _basis(of: str) -> pl.Expr:
    """Return the basis of the evidence; `of` is the beginning of the names of its columns."""
    return (
        pl.when(pl.col(f"{of}period").is_not_null())
        .then(pl.lit("seasonal"))
        .when(pl.col(f"{of}operations") > 0)
        .then(pl.lit("used"))
        .when(pl.col(f"{of}active_days") > 0)
        .then(pl.lit("unused"))
        .otherwise(pl.lit("silent"))
    )


def _worked(units: pl.DataFrame, active: pl.DataFrame, window: Window, gaps: Gaps) -> pl.DataFrame:
    """Return the days on which holders worked, one row a holder and set of missing days.

    Columns: `holder`, `gap` (null for none), `active_days`, `early_active_days`, `span_days`, `late_missing` (the last
    days that logs do not cover).
    """
    late = pl.col("day") > window.last_day - dt.timedelta(days=tested_days(window))
    pairs = units.select("holder", "gap").unique()
    days = pairs.join(active.unique(), on="holder").join(gaps.days, on=["gap", "day"], how="anti")
    summed = days.group_by("holder", "gap").agg(
        active_days=pl.len().cast(pl.Int64),
        early_active_days=(~late).sum().cast(pl.Int64),
        active_since=pl.col("day").min(),
    )
    known = pairs.join(summed, on=["holder", "gap"], how="left", nulls_equal=True)
    since = pl.coalesce("active_since", pl.lit(window.first_day))
    missing = (
        known.join(gaps.days, on="gap")
        .group_by("holder", "gap")
        .agg(
            missing=pl.len().cast(pl.Int64),
            missing_since=(pl.col("day") >= since).sum().cast(pl.Int64),
            late_missing=late.sum().cast(pl.Int64),
        )
    )
    # The window may begin within a pause of the holder, so one mean pause is added to the days since the first.
    last = pl.lit(window.last_day)
    stretch = ((last - since).dt.total_days() + 1 - pl.col("missing_since")) * (1 + 1 / pl.col("active_days"))
    covered = window.days - pl.col("missing")
    return (
        known.join(missing, on=["holder", "gap"], how="left", nulls_equal=True)
        .with_columns(pl.col("missing", "missing_since", "late_missing").fill_null(0))
        .with_columns(span_days=pl.min_horizontal(stretch, covered))
        .drop("active_since", "missing", "missing_since")
    )


def _evidence(seen: pl.DataFrame) -> pl.DataFrame:
    """Return `use_days`, `operations`, `new_weeks` and `period` of each assignment, by its number.

    Work comes in spells: an operation of Monday is often used on Tuesday too. So a novelty whose days all lie within
    seven days counts for the week of the first one, and all novelties of a week count once.
    """
    found = seen.group_by(*_ONE, *_UNIT).agg(first=pl.col("day").min(), last=pl.col("day").max())
    within = (pl.col("last") - pl.col("first")).dt.total_days() < WEEK
    counts = found.group_by(_UNIT).agg(
        operations=pl.len().cast(pl.Int64),
        new_weeks=pl.col("first").filter(within).dt.truncate("1w").n_unique().cast(pl.Int64),
    )
    days = seen.select(*_UNIT, "day").unique()
    used = days.group_by(_UNIT).agg(use_days=pl.len().cast(pl.Int64))
    return counts.join(used, on=_UNIT).join(find_seasons(days, _UNIT), on=_UNIT, how="left")


def _came(seen: pl.DataFrame, late_from: dt.date) -> pl.DataFrame:
    """Return `came`, 1, of the assignments with a novelty whose first day is not before `late_from`."""
    firsts = seen.group_by(*_ONE, *_UNIT).agg(pl.col("day").min()).filter(pl.col("day") >= late_from)
    return firsts.select(_UNIT).unique().with_columns(came=pl.lit(1, dtype=pl.Int64))


def _calls(inputs: Inputs, analysis: Analysis) -> pl.LazyFrame:
    """Return `(principal_id, plane, name, place, day)` of the use outside quarantine, with repeats."""
    return (
        use_by_day(inputs, analysis.window)
        .filter(pl.col("clean") > 0)
        .select("plane", "name", "place", "day", principal_id=pl.coalesce("principal_id", "principal_name"))
    )


def _novelties(calls: pl.LazyFrame, placed: pl.LazyFrame, singled: pl.DataFrame, analysis: Analysis) -> pl.DataFrame:
    """Return the days of each novelty, by its number.

    A novelty is an operation, the place where it has to be granted, and a group member or null.
    """
    judged = analysis.profile_operations.filter(pl.col("verdict") == Verdict.UNUSED)
    concluded = judged.select("profile_id", "plane", name=folded(pl.col("operation")))
    uses = placed.select(*KEY, *_USED, "principal_id", "place").collect()
    # Millions of rows: with their texts, the joins would take the most memory before roles are chosen.
    texts = texts_of(uses)
    alone, profiles, open_ones = (
        numbered(frame.lazy(), texts) for frame in (singled.unique(), analysis.profiles, concluded)
    )
    shown = (
        numbered(uses.lazy(), texts)
        .join(alone.with_columns(single=True), on=[*KEY, "target", "bit"], how="left")
        .with_columns(member=pl.when(pl.col("single")).then("principal_id"))
        .select(*_NOVELTY, "principal_id", "place")
        .unique()
        .join(profiles, on=KEY)
        .join(open_ones, on=["profile_id", "plane", "name"], how="semi")
        .drop("profile_id")
        .collect()
    )
    del uses
    numbers = shown.select(_NOVELTY).unique().with_row_index("novelty")
    owners = numbers.select(*_ONE, *(texts[name].gather(numbers[name]) for name in KEY))
    done = ["principal_id", "plane", "name", "place"]
    of_calls = shown.lazy().join(numbers.lazy(), on=_NOVELTY, nulls_equal=True).select(*_ONE, *done)
    days = numbered(calls, texts).join(of_calls, on=done).select("novelty", "day").unique().collect()
    return days.join(owners, on=_ONE)


def _observable(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the assignments with operations of the verdict `unused`, with holder, role and holder type."""
    concluded = analysis.profile_operations.filter(pl.col("verdict") == Verdict.UNUSED)["profile_id"].unique()
    open_ones = analysis.profiles.filter(pl.col("profile_id").is_in(concluded.implode())).select(KEY)
    types = inputs.principals.select(holder=folded(pl.col("principal_id")), listed_type="principal_type")
    return (
        inputs.role_assignments.select(
            *KEY,
            "principal_type",
            "created_on",
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


def find_seasons(use: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return one row for each group of `by` whose use follows the calendar: at month ends, or after regular pauses.

    The calendar decides when month ends, quarter ends, recovery drills and certificate rotations take place, and days
    without them prove nothing. For such use the samples are the cycles, not the days.

    Args:
        use: The columns of `by`, and `day`.
        by: The columns of a group: they name an assignment, or an operation of it.

    Returns:
        The columns of `by`, and `period`: `month_end` or `regular_pause`.
    """
    days = _with_cycles(use, by)
    starts = days.group_by(*by, "spell").agg(start=pl.col("day").min()).sort(*by, "spell")
    between = (
        starts.with_columns(interval=pl.when(pl.col("spell") > 0).then(pl.col("start").diff().dt.total_days()))
        .group_by(by)
        .agg(spells=pl.len(), shortest=pl.col("interval").min(), longest=pl.col("interval").max())
    )
    at_end = pl.col("month_end").is_not_null()
    ends = days.group_by(by).agg(days=pl.len(), share=at_end.mean(), ends=pl.col("month_end").drop_nulls().n_unique())
    turning = (pl.col("days") >= _FEWEST_DAYS) & (pl.col("share") >= _SHARE_AT_ENDS) & (pl.col("ends") >= _FEWEST_ENDS)
    regular = (
        (pl.col("spells") >= _FEWEST_SPELLS)
        & (pl.col("shortest") >= _LONG)
        & (pl.col("longest") - pl.col("shortest") <= _SLACK)
    )
    period = pl.when(turning).then(pl.lit(MONTH_END)).when(regular).then(pl.lit(REGULAR))
    found = ends.join(between, on=list(by), nulls_equal=True).select(*by, period=period)
    return found.drop_nulls("period").sort(by)


def _with_cycles(use: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return the distinct days of use with the `spell` and the `month_end` that each belongs to.

    `spell` counts the spells of a group from 0; `month_end` numbers the ends of months, null for days between them.
    """
    shifted = pl.col("day").dt.offset_by(f"{_AROUND}d")
    number = shifted.dt.year() * 12 + shifted.dt.month()
    # Pauses are counted over all rows, and the count at the start of each group is subtracted: a window function for
    # each of a million groups takes a minute.
    is_first = pl.struct(by).ne_missing(pl.struct(by).shift()) | (pl.int_range(pl.len()) == 0)
    pauses = (~is_first & (pl.col("day").diff().dt.total_days() > WEEK)).cast(pl.Int64).cum_sum()
    return (
        use.select(*by, "day")
        .unique()
        .sort(*by, "day")
        .with_columns(
            spell=pauses - pl.when(is_first).then(pauses).forward_fill(),
            month_end=pl.when(shifted.dt.day() <= 2 * _AROUND).then(number),
        )
    )
