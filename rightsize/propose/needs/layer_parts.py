"""Split needs by layer of defence: one part for each layer that its operations defeat, and a rest that defeats none.

Identity control and monitoring guard all other layers: a principal that can change permissions and switch off logs
needs nothing else. So an operation that defeats one of these two belongs to its part, whatever else it defeats, and
these parts become eligible where possible. The rules (`rules/layers.csv`) say which operation defeats which layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.scoping import ROOT, ScopeTree
from rightsize.model.nouns import LAYERS
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.read_patterns import PatternPart, in_order
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.core.scopes import MANAGEMENT_GROUP, anchor_of_place
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.rbac.text import Folded, fold
from rightsize.rules.layers import LAYER_BITS

GUARDS = ("identity_control", "monitoring")
"""The layers that guard all others: access that defeats them becomes eligible where possible."""
DAILY = "daily"
"""The word for the rest of a need that is split by layer: it defeats no layer."""
BESIDE = "privileged_beside"
"""The word for the part of such a need that defeats no layer, but gives privilege or reads secrets on few days."""


@dataclass(frozen=True, slots=True)
class LayerParts:
    """The principals and subscriptions whose needs are split by layer, and the operations of each part.

    Attributes:
        masks: The catalogue operations that defeat each layer. Each operation is in one layer; guarding layers come
            first.
        pairs: (folded principal, folded subscription) where a need is split; a management group stands for itself if
            its subscriptions are not known.
        whole: Assignments that are not split in any case.
        tree: Management groups and subscriptions.
        book: The roles; None if nothing is split.
    """

    masks: Mapping[str, int] = field(default_factory=dict)
    pairs: frozenset[tuple[Folded, Folded]] = frozenset()
    whole: frozenset[Key] = frozenset()
    tree: ScopeTree | None = None
    book: RoleBook | None = None
    _places: dict[Folded, tuple[Folded, ...]] = field(default_factory=dict, compare=False)

    @property
    def harmful(self) -> int:
        """The operations that defeat any layer."""
        found = 0
        for mask in self.masks.values():
            found |= mask
        return found

    def splits(self, principal_id: Folded, place: Folded, subject: Subject) -> bool:
        """Return whether the needs of a principal at a folded place are split.

        Eligible access is not split, since it is activated as a whole; nor is an assignment with a condition, which
        limits all of it.
        """
        if not self.pairs or subject.state != "active" or subject.condition or subject.key in self.whole:
            return False
        return any((principal_id, scope) in self.pairs for scope in self.subscriptions(place))

    def subscriptions(self, place: Folded) -> tuple[Folded, ...]:
        """Return the folded subscriptions in or around a folded place; the place itself if none are known."""
        if self.tree is None or place.startswith("/subscriptions/"):
            return (anchor_of_place(place),)
        if place not in self._places:
            _, below = self.tree.below(place)
            self._places[place] = tuple(below) or (place,)
        return self._places[place]

    def layers_of(self, operations: int) -> tuple[str, ...]:
        """Return the layers that any of the operations defeats."""
        return tuple(layer for layer, mask in self.masks.items() if mask & operations)

    def foreign(self) -> dict[str, int]:
        """Return for each part the operations that its roles may not grant: those that defeat another layer."""
        harm = self.harmful if self.pairs else 0
        own = {DAILY: 0, BESIDE: 0, **self.masks}
        return {part: harm & ~mask for part, mask in own.items()} if harm else {}

    def spelt_out(self, need: Need, apart: int) -> Need:
        """Return the same need with the operations of `apart` taken out of its patterns and listed explicitly.

        An operation that a pattern grants by only one reading stays in the pattern.
        """
        operations, parts = need.operations, []
        for part in need.parts:
            taken = self._book().certain_mask(part) & apart
            operations |= taken
            left = self._without(part, taken) if taken else part
            if left is not None:
                parts.append(left)
        return Need(operations, tuple(parts))

    def _without(self, part: PatternPart, taken: int) -> PatternPart | None:
        book = self._book()
        names = {name for _, name in book.index.folded_members(taken)}
        patterns = tuple(text for text, key in zip(part.patterns, part.folded, strict=True) if key not in names)
        if not patterns:
            return None
        left = replace(part, patterns=patterns)
        still = self._mask(left) & taken
        named = [name for _, name in book.index.members(still)]
        return replace(left, not_patterns=in_order((*part.not_patterns, *named)))

    def _mask(self, part: PatternPart) -> int:
        return self._book().part_mask(part)

    def _book(self) -> RoleBook:
        assert self.book is not None  # noqa: S101  nothing is split without one
        return self.book


def layer_masks(harm: pl.DataFrame, index: OperationIndex) -> dict[str, int]:
    """Return the operations that defeat each layer; each operation is in one layer, guarding layers first.

    Args:
        harm: As `layers.harmful` returns it.
        index: The operations; those that its catalogue does not list are in no part, since no new role may leave them
            out.
    """
    rows = harm.select("plane", "name", "mask").rows()
    found: dict[str, int] = {}
    seen = ~index.listed
    for layer in (*GUARDS, *(layer for layer in LAYERS if layer not in GUARDS)):
        own = index.mask((plane, name) for plane, name, mask in rows if mask & LAYER_BITS[layer]) & ~seen
        found[layer] = own
        seen |= own
    return found


def may_open(subject: Subject, role: KnownRole) -> bool:
    """Return whether a role of which everything is needed could be split at the scope of its assignment.

    A new role cannot be assigned at the root, nor with data actions at a management group. A new role cannot express
    a condition inside a role.
    """
    has_data = any(block.data_actions for block in role.blocks)
    at_group = subject.place.startswith(MANAGEMENT_GROUP)
    return subject.place != ROOT and not role.is_conditional and not (at_group and has_data)


def as_granted(role: KnownRole, index: OperationIndex) -> Need:
    """Return everything that a role grants as a need: its operations, and its patterns with their not-patterns."""
    operations, parts = 0, []
    for block in role.blocks:
        for plane, texts, taken_out in (
            ("control", block.actions, block.not_actions),
            ("data", block.data_actions, block.not_data_actions),
        ):
            patterns = []
            for text in texts:
                bit = index.bit(plane, fold(text)) if "*" not in text else None
                if bit is None or role.doubtful >> bit & 1:
                    patterns.append(text.strip())
                else:
                    operations |= 1 << bit & role.certain
            if patterns:
                parts.append(PatternPart(in_order(patterns), in_order(text.strip() for text in taken_out), plane))
    return Need(operations, tuple(sorted(parts)))
