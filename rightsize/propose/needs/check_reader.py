"""Decide which linked checks an assignment keeps beside the writes that its holder keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from rightsize.analyze.linked_checks import may_exist_below
from rightsize.analyze.resources import kind_at
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.propose.needs.linked_checks import ANY_WRITE, CheckEvidence, Writes
from rightsize.rbac.algebra import grants
from rightsize.rbac.text import Folded
from rightsize.rules.linked import callable_checks, linked_writes, linkless_writes

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
    _causes: dict[Folded, PermissionBlock] = field(default_factory=dict)
    _callable: dict[str | None, int] = field(default_factory=dict)
    _any_write: int = 0

    def kept(self, scope: str, profile: Profile, staying: Writes) -> int:
        """Return the linked checks that a kept write can cause; no option removes them from a write that stays.

        They include operations that no log shows, operations that a complete log does not name, and unlogged reads.
        Azure checks them for each caller of the write, even if the write was not made in the window. A type of which
        there was no resource all through the window keeps no check. A check without a rule stays as `unruled_checks`
        says.

        Args:
            scope: The folded scope of the assignment.
            profile: The verdicts on its unused operations.
            staying: The writes that its holder keeps through any assignment.
        """
        callable_too = (profile.covered | profile.reads) & ~profile.lacking
        if callable_too:
            callable_too &= self._callable_below(scope)
        unknown = sorted(staying.unknown)
        found = []
        checks = profile.linked if self.keeps_all else profile.linked & ~profile.untargeted
        for bit in bits_of(checks | callable_too):
            name = self.index.keys[bit][1]
            if name not in self._writes:
                writes = linked_writes(name) or (ANY_WRITE if self.keeps_all else self.evidence.writes_of(name))
                block = PermissionBlock(actions=writes, not_actions=linkless_writes(name))
                self._causes[name] = block
                self._writes[name] = self.index.granted_by([block])
            causes = [self._causes[name]] if unknown else []
            if self._writes[name] & staying.operations or any(
                grants(causes, write, "control") == "yes" for write in unknown
            ):
                found.append(bit)
        return self.index.mask_of_bits(found)

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
