"""Declare the tables of evidence beside `plan.json`: today's grants, use, what did not exist, and chances."""

from __future__ import annotations

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, INT, TIME = ColumnType.TEXT, ColumnType.TEXTS, ColumnType.INT, ColumnType.TIME
REAL, BOOL = ColumnType.REAL, ColumnType.BOOL
WINDOW, BEFORE = "window", "before"
"""The values of `period`: use in the window, and earlier use that still counts."""

KEPT_UNSEEN, REMOVED = "kept_unseen", "removed"
"""The values of `fate`: what stays though no log shows a use of it, and what goes."""

GRANTS = Table(
    "grants",
    "one row per proposal for Azure roles: today's assignment, and why it changes or stays",
    (
        key("proposal_id", TEXT, "id of the proposal"),
        Column("reason", TEXT, "why, with its details; plan.json has the beginning"),
        Column("role", TEXT, "id of today's role definition"),
        Column("scope", TEXT, "today's scope"),
        Column("state", TEXT, "active, eligible or activated"),
        Column("granted", INT, "operations that it grants today"),
        Column("used", INT, "operations that were used in the window"),
        Column("used_before", INT, "operations whose use before the window still counts; null without them"),
        Column("covered_days", INT, "days of the window that the logs cover; null where removals do not depend on it"),
        Column("declared_by_user", TEXTS, "windows that a user declared complete; null without them"),
        Column("by_design", TEXT, "reason for which it stays whatever the evidence; null without one"),
        Column("enough", TEXT, "what would be enough, where it stays by design; null elsewhere"),
        Column("latent_before", REAL, "the part of excess_before on types that do not exist there; null without one"),
        Column("latent_after", REAL, "the part of excess_after on them"),
    ),
    kind="answer",
)
COUNTS = Table(
    "counts",
    "one row per proposal for Azure roles, fate of operations and reason",
    (
        key("proposal_id", TEXT, "id of the proposal"),
        key("fate", TEXT, "kept_unseen for what stays without use, or removed"),
        key("reason", TEXT, "reason of the verdict, or choice of an option"),
        Column("operations", INT, "number of operations"),
    ),
    kind="answer",
)
OPERATIONS = Table(
    "operations",
    "one row per proposal, period and operation that was used under its assignment",
    (
        key("proposal_id", TEXT, "id of the proposal"),
        key("period", TEXT, "window, or before for earlier use that still counts"),
        key("plane", TEXT, "control, data or directory"),
        key("operation", TEXT, "the operation, or the action of a directory role"),
        Column("events", INT, "calls"),
        Column("days", INT, "at most the number of days with a call"),
        Column("first_seen", TIME, "first call"),
        Column("last_seen", TIME, "last call"),
        Column("days_ago", INT, "days from the last call to the end of the window; null for use in the window"),
        Column("attributed_by", TEXTS, "how calls were credited to the assignment, sorted"),
        Column("principals", INT, "number of principals that called"),
        Column("principal_ids", TEXTS, "the first 20 of them, sorted"),
        Column("scopes", INT, "number of scopes of the calls"),
        Column("scope_ids", TEXTS, "the first 20 of them, sorted"),
    ),
    kind="answer",
)
"""Directory roles have one row for each principal and scope of an action."""
ABSENT = Table(
    "absent",
    "one row per proposal, reason and resource type whose operations it removes because none existed",
    (
        key("proposal_id", TEXT, "id of the proposal"),
        key("reason", TEXT, "no_such_resource or provider_not_registered"),
        key("resource_type", TEXT, "the resource type"),
        Column("operations", INT, "number of removed operations"),
    ),
    kind="answer",
)
ABSENCE_PROOFS = Table(
    "absence-proofs",
    "one row per proposal, reason and listing that proves it",
    (
        key("proposal_id", TEXT, "id of the proposal"),
        key("reason", TEXT, "no_such_resource or provider_not_registered"),
        key("kind", TEXT, "kind of the listing; null where the scope itself is the proof"),
        key("reader_id", TEXT, "principal that read the listing"),
        Column("subscriptions", INT, "subscriptions of which it read them"),
        Column("of_subscriptions", INT, "subscriptions at or below the scope"),
        Column("read_from", TIME, "first of these readings"),
        Column("read_to", TIME, "last of them"),
        Column("log_days", INT, "days of the window that the log covers"),
        Column("window_days", INT, "days of the window"),
        Column("proof", TEXT, "what else proves it; null where listings do"),
    ),
    kind="answer",
)
_CELLS = {
    "measured": "that were measured elsewhere",
    "basis": "that have the same basis",
    "operations": "that also have as many operations",
    "weeks": "that also have as many new weeks",
    "type": "that also have a holder of the same type",
    "role": "that also have the same role",
}
CHANCES = Table(
    "chances",
    "one row per proposal with a chance of breaking: how it was estimated",
    (
        key("proposal_id", TEXT, "id of the proposal"),
        Column("basis", TEXT, "used, unused, silent, seasonal, or unlogged: no log would show its use"),
        Column("expected", REAL, "the chance"),
        Column("bound", REAL, "its upper bound"),
        Column("operations", INT, "operations at a place that were new in the window"),
        Column("new_weeks", INT, "weeks with one that no other week has"),
        Column("active_days", INT, "days on which the holder worked"),
        Column("tested_days", INT, "last days of the window in which it was counted what came"),
        Column("seasonal", TEXT, "calendar pattern of the use; null without one"),
        Column("beyond_the_sample", BOOL, "true where the sample is shorter than the horizon, so that the bound is 1"),
        *(
            Column(f"{cell}_{name}", INT, f"assignments {whose}{which}")
            for cell, whose in _CELLS.items()
            for name, which in (("came", " and brought something new"), ("of", ""))
        ),
        Column("types_expected", REAL, "the part of the chance from types that did not exist; null without one"),
        Column("types_bound", REAL, "its upper bound"),
        Column("types_a_month", REAL, "types that are expected to come to the scopes in 30 days"),
        Column("types_came", INT, "types that came to the scopes in the window"),
        Column("types_scopes", INT, "number of these scopes"),
        Column("types_came_anywhere", INT, "types that came to any scope with complete logs and listings"),
        Column("types_scopes_anywhere", INT, "number of those scopes"),
        Column("types_lost", INT, "types of which it loses operations for want of a resource"),
        Column("types_lost_share", REAL, "chance that a type that comes is one of these"),
        Column("types_used_share", REAL, "share of the types there that the holder is expected to use"),
    ),
    kind="answer",
)
READINGS = Table(
    "readings",
    "one row per object of the tenant that the plan rests on: `verify` finds changes by them",
    (
        key("what", TEXT, "role_assignments, eligible_assignments, role_definitions and so on"),
        key("id", TEXT, "its id"),
        Column("content", TEXT, "hash of its content"),
    ),
    kind="answer",
)
EVIDENCE_TABLES = (GRANTS, COUNTS, OPERATIONS, ABSENT, ABSENCE_PROOFS, CHANCES, READINGS)


def file_of(table: Table) -> str:
    """Return the name of the file of a table in the plan folder."""
    return f"evidence/{table.name}.parquet"
