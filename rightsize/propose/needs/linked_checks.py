"""Collect, for each holder, the writes that it keeps through any of its assignments, direct or by group.

Azure checks a linked action against the caller, not against the assignment that allows the write: an identity may write
scale sets in one resource group as Contributor, and join a subnet in another as Network Contributor. So a linked action
is kept while its holder keeps, through any assignment, a write that can reference it. The
same holds for reads of the status of a long-running operation, if the assignment that allows the write does not also
allow these reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class Writes:
    """The operations that stay: catalogue operations as a set, and the folded names of others.

    `polls` are the status reads that these operations need and that the assignment which grants them does not keep.
    `checks` are the linked checks that these operations are known to cause: another assignment may have to grant them.
    """

    operations: int = 0
    unknown: frozenset[Folded] = frozenset()
    polls: int = 0
    checks: int = 0

    def __or__(self, other: Writes) -> Writes:
        return Writes(
            self.operations | other.operations,
            self.unknown | other.unknown,
            self.polls | other.polls,
            self.checks | other.checks,
        )


ANY_WRITE = ("*/write",)
"""The pattern of every write."""


@dataclass(frozen=True, slots=True)
class Causes:
    """The writes that can cause a linked check, as patterns.

    `certain` are those that a rule or a schema names. `possible` are all writes of a provider, or below a type: of
    these, a write whose type is known to refer to nothing of the kind causes no check.
    """

    certain: PermissionBlock
    possible: PermissionBlock


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """The evidence on linked checks that no rule pairs with a write; all names are folded.

    Attributes:
        referrers: For a top-level type, the types whose resources refer to one of that type.
        refused: Operations that a refusal in the log names.
        elsewhere: Operations of the control plane that run on a service's own endpoint: Resource Manager, which checks
            linked actions, never sees them.
        on_endpoints: The same, and those that a log of the resource may show.
        registries: The folded scopes of the container registries that a listing shows.
    """

    referrers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    elsewhere: int = 0
    on_endpoints: int = 0
    registries: tuple[Folded, ...] = ()

    def writes_of(self, checked: str) -> tuple[str, ...]:
        """Return the patterns of the writes that may cause a folded check without a rule, where no schema says more."""
        return (f"{checked.partition('/')[0]}/*/write", *self.seen_writes(checked))

    def seen_writes(self, checked: str) -> tuple[str, ...]:
        """Return the patterns of the writes of types of which a resource of the tenant refers to the checked type."""
        top = "/".join(checked.split("/")[:2])
        return tuple(f"{kind}{end}" for kind in self.referrers.get(top, ()) for end in ("/write", "/*/write"))


def writes_within_reach(kept: Iterable[tuple[Folded, Writes]], membership: pl.DataFrame) -> Mapping[Folded, Writes]:
    """Return, for each folded holder, the writes that it keeps through its own assignments and those of its groups.

    What a member writes by an assignment of its own is no work of its group. But the group's assignment may be the one
    by which this member passes the checks that such a write is known to cause.

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
    found = {holder: of_person[holder] for holder in of_holder}
    for person, holder in pairs:
        if missing := of_person[person].checks & ~found[holder].checks:
            found[holder] |= Writes(checks=missing)
    return found
