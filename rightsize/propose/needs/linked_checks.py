"""Collect, for each holder, the writes that its principals keep through any of their assignments.

Azure checks a linked action against the caller, not against the assignment that allows the write: an identity may write
scale sets in one resource group as Contributor, and join a subnet in another as Network Contributor. So a linked action
is kept while a principal that reaches its assignment keeps, through any assignment, a write that can reference it. The
same holds for reads of the status of a long-running operation, if the assignment that allows the write does not also
allow these reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class Writes:
    """The operations that stay: catalogue operations as a set, and the folded names of others.

    `polls` are the status reads that these operations need and that the assignment which grants them does not keep.
    """

    operations: int = 0
    unknown: frozenset[Folded] = frozenset()
    polls: int = 0

    def __or__(self, other: Writes) -> Writes:
        return Writes(self.operations | other.operations, self.unknown | other.unknown, self.polls | other.polls)


ANY_WRITE = ("*/write",)
"""The pattern of every write."""


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """The evidence on linked checks that no rule pairs with a write; all names are folded.

    Attributes:
        referrers: For a top-level type, the types whose resources refer to one of that type.
        refused: Operations that a refusal in the log names.
        elsewhere: Operations of the control plane that run on a service's own endpoint: Resource Manager, which checks
            linked actions, never sees them.
    """

    referrers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    elsewhere: int = 0

    def writes_of(self, checked: str) -> tuple[str, ...]:
        """Return the patterns of the writes that can cause a folded check without a rule."""
        if checked in self.refused:
            return ANY_WRITE
        provider, _, rest = checked.partition("/")
        referrers = self.referrers.get(f"{provider}/{rest.split('/', 1)[0]}", ())
        return (f"{provider}/*/write", *(f"{kind}{end}" for kind in referrers for end in ("/write", "/*/write")))


def writes_within_reach(kept: Iterable[tuple[Folded, Writes]], membership: pl.DataFrame) -> Mapping[Folded, Writes]:
    """Return, for each folded holder, the writes that all its principals keep through any of their assignments.

    Args:
        kept: (folded holder of an assignment, the writes of the assignment that stay).
        membership: `(principal_id, holder)`, folded: the principals that reach the assignments of a holder, now or by
            activating a membership.
    """
    of_holder: dict[Folded, Writes] = defaultdict(Writes)
    for holder, writes in kept:
        of_holder[holder] |= writes
    held = pl.DataFrame({"holder": sorted(of_holder)}, schema={"holder": pl.String})
    reached = (
        membership.select(person=pl.col("principal_id"), holder=pl.col("holder"))
        .join(held, on="holder", how="semi")
        .unique()
        .sort("person", "holder")
    )
    pairs: set[tuple[Folded, Folded]] = {*reached.iter_rows(), *((name, name) for name in of_holder)}
    of_person: dict[Folded, Writes] = defaultdict(Writes)
    for person, holder in pairs:
        of_person[person] |= of_holder[holder]
    found: dict[Folded, Writes] = defaultdict(Writes)
    for person, holder in pairs:
        found[holder] |= of_person[person]
    return found
