"""Mark unused operations as unobservable where a linked check inside another write may have needed them.

Azure checks `storageAccounts/listKeys/action` of whoever writes a diagnostic setting, and the log of that write does
not name it. A covered log without the operation therefore proves nothing while somebody whom the assignment reaches
made such a write, or may have made one that no log shows. For a principal that made none and cannot have made one,
Azure did not check the operation.

The rules do not know all such pairs. A refusal shows one for its caller, if the caller made a write on the same day, of
a type whose resources refer to that of the refused operation: where the caller has the right, Azure checks it, too.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.reasons import UnobservableReason, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.profiles import LINKED_ROWS, Profiles, log_state, operation_facts
from rightsize.analyze.verdicts.resource_logs import kind_of, resource_of
from rightsize.analyze.window import Window, is_shown
from rightsize.rules.operations import first_match
from rightsize.rules.resource_types import decided_type, linked_pairs, named_writes
from rightsize.rules.tables import rows_of

_SEPARATOR = "\n"
_TYPE = r"^/subscriptions/[^/]+/(?:resourcegroups/[^/]+/)?providers/([^/]+/[^/]+)/"
"""The folded top-level type of a folded resource id."""


def with_linked_checks(
    profiles: Profiles,
    judged: Tenant,
    everybody: Tenant,
    usage: pl.DataFrame,
    control: pl.DataFrame,
    held: pl.DataFrame,
    refused: pl.DataFrame,
) -> Profiles:
    """Return the profiles in which an unused operation is `unobservable` where a write may have needed it.

    Args:
        profiles: `build_profiles` of the judged assignments.
        judged: The tenant with the judged assignments.
        everybody: The tenant with all assignments of everybody whom a judged one reaches.
        usage: The calls of the window, as `usage.observe` has them.
        control: `coverage.control_states` of everybody's assignments.
        held: `(a, name, plane)`: operations that may have been used, whatever the logs cover.
        refused: `refused_pairs`.
    """
    proved = profiles.operations.filter(
        (pl.col("plane") == "control") & (pl.col("verdict") == Verdict.UNUSED.value) & is_shown(pl.col("reason"))
    ).select("profile_id", checked="name")
    made = usage.filter((pl.col("plane") == "control") & (pl.col("events") > 0)).select("principal_id", "name")
    granted = everybody.grants.filter(pl.col("plane") == "control")
    pairs = linked_pairs(proved["checked"], pl.concat([granted["name"], made["name"]]))
    if pairs.is_empty() and refused.is_empty():
        return profiles
    calls = made.drop_nulls().unique()
    ruled = calls.join(pairs, left_on="name", right_on="write").select("checked", "principal_id")
    shown = calls.join(refused, left_on=["name", "principal_id"], right_on=["write", "principal_id"])
    by_caller = pl.concat([ruled, shown.select("checked", "principal_id")])
    unproved = _unproved(everybody, made.filter(pl.col("principal_id").is_null())["name"], pairs, control, held)
    asked = pl.concat([by_caller.select("checked", node="principal_id"), unproved])
    needed = (
        judged.assignments.select("a", "place", holder="principal_id")
        .join(_checks_of_holders(judged, everybody, asked), on="holder")
        .join(profiles.of, on="a")
        .join(proved, on=["profile_id", "checked"], how="semi")
    )
    kinds = needed.with_columns(resource=resource_of("place")).select(kind_of("resource")).to_series()
    there = needed.filter(may_exist_below(kinds, needed["checked"]))
    # Where there was no resource of the checked type all through the window, no write can have referenced one.
    there = there.with_columns(kind=decided_type(there["checked"])).join(
        profiles.absent, on=["profile_id", "kind"], how="anti"
    )
    return _split(profiles, there.select("a", "profile_id", "checked").unique())


def refused_pairs(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(principal_id, write, checked)`: what a refusal and a reference tie to a write of a caller.

    The log does not say in which write an operation was refused. It was one that its caller made on that day, and of a
    type whose resources refer to the type of the operation. Days before the window count, too: Azure goes on checking.
    """
    days = inputs.usage_days.filter(
        (pl.col("day") <= window.last_day) & (pl.col("plane") == "control") & pl.col("principal_id").is_not_null()
    ).select(
        "day",
        principal_id=folded(pl.col("principal_id")),
        name=folded(pl.col("operation")),
        denied=pl.col("denied").fill_null(0) > 0,
        made=pl.sum_horizontal(pl.col(one).fill_null(0) for one in ("succeeded", "failed", "started")) > 0,
    )
    refusals = days.filter("denied").select("day", "principal_id", checked="name").unique()
    writes = days.filter(pl.col("made") & pl.col("name").str.ends_with("/write"))
    writes = writes.join(refusals, on=["day", "principal_id"], how="semi")
    pairs = writes.select("day", "principal_id", write="name").unique().join(refusals, on=["day", "principal_id"])
    types = pairs.with_columns(kind=_top_type("write"), target=_top_type("checked"))
    return (
        types.join(type_references(inputs), on=["kind", "target"]).select("principal_id", "write", "checked").unique()
    )


