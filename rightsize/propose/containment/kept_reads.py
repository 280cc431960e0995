"""Find the unlogged reads without which the operations that a containment keeps fail, and count what they open.

No log shows a read of Resource Manager, so a containment keeps none. Who deploys reads what it writes: without these
reads a deployment fails half-way. They are the reads of `--reads sibling` and the status reads of long-running
operations. Reads of keys, credentials and scripts are never among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.text import folded, place_of
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.options import PlanOptions, Reads, Unobservable
from rightsize.propose.core.scopes import is_below
from rightsize.propose.needs.drafts import Key
from rightsize.propose.needs.first_drafts import StayingInput, stays_within_reach
from rightsize.propose.needs.needs import SIBLING_READ, STATUS_READ, NeedReader
from rightsize.propose.needs.reading import LeftAlone, TenantReading
from rightsize.propose.needs.status_reads import type_of
from rightsize.rbac.text import Folded
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
        is_kept: Whether the plan keeps them.
        deploys: Whether the principals created or changed resources outside the suspect time.
        operations: Number of distinct read operations.
        sensitive: Number of those that show inputs and outputs of deployments.
        scopes: Number of scopes at which they stay.
        resources: Number of listed resources that can be read with them; None where no inventory is loaded.
    """

    is_kept: bool
    deploys: bool
    operations: int
    sensitive: int
    scopes: int
    resources: int | None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"kept": self.is_kept, "deploys": self.deploys, "operations": self.operations,
                "sensitive": self.sensitive, "scopes": self.scopes, "resources": self.resources}  # fmt: skip


def keepable_reads(index: OperationIndex) -> int:
    """Return the reads of Resource Manager that reveal no keys, credentials or scripts, as a set of operations."""
    secret = index.granted_by([PermissionBlock(actions=sensitive_reads())])
    return index.reads & (~secret | index.granted_by([PermissionBlock(actions=_DEPLOYMENTS)]))


def price_kept_reads(
    reading: TenantReading, left_alone: LeftAlone, changed: Collection[Key], *, is_kept: bool
) -> KeptReads:
    """Return the reads that the used operations of changed assignments need, whether the plan keeps them or not.

    Args:
        reading: The reading, whose profiles have only the reads that may stay.
        left_alone: The assignments that the plan does not change.
        changed: The assignments that it changes.
        is_kept: Whether the plan keeps the reads.
    """
    options = PlanOptions(reads=Reads.SIBLING, unobservable=Unobservable.DROP, peers=False)
    book, index, evidence = reading.today.book, reading.today.book.index, reading.evidence
    reader = NeedReader(book, options, reading.checks)
    around = stays_within_reach(
        StayingInput(reading.today.subjects, left_alone, evidence, reader), reading.analysis.tenant.may_reach
    )
    found: dict[Folded, int] = defaultdict(int)
    used = 0
    for subject in reading.today.subjects:
        uses = evidence.uses.get(subject.key, {})
        role, profile = book.roles.get(subject.role_definition_id), evidence.profiles.get(subject.key)
        if subject.key not in changed or not uses or role is None or profile is None:
            continue
        for part in uses.values():
            used |= part.operations
        needs = reader.read(role, subject.place, profile, uses, around[subject.principal_id])
        asked = needs.why.get(SIBLING_READ, 0) | needs.why.get(STATUS_READ, 0)
        for place, need in needs.by_scope.items():
            found[place] |= need.operations & asked & index.reads
    places = {place: mask & ~used for place, mask in found.items() if mask & ~used}
    whole = 0
    for mask in places.values():
        whole |= mask
    shown = index.granted_by([PermissionBlock(actions=_DEPLOYMENTS)])
    return KeptReads(
        is_kept=is_kept,
        deploys=any(name.endswith("/write") for plane, name in index.folded_members(used) if plane == "control"),
        operations=whole.bit_count(),
        sensitive=(whole & shown).bit_count(),
        scopes=len(places),
        resources=_resources(places, index, reading.inputs),
    )


def _resources(places: Mapping[Folded, int], index: OperationIndex, inputs: Inputs) -> int | None:
    """Return the number of listed resources of the read types at or below the scopes."""
    if inputs.resources.is_empty():
        return None
    types = {(place, type_of(key)) for place, mask in places.items() for _, key in index.folded_members(mask)}
    wanted = pl.DataFrame(sorted(types), schema={"place": pl.String, "type": pl.String}, orient="row")
    listed = inputs.resources.select(scope=place_of(pl.col("scope")), type=folded(pl.col("resource_type"))).unique()
    there = listed.join(wanted, on="type").filter(is_below(pl.col("scope"), pl.col("place")))
    return there["scope"].n_unique()
