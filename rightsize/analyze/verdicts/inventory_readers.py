"""Choose for each subscription the listings that prove absence: complete, read late enough and with enough rights.

A reader without a right gets a shorter list and no error. So a listing counts only if this store's own assignments
give its reader `*/read` over the whole subscription: active, permanent, without a condition, directly or by a group.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.duplicates import blocks_of
from rightsize.analyze.inputs import Inputs, containing, folded, node_of, place_of
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.window import Window
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import permissions_from_json
from rightsize.model.text import fold
from rightsize.rbac.access import EVERYBODY
from rightsize.rbac.algebra import contains, intersects

KINDS = ("resource_list", "resource_graph")
"""The listings that have to lack a type: Resource Manager's own list lags, and Resource Graph leaves out in silence."""

_READ = (PermissionBlock(actions=("*/read",)),)
_FAULTS = (
    "incomplete",
    "read_before_end",
    "log_ends_before_listing",
    "reader_without_right",
)
"""In ascending order: of several faulty listings the one that is nearest to a proof is named."""

_CHOSEN: dict[str, pl.DataType] = {
    "node": pl.String(),
    "kind": pl.String(),
    "reader_id": pl.String(),
    "read_on": pl.Datetime("us"),
    "fault": pl.String(),
    "problem": pl.String(),
}

LONGEST_GAP = 7
"""Maximum number of days without a log between the window and the reading."""


def choose_listings(inputs: Inputs, window: Window, tenant: Tenant, logged_after: pl.DataFrame) -> pl.DataFrame:
    """Return `(node, kind, reader_id, read_on, fault, problem)`: the best listing of each subscription and kind.

    `fault` is null for a listing that proves absence, else a word for the reason why it proves none; `problem` is the
    manifest's own text for it.

    Args:
        inputs: The tables.
        window: The window.
        tenant: The tenant.
        logged_after: `(node, day)`: days after the window that the Activity Log of a subscription covers.
    """
    rows = inputs.inventories.filter(pl.col("kind").is_in(KINDS)).select(
        "kind",
        "read_on",
        "problem",
        node=place_of(pl.col("scope")),
        reader_id=folded(pl.col("reader_id")),
        complete=pl.col("complete").fill_null(False),
    )
    if rows.is_empty():
        return pl.DataFrame(schema=_CHOSEN)
    able = permitted_readers(rows.select("node", "reader_id", "read_on").unique(), inputs, tenant)
    judged = (
        _with_gap(rows, window, logged_after)
        .join(able.with_columns(able=pl.lit(True)), on=["node", "reader_id", "read_on"], how="left")
        .with_columns(
            fault=pl.when(~pl.col("complete"))
            .then(pl.lit("incomplete"))
            .when((pl.col("read_on") < window.end).fill_null(True))
            .then(pl.lit("read_before_end"))
            .when(pl.col("gap") > LONGEST_GAP)
            .then(pl.lit("log_ends_before_listing"))
            .when(~pl.col("able").fill_null(False))
            .then(pl.lit("reader_without_right"))
        )
    )
    rank = {fault: place for place, fault in enumerate(_FAULTS)}
    order = pl.col("fault").replace_strict(rank, default=len(_FAULTS), return_dtype=pl.Int64)
    return (
        judged.with_columns(order=order)
        .sort("node", "kind", "order", "read_on", "reader_id", descending=[False, False, True, False, False])
        .unique(["node", "kind"], keep="first", maintain_order=True)
        .select("node", "kind", "reader_id", "read_on", "fault", "problem")
    )


def _with_gap(rows: pl.DataFrame, window: Window, logged_after: pl.DataFrame) -> pl.DataFrame:
    """Add `gap`: how many whole days between the window and the reading the log of the subscription does not cover."""
    read_day = pl.col("read_on").dt.date()
    between = (read_day - pl.lit(window.last_day)).dt.total_days() - 1
    distinct = rows.select("node", "read_on").unique()
    logged = (
        distinct.join(logged_after.unique(), on="node")
        .filter((pl.col("day") > window.last_day) & (pl.col("day") < read_day))
        .group_by("node", "read_on")
        .agg(logged=pl.len().cast(pl.Int64))
    )
    return rows.join(logged, on=["node", "read_on"], how="left").with_columns(
        gap=between - pl.col("logged").fill_null(0)
    )


