"""Group assignments whose unused operations get the same verdicts into profiles, and judge each operation once.

Assignments at management groups whose subscriptions differ in coverage are judged in parts.

A tenant has billions of (assignment, operation) pairs and few distinct verdicts. These depend on the role, on the logs
that cover the scope, on the sign-in logs of the holders, and on the operations that calls in quarantine may have used.

Where the logs of some subscriptions are evidence and those of others are not, no verdict holds for the whole scope.
Each operation is then judged by the evidence alone, beside the nodes below the scope where nothing can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import ROOT, ScopeTree
from rightsize.analyze.reasons import SHOWN, OutOfCoverage, UnobservableReason, Unused, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.absence import Absences
from rightsize.analyze.verdicts.coverage import CoveredDays
from rightsize.analyze.verdicts.resource_logs import rules_of
from rightsize.analyze.window import is_shown
from rightsize.model.text import Folded
from rightsize.rules.operations import classify, only_reads, works_without_sign_in
from rightsize.rules.resource_types import decided_type

_BASE = ("role", "below", "groups", "top", "reads", "tickets", "data", "absent")
_KEY = (*_BASE, "held")
# The most rows that the profiles of one role and coverage may have because they hold different operations. Beyond it
# each profile holds the operations of all: that keeps more than it must, as in a store full of unresolved names.
HELD_ROWS = 500_000
# The same limit for linked checks, which depend on the writes of the holders; few holders cause many checks.
LINKED_ROWS = 5_000_000


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles of a tenant.

    Attributes:
        of: `(a, profile_id)`.
        operations: `(profile_id, name, operation, plane, verdict, reason)`.
        absent: `(profile_id, kind, reason)`: the folded types of which there was no resource in the window.
    """

    of: pl.DataFrame
    operations: pl.DataFrame
    absent: pl.DataFrame

    def cleared(self) -> Profiles:
        """Return no profiles."""
        return Profiles(*(frame.clear() for frame in (self.of, self.operations, self.absent)))


def build_profiles(
    tenant: Tenant,
    control: pl.DataFrame,
    reads: pl.DataFrame,
    data: pl.DataFrame,
    held: pl.DataFrame,
    absences: Absences,
) -> Profiles:
    """Group the assignments into profiles, and judge the operations that each profile grants.

    Args:
        tenant: The tenant.
        control: `coverage.control_states`.
        reads: `coverage.read_states`, or `never_activated` where nothing can have been used.
        data: `resource_logs.data_states`.
        held: `(a, name, operation, plane, reason)`: operations that may have been used, so that nobody can call them
            unused, whatever the logs cover.
        absences: `absence.find_absences`.
    """
    sets = (
        held.sort("a", "plane", "name")
        .group_by("a", maintain_order=True)
        .agg(held=pl.concat_str("plane", "name", "reason", separator=" ").str.join("\n"))
    )
    states = _data_sets(tenant, data)
    keyed = (
        tenant.assignments.select("a", "role", "principal_type")
        .join(states.select("a", "data").unique(), on="a", how="left")
        .join(control, on="a")
        .join(reads, on="a")
        .join(sets, on="a", how="left")
        .join(absences.of, on="a")
        .join(tenant.grants.group_by("role").agg(size=pl.len()), on="role", how="left")
        .with_columns(pl.col("held", "data").fill_null(""), tickets=_may_have_tickets())
    )
    crowded = (pl.col("held").n_unique() * pl.col("size").fill_null(0).max()).over(_BASE) > HELD_ROWS
    keyed = keyed.with_columns(held=pl.when(crowded & (pl.col("held") != "")).then(pl.lit("*")).otherwise("held"))
    distinct = keyed.select(_KEY).unique().sort(_KEY).with_row_index("profile_id").cast({"profile_id": pl.Int64})
    of = keyed.join(distinct, on=_KEY, nulls_equal=True).select("a", "profile_id").sort("a")
    known = states.select("data", "rule", "data_state").unique()
    operations = _judged(tenant, distinct, known, _held_of(of, held), absences.kinds)
    absent = distinct.join(absences.kinds, on="absent").select("profile_id", "kind", "reason")
    return Profiles(of, operations, absent.sort("profile_id", "kind"))


