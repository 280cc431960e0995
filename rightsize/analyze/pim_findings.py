"""Find eligible assignments that nobody activates or that are easy to activate, and seldom used permanent access."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.columns import folded, place_of
from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.reasons import Unused, sentence
from rightsize.analyze.verdicts.coverage import described_principals
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.usage import duration, standing_hours, use_by_day

SELDOM_HOURS = 8.0
"""Permanent access used fewer hours a month than this, one working day, could be eligible."""
_COLUMNS = tuple(schema_of("findings"))
_PEOPLE = ("User", "Group")
_CALL = ("principal_id", "principal_name", "name", "place", "plane", "evidence")


def find_about_pim(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the rows of the table `findings` about eligible assignments, activations and seldom used access."""
    found = [_seldom_used(inputs, analysis)]
    if (analysis.tenant.assignments["state"] == "eligible").any():
        found += [
            _never_activated(analysis),
            _changed_nothing(analysis),
            _without_reason(analysis),
            _asks_nothing(inputs, analysis),
        ]
    return pl.concat([frame.select(_COLUMNS) for frame in found])


def _said(frame: pl.DataFrame, control: str, severity: str, reason: str | pl.Expr) -> pl.DataFrame:
    text = pl.lit(reason) if isinstance(reason, str) else reason
    return frame.with_columns(
        subject="role_assignment_id", control=pl.lit(control), severity=pl.lit(severity), reason=text
    )


def _never_activated(analysis: Analysis) -> pl.DataFrame:
    asleep = analysis.verdicts.filter(pl.col("reason") == Unused.NEVER_ACTIVATED.value)
    rows = asleep.select("role_assignment_id", "principal_id").unique()
    return _said(rows, "never_activated", "low", sentence(Unused.NEVER_ACTIVATED.value))


def _of_eligibilities(analysis: Analysis) -> pl.DataFrame:
    """Return the activations of the window, each with the holder and id of the eligible assignment behind it."""
    window = analysis.window
    held = analysis.tenant.assignments.filter(pl.col("state") == "eligible").select(
        "a", "role_assignment_id", eligibility_id="id", holder="principal_id"
    )
    inside = analysis.activations.filter((pl.col("start_on") >= window.start) & (pl.col("start_on") < window.end))
    return inside.drop("role_assignment_id").join(held, on="eligibility_id")


def _changed_nothing(analysis: Analysis) -> pl.DataFrame:
    """Return eligible assignments under whose activations no log shows a change; reads leave no trace."""
    covered = analysis.covered.implode()
    rows = (
        _of_eligibilities(analysis)
        .filter(pl.col("a").is_in(covered))
        .group_by("role_assignment_id", principal_id="holder")
        .agg(times=pl.len(), done=pl.col("operations").sum())
        .filter(pl.col("done") == 0)
    )
    text = pl.format("activated {} times, and no log shows a change by it: a read-only role may be enough", "times")
    return _said(rows, "activated_only_to_read", "low", text)


def _without_reason(analysis: Analysis) -> pl.DataFrame:
    rows = (
        _of_eligibilities(analysis)
        .group_by("role_assignment_id", principal_id="holder")
        .agg(bare=(~pl.col("justified")).sum(), times=pl.len())
        .filter(pl.col("bare") > 0)
    )
    text = pl.format("{} of {} activations gave no reason", "bare", "times")
    return _said(rows, "activation_without_reason", "low", text)


def _asks_nothing(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return eligible assignments whose activation needs no approval, and those that need no reason either."""
    table = inputs.role_management_policies.filter(pl.col("rules").is_not_null())
    policies = table.select(
        "requires_approval",
        "requires_justification",
        role=folded(table["role_definition_id"]),
        place=place_of(table["scope"]),
    ).drop_nulls(["role"])
    held = analysis.tenant.assignments.filter(pl.col("state") == "eligible").select(
        "role_assignment_id", "principal_id", "role", "place"
    )
    rows = held.join(policies, on=["role", "place"]).filter(~pl.col("requires_approval").fill_null(False))
    bare = ~pl.col("requires_justification").fill_null(False)
    silent = _said(
        rows.filter(bare),
        "activation_asks_nothing",
        "medium",
        "activating it needs neither a reason nor an approval",
    )
    alone = _said(rows.filter(~bare), "activation_without_approval", "low", "activating it needs no approval")
    return pl.concat([silent.select(_COLUMNS), alone.select(_COLUMNS)])


def seldom_at_work(inputs: Inputs, analysis: Analysis, below: float) -> pl.DataFrame:
    """Return the permanent assignments of people and groups that are used fewer hours a month than `below`.

    Columns: `a`, `role_assignment_id`, `state`, `principal_id`, and those of `usage.standing_hours`.
    """
    people = described_principals(inputs).filter(pl.col("principal_type").is_in(list(_PEOPLE)))["principal_id"]
    permanent = analysis.tenant.assignments.filter(
        (pl.col("state") == "active")
        & ~pl.col("twin")
        & pl.col("end_on").is_null()
        & pl.col("principal_id").is_in(people.implode())
    ).select("a", "role_assignment_id", "state", "principal_id")
    calls = analysis.usage.lazy().select("u", *_CALL)
    credited = analysis.credited.lazy().join(permanent.lazy(), on="a", how="semi").join(calls, on="u")
    by_day = (
        use_by_day(inputs, analysis.window)
        .filter(pl.col("clean") > 0)
        .join(credited, on=list(_CALL), nulls_equal=True)
        .select("a", "day", "first_seen", "last_seen")
        .collect()
    )
    worked = standing_hours(by_day, analysis.window, "a").filter(pl.col("hours_a_month") < below)
    return permanent.join(worked, on="a").sort("a")


def _seldom_used(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return permanent assignments of people that are used a few hours a month: they could be eligible."""
    worked = seldom_at_work(inputs, analysis, SELDOM_HOURS)
    lengths = {hours: duration(hours) for hours in worked["hours_needed"].unique()}
    text = pl.format(
        "used {} hours a month, on {} days: if it were eligible, an activation of {} would cover 95 of 100 days",
        pl.col("hours_a_month").round(1),
        "days",
        pl.col("hours_needed").replace_strict(lengths, default="", return_dtype=pl.String),
    )
    return _said(worked, "standing_seldom_used", "low", text)
