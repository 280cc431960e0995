"""Which writes stay with the people behind an assignment, whatever assignment grants them.

Azure asks for a linked action of the caller, not of the assignment that allows the write: an identity may write scale
sets in one resource group as Contributor, and join a subnet in another as Network Contributor. So a linked action is
kept while anybody who reaches its assignment keeps a write that can reference it, through any assignment. So it is
with the status of a long-running operation, where the assignment that allows the write does not let its caller read it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.rbac.text import fold


@dataclass(frozen=True, slots=True)
class Writes:
    """Operations that stay: of the catalogue as a set, and those it lacks by name.

    `polls` are the status reads that they ask for, and that the assignment which grants them does not keep.
    """

    operations: int = 0
    unknown: frozenset[str] = frozenset()
    polls: int = 0

    def __or__(self, other: Writes) -> Writes:
        return Writes(self.operations | other.operations, self.unknown | other.unknown, self.polls | other.polls)


def writes_within_reach(kept: Iterable[tuple[str, Writes]], membership: pl.DataFrame) -> Mapping[str, Writes]:
    """Return, for each folded holder, what everybody who reaches its assignments keeps through any of theirs.

    Args:
        kept: Folded holder of an assignment, and what stays of it.
        membership: `(principal_id, holder)`: who reaches the assignments of whom, or may by activating a membership.
    """
    of_holder: dict[str, Writes] = defaultdict(Writes)
    for holder, writes in kept:
        of_holder[holder] |= writes
    held = pl.DataFrame({"holder": sorted(of_holder)}, schema={"holder": pl.String})
    reached = (
        membership.select(person=pl.col("principal_id"), holder=pl.col("holder"))
        .join(held, on="holder", how="semi")
        .unique()
        .sort("person", "holder")
    )
    pairs = {(fold(person), fold(holder)) for person, holder in reached.iter_rows()} | {
        (name, name) for name in of_holder
    }
    of_person: dict[str, Writes] = defaultdict(Writes)
    for person, holder in pairs:
        of_person[person] |= of_holder[holder]
    found: dict[str, Writes] = defaultdict(Writes)
    for person, holder in pairs:
        found[holder] |= of_person[person]
    return found