def type_references(inputs: Inputs) -> pl.DataFrame:
    """Return `(kind, target)`: the folded types of resources that refer to one another, by their listed properties."""
    pairs = inputs.resource_references.select(
        kind=pl.col("scope").str.extract(_TYPE), target=pl.col("target").str.extract(_TYPE)
    )
    return pairs.drop_nulls().unique()


def runs_elsewhere(reason: pl.Expr, name: pl.Expr) -> pl.Expr:
    """Return whether an operation runs on a service's own endpoint only, so that it causes no linked check.

    Args:
        reason: Why no log shows it, null if a log does.
        name: Its folded name. What a rule on linked checks names is also written by Resource Manager.
    """
    is_named = name.is_in(sorted(named_writes()))
    return (reason == UnobservableReason.DATA_ENDPOINT.value).fill_null(False) & ~is_named


def _top_type(name: str) -> pl.Expr:
    return pl.col(name).str.split("/").list.head(2).list.join("/")


def may_exist_below(kinds: pl.Series, checked: pl.Series) -> pl.Series:
    """Return whether a resource that each operation is checked on may exist at or below a scope.

    Below a resource there is nothing but its own child types and what extends any resource. Above resources only a
    proof of `existence` excludes a type: the reader of a listing may not see the resources that it lacks.

    Args:
        kinds: Folded type of the top-level resource that a scope is or lies in, null above resources.
        checked: Folded operations.
    """
    own = checked.str.split("/").list.head(2).list.join("/")
    extends = first_match(own, [row["pattern"] for row in rows_of("extension_types")]).is_not_null()
    return kinds.is_null() | (kinds == own) | extends


def _unproved(
    everybody: Tenant, by_nobody: pl.Series, pairs: pl.DataFrame, control: pl.DataFrame, held: pl.DataFrame
) -> pl.DataFrame:
    """Return `(checked, node)` of holders of assignments that allow a write which no log proves unused.

    Args:
        everybody: The tenant.
        by_nobody: Operations that somebody called whom no listing resolves: it may have been anybody.
        pairs: `rules.resource_types.linked_pairs`.
        control: As in `with_linked_checks`.
        held: As in `with_linked_checks`.
    """
    writes = everybody.grants.filter(pl.col("plane") == "control").join(
        pairs, left_on="name", right_on="write", how="semi"
    )
    known = operation_facts(everybody, writes.select("name", "plane").unique()).filter(pl.col("plane") == "control")
    doubtful = held.filter(pl.col("plane") == "control").select("a", "name", doubtful=pl.lit(True)).unique()
    allowed = (
        everybody.assignments.select("a", "role", node="principal_id")
        .join(writes.select("role", "name"), on="role")
        .join(control, on="a")
        .join(known.select("name", "levels", "observable_by", "why"), on="name", how="left")
        .join(doubtful, on=["a", "name"], how="left")
    )
    shown = ((pl.col("observable_by") == "activity_log") & is_shown(log_state())).fill_null(False)
    # Azure Resource Manager neither sees nor checks operations on the own endpoint of a service.
    elsewhere = runs_elsewhere(pl.col("why"), pl.col("name"))
    may_be = (
        ~(shown | elsewhere) | pl.col("doubtful").fill_null(False) | pl.col("name").is_in(by_nobody.unique().implode())
    )
    return (
        allowed.filter(may_be)
        .select("node", write="name")
        .unique()
        .join(pairs, on="write")
        .select("checked", "node")
        .unique()
    )


