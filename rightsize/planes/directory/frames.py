"""Build the frames that every plane has (verdicts, counts, scores, refusals, findings) for directory roles."""

from __future__ import annotations

import polars as pl

from rightsize.analyze import findings, planes
from rightsize.analyze.inputs import folded
from rightsize.analyze.reasons import OutOfCoverage, Unused, Verdict, sentence
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.analyze.verdicts.usage import standing_hours
from rightsize.analyze.window import Window
from rightsize.planes.directory.tables import DirectoryTables

_FULL_MASS = 9_000
"""The mass of Global Administrator, which scores 100."""
_IN_UNIT = 4


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
    found = (single, earlier, counted, unknown, strange)
    return pl.concat([planes.declared(frame, VERDICTS_SCHEMA, plane="directory") for frame in found])


def _weighed(judged: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    places = tables.assignments.select("a", "place", holder="principal_id")
    reach = pl.when(pl.col("place") == "/").then(_IN_UNIT).otherwise(1)
    return (
        judged.join(tables.actions.select("name", "weight"), on="name")
        .join(places, on="a")
        .with_columns(mass=pl.col("weight") * reach / _IN_UNIT)
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
    scored = rows.group_by("principal_id").agg(**planes.counts_and_scores(pl.col("mass"), _FULL_MASS))
    return planes.declared(scored, planes.PRINCIPALS_SCHEMA, plane="directory").sort("principal_id")


def assignment_rows(judged: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    """Return one row per assignment, with counts and scores."""
    scored = _weighed(judged, tables).group_by("a").agg(**planes.counts_and_scores(pl.col("mass"), _FULL_MASS))
    rows = tables.assignments.join(scored, on="a", how="left", maintain_order="left").with_columns(
        pl.col(*planes.SCORE_COLUMNS).fill_null(0),
        role_definition_id="role",
        role_name=pl.coalesce("role_name", "role"),
    )
    return planes.declared(rows, planes.ASSIGNMENTS_SCHEMA, plane="directory")


def denied_rows(usage: pl.DataFrame) -> pl.DataFrame:
    """Return the refused actions of each principal."""
    rows = usage.filter((pl.col("denied") > 0) & pl.col("principal_id").is_not_null())
    return planes.declared(rows.with_columns(used=pl.col("events") > 0), planes.DENIED_SCHEMA, plane="directory")


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
        _asks_little(tables),
    ]
    if state == Unused.COVERED.value:
        found.append(_seldom_used(tables, window, by_day))
    return pl.concat(found).sort("control", "subject")


_ROLE = pl.coalesce("role_name", "role")


def _never_activated(tables: DirectoryTables, judged: pl.DataFrame) -> pl.DataFrame:
    asleep = judged.filter(pl.col("reason") == Unused.NEVER_ACTIVATED.value)["a"].unique()
    rows = tables.assignments.filter(pl.col("a").is_in(asleep.implode()))
    text = pl.format("{}: {}", _ROLE, pl.lit(sentence(Unused.NEVER_ACTIVATED.value)))
    return findings.said(rows, "directory_role_never_activated", "medium", text)


def _without_reason(tables: DirectoryTables, window: Window, activations: pl.DataFrame) -> pl.DataFrame:
    held = tables.assignments.filter(pl.col("state") == "eligible").select("role_assignment_id", "principal_id")
    inside = findings.activated_in(activations, window).select("justified", role_assignment_id="eligibility")
    return findings.find_without_reason(held.join(inside, on="role_assignment_id"))


def _privileged(tables: DirectoryTables) -> pl.Expr:
    """Return whether the role of an assignment gives privilege."""
    roles = tables.roles.filter(pl.col("is_privileged").fill_null(False))["role"]
    return pl.col("role").is_in(roles.implode())


def _asks_little(tables: DirectoryTables) -> pl.DataFrame:
    """Return eligible directory roles whose policy asks for nothing, and privileged ones without approval."""
    table = tables.inputs.role_management_policies.filter(pl.col("rules").is_not_null() & (pl.col("scope") == "/"))
    policies = table.select(
        "requires_approval", "requires_justification", role=folded(table["role_definition_id"])
    ).drop_nulls(["role"])
    rows = tables.assignments.filter(pl.col("state") == "eligible").join(policies, on="role")
    return findings.find_easy_activations(rows, _ROLE, _privileged(tables))


def _standing_privilege(tables: DirectoryTables) -> pl.DataFrame:
    rows = tables.assignments.filter((pl.col("state") == "active") & pl.col("end_on").is_null() & _privileged(tables))
    text = pl.format("{} is permanent and needs no activation", _ROLE)
    return findings.said(rows, "standing_directory_privilege", "medium", text)


def _seldom_used(tables: DirectoryTables, window: Window, by_day: pl.DataFrame) -> pl.DataFrame:
    permanent = tables.assignments.filter(findings.is_permanent_of_people(tables.inputs))
    worked = standing_hours(by_day, window, "a").filter(pl.col("hours_a_month") < findings.SELDOM_HOURS)
    return findings.find_seldom_used(
        permanent.join(worked, on="a"), "directory_role_seldom_used", pl.format("{} ", _ROLE)
    )
