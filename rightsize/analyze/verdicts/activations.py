"""Rebuild the activations of eligible assignments from listings, PIM requests, the Activity Log and audit records.

An activation creates a role assignment that is deleted hours later: today's listings do not show it, and the logs name
an id that no listing has. The sources that remain are today's instances, the requests to Privileged Identity
Management, the calls that created and deleted the assignment, and audit records. Records of one principal, role and
scope that begin within a quarter of an hour of each other are one activation.
Sources: Microsoft Learn, "Approve and activate Azure resource roles in PIM"; REST reference of
roleAssignmentScheduleRequests.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import Inputs, ScopeTree, containing, folded, place_of
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.coverage import COVERED
from rightsize.analyze.verdicts.usage import named_use
from rightsize.analyze.window import Window
from rightsize.model.text import fold
from rightsize.rules.tables import rows_of

NEAR = "15m"
_WRITES = ("microsoft.authorization/roleassignments/write",)
_ASSIGNMENTS = "/providers/microsoft.authorization/roleassignments/"
# A request in one of these states made no assignment.
_NOT_MADE = (
    "denied", "admindenied", "canceled", "failed", "failedasresourceislocked", "invalid", "pendingapproval",
    "pendingadmindecision", "pendingapprovalprovisioning", "pendingevaluation", "pendingexternalprovisioning",
    "pendingprovisioning", "pendingrevocation", "pendingschedulecreation", "timedout",
)  # fmt: skip
RECORDS_SCHEMA: dict[str, pl.DataType] = {
    "principal_id": pl.String(),
    "role": pl.String(),
    "place": pl.String(),
    "id": pl.String(),
    "record": pl.String(),
    "eligibility": pl.String(),
    "start_on": pl.Datetime("us"),
    "end_on": pl.Datetime("us"),
    "justified": pl.Boolean(),
    "approved": pl.Boolean(),
    "source": pl.String(),
}
"""One row per record of an activation; `id` is the id of the assignment, `record` the id of the record."""

_ACTIVATIONS = {name: type_ for name, type_ in RECORDS_SCHEMA.items() if name not in ("record", "source")} | {
    "seen_in": pl.List(pl.String()),
    "activation_id": pl.String(),
}


@dataclass(frozen=True, slots=True)
class History:
    """The activations that were rebuilt, and the eligible assignments that nobody activated.

    Attributes:
        activations: One row per activation: `activation_id, principal_id, role, place, id, eligibility, start_on,
            end_on, justified, approved, seen_in`; `eligibility` is the id of an eligible assignment of today, or null.
        dormant: `a` of the eligible assignments that nobody activated in the window, though every activation would
            have been logged.
    """

    activations: pl.DataFrame
    dormant: pl.Series


def read_history(inputs: Inputs, window: Window, tenant: Tenant, control: pl.DataFrame) -> History:
    """Rebuild the activations of Azure roles.

    Args:
        inputs: The tables.
        window: The days that `dormant` covers.
        tenant: The tenant.
        control: `coverage.control_states`.
    """
    eligible = tenant.assignments.filter(pl.col("state") == "eligible").select(
        "a", "principal_id", "role", "place", eligibility="id"
    )
    made, deleted = _written(inputs)
    found = join_records(pl.concat([_instances(tenant), asked(inputs, "control"), made]), noted(inputs, "control"))
    found = end_early(found, deleted, given_back(inputs, "control"))
    found = match_eligibilities(found, eligible, tenant.membership, tenant.tree)
    # A write of an assignment for which nobody is eligible is no activation.
    known = pl.col("eligibility").is_not_null() | (
        pl.col("seen_in").list.set_difference(["activity_log"]).list.len() > 0
    )
    dormant = _dormant(inputs, window, tenant, eligible, found, control)
    return History(found.filter(known), dormant)


def records(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return rows as RECORDS_SCHEMA has them; a column that is missing is null."""
    return frame.with_columns(source=pl.lit(source)).select(
        (pl.col(name) if name in [*frame.columns, "source"] else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in RECORDS_SCHEMA.items()
    )


def _instances(tenant: Tenant) -> pl.DataFrame:
    rows = tenant.assignments.filter(pl.col("state") == "activated")
    return records(rows.with_columns(record="id"), "instance")


def asked(inputs: Inputs, plane: str) -> pl.DataFrame:
    """Return as records the requests that activated a role on a plane."""
    table = inputs.schedule_requests
    rows = table.filter(
        (pl.col("plane") == plane)
        & (pl.col("asks_for") == "assignment")
        & (pl.col("request_type") == "selfactivate")
        & ~pl.col("status").fill_null("").is_in(list(_NOT_MADE))
    ).select(
        "start_on",
        "end_on",
        "justified",
        approved=pl.col("approval_id").is_not_null(),
        record="request_id",
        principal_id=folded(pl.col("principal_id")),
        role=folded(pl.col("role_definition_id")),
        place=place_of(pl.col("scope")),
        id=folded(pl.col("role_assignment_id")),
    )
    return records(rows, "request")


def given_back(inputs: Inputs, plane: str) -> pl.DataFrame:
    """Return `(principal_id, role, place, given_back)`: activations that somebody ended early."""
    table = inputs.schedule_requests.filter((pl.col("plane") == plane) & (pl.col("request_type") == "selfdeactivate"))
    return table.select(
        principal_id=folded(table["principal_id"]),
        role=folded(table["role_definition_id"]),
        place=place_of(table["scope"]),
        given_back=pl.coalesce("requested_on", "start_on"),
    ).drop_nulls()


def _written(inputs: Inputs) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the assignments that calls made, as records, and `(id, deleted)` of those that calls deleted."""
    table = inputs.role_assignment_requests.filter(pl.col("outcome").is_in(["succeeded", "started"]))
    target = place_of(table["scope"])
    rows = table.with_columns(
        id=target.str.split("/").list.last(),
        place=pl.Series("place", target).str.split(_ASSIGNMENTS).list.first().replace("", "/"),
        is_write=folded(table["operation"]).str.ends_with("/write"),
        role=folded(table["assigned_role_id"]),
        principal_id=folded(table["assigned_principal_id"]),
    )
    made = rows.filter(pl.col("is_write") & pl.col("role").is_not_null() & pl.col("principal_id").is_not_null())
    deleted = rows.filter(~pl.col("is_write")).group_by("id").agg(deleted=pl.col("time").min())
    return records(made.with_columns(start_on="time", record="id"), "activity_log"), deleted


def noted(inputs: Inputs, plane: str) -> pl.DataFrame:
    """Return as records the activations on a plane that the audit log has; it does not name their scope."""
    table = inputs.pim_records.filter(
        (pl.col("plane") == plane) & (pl.col("step") == "activated") & pl.col("succeeded").fill_null(True)
    )
    rows = table.select(
        "end_on",
        "justified",
        record="record_id",
        principal_id=folded(table["principal_id"]),
        role=folded(table["role_definition_id"]),
        start_on=pl.coalesce("start_on", "time"),
        approved=folded(table["correlation_id"]).is_in(
            inputs.pim_records.filter(pl.col("step") == "approved")["correlation_id"].drop_nulls().implode()
        ),
    )
    return records(rows, "audit_log")


def join_records(placed: pl.DataFrame, noted: pl.DataFrame) -> pl.DataFrame:
    """Group records into activations, one row each.

    Args:
        placed: Records (RECORDS_SCHEMA) that name their scope.
        noted: Records that do not; they join an activation that begins at nearly the same time, else they stand alone.
    """
    if placed.is_empty() and noted.is_empty():
        return pl.DataFrame(schema=_ACTIVATIONS)
    key = ["principal_id", "role", "place"]
    # One assignment is one activation, however late it was approved.
    began = pl.when(pl.col("id").is_not_null()).then(pl.col("start_on").min().over("id")).otherwise("start_on")
    rows = placed.drop_nulls(["principal_id", "role", "start_on"]).with_columns(start_on=began)
    rows = rows.sort(*key, "start_on", "id", "record", nulls_last=True)
    gap = pl.col("start_on") - pl.col("start_on").shift(1).over(key)
    before = pl.col("id").forward_fill().shift(1).over(key)
    other = (pl.col("id") != before).fill_null(False)
    rows = rows.with_columns(run=((gap > pl.duration(minutes=15)).fill_null(True) | other).cum_sum())
    noted = noted.drop_nulls(["principal_id", "role", "start_on"]).sort("start_on", "record")
    starts = rows.group_by("run").agg(pl.col("principal_id", "role").first(), start_on=pl.col("start_on").min())
    near = noted.join_asof(
        starts.sort("start_on").select("principal_id", "role", "start_on", "run"),
        on="start_on",
        by=["principal_id", "role"],
        strategy="nearest",
        tolerance=NEAR,
        check_sortedness=False,
    )
    last = rows["run"].max() if len(rows) else 0
    alone = near.filter(pl.col("run").is_null()).with_columns(
        run=pl.lit(last, dtype=pl.UInt32) + pl.int_range(1, pl.len() + 1, dtype=pl.UInt32)
    )
    columns = [*RECORDS_SCHEMA, "run"]
    together = pl.concat(
        [frame.select(columns).cast({"run": pl.UInt32}) for frame in (rows, near.drop_nulls("run"), alone)]
    )
    said = [pl.col(name).drop_nulls().min() for name in ("id", "place", "eligibility")]
    return (
        together.sort("run", "source", "record", nulls_last=True)
        .group_by("run")
        .agg(
            pl.col("principal_id", "role").first(),
            *said,
            record=pl.col("record").drop_nulls().min(),
            start_on=pl.col("start_on").min(),
            # Of several ends the earliest counts.
            end_on=pl.col("end_on").drop_nulls().min(),
            justified=pl.col("justified").drop_nulls().max(),
            approved=pl.col("approved").drop_nulls().max(),
            seen_in=pl.col("source").unique().sort(),
        )
        .with_columns(activation_id=pl.coalesce("id", "record"))
        .drop("run", "record")
        .sort("start_on", "activation_id")
    )


def end_early(found: pl.DataFrame, deleted: pl.DataFrame, given_back: pl.DataFrame) -> pl.DataFrame:
    """Return the activations, ended early where somebody gave them back or their assignment was deleted."""
    if found.is_empty():
        return found
    key = ["principal_id", "role", "place"]
    backs = (
        found.join(given_back, on=key)
        .filter(
            (pl.col("given_back") >= pl.col("start_on")) & (pl.col("given_back") <= pl.col("end_on")).fill_null(True)
        )
        .group_by("activation_id")
        .agg(pl.col("given_back").min())
    )
    return (
        found.join(deleted, on="id", how="left")
        .join(backs, on="activation_id", how="left")
        .with_columns(end_on=pl.min_horizontal("end_on", "deleted", "given_back"))
        .drop("deleted", "given_back")
    )


def match_eligibilities(
    found: pl.DataFrame, eligible: pl.DataFrame, membership: pl.DataFrame, tree: ScopeTree
) -> pl.DataFrame:
    """Return the activations with `eligibility`: the id of the eligible assignment behind each, if it is listed.

    The eligible assignment that an instance names counts. Else it is the narrowest one for the role that reaches the
    principal, its own before that of a group. An activation may be narrower than the eligible assignment.

    Args:
        found: The activations.
        eligible: `(eligibility, principal_id, role, place)`.
        membership: `(principal_id, holder)`.
        tree: The scopes.
    """
    if found.is_empty():
        return found
    within = containing(found["place"].drop_nulls(), eligible["place"], tree).rename({"assigned": "held_at"})
    held = eligible.select("role", matched="eligibility", holder="principal_id", held_at="place")
    reach = found.select("activation_id", "principal_id", "role", "place").join(membership, on="principal_id")
    pairs = reach.join(held, on=["role", "holder"])
    placed = pairs.filter(pl.col("place").is_not_null()).join(within, on=["place", "held_at"], how="semi")
    single = pairs.filter(pl.col("place").is_null() & (pl.len().over("activation_id") == 1))
    return with_best_match(found, pl.concat([placed, single]), eligible["eligibility"])


def with_best_match(found: pl.DataFrame, pairs: pl.DataFrame, listed: pl.Series) -> pl.DataFrame:
    """Return each activation with the best eligible assignment that may be behind it, where it names none.

    The principal's own comes before that of a group, the narrower before the wider, and the smaller id of two alike. An
    activation whose record names no scope gets the scope of its eligible assignment.

    Args:
        found: The activations.
        pairs: `(activation_id, principal_id, holder, held_at, matched)`: the eligible assignments that may be behind
            them.
        listed: The ids of today's eligible assignments; the one that an activation names counts only if it is among
            them.
    """
    best = (
        pairs.with_columns(indirect=pl.col("holder") != pl.col("principal_id"), deep=pl.col("held_at").str.len_chars())
        .sort("activation_id", "indirect", "deep", "matched", descending=[False, False, True, False])
        .unique("activation_id", keep="first", maintain_order=True)
    )
    named = pl.col("eligibility").is_in(listed.unique().implode())
    return (
        found.join(best.select("activation_id", "matched", "held_at"), on="activation_id", how="left")
        .with_columns(
            eligibility=pl.when(named).then("eligibility").otherwise(pl.col("matched")),
            place=pl.coalesce("place", "held_at"),
        )
        .drop("matched", "held_at")
        .sort("start_on", "activation_id")
    )


def covered_assignments(control: pl.DataFrame) -> pl.Series:
    """Return `a` of the assignments whose logs (`coverage.control_states`), at and below them, cover every day."""
    return control.filter(
        pl.all_horizontal(pl.col(name).fill_null(COVERED) == COVERED for name in ("below", "groups", "top"))
    )["a"]


def _dormant(
    inputs: Inputs,
    window: Window,
    tenant: Tenant,
    eligible: pl.DataFrame,
    found: pl.DataFrame,
    control: pl.DataFrame,
) -> pl.Series:
    """Return the eligible assignments that certainly nobody activated in the window.

    The call that creates the assignment stands in the log of the scope, so that log has to cover every day, at and
    below the eligible assignment. Every such call also has to name its holder and role, or it may have activated this
    one.
    """
    if eligible.is_empty():
        return eligible["a"]
    began = (pl.col("start_on") < window.end) & (pl.col("end_on").fill_null(window.end) >= window.start)
    awake = found.filter(began)
    matched = awake["eligibility"].drop_nulls().unique()
    stray = awake.filter(pl.col("eligibility").is_null())
    hidden = _opaque_places(inputs, window, eligible, tenant)
    below = containing(pl.concat([stray["place"].drop_nulls(), hidden]), eligible["place"], tenant.tree)
    lurking = stray.join(below, on="place").select("role", place="assigned")
    unplaced = stray.filter(pl.col("place").is_null())["role"].unique()
    anything = below.filter(pl.col("place").is_in(hidden.implode()))["assigned"].unique()
    return (
        eligible.filter(
            pl.col("a").is_in(covered_assignments(control).implode())
            & ~pl.col("eligibility").is_in(matched.implode())
            & ~pl.col("role").is_in(unplaced.implode())
            & ~pl.col("place").is_in(anything.implode())
        )
        .join(lurking, on=["role", "place"], how="anti")["a"]
        .sort()
    )


def _opaque_places(inputs: Inputs, window: Window, eligible: pl.DataFrame, tenant: Tenant) -> pl.Series:
    """Return the scopes of assignments made in the window whose role or holder no log names."""
    named = inputs.role_assignment_requests.filter(
        pl.col("assigned_role_id").is_not_null() & pl.col("assigned_principal_id").is_not_null()
    )
    writes = named_use(inputs.usage_days, _WRITES).filter(window.holds("day"))
    done = writes.filter(
        (pl.sum_horizontal("succeeded", "started") > 0)
        & ~folded(writes["principal_id"]).is_in(_others(inputs, eligible, tenant).implode()).fill_null(False)
    )
    places = place_of(done["scope"]).unique()
    return places.filter(~places.is_in(place_of(named["scope"]).implode()))


def _others(inputs: Inputs, eligible: pl.DataFrame, tenant: Tenant) -> pl.Series:
    """Return the principals whose writes are no activations: not the service that writes them, nor who can activate."""
    writers = [fold(row["app_id"]) for row in rows_of("log_activation_writers")]
    known = inputs.principals.select(
        "principal_type", principal_id=folded(pl.col("principal_id")), app=folded(pl.col("app_id"))
    )
    others = known.filter((pl.col("principal_type") == "User") | ~pl.col("app").is_in(writers))
    activating = tenant.membership.filter(pl.col("holder").is_in(eligible["principal_id"].implode()))["principal_id"]
    return others.filter(~pl.col("principal_id").is_in(activating.implode()))["principal_id"].unique()