def _may_have_tickets() -> pl.Expr:
    """Return whether holders without a sign-in may have tickets of another issuer: users, and groups of them."""
    is_workload = (pl.col("principal_type") == "ServicePrincipal").fill_null(False)
    return (pl.col("reads") == Unused.NO_SIGN_IN.value) & ~is_workload


def _data_sets(tenant: Tenant, data: pl.DataFrame) -> pl.DataFrame:
    """Return `(a, data, rule, data_state)`: the log states that matter to the role, and one text for all of them.

    Assignments of one role whose states are alike have the same text, and one profile.
    """
    wanted = tenant.grants.join(rules_of(tenant.grants), on=["name", "plane"]).select("role", "rule").unique()
    stated = tenant.assignments.select("a", "role").join(data, on="a").join(wanted, on=["role", "rule"], how="semi")
    text = pl.concat_str(pl.col("rule").cast(pl.String), "data_state", separator=" ").str.join("\n")
    texts = stated.sort("a", "rule").group_by("a", maintain_order=True).agg(data=text)
    return stated.join(texts, on="a").select("a", "data", "rule", "data_state")


def _held_of(of: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    pairs = held.join(of, on="a").select("profile_id", "name", "operation", "plane", "reason")
    return pairs.sort(pairs.columns).unique(["profile_id", "name", "plane"], keep="first")


def _judged(
    tenant: Tenant, profiles: pl.DataFrame, states: pl.DataFrame, held: pl.DataFrame, absent: pl.DataFrame
) -> pl.DataFrame:
    """Return `Profiles.operations`."""
    granted = profiles.select("role").unique().join(tenant.grants, on="role").select("name", "plane").unique()
    facts = operation_facts(tenant, granted).join(rules_of(granted), on=["name", "plane"], how="left")
    listed = (
        profiles.join(tenant.grants, on="role")
        .join(facts.with_columns(kind=decided_type(facts["name"])), on=["name", "plane"])
        .join(states, on=["data", "rule"], how="left")
        .join(absent.rename({"reason": "lacking"}), on=["absent", "kind"], how="left")
    )
    state, verdict, reason = log_state(), _verdict(), _reason()
    judged = listed.with_columns(state=state).with_columns(verdict=verdict).with_columns(reason=reason)
    # Whatever log would show it: whoever gets no token of any kind used nothing that takes one.
    nobody = (pl.col("verdict") == Verdict.UNOBSERVABLE.value) & (pl.col("reads") == Unused.NO_SIGN_IN.value)
    nobody &= ~(pl.col("tickets") & works_without_sign_in())
    judged = judged.with_columns(
        verdict=pl.when(nobody).then(pl.lit(Verdict.UNUSED.value)).otherwise("verdict"),
        reason=pl.when(nobody).then(pl.lit(Unused.NO_SIGN_IN.value)).otherwise("reason"),
    )
    columns = ["profile_id", "name", "operation", "plane", "verdict", "reason"]
    free = judged.join(held, on=["profile_id", "name", "plane"], how="anti")
    proved = free.filter(_is_for_want_of_resource()).with_columns(
        verdict=pl.lit(Verdict.UNUSED.value), reason="lacking"
    )
    others = free.filter(~_is_for_want_of_resource())
    open_ones = held.with_columns(verdict=pl.lit(Verdict.OUT_OF_COVERAGE.value))
    rows = pl.concat([part.select(columns) for part in (others, proved, open_ones)])
    order = ["profile_id", "plane", "name"]
    return rows.sort(order)


def _is_for_want_of_resource() -> pl.Expr:
    """Return whether an operation is unused since there was no resource to perform it on.

    Only logs of the whole window say as much; where they leave it open, or cover a part, existence decides. Operations
    that can be performed above subscriptions need no resource below them. Reads of Resource Manager stay open: a
    listing of resources that are not there can be read, and their patterns stay whole.
    """
    is_open = pl.col("verdict").is_in([Verdict.UNOBSERVABLE.value, Verdict.OUT_OF_COVERAGE.value])
    is_open |= pl.col("reason") == Unused.COVERED_IN_PART.value
    lists = pl.col("rule").is_null() & (pl.col("why") != UnobservableReason.DATA_ENDPOINT.value).fill_null(True)
    is_read = (pl.col("plane") == "control") & only_reads(pl.col("name")) & lists
    return (pl.col("lacking").is_not_null() & is_open & (pl.col("levels") == "below") & ~is_read).fill_null(False)


def operation_facts(tenant: Tenant, granted: pl.DataFrame) -> pl.DataFrame:
    """Return `(name, plane, operation, observable_by, levels, why)` of the granted `(name, plane)`.

    Where the plane of an operation is not certain, it is judged on the plane of the grant. If it were on the other
    plane, this grant would give nothing, and removing it would remove nothing. So no guess decides a verdict.
    """
    said = tenant.operations.select("name", "plane", "operation", "certain", "observable_by", "levels", why="reason")
    certain = said.filter(pl.col("certain")).drop("certain")
    doubtful = (
        granted.join(certain, on=["name", "plane"], how="anti")
        .join(said.select("name", "operation", "levels"), on="name")
        .sort("plane", "name")
        .with_columns(is_data_action=pl.col("plane") == "data")
    )
    if doubtful.is_empty():
        return certain
    judged = classify(doubtful).rename({"unobservable_reason": "why"})
    return pl.concat([certain, judged.select(certain.columns)])


def log_state() -> pl.Expr:
    """Return the state of the logs that would show the operation, wherever it can be performed under the assignment.

    At and below a subscription only the subscription's log counts. Higher up, a log counts where the operation can be
    performed at its level. For an operation that cannot be performed at any of these levels, the subscriptions' logs
    count.
    """
    states = [
        pl.when(pl.col("top").is_null() & pl.col("groups").is_null())
        .then("below")
        .when(pl.col("levels").str.contains("below", literal=True))
        .then("below"),
        pl.when(pl.col("levels").str.contains("management_group", literal=True)).then("groups"),
        pl.when(pl.col("levels").str.contains("tenant", literal=True)).then("top"),
    ]
    outside = [pl.when(~is_shown(state)).then(state) for state in states]
    in_part = [pl.when(state == Unused.COVERED_IN_PART.value).then(state) for state in states]
    return pl.coalesce(*outside, *in_part, *states, "below")


# A role may grant operations of a resource type with a log where no such resource exists.
_DATA_STATE = pl.col("data_state").fill_null(UnobservableReason.NO_RESOURCE.value)


def _verdict() -> pl.Expr:
    is_read = pl.col("why") == UnobservableReason.ARM_READ.value
    silent = pl.col("reads").is_in([Unused.NO_ARM_TOKEN.value, Unused.NO_SIGN_IN.value])
    logged = pl.col("observable_by") == "activity_log"
    by_resource = pl.col("rule").is_not_null() & pl.col("why").is_null()
    return (
        # An assignment that was never active allowed nothing, whatever log would show its use.
        pl.when(pl.col("reads") == Unused.NEVER_ACTIVATED.value)
        .then(pl.lit(Verdict.UNUSED.value))
        .when(by_resource & is_shown(_DATA_STATE))
        .then(pl.lit(Verdict.UNUSED.value))
        .when(by_resource & _DATA_STATE.is_in([word.value for word in OutOfCoverage]))
        .then(pl.lit(Verdict.OUT_OF_COVERAGE.value))
        .when(by_resource | (pl.col("plane") != "control"))
        .then(pl.lit(Verdict.UNOBSERVABLE.value))
        .when(is_read & silent)
        .then(pl.lit(Verdict.UNUSED.value))
        .when(~logged.fill_null(False))
        .then(pl.lit(Verdict.UNOBSERVABLE.value))
        .when(is_shown(pl.col("state")))
        .then(pl.lit(Verdict.UNUSED.value))
        .otherwise(pl.lit(Verdict.OUT_OF_COVERAGE.value))
    )


def _reason() -> pl.Expr:
    unused = pl.col("verdict") == Verdict.UNUSED.value
    is_read = pl.col("why") == UnobservableReason.ARM_READ.value
    by_resource = pl.col("rule").is_not_null() & pl.col("why").is_null()
    return (
        pl.when(pl.col("reads") == Unused.NEVER_ACTIVATED.value)
        .then("reads")
        .when(by_resource)
        .then(_DATA_STATE)
        .when(unused & is_read)
        .then(pl.lit(Unused.NO_ARM_TOKEN.value))
        .when(unused | (pl.col("verdict") == Verdict.OUT_OF_COVERAGE.value))
        .then("state")
        # A data action that some log shows, but no rule says at which resource.
        .otherwise(pl.coalesce("why", pl.lit(UnobservableReason.NO_DIAGNOSTIC_INVENTORY.value)))
    )


MOST_NODES = 3
"""The most nodes at which an assignment may stay beside its narrower part, and the most assignments more in all."""

_NODES = {"place": pl.String, "node": pl.String, "state": pl.String}


@dataclass(frozen=True, slots=True)
class Parts:
    """The assignments that can be judged in parts.

    Attributes:
        nodes: `(place, node, state)`: for each scope of such assignments the highest nodes below it of which the logs
            of all subscriptions say too little; `state` is a word of `OutOfCoverage`.
        of: `(role_assignment_id, state, profile_id)`: the profiles of these assignments by the evidence of all other
            subscriptions.
        operations: As `Analysis.profile_operations`, of these profiles.
        absent: As `Analysis.absent`.
    """

    nodes: pl.DataFrame
    of: pl.DataFrame
    operations: pl.DataFrame
    absent: pl.DataFrame


def find_nodes(tenant: Tenant, log: CoveredDays) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `Parts.nodes`, and `(place, below)`: the state of the logs of the other subscriptions, which decide.

    A scope of which a subscription may be elsewhere in the tree has none: the plan could grant access there that
    nobody holds today.
    """
    nodes: list[tuple[str, str, str]] = []
    states: list[tuple[str, str]] = []
    high = tenant.assignments.filter(pl.col("level").is_in(["management_group", "root"]))["place"].unique().sort()
    for place in high:
        if not tenant.tree.is_listed(place):
            continue
        subscriptions = tenant.tree.below(place)[1]
        dark = [one for one in subscriptions if log.state(one) not in SHOWN]
        lit = [one for one in subscriptions if log.state(one) in SHOWN]
        if not lit or not dark or not all(_is_below(one, place, tenant.tree) for one in dark):
            continue
        found = _highest(place, dark, tenant.tree)
        if len(found) <= MOST_NODES:
            nodes += [(place, node, log.state_of_all(below)) for node, below in found]
            states.append((place, log.state_of_all(lit)))
    below = {"place": pl.String, "below": pl.String}
    return pl.DataFrame(nodes, schema=_NODES, orient="row"), pl.DataFrame(states, schema=below, orient="row")


def _is_below(node: str, place: str, tree: ScopeTree) -> bool:
    return place == ROOT or place in tree.ancestors_of(node)


def _highest(place: Folded, dark: Sequence[Folded], tree: ScopeTree) -> list[tuple[Folded, list[Folded]]]:
    """Return the highest nodes below a place that have only such subscriptions below them, with those of each."""
    groups = [one for one in tree.below(place)[0] if one != place and tree.is_listed(one)]
    found: list[tuple[Folded, list[Folded]]] = []
    left = set(dark)
    for group in sorted(groups, key=lambda one: (len(tree.ancestors_of(one)), one)):
        below = tree.below(group)[1]
        if below and left.issuperset(below):
            found.append((group, below))
            left.difference_update(below)
    return sorted([*found, *((one, [one]) for one in left)])


def renumbered(profiles: Profiles, after: Profiles) -> Profiles:
    """Return profiles with ids that follow those of others."""
    taken = max([-1, *after.of["profile_id"], *after.operations["profile_id"].unique()]) + 1
    shifted = pl.col("profile_id") + taken
    frames = (profiles.of, profiles.operations, profiles.absent)
    return Profiles(*(frame.with_columns(profile_id=shifted) for frame in frames))
