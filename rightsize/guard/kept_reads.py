"""Price the reads that no log shows and that the kept operations of a containment need.

No log shows a read of Resource Manager, so a containment keeps none. Who deploys reads what it writes: without these
reads a deployment fails half-way. They are the reads of `--reads sibling` and the status reads of long-running
operations. Reads of keys, credentials and scripts are never among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import folded, place_of
from rightsize.analyze.tenant import Tenant
from rightsize.mining.bitsets import union
from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.scopes import is_below
from rightsize.propose.drafts.drafts import StayingInput, stays_within_reach
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.grant_requests import is_at_or_below
from rightsize.propose.needs.needs import STATUS_READ
from rightsize.propose.needs.unlogged import SIBLING_READ, type_of
from rightsize.rules.operations import sensitive_reads

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