def permitted_readers(wanted: pl.DataFrame, inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return the wanted `(node, reader_id, read_on)` of readers who may read all of the subscription.

    An assignment counts if it was made before the reading, is active and permanent and has no condition, and if its
    role contains `*/read` in a block without a condition. A deny that may take a read away from the reader, at, above
    or below the subscription, leaves nothing proved.
    """
    holders = _lasting_holders(wanted["reader_id"].unique(), inputs, tenant)
    held = tenant.assignments.filter(
        (pl.col("state") == "active")
        & ~pl.col("twin")
        & pl.col("end_on").is_null()
        & (pl.col("condition").fill_null("").str.strip_chars() == "")
    ).join(holders, left_on="principal_id", right_on="holder")
    roles = blocks_of(tenant.patterns.filter(pl.col("role").is_in(held["role"].unique().implode())))
    reading = [role for role, blocks in sorted(roles.items()) if contains(blocks, _READ) is None]
    able = held.filter(pl.col("role").is_in(reading))
    above = containing(wanted["node"], able["place"], tenant.tree)
    since = pl.max_horizontal("created_on", "start_on")
    proved = (
        wanted.join(above, left_on="node", right_on="place")
        .join(
            able.select("reader_id", assigned="place", since=since),
            on=["reader_id", "assigned"],
        )
        .filter((pl.col("since") <= pl.col("read_on")).fill_null(True))
        .select("node", "reader_id", "read_on")
        .unique()
    )
    denied = _denied(proved.select("node", "reader_id").unique(), inputs, tenant)
    return proved.join(denied, on=["node", "reader_id"], how="anti").sort("node", "reader_id", "read_on")


def _lasting_holders(readers: pl.Series, inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return `(reader_id, holder)`: each reader and the groups that it is in without an activation."""
    reached = tenant.membership.filter(pl.col("principal_id").is_in(readers.implode()))
    governed = inputs.group_schedule_instances.select(
        principal_id=folded(pl.col("principal_id")), woken=folded(pl.col("group_id"))
    ).unique()
    upwards = tenant.membership.select(woken="principal_id", holder="holder")
    # A membership that PIM for Groups governs may end: neither that group nor those around it count.
    passing = governed.join(upwards, on="woken").select("principal_id", "holder")
    lasting = reached.join(passing, on=["principal_id", "holder"], how="anti")
    return lasting.select(reader_id="principal_id", holder="holder").unique()


def _denied(pairs: pl.DataFrame, inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return the `(node, reader_id)` that some deny assignment may keep from reading something there."""
    groups: dict[str, set[str]] = {}
    certain: dict[str, set[str]] = {}
    for frame, found in ((tenant.may_reach, groups), (tenant.membership, certain)):
        mine = frame.filter(pl.col("principal_id").is_in(pairs["reader_id"].unique().implode()))
        for reader, holder in mine.iter_rows():
            found.setdefault(reader, set()).add(holder)
    rows = []
    denies = inputs.deny_assignments
    places = place_of(denies["scope"])
    for place, deny in zip(places, denies.iter_rows(named=True), strict=True):
        if not intersects(permissions_from_json(deny["permissions"]), _READ):
            continue
        meant = {fold(one) for one in deny["principal_ids"] or ()}
        excluded = {fold(one) for one in deny["exclude_principal_ids"] or ()}
        for node, reader in pairs.iter_rows():
            concerns = EVERYBODY in meant or not meant.isdisjoint(groups.get(reader, {reader}) | {reader})
            spared = not excluded.isdisjoint(certain.get(reader, set()) | {reader})
            if concerns and not spared and _touches(place, node, tenant):
                rows.append((node, reader))
    return pl.DataFrame(rows, schema={"node": pl.String, "reader_id": pl.String}, orient="row").unique()


def _touches(place: str | None, node: str, tenant: Tenant) -> bool:
    """Return whether a deny at a folded scope may concern something in a subscription."""
    if place is None:
        return True
    inside = pl.DataFrame({"place": [place]}).select(node_of("place")).item()
    return inside == node or place == "/" or place in tenant.tree.ancestors_of(node)
