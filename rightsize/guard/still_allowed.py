"""Say which operations no containment may leave by chance, and why a suspect call is still allowed after one.

Price the reads that no log shows and that the kept operations of a containment need. No log shows a read of Resource
Manager, so a containment keeps none. Who deploys reads what it writes: without these reads a deployment fails half-way.
They are the reads of `--reads sibling` and the status reads of long-running operations. Reads of keys, credentials and
scripts are never among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.mining.bitsets import union
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.scopes import is_below
from rightsize.propose.drafts.drafts import StayingInput, stays_within_reach
from rightsize.propose.drafts.reading import TodaysAccess
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.grant_requests import is_at_or_below
from rightsize.propose.needs.needs import STATUS_READ
from rightsize.propose.needs.unlogged import SIBLING_READ, type_of
from rightsize.rules.operations import sensitive_reads

_DANGEROUS = ("code_execution", "secret", "privilege", "exfiltration", "evasion")


def read_never_spare(analysis: Analysis, index: OperationIndex, inputs: Inputs, principals: Collection[str]) -> int:
    """Return the operations that no existing role may bring along: of dangerous classes, and what suspect calls used.

    A role that fits a need with little more is good in a plan. A containment that leaves it to a suspect leaves the
    little more to an attacker, who looks for exactly that.
    """
    theirs = folded(pl.col("principal_id")).is_in(list(principals)) & (pl.col("suspect") > 0)
    used = inputs.usage_days.filter(theirs).select("plane", name=folded(pl.col("operation")))
    risky = analysis.tenant.operations.filter(pl.col("risk").is_in(_DANGEROUS)).select("plane", "name")
    secret = index.granted_by([PermissionBlock(actions=sensitive_reads(), data_actions=_SECRET_NAMES)])
    return secret | index.mask(pl.concat([used, risky]).drop_nulls().unique().iter_rows())


_SECRET_NAMES = ("Microsoft.KeyVault/vaults/secrets/readMetadata/action",)
"""The operation that shows the names of secrets, and so where to look for them."""


@dataclass(frozen=True, slots=True)
class StillAllowed:
    """A suspect operation that some access still allows.

    Attributes:
        operation: The operation.
        scope: Where the suspect call used it.
        role: The id of the role that allows it, of today or of the plan.
        at: The scope of its assignment.
        holder: Who holds the assignment: the principal, or a group.
        why: `needed` if it was used there outside the suspect time, too; `brought_along` if the plan keeps it with
            something that was; `stays` if the assignment should change and cannot; `group` if a group holds it;
            `beyond` if the containment does not change the assignment.
        times: How often it was used there outside the suspect time.
        last: When it was last, as a text; empty for never.
    """

    operation: str
    scope: str
    role: Folded
    at: str
    holder: Folded
    why: str
    times: int
    last: str


@dataclass(frozen=True, slots=True)
class _Grant:
    """An assignment after the plan: `granted` are its operations, `is_new` whether the plan makes it."""

    holder: Folded
    role: Folded
    scope: str
    place: Folded
    granted: int
    is_new: bool
    stays: bool


_BLOCK = ("block_sign_in", "revoke_sessions")
_ENDS = {
    "graph": ("remove_permission", "remove_inherited_permission", "remove_consent", "remove_inherited_consent"),
    "directory": ("remove_directory_role", "end_activation", "end_eligibility", "leave_group"),
}
"""By plane the requests beside a plan that take away what allows its operations."""


@dataclass(frozen=True, slots=True)
class BeyondRoles:
    """A suspect operation that no role of Azure allows, so that no plan of roles takes it away.

    Attributes:
        operation: The action of the directory, or the request to Microsoft Graph.
        plane: `graph` or `directory`.
        calls: How often it was suspect.
        times: How often it was used outside the suspect time.
        ended_by: The names of the requests beside the plan that end it; none where no request is known, since nothing
            blocks a managed identity and no loaded listing has its permissions.
    """

    operation: str
    plane: str
    calls: int
    times: int
    ended_by: tuple[str, ...]


def find_beyond_roles(
    usage: pl.DataFrame, graph: pl.DataFrame, principals: Collection[str], requests: Collection[str]
) -> tuple[BeyondRoles, ...]:
    """Return the suspect operations of principals in the directory and in Microsoft Graph, with what ends each.

    Args:
        usage: `usage_days`.
        graph: `graph_usage_days`.
        principals: The folded ids of the contained principals.
        requests: The names of the requests beside the plan.
    """
    columns = ("principal_id", "operation", "plane", "succeeded", "failed", "started", "suspect")
    named = pl.concat([
        usage.filter(pl.col("plane") == "directory").select(columns),
        graph.with_columns(plane=pl.lit("graph")).select(columns),
    ], how="vertical_relaxed")  # fmt: skip
    use = pl.sum_horizontal("succeeded", "failed", "started")
    counted = (
        named.filter(folded(pl.col("principal_id")).is_in(list(principals)))
        .group_by("plane", "operation")
        .agg(calls=pl.col("suspect").sum(), times=(use - pl.col("suspect")).sum())
        .filter(pl.col("calls") > 0)
        .sort("plane", "operation")
    )
    return tuple(
        BeyondRoles(operation, plane, calls, times,
                    tuple(name for name in (*_ENDS[plane], *_BLOCK) if name in requests))
        for plane, operation, calls, times in counted.iter_rows()
    )  # fmt: skip


def find_still_allowed(
    inputs: Inputs, today: TodaysAccess, tenant: Tenant, principals: Collection[str], plan: Plan, left: Collection[Key]
) -> tuple[StillAllowed, ...]:
    """Return the suspect operations of principals that some active access allows after a plan, each with the reason.

    Args:
        inputs: The tables.
        today: The assignments and roles of today.
        tenant: Who reaches the assignments of whom, and the tree of scopes.
        principals: The folded ids of the contained principals.
        plan: The plan that contains them.
        left: Assignments that should change and stay.
    """
    index = today.book.index
    theirs = folded(pl.col("principal_id")).is_in(list(principals))
    use = inputs.usage_days.filter(theirs).with_columns(
        name=folded(pl.col("operation")), place=place_of(pl.col("scope")),
        clean=pl.sum_horizontal("succeeded", "failed", "started") - pl.col("suspect"),
    )  # fmt: skip
    suspect = use.filter(pl.col("suspect") > 0).group_by("plane", "name", "place").agg(
        pl.col("operation").first(), pl.col("scope").first()
    )  # fmt: skip
    clean = use.filter(pl.col("clean") > 0)
    grants = list(_grants_after(today, tenant, principals, plan, left))
    found = []
    for row in suspect.sort("name", "place").iter_rows(named=True):
        bit = index.bit(row["plane"], row["name"])
        if bit is None:
            continue
        for one in grants:
            if one.granted >> bit & 1 and is_at_or_below(row["place"], one.place, tenant.tree):
                other = clean.filter((pl.col("name") == row["name"]) & _below(one.place))
                times = int(other["clean"].sum())
                said = str(other["last_seen"].dt.date().max()) if times else ""
                why = _why(one, principals, times)
                found.append(
                    StillAllowed(row["operation"], row["scope"], one.role, one.scope, one.holder, why, times, said)
                )
                break
    return tuple(found)


def _below(place: Folded) -> pl.Expr:
    return (pl.col("place") == place) | pl.col("place").str.starts_with(place.rstrip("/") + "/")


def _why(grant: _Grant, principals: Collection[str], times: int) -> str:
    if grant.holder not in principals:
        return "group"
    if grant.stays:
        return "stays"
    if times:
        return "needed"
    return "brought_along" if grant.is_new else "beyond"


def _grants_after(
    today: TodaysAccess, tenant: Tenant, principals: Collection[str], plan: Plan, left: Collection[Key]
) -> Iterator[_Grant]:
    """Yield the active assignments that reach the principals after a plan, those that it makes first."""
    index, roles = today.book.index, today.book.roles
    made = {fold(one.definition.role_definition_id): index.granted_by(one.definition.permissions) for one in plan.roles}
    changed = {one.assignment for one in plan.proposals}
    for proposal in plan.proposals:
        for given in proposal.assignments:
            role = fold(given.role)
            granted = made[role] if role in made else roles[role].granted if role in roles else 0
            if given.state == "active" and fold(given.principal_id) in principals:
                yield _Grant(fold(given.principal_id), role, given.scope, fold(given.scope.rstrip("/") or "/"), granted,
                             is_new=True, stays=False)  # fmt: skip
    holders = {*principals, *tenant.membership.filter(pl.col("principal_id").is_in(list(principals)))["holder"]}
    for one in today.subjects:
        known = roles.get(one.role_definition_id)
        if one.principal_id in holders and one.state == "active" and one.key not in changed and known is not None:
            yield _Grant(one.principal_id, one.role_definition_id, one.scope, one.place, known.granted, is_new=False,
                         stays=one.key in left)  # fmt: skip


_DEPLOYMENTS = ("Microsoft.Resources/deployments/read", "Microsoft.Resources/deployments/operationStatuses/read",
                "Microsoft.Resources/subscriptions/resourceGroups/deployments/operationStatuses/read")  # fmt: skip
"""The reads with which a client follows its deployment. They show the inputs and outputs of deployments.

