"""Find eligible assignments that nobody activates or that are easy to activate, and seldom used permanent access."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.columns import folded, place_of
from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.reasons import Unused, sentence
from rightsize.analyze.verdicts.coverage import described_principals
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.usage import duration, standing_hours, use_by_day
from rightsize.analyze.window import Window

SELDOM_HOURS = 8.0
"""Permanent access used fewer hours a month than this, one working day, could be eligible."""
_COLUMNS = tuple(schema_of("findings"))
_PEOPLE = ("User", "Group")
_CALL = ("principal_id", "principal_name", "name", "place", "plane", "evidence")


def find_about_pim(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the rows of the table `findings` about eligible assignments, activations and seldom used access."""
    found = [find_seldom_used(seldom_at_work(inputs, analysis, SELDOM_HOURS), "standing_seldom_used", pl.lit(""))]
    if (analysis.tenant.assignments["state"] == "eligible").any():
        found += [
            _never_activated(analysis),
            _changed_nothing(analysis),
            find_without_reason(_of_eligibilities(analysis)),
            find_easy_activations(_with_policies(inputs, analysis), pl.lit("it"), pl.lit(True)),
        ]
    return pl.concat(found)


def said(
    frame: pl.DataFrame,
    control: str,
    severity: str | pl.Expr,
    reason: str | pl.Expr,
    subject: str = "role_assignment_id",
) -> pl.DataFrame:
    """Return the rows of the table `findings` that a control says of a column; a text is the reason of each row."""
    texts = {"control": control, "severity": severity, "reason": reason}
    if "principal_id" not in frame.columns:
        frame = frame.with_columns(principal_id=pl.lit(None, dtype=pl.String))
    return frame.with_columns(
        subject=subject, **{name: pl.lit(text) if isinstance(text, str) else text for name, text in texts.items()}
    ).select(_COLUMNS)


def activated_in(activations: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the activations that began in the window."""
    return activations.filter((pl.col("start_on") >= window.start) & (pl.col("start_on") < window.end))


def find_without_reason(activated: pl.DataFrame) -> pl.DataFrame:
    """Return findings on the eligible assignments of activations, `justified` or not, for which no reason was given."""
    counted = activated.group_by("role_assignment_id", "principal_id").agg(
        bare=(~pl.col("justified")).sum(), times=pl.len()
    )
    text = pl.format("{} of {} activations gave no reason", "bare", "times")
    return said(counted.filter(pl.col("bare") > 0), "activation_without_reason", "low", text)


def find_easy_activations(eligible: pl.DataFrame, role: pl.Expr, worth_waiting: pl.Expr) -> pl.DataFrame:
    """Return findings on eligible assignments whose activation needs no approval, and perhaps no reason either.

    Args:
        eligible: Assignments with `requires_approval` and `requires_justification` of their policy.
        role: What the sentence calls the role.
        worth_waiting: Whether a role is worth the wait for an approval.
    """
    rows = eligible.filter(~pl.col("requires_approval").fill_null(False))
    bare = ~pl.col("requires_justification").fill_null(False)
    silent = pl.format("activating {} needs neither a reason nor an approval", role)
    alone = pl.format("activating {} needs no approval", role)
    return pl.concat(
        [
            said(rows.filter(bare), "activation_asks_nothing", "medium", silent),
            said(rows.filter(~bare & worth_waiting), "activation_without_approval", "low", alone),
        ]
    )


def find_seldom_used(worked: pl.DataFrame, control: str, before: pl.Expr) -> pl.DataFrame:
    """Return findings on permanent assignments that are used a few hours a month: they could be eligible.

    Args:
        worked: The assignments, with the columns of `usage.standing_hours`.
        control: The control.
        before: What stands before the sentence.
    """
    lengths = {hours: duration(hours) for hours in worked["hours_needed"].unique()}
    text = pl.format(
        "{}used {} hours a month, on {} days: if it were eligible, an activation of {} would cover 95 of 100 days",
        before,
        pl.col("hours_a_month").round(1),
        "days",
        pl.col("hours_needed").replace_strict(lengths, default="", return_dtype=pl.String),
    )
    return said(worked, control, "low", text)


def is_permanent_of_people(inputs: Inputs) -> pl.Expr:
    """Return whether an assignment is active without an end, and its holder a person or a group."""
    people = described_principals(inputs).filter(pl.col("principal_type").is_in(list(_PEOPLE)))["principal_id"]
    is_permanent = (pl.col("state") == "active") & pl.col("end_on").is_null()
    return is_permanent & pl.col("principal_id").is_in(people.implode())


def _never_activated(analysis: Analysis) -> pl.DataFrame:
    asleep = analysis.verdicts.filter(pl.col("reason") == Unused.NEVER_ACTIVATED.value)
    rows = asleep.select("role_assignment_id", "principal_id").unique()
    return said(rows, "never_activated", "low", sentence(Unused.NEVER_ACTIVATED.value))


def _of_eligibilities(analysis: Analysis) -> pl.DataFrame:
    """Return the activations of the window, each with the holder and id of the eligible assignment behind it."""
    held = analysis.tenant.assignments.filter(pl.col("state") == "eligible").select(
        "a", "role_assignment_id", "principal_id", eligibility_id="id"
    )
    inside = activated_in(analysis.activations, analysis.window)
    return inside.drop("role_assignment_id", "principal_id").join(held, on="eligibility_id")


def _changed_nothing(analysis: Analysis) -> pl.DataFrame:
    """Return eligible assignments under whose activations no log shows a change; reads leave no trace."""
    covered = analysis.covered.implode()
    rows = (
        _of_eligibilities(analysis)
        .filter(pl.col("a").is_in(covered))
        .group_by("role_assignment_id", "principal_id")
        .agg(times=pl.len(), done=pl.col("operations").sum())
        .filter(pl.col("done") == 0)
    )
    text = pl.format("activated {} times, and no log shows a change by it: a read-only role may be enough", "times")
    return said(rows, "activated_only_to_read", "low", text)


def _with_policies(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the eligible assignments whose conditions for activating are known, with these."""
    table = inputs.role_management_policies.filter(pl.col("rules").is_not_null())
    policies = table.select(
        "requires_approval",
        "requires_justification",
        role=folded(table["role_definition_id"]),
        place=place_of(table["scope"]),
    ).drop_nulls(["role"])
    return analysis.tenant.assignments.filter(pl.col("state") == "eligible").join(policies, on=["role", "place"])


def seldom_at_work(inputs: Inputs, analysis: Analysis, below: float) -> pl.DataFrame:
    """Return the permanent assignments of people and groups that are used fewer hours a month than `below`.

    Columns: `a`, `role_assignment_id`, `state`, `principal_id`, and those of `usage.standing_hours`.
    """
    permanent = analysis.tenant.assignments.filter(is_permanent_of_people(inputs) & ~pl.col("twin")).select(
        "a", "role_assignment_id", "state", "principal_id"
    )
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
