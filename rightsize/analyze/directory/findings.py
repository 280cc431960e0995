"""Find directory roles that nobody activates, that are seldom used, permanently privileged, or easy to activate."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.activation_use import duration, standing_hours
from rightsize.analyze.coverage import described_principals
from rightsize.analyze.directory.tables import DirectoryTables
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.pim_findings import SELDOM_HOURS
from rightsize.analyze.reasons import Unused, sentence
from rightsize.analyze.text import folded
from rightsize.analyze.window import Window

_COLUMNS = tuple(schema_of("findings"))
_PEOPLE = ("User", "Group")


def find_in_directory(
    tables: DirectoryTables,
    window: Window,
    state: str,
    judged: pl.DataFrame,
    activations: pl.DataFrame,
    by_day: pl.DataFrame,
) -> pl.DataFrame:
    """Return the rows of the table `findings` about directory roles.

    Args:
        tables: The frames.
        window: The days.
        state: `covered`, or the reason why the audit log does not cover all of them.
        judged: `(a, name, verdict, reason)`.
        activations: The activations of directory roles.
        by_day: `(a, day, first_seen, last_seen)`.
    """
    found = [
        _never_activated(tables, judged),
        _without_reason(tables, window, activations),
        _standing_privilege(tables),
        *_asks_little(tables),
        _seldom_used(tables, window, by_day) if state == Unused.COVERED.value else None,
    ]
    return pl.concat([frame.select(_COLUMNS) for frame in found if frame is not None]).sort("control", "subject")


def _said(frame: pl.DataFrame, control: str, severity: str, reason: str | pl.Expr) -> pl.DataFrame:
    text = pl.lit(reason) if isinstance(reason, str) else reason
    return frame.with_columns(
        subject="role_assignment_id", control=pl.lit(control), severity=pl.lit(severity), reason=text
    )


def _never_activated(tables: DirectoryTables, judged: pl.DataFrame) -> pl.DataFrame:
    asleep = judged.filter(pl.col("reason") == Unused.NEVER_ACTIVATED.value)["a"].unique()
    rows = tables.assignments.filter(pl.col("a").is_in(asleep.implode()))
    text = pl.format("{}: {}", pl.coalesce("role_name", "role"), pl.lit(sentence(Unused.NEVER_ACTIVATED.value)))
    return _said(rows, "directory_role_never_activated", "medium", text)


def _without_reason(tables: DirectoryTables, window: Window, activations: pl.DataFrame) -> pl.DataFrame:
    inside = activations.filter((pl.col("start_on") >= window.start) & (pl.col("start_on") < window.end))
    counted = inside.group_by(role_assignment_id="eligibility").agg(bare=(~pl.col("justified")).sum(), times=pl.len())
    held = tables.assignments.filter(pl.col("state") == "eligible").select("role_assignment_id", "principal_id")
    rows = held.join(counted.filter(pl.col("bare") > 0), on="role_assignment_id")
    text = pl.format("{} of {} activations gave no reason", "bare", "times")
    return _said(rows, "activation_without_reason", "low", text)


def _asks_little(tables: DirectoryTables) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return eligible directory roles whose policy asks for nothing, and privileged ones without approval."""
    table = tables.inputs.role_management_policies.filter(pl.col("rules").is_not_null() & (pl.col("scope") == "/"))
    policies = table.select(
        "requires_approval", "requires_justification", role=folded(table["role_definition_id"])
    ).drop_nulls(["role"])
    privileged = tables.roles.filter(pl.col("is_privileged").fill_null(False))["role"]
    rows = tables.assignments.filter(pl.col("state") == "eligible").join(policies, on="role")
    rows = rows.filter(~pl.col("requires_approval").fill_null(False))
    bare = ~pl.col("requires_justification").fill_null(False)
    name = pl.coalesce("role_name", "role")
    silent = _said(
        rows.filter(bare),
        "activation_asks_nothing",
        "medium",
        pl.format("activating {} needs neither a reason nor an approval", name),
    )
    # Waiting for an approval is worth it only where a role gives privilege.
    alone = _said(
        rows.filter(~bare & pl.col("role").is_in(privileged.implode())),
        "activation_without_approval",
        "low",
        pl.format("activating {} needs no approval", name),
    )
    return silent, alone


def _standing_privilege(tables: DirectoryTables) -> pl.DataFrame:
    privileged = tables.roles.filter(pl.col("is_privileged").fill_null(False))["role"]
    rows = tables.assignments.filter(
        (pl.col("state") == "active") & pl.col("end_on").is_null() & pl.col("role").is_in(privileged.implode())
    )
    text = pl.format("{} is permanent and needs no activation", pl.coalesce("role_name", "role"))
    return _said(rows, "standing_directory_privilege", "medium", text)


def _seldom_used(tables: DirectoryTables, window: Window, by_day: pl.DataFrame) -> pl.DataFrame:
    people = described_principals(tables.inputs).filter(pl.col("principal_type").is_in(list(_PEOPLE)))["principal_id"]
    permanent = tables.assignments.filter(
        (pl.col("state") == "active") & pl.col("end_on").is_null() & pl.col("principal_id").is_in(people.implode())
    )
    worked = standing_hours(by_day, window, "a").filter(pl.col("hours_a_month") < SELDOM_HOURS)
    lengths = {hours: duration(hours) for hours in worked["hours_needed"].unique()}
    text = pl.format(
        "{} used {} hours a month, on {} days: if it were eligible, an activation of {} would cover 95 of 100 days",
        pl.coalesce("role_name", "role"),
        pl.col("hours_a_month").round(1),
        "days",
        pl.col("hours_needed").replace_strict(lengths, default="", return_dtype=pl.String),
    )
    return _said(permanent.join(worked, on="a"), "directory_role_seldom_used", "low", text)