Source: Microsoft Learn, "Track asynchronous Azure operations".
"""


@dataclass(frozen=True, slots=True)
class KeptReads:
    """The unlogged reads that the kept operations need, and what can be read with them.

    Attributes:
        kept: Whether the plan keeps them.
        deploys: Whether the principals created or changed resources outside the suspect time.
        operations: Number of distinct read operations.
        sensitive: Number of those that show inputs and outputs of deployments.
        scopes: Number of scopes at which they stay.
        resources: Number of listed resources that can be read with them; None where no inventory is loaded.
    """

    kept: bool
    deploys: bool
    operations: int
    sensitive: int
    scopes: int
    resources: int | None


def keepable_reads(index: OperationIndex) -> int:
    """Return the reads of Resource Manager that reveal no keys, credentials or scripts, as a set of operations."""
    secret = index.granted_by([PermissionBlock(actions=sensitive_reads())])
    return index.reads & (~secret | index.granted_by([PermissionBlock(actions=_DEPLOYMENTS)]))


def price_kept_reads(
    asked: StayingInput, tenant: Tenant, changed: Collection[Key], resources: pl.DataFrame, *, is_kept: bool
) -> KeptReads:
    """Return the reads that the used operations of changed assignments need, whether the plan keeps them or not.

    Reads that another assignment of the holder grants there, which the plan leaves, are not among them.

    Args:
        asked: The assignments, whose profiles have only the reads that may stay, and a reader for `--reads sibling`.
        tenant: Who reaches the assignments of whom, and the tree of scopes.
        changed: The assignments that the plan changes.
        resources: The table `resources`.
        is_kept: Whether the plan keeps the reads.
    """
    index, evidence = asked.reader.index, asked.evidence
    around = stays_within_reach(asked, tenant.may_reach)
    found: dict[tuple[Folded, Folded], int] = defaultdict(int)
    used = 0
    for subject in asked.subjects:
        uses = evidence.uses.get(subject.key, {})
        role, profile = asked.reader.book.roles.get(subject.role_definition_id), evidence.profiles.get(subject.key)
        if subject.key not in changed or not uses or role is None or profile is None:
            continue
        used |= union(part.operations for part in uses.values())
        needs = asked.reader.read(role, subject.place, profile, uses, around[subject.principal_id])
        inferred = needs.why.get(SIBLING_READ, 0) | needs.why.get(STATUS_READ, 0)
        for place, need in needs.by_scope.items():
            found[subject.principal_id, place] |= need.operations & inferred & index.reads
    places: dict[Folded, int] = defaultdict(int)
    for (holder, place), mask in found.items():
        if left := mask & ~used & ~_granted_beside(holder, place, asked, tenant, changed):
            places[place] |= left
    whole, shown = union(places.values()), index.granted_by([PermissionBlock(actions=_DEPLOYMENTS)])
    return KeptReads(
        kept=is_kept,
        deploys=any(name.endswith("/write") for plane, name in index.folded_members(used) if plane == "control"),
        operations=whole.bit_count(),
        sensitive=(whole & shown).bit_count(),
        scopes=len(places),
        resources=_resources(places, index, resources),
    )


def _granted_beside(
    holder: Folded, place: Folded, asked: StayingInput, tenant: Tenant, changed: Collection[Key]
) -> int:
    """Return the operations that other active assignments of a holder or its groups, which stay, grant at a place."""
    holders = {holder, *tenant.membership.filter(pl.col("principal_id") == holder)["holder"]}
    roles = asked.reader.book.roles
    return union(
        roles[one.role_definition_id].granted
        for one in asked.subjects
        if one.principal_id in holders
        and one.state == "active"
        and one.key not in changed
        and one.condition is None
        and one.role_definition_id in roles
        and is_at_or_below(place, one.place, tenant.tree)
    )


def _resources(places: Mapping[Folded, int], index: OperationIndex, resources: pl.DataFrame) -> int | None:
    """Return the number of listed resources of the read types at or below the scopes."""
    if resources.is_empty():
        return None
    types = {(place, type_of(key)) for place, mask in places.items() for _, key in index.folded_members(mask)}
    wanted = pl.DataFrame(sorted(types), schema={"place": pl.String, "type": pl.String}, orient="row")
    listed = resources.select(scope=place_of(pl.col("scope")), type=folded(pl.col("resource_type"))).unique()
    there = listed.join(wanted, on="type").filter(is_below(pl.col("scope"), pl.col("place")))
    return there["scope"].n_unique()
