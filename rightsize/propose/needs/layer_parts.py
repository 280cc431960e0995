"""Which needs are split by layer of defence, and into what: one part a layer, and what is left, which defeats none.

Identity control and monitoring guard all other layers: who can change who may do what, and switch off what would show
it, needs nothing else. So an operation that defeats one of these is in their part, whatever else it defeats, and these
parts sleep where they can. Which operation defeats which layer say the rules (`rules/layers.csv`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.scoping import ROOT, ScopeTree
from rightsize.model.nouns import LAYERS
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.read_patterns import PatternPart
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.core.scopes import MANAGEMENT_GROUP, anchor_of_place
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.rbac.text import fold
from rightsize.rules.layers import LAYER_BITS

GUARDS = ("identity_control", "monitoring")
"""The layers that guard all others: what defeats them sleeps where it can."""
DAILY = "daily"
"""The word for what is left of a need that is split by layer: it defeats none."""
BESIDE = "privileged_beside"
"""The word for what of such a need gives privilege, or reads secrets on few days, and defeats no layer."""


@dataclass(frozen=True, slots=True)
class LayerParts:
    """Whose needs are split by layer where, and what each part may hold.

    Attributes:
        masks: The operations of the catalogue that defeat each layer, each in one layer, those that guard first.
        pairs: (folded principal, folded subscription) where a need is split; a subscription of unknown place is that
            of its management group.
        whole: Assignments that are left whole all the same.
        tree: Management groups and subscriptions.
        book: The roles; None where nothing is split.
    """

    masks: Mapping[str, int] = field(default_factory=dict)
    pairs: frozenset[tuple[str, str]] = frozenset()
    whole: frozenset[Key] = frozenset()
    tree: ScopeTree | None = None
    book: RoleBook | None = None
    _places: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @property
    def harmful(self) -> int:
        """The operations that defeat any layer."""
        found = 0
        for mask in self.masks.values():
            found |= mask
        return found

    def splits(self, principal_id: str, place: str, subject: Subject) -> bool:
        """Return whether what a principal needs at a folded place is split.

        What sleeps already is activated together, and a condition hedges all of an assignment.
        """
        if not self.pairs or subject.state != "active" or subject.condition or subject.key in self.whole:
            return False
        who = fold(principal_id)
        return any((who, scope) in self.pairs for scope in self.subscriptions(place))

    def subscriptions(self, place: str) -> tuple[str, ...]:
        """Return the folded subscriptions that a folded place lies in or contains, itself where none are known."""
        if self.tree is None or place.startswith("/subscriptions/"):
            return (anchor_of_place(place),)
        if place not in self._places:
            _, below = self.tree.below(place)
            self._places[place] = tuple(below) or (place,)
        return self._places[place]

    def layers_of(self, operations: int) -> tuple[str, ...]:
        """Return the layers whose part some of the operations are in."""
        return tuple(layer for layer, mask in self.masks.items() if mask & operations)

    def foreign(self) -> dict[str, int]:
        """Return for each part what no role for it may grant: what defeats another layer than its own."""
        harm = self.harmful if self.pairs else 0
        own = {DAILY: 0, BESIDE: 0, **self.masks}
        return {part: harm & ~mask for part, mask in own.items()} if harm else {}

    def spelt_out(self, need: Need, apart: int) -> Need:
        """Return the same need with those of `apart` that its patterns say as operations, and the patterns without.

        What a pattern grants by one reading only stays with the pattern.
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
        names = {fold(name): name for _, name in book.index.members(taken)}
        patterns = tuple(text for text in part.patterns if fold(text) not in names)
        if not patterns:
            return None
        left = replace(part, patterns=patterns)
        still = self._mask(left) & taken
        named = [name for _, name in book.index.members(still)]
        not_patterns = sorted({*part.not_patterns, *named}, key=lambda text: (fold(text), text))
        return replace(left, not_patterns=tuple(not_patterns))

    def _mask(self, part: PatternPart) -> int:
        return self._book().part_mask(part)

    def _book(self) -> RoleBook:
        assert self.book is not None  # noqa: S101  nothing is split without one
        return self.book


def layer_masks(harm: pl.DataFrame, index: OperationIndex) -> dict[str, int]:
    """Return the operations that defeat each layer, each in one of them, those that guard the others first.

    Args:
        harm: As `layers.harmful` returns it.
        index: The operations; what its catalogue does not list, no new role may leave out, and is in no part.
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
    """Return whether a role that is needed whole could be split where it is assigned.

    No role of ours is assigned at the root, nor one with data actions at a management group, and what a condition
    inside a role decides no other role can say.
    """
    has_data = any(block.data_actions for block in role.blocks)
    at_group = subject.place.startswith(MANAGEMENT_GROUP)
    return subject.place != ROOT and not role.is_conditional and not (at_group and has_data)


def as_granted(role: KnownRole, index: OperationIndex) -> Need:
    """Return all that a role grants as a need: its operations, and its patterns with what they leave out."""
    operations, parts = 0, []
    for block in role.blocks:
        for plane, texts, taken_out in (
            ("control", block.actions, block.not_actions),
            ("data", block.data_actions, block.not_data_actions),
        ):
            known = index.mask((plane, text.strip()) for text in texts if "*" not in text)
            operations |= known & role.certain
            names = (text.strip() for text in texts)
            patterns = [
                name
                for name in names
                if "*" in name or index.bit(plane, name) is None or index.mask([(plane, name)]) & role.doubtful
            ]
            if patterns:
                parts.append(PatternPart(_sorted(patterns), _sorted(text.strip() for text in taken_out), plane))
    return Need(operations, tuple(sorted(parts)))


def _sorted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(texts), key=lambda text: (fold(text), text)))