def _checks_of_holders(judged: Tenant, everybody: Tenant, asked: pl.DataFrame) -> pl.DataFrame:
    """Return `(holder, checked)`: the checks of everybody who reaches a holder, through any of their assignments.

    Args:
        judged: The tenant with the judged assignments.
        everybody: The tenant.
        asked: `(checked, node)`: of callers, and of holders of assignments.
    """
    # Few distinct sets stand for many pairs: a group has tens of thousands of members.
    sets = (
        asked.unique()
        .sort("node", "checked")
        .group_by("node", maintain_order=True)
        .agg(checks=pl.col("checked").str.join(_SEPARATOR))
    )
    holders = judged.assignments.select(holder="principal_id").unique()
    reach = everybody.may_reach.join(holders, on="holder", how="semi").select("holder", person="principal_id")
    through = everybody.may_reach.join(reach, left_on="principal_id", right_on="person", how="semi")
    of_person = pl.concat(
        [
            through.join(sets, left_on="holder", right_on="node").select("checks", person="principal_id"),
            sets.select("checks", person="node"),
        ]
    ).unique()
    found = reach.join(of_person, on="person").select("holder", "checks").unique()
    return found.select("holder", checked=pl.col("checks").str.split(_SEPARATOR)).explode("checked").unique()


def _split(profiles: Profiles, needed: pl.DataFrame) -> Profiles:
    """Give assignments with linked checks profiles of their own, equal ones the same.

    Args:
        profiles: The profiles.
        needed: `(a, profile_id, checked)`.
    """
    sets = (
        needed.sort("a", "checked")
        .group_by("a", "profile_id", maintain_order=True)
        .agg(checks=pl.col("checked").str.join(_SEPARATOR))
    )
    sets = _together_where_crowded(sets, needed, profiles.operations)
    made = sets.select("profile_id", "checks").unique().sort("profile_id", "checks").with_row_index("number")
    # New ids start after those that are taken; their order has no meaning.
    taken = profiles.operations.select(pl.col("profile_id").max()).cast(pl.Int64)
    made = made.join(taken.rename({"profile_id": "taken"}), how="cross").select(
        "profile_id", "checks", new_id=pl.col("taken") + 1 + pl.col("number").cast(pl.Int64)
    )
    own = sets.join(made, on=["profile_id", "checks"]).select("a", "new_id")
    of = profiles.of.join(own, on="a", how="left").select("a", profile_id=pl.coalesce("new_id", "profile_id")).sort("a")
    linked = made.select(
        name=pl.col("checks").str.split(_SEPARATOR), profile_id="new_id", plane=pl.lit("control"), linked=pl.lit(True)
    ).explode("name")
    copies = made.join(profiles.operations, on="profile_id").with_columns(profile_id="new_id")
    judged = copies.join(linked, on=["profile_id", "name", "plane"], how="left").with_columns(
        verdict=pl.when("linked").then(pl.lit(Verdict.UNOBSERVABLE.value)).otherwise("verdict"),
        reason=pl.when("linked").then(pl.lit(UnobservableReason.LINKED_CHECK.value)).otherwise("reason"),
    )
    kept = profiles.operations.join(of, on="profile_id", how="semi")
    rows = pl.concat([kept, judged.select(kept.columns)])
    return Profiles(of, rows.sort("profile_id", "plane", "name"), _copied(profiles.absent, made, of))


def _copied(rows: pl.DataFrame, made: pl.DataFrame, of: pl.DataFrame) -> pl.DataFrame:
    """Return rows by profile for the profiles that assignments have after the split."""
    copies = made.select("profile_id", "new_id").join(rows, on="profile_id").with_columns(profile_id="new_id")
    kept = rows.join(of, on="profile_id", how="semi")
    return pl.concat([kept, copies.select(kept.columns)]).sort(kept.columns)


def _together_where_crowded(sets: pl.DataFrame, needed: pl.DataFrame, operations: pl.DataFrame) -> pl.DataFrame:
    """Return the sets; where those of one profile would make too many rows, each becomes the union of them all."""
    sizes = operations.group_by("profile_id").agg(size=pl.len().cast(pl.Int64))
    rows = (
        sets.group_by("profile_id").agg(number=pl.col("checks").n_unique().cast(pl.Int64)).join(sizes, on="profile_id")
    )
    crowded = rows.filter(pl.col("number") * pl.col("size") > LINKED_ROWS)
    union = (
        needed.join(crowded, on="profile_id", how="semi")
        .group_by("profile_id")
        .agg(union=pl.col("checked").unique().sort().str.join(_SEPARATOR))
    )
    joined = sets.join(union, on="profile_id", how="left", maintain_order="left")
    return joined.select("a", "profile_id", checks=pl.coalesce("union", "checks"))
