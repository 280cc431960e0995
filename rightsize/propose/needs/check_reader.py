"""Decide which linked checks an assignment keeps beside the writes that its holder keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from rightsize.analyze.linked_checks import may_exist_below
from rightsize.analyze.resources import kind_at
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import OperationIndex, bits_of, union
from rightsize.propose.needs.linked_checks import ANY_WRITE, Causes, CheckEvidence, Writes
from rightsize.rbac.algebra import grants
from rightsize.rbac.text import Folded
from rightsize.rules.linked import callable_checks, linked_writes, linkless_writes, names_a_write
from rightsize.rules.references import complete_writes, referring_writes, rules_out

if TYPE_CHECKING:
    from rightsize.propose.needs.needs import Profile


@dataclass(slots=True)
class CheckReader:
    """A reader of the linked checks that stay.

    Attributes:
        index: The operations.
        evidence: The evidence on linked checks that no rule pairs with a write.
        keeps_all: Whether a check without a rule stays beside any write, as `--unobservable keep` asks.
    """

    index: OperationIndex
    evidence: CheckEvidence
    keeps_all: bool
    _writes: dict[Folded, int] = field(default_factory=dict)
    _certain: dict[Folded, int] = field(default_factory=dict)
    _elsewhere: dict[int, int] = field(default_factory=dict)
    _causes: dict[Folded, Causes] = field(default_factory=dict)
    _callable: dict[str | None, int] = field(default_factory=dict)
    _any_write: int = 0
    _complete: int | None = None

    def kept(self, scope: str, profile: Profile, staying: Writes, around: Writes) -> int:
        """Return the linked checks that a kept write can cause; no option removes them from a write that stays.

        They include operations that no log shows, also since they run on a data endpoint, operations that a complete
        log does not name, and unlogged reads.
        Azure checks them for each caller of the write, even if the write was not made in the window. A type of which
        there was no resource all through the window keeps no check. A check without a rule stays as `unruled_checks`
        says.

        Args:
            scope: The folded scope of the assignment.
            profile: The verdicts on its unused operations.
            staying: The writes that stay of the assignment.
            around: The writes that its holder keeps through any assignment.
        """
        callable_too = (profile.covered | profile.reads | profile.hidden) & ~profile.lacking
        if callable_too:
            callable_too &= self._callable_below(scope)
        unknown = sorted(staying.unknown | around.unknown)
        found = []
        checks = profile.linked if self.keeps_all else profile.linked & ~profile.untargeted
        for bit in bits_of(checks | callable_too):
            name = self.index.keys[bit][1]
            writes = self._writes_of(name)
            if (
                writes & staying.operations
                or around.checks >> bit & 1
                or any(_may_cause(self._causes[name], write, name) for write in unknown)
            ):
                found.append(bit)
        return self.index.mask_of_bits(found)

    def elsewhere(self, changes: int, checks: int) -> int:
        """Return the linked checks that some changes are known to cause, by a rule or a schema.

        Another assignment may have to grant them: what the changed resource refers to may lie anywhere.

        Args:
            changes: The changes.
            checks: All linked checks.
        """
        key = changes & ~self.index.reads
        if key not in self._elsewhere:
            found = []
            for bit in bits_of(checks) if key else ():
                name = self.index.keys[bit][1]
                self._writes_of(name)
                if self._certain[name] & key:
                    found.append(bit)
            self._elsewhere[key] = self.index.mask_of_bits(found)
        return self._elsewhere[key]

    def caused(self, changes: int, among: int) -> int:
        """Return which of some linked checks some changes can cause."""
        return self.index.mask_of_bits(
            bit for bit in bits_of(among) if self._writes_of(self.index.keys[bit][1]) & changes
        )

    def loose(self, profile: Profile, kept: int, staying: Writes) -> int:
        """Return the checks without a rule that are not in `kept`, and that `--unobservable keep` would keep."""
        rest = profile.linked & ~kept
        if self.keeps_all or not rest:
            return 0
        if not self._any_write:
            self._any_write = self.index.granted_by([PermissionBlock(actions=ANY_WRITE)])
        writes = self._any_write & staying.operations or any(name.endswith("/write") for name in staying.unknown)
        if not writes:
            return 0
        return self.index.mask_of_bits(bit for bit in bits_of(rest) if not linked_writes(self.index.keys[bit][1]))

    def _find_causes(self, checked: Folded) -> Causes:
        certain: Iterable[str]
        possible: Iterable[str]
        if ruled := linked_writes(checked):
            certain = [write for write in ruled if names_a_write(write)]
            possible = [write for write in ruled if not names_a_write(write)]
        elif self.keeps_all or checked in self.evidence.refused:
            certain, possible = ANY_WRITE, ()
        else:
            certain, possible = sorted(referring_writes(checked)), self.evidence.writes_of(checked)
        excluded = linkless_writes(checked)
        return Causes(
            PermissionBlock(actions=tuple(certain), not_actions=excluded),
            PermissionBlock(actions=tuple(possible), not_actions=excluded),
        )

    def _writes_of(self, checked: Folded) -> int:
        """Return the operations of the catalogue that can cause a check."""
        if checked not in self._writes:
            if self._complete is None:
                self._complete = self._mask(complete_writes())
            ruled_out = self._complete & ~self._mask(referring_writes(checked))
            causes = self._causes[checked] = self._find_causes(checked)
            possible = self.index.granted_by([causes.possible]) & ~ruled_out
            named = self._mask(referring_writes(checked)) & possible
            shown = self.index.granted_by([PermissionBlock(actions=self.evidence.seen_writes(checked))])
            self._certain[checked] = self.index.granted_by([causes.certain]) | named | shown & possible
            self._writes[checked] = self._certain[checked] | possible
        return self._writes[checked]

    def _mask(self, writes: Iterable[Folded]) -> int:
        bits = self.index.bits
        return self.index.mask_of_bits(bits["control", write] for write in writes if ("control", write) in bits)

    def _callable_below(self, scope: str) -> int:
        """Return the operations that, by the rules, writes check, limited to types that may exist below the scope."""
        kind = kind_at(scope)
        if kind not in self._callable:
            listed = self.index.granted_by([PermissionBlock(actions=callable_checks())])
            bits = list(bits_of(listed))
            names = pl.Series([self.index.keys[bit][1] for bit in bits], dtype=pl.String)
            there = may_exist_below(pl.Series([kind] * len(bits), dtype=pl.String), names)
            self._callable[kind] = self.index.mask_of_bits(bit for bit, here in zip(bits, there, strict=True) if here)
        return self._callable[kind]


def linked_checks(profiles: Iterable[Profile], index: OperationIndex) -> int:
    """Return the operations that Azure checks inside other writes: those that no log shows, and those of the rules."""
    unlogged = union({id(profile): profile.linked for profile in profiles}.values())
    return unlogged | index.granted_by([PermissionBlock(actions=callable_checks())])


def _may_cause(causes: Causes, write: Folded, checked: Folded) -> bool:
    """Return whether a folded write that the catalogue lacks can cause a check."""
    blocks = [causes.certain] if rules_out(checked, write) else [causes.certain, causes.possible]
    return grants(blocks, write, "control") == "yes"
