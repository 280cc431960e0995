"""Read what was done in the window: by principal and day, by activation, and what role assignments were asked for.

Aggregate the use of the window: what each principal did, where, and under which evidence.

Sum up what was done during each activation, and how many hours a month permanent access is in use.

A call belongs to the activation whose assignment the log names. Where the log names none, it belongs to the activation
of the same principal that was running at the time and whose role grants the call at that scope. Activating counts as
use of the eligible assignment, not of every permission in its role.

The Activity Log keeps the body of a request beside the row that begins it, and the body of the answer beside the row
that ends it. An export may have lost either, so a call counts only where each of its repetitions shows its role.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, is_unnamed, once, place_of, schema_of
from rightsize.analyze.shared_texts import summed_by
from rightsize.analyze.tenant import Tenant, granted_by_patterns
from rightsize.analyze.window import Window
from rightsize.model.nouns import Plane
from rightsize.model.text import Folded

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
    wanted = (*CALL, "operation", "scope", "day", "first_seen", "last_seen", "clean", "use", "denied")
    aggregates = [
        pl.col("operation").min(),
        pl.col("scope").min(),
        pl.col("clean").sum(),
        pl.col("use").sum(),
        (kept.then("day").n_unique() - kept.then("day").is_null().any().cast(pl.UInt32)).alias("clean_days"),
        pl.col("day").filter(pl.col("use") > 0).n_unique().alias("use_days"),
        kept.then("first_seen").min().alias("clean_first"),
        kept.then("last_seen").max().alias("clean_last"),
        pl.col("first_seen").min().alias("use_first"),
        pl.col("last_seen").max().alias("use_last"),
        pl.col("denied").fill_null(0).sum(),
    ]
    days = use_by_day(inputs, window, unnamed=unnamed).select(wanted).collect()
    rows = summed_by(days, CALL, aggregates).with_row_index("u")
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


def use_by(days: pl.DataFrame, principals: Collection[str]) -> pl.DataFrame:
    """Return the rows of `usage_days` of principals with these folded ids; each distinct id is folded once."""
    spelt = days["principal_id"].drop_nulls().unique()
    return days.filter(pl.col("principal_id").is_in(spelt.filter(folded(spelt).is_in(list(principals))).implode()))


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


ACTIVATIONS_SCHEMA = schema_of("activations")
NAMED = 20
"""The most operations that are named for an activation."""
QUANTILE = 0.95
"""The share of days whose work fits into the length of an activation."""


def use_of_activations(activations: pl.DataFrame, inputs: Inputs, window: Window, tenant: Tenant) -> pl.DataFrame:
    """Return the table `activations` for those of Azure roles.

    Args:
        activations: As `activations.History` has them.
        inputs: The tables.
        window: The days whose use is summed up.
        tenant: The tenant.
    """
    if activations.is_empty():
        return pl.DataFrame(schema=ACTIVATIONS_SCHEMA)
    concerned = pl.col("evidence").is_in(activations["id"].implode()) | pl.col("principal_id").is_in(
        activations["principal_id"].implode()
    )
    used = (
        use_by_day(inputs, window)
        .filter((pl.col("use") > 0) & concerned)
        .select("principal_id", "name", "operation", "plane", "place", "evidence", "first_seen", "last_seen", "use")
        .collect()
    )
    named = used.join(activations.select("activation_id", evidence="id").drop_nulls(), on="evidence")
    silent = used.filter(pl.col("evidence").is_null()).join(
        activations.select("activation_id", "principal_id", "role", "start_on", "end_on", held_at="place"),
        on="principal_id",
    )
    during = silent.filter(
        (pl.col("first_seen") >= pl.col("start_on"))
        & (pl.col("last_seen") <= pl.col("end_on")).fill_null(False)
        & ((pl.col("held_at") == "/") | (pl.col("place") + "/").str.starts_with(pl.col("held_at") + "/"))
    )
    grants = granted_by_patterns(tenant.patterns, during.select("name", "plane").unique())
    during = during.join(grants, on=["role", "name", "plane"], how="semi")
    uses = pl.concat([frame.select("activation_id", "operation", "use", name="operation") for frame in (named, during)])
    return activation_table(activations, uses, "control")


def activation_table(activations: pl.DataFrame, uses: pl.DataFrame, plane: Plane) -> pl.DataFrame:
    """Return the table `activations` of a plane.

    Args:
        activations: One row per activation, as `History` has them.
        uses: `activation_id, name, operation, use`: its operations, and how often; one name is one operation.
        plane: The plane.
    """
    done = uses.group_by("activation_id").agg(
        operations=pl.col("name").n_unique().cast(pl.Int64),
        events=pl.col("use").sum().cast(pl.Int64),
        done=pl.col("operation").unique().sort().head(NAMED),
    )
    table = activations.join(done, on="activation_id", how="left").select(
        "activation_id",
        "principal_id",
        "start_on",
        "end_on",
        "justified",
        "approved",
        "seen_in",
        plane=pl.lit(plane),
        role_definition_id="role",
        scope="place",
        role_assignment_id="id",
        eligibility_id="eligibility",
        hours=hours("start_on", "end_on"),
        operations=pl.col("operations").fill_null(0),
        events=pl.col("events").fill_null(0),
        done=pl.col("done").fill_null([]),
    )
    return table.select(pl.col(name).cast(type_) for name, type_ in ACTIVATIONS_SCHEMA.items())


def hours(start: str, end: str) -> pl.Expr:
    """Return how many hours lie between two columns of times."""
    return (pl.col(end) - pl.col(start)).dt.total_seconds() / 3600


def standing_hours(days: pl.DataFrame, window: Window, by: str) -> pl.DataFrame:
    """Return how seldom something is used: `(by, days, hours_a_month, hours_needed)`.

    A day's work lasts from its first to its last call, and at least half an hour. `hours_needed` is how long an
    activation has to last for 95 of 100 such days, in half hours.

    Args:
        days: Use by day: `by`, `day`, `first_seen`, `last_seen`.
        window: The days.
        by: The column that names what is used.
    """
    spans = days.group_by(by, "day").agg(pl.col("first_seen").min(), pl.col("last_seen").max())
    lasted = pl.max_horizontal(hours("first_seen", "last_seen"), 0.5)
    months = window.days / 30
    return (
        spans.with_columns(lasted=lasted)
        .group_by(by)
        .agg(
            days=pl.len().cast(pl.Int64),
            hours_a_month=pl.col("lasted").sum() / months,
            hours_needed=(pl.col("lasted").quantile(QUANTILE, "higher") * 2).ceil() / 2,
        )
        .sort(by)
    )


def duration(needed: float) -> str:
    """Return hours as ISO 8601 writes them, which is how policies state the length of an activation."""
    minutes = math.ceil(needed * 60)
    whole, rest = divmod(minutes, 60)
    return "PT" + (f"{whole}H" if whole else "") + (f"{rest}M" if rest or not whole else "")


WRITE = Folded("microsoft.authorization/roleassignments/write")
DELETE = Folded("microsoft.authorization/roleassignments/delete")

REQUESTS_SCHEMA = {
    "principal_id": pl.String(),
    "operation": pl.String(),
    "place": pl.String(),
    "role": pl.String(),
    "kind": pl.String(),
}
_ATTRIBUTE = "microsoft.authorization/roleassignments"
_CALL = ("principal_id", "operation", "place")


def read_role_requests(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return the distinct `(principal_id, operation, place, role, kind)` of the window, all but `kind` folded.

    `place` is the assignment that is made or deleted. `kind` is the principal type: for a write the type that the
    request names, since a condition checks the request; for a delete the type of the assignment; null where no log
    shows it. A call in quarantine has no row. Nor has a repeated call where one repetition does not show its role.
    """
    used = (
        use_by_day(inputs, window)
        .filter(pl.col("name").is_in([WRITE, DELETE]) & (pl.col("use") > 0) & pl.col("principal_id").is_not_null())
        .group_by("principal_id", "place", "day", operation="name")
        .agg(calls=pl.col("use").sum(), clean=pl.col("clean").sum())
        .collect()
    )
    asked = _asked(inputs).join(used, on=[*_CALL, "day"], how="semi")
    counted = used.group_by(_CALL).agg(pl.col("calls").sum(), is_clean=(pl.col("calls") == pl.col("clean")).all())
    shown = asked.group_by(_CALL).agg(requests=pl.len(), shows_all=pl.col("role").is_not_null().all())
    whole = counted.join(shown, on=list(_CALL)).filter(
        pl.col("is_clean") & pl.col("shows_all") & (pl.col("requests") >= pl.col("calls"))
    )
    return asked.join(whole, on=list(_CALL), how="semi").select(*REQUESTS_SCHEMA).unique().sort(*REQUESTS_SCHEMA)


