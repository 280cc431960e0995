"""Count for each choice of `--reads` the reads that it keeps without evidence, and the sensitive ones among them.

No log shows a read of Resource Manager, so a person has to decide how many of them stay. The plan therefore shows the
counts of all four choices beside the chosen one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Any

import polars as pl

from rightsize.analyze.columns import ROOT
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import union
from rightsize.propose.core.options import Reads, price_list
from rightsize.propose.core.read_patterns import reading_parts
from rightsize.propose.core.role_catalog import KnownRole
from rightsize.propose.needs.assignments import Key, Use
from rightsize.propose.needs.drafts import StayingInput, stays_within_reach
from rightsize.propose.needs.linked_checks import Writes
from rightsize.propose.needs.needed_reads import provider_of, sibling_reads
from rightsize.propose.needs.needs import NeedReader
from rightsize.propose.needs.profiles import Profile
from rightsize.rbac.text import Folded
from rightsize.rules.operations import sensitive_reads


def price_reads(asked: StayingInput, orphans: Set[Key], membership: pl.DataFrame) -> dict[str, Any]:
    """Return `chosen`, and for each choice `operations` and `sensitive`, summed over the analysed assignments.

    An operation counts once for each assignment that grants it today, where only the choice keeps it. The rule file
    `sensitive_reads` says which reads are sensitive.

    Args:
        asked: Today's assignments with their evidence, and the reader of needs.
        orphans: Assignments whose holder is proved to be deleted.
        membership: `(principal_id, holder)`: who reaches the assignments of a holder.
    """
    around = stays_within_reach(asked, membership)
    pricer = _Pricer(asked.reader)
    alone = (asked.left_alone.untouched, asked.left_alone.undecided, orphans)
    totals: dict[Reads, list[int]] = {choice: [0, 0] for choice in Reads}
    for subject in asked.subjects:
        key = subject.key
        profile, role = asked.evidence.profiles.get(key), asked.reader.book.roles.get(subject.role_definition_id)
        if profile is None or role is None or any(key in keys for keys in alone) or not profile.reads:
            continue
        near = around[subject.principal_id]
        for choice, kept in pricer.kept(role, profile, asked.evidence.uses.get(key, {}), near).items():
            totals[choice][0] += kept.bit_count()
            totals[choice][1] += (kept & pricer.sensitive).bit_count()
    return price_list(asked.reader.options.reads, totals)


class _Pricer:
    """The reads that each choice keeps, computed as bit sets: a tenant has tens of thousands of assignments."""

    def __init__(self, reader: NeedReader) -> None:
        self._reader, self._index = reader, reader.index
        self._all: dict[Folded, int] = {}
        block = PermissionBlock(actions=sensitive_reads())
        self.sensitive = self._index.granted_by([block]) & self._index.reads
        bits: dict[str, list[int]] = defaultdict(list)
        for bit, (_, name) in enumerate(self._index.keys):
            bits[provider_of(name)].append(bit)
        self._of_provider = {name: self._index.mask_of_bits(found) for name, found in bits.items()}

    def kept(self, role: KnownRole, profile: Profile, use: Mapping[Folded, Use], around: Writes) -> dict[Reads, int]:
        """Return the reads that each choice keeps, without those that are kept for another reason."""
        names = [key for part in use.values() for key in (*self._index.folded_members(part.operations), *part.unlisted)]
        # The cost of a status read, and of a linked check, is the same at every place.
        polls = self._reader.status_reads(ROOT, profile, use, around).values()
        linked = self._reader.checks.kept(ROOT, profile, self._reader.staying(profile, use), around)
        hidden = profile.kept_hidden(self._reader.options.unobservable)
        anyway = union((profile.open, hidden, linked, *polls, *(part.operations for part in use.values())))
        near = union(self._of_provider.get(name, 0) for name in {provider_of(name) for _, name in names})
        everything = self._said(role) | profile.reads
        siblings = [*names, *self._index.folded_members(linked)] if use else []
        found = {
            Reads.NONE: 0,
            Reads.SIBLING: self._index.mask(sibling_reads(siblings)) & profile.reads if siblings else 0,
            Reads.NAMESPACE: everything & near,
            Reads.ALL: everything,
        }
        return {choice: mask & ~anyway for choice, mask in found.items()}

    def _said(self, role: KnownRole) -> int:
        """Return the operations that the reading patterns of a role match."""
        id_ = role.role_definition_id
        if id_ not in self._all:
            self._all[id_] = union(map(self._reader.book.part_mask, reading_parts(role.blocks)))
        return self._all[id_]