def _asked(inputs: Inputs) -> pl.DataFrame:
    """Return every call that used the permission; a delete gets the role that any call on its assignment shows."""
    table = inputs.role_assignment_requests
    calls = table.filter(pl.col("outcome").is_in(["succeeded", "failed", "started"])).select(
        "assigned_type",
        "asked_type",
        principal_id=folded(pl.col("principal_id")),
        operation=folded(pl.col("operation")),
        place=place_of(pl.col("scope")),
        day=pl.col("time").dt.date(),
        role=folded(pl.col("assigned_role_id")),
    )
    known = (
        calls.filter(pl.col("role").is_not_null())
        .group_by("place")
        .agg(pl.col("role").min(), pl.col("assigned_type").min(), roles=pl.col("role").n_unique())
        .filter(pl.col("roles") == 1)
        .select("place", known_role="role", known_type="assigned_type")
    )
    deletes = pl.col("operation") == DELETE
    return (
        calls.filter(pl.col("principal_id").is_not_null())
        .join(known, on="place", how="left")
        .with_columns(
            role=pl.coalesce("role", pl.when(deletes).then("known_role")),
            kind=pl.when(deletes).then(pl.coalesce("assigned_type", "known_type")).otherwise("asked_type"),
        )
    )


def attributes_of(operation: str, role: str | None, kind: str | None) -> dict[str, str]:
    """Return the attributes of a call that makes or deletes a role assignment, as `rbac.conditions` takes them.

    Source: Microsoft Learn, "Authorization actions and attributes".
    """
    source = "@request" if operation == WRITE else "@resource"
    named = {"roledefinitionid": role, "principaltype": kind}
    return {f"{source}[{_ATTRIBUTE}:{name}]": value for name, value in named.items() if value is not None}
