"""Set apart the needs that give privilege, read secrets on few days, or defeat a layer of defence.

They get roles of their own, eligible where possible. Deployments, machines and sites are a developer's daily work and
stay together. The rule file `split_off` lists the operations to split off, with a source for each row. Without the
split, one stolen session has all privileged access. With it, the dangerous part is small, has a name, and needs an
activation if a person holds it.

If asked to, needs are split by layer of defence: one part for each layer that its operations defeat, and a rest that
defeats none. Identity control and monitoring guard all other layers: a principal that can change permissions and switch
off logs needs nothing else. So an operation that defeats one of these two belongs to its part, whatever else it
defeats, and these parts become eligible where possible. The rules (`rules/layers.csv`) say which operation defeats
which layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import polars as pl

from rightsize.analyze.inputs import ROOT, ScopeTree
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.mining.bitsets import union
from rightsize.model.nouns import LAYERS
from rightsize.model.text import Folded, fold, is_read
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.core.role_patterns import PatternPart, in_order
from rightsize.propose.core.scopes import MANAGEMENT_GROUP, anchor_of_place
from rightsize.propose.needs.assignments import Key, Subject, UseRows, masks_of
from rightsize.propose.needs.delegation import ADMINISTRATOR, Delegation, Delegations
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.holders import GROUP_SEGMENTS, Eligibility
from rightsize.propose.needs.needs import Needs
from rightsize.propose.needs.profiles import Profile
from rightsize.rules.operations import LAYER_BITS, first_match, only_reads, split_off
from rightsize.rules.tables import rows_of

FEW_DAYS = 30
"""A secret is read "on few days" if it is read on at most one in this number of days: 3 days in a window of 90."""
PRIVILEGED = "privileged"
"""The word for the part that is split off from a need that is not split by layer."""
GUARDS = ("identity_control", "monitoring")
"""The layers that guard all others: access that defeats them becomes eligible where possible."""
DAILY = "daily"
"""The word for the rest of a need that is split by layer: it defeats no layer."""
BESIDE = "privileged_beside"
"""The word for the part of such a need that defeats no layer, but gives privilege or reads secrets on few days."""

RiskKind = Literal["privilege", "code", "secret", "delete"]
RiskyChanges = Mapping[RiskKind, int]
"""The risky changes by kind, as sets of operations; each has the first kind that fits."""
_KINDS: tuple[RiskKind, ...] = ("privilege", "code", "secret", "delete")


def risky_changes(operations: pl.DataFrame, index: OperationIndex) -> dict[RiskKind, int]:
    """Return the risky changes by kind.

    Args:
        operations: The annotated catalogue, as in `Tenant`.
        index: The operations.
    """
    split = _split_masks(operations, index)
    found: dict[RiskKind, int] = {"privilege": split["always"], "code": 0, "secret": split["rarely_used"], "delete": 0}
    for plane in ("control", "data"):
        rows = [row for row in rows_of("add_ons") if row["plane"] == plane]
        here = index.frame().filter(pl.col("plane") == plane)
        number = first_match(here["name"], [row["pattern"] for row in rows])
        kinds = pl.Series([row["kind"] for row in rows], dtype=pl.String).gather(number)
        for kind, mask in masks_of(here.with_columns(kind=kinds).drop_nulls("kind"), "kind"):
            found[cast(RiskKind, kind)] |= mask
    taken = index.reads
    for kind in _KINDS:
        found[kind] &= ~taken
        taken |= found[kind]
    return found


def _split_masks(operations: pl.DataFrame, index: OperationIndex) -> dict[str, int]:
    """Return the operations that the rules split off, by the word of the rule."""
    split = split_off(operations)
    return {
        word: index.mask(operations.filter(split == word).select("plane", "name").iter_rows())
        for word in ("always", "rarely_used")
    }


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
        return union(self.masks.values())

    def splits(self, principal_id: Folded, place: Folded, subject: Subject) -> bool:
        """Return whether the needs of a principal at a folded place are split.

        Eligible access is not split, since it is activated as a whole; nor is an assignment with a condition, which
        limits all of it.
        """
        if not self.pairs or subject.state != "active" or subject.condition or subject.key in self.whole:
            return False
        if place not in self._places:
            is_high = not place.startswith("/subscriptions/")
            below = self.tree.below(place)[1] if self.tree is not None and is_high else ()
            self._places[place] = tuple(below) or (anchor_of_place(place),)
        return any((principal_id, scope) in self.pairs for scope in self._places[place])

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
        if self.book is None:
            return need
        operations, parts = need.operations, []
        for part in need.parts:
            taken = self.book.certain_mask(part) & apart
            operations |= taken
            left = _without(part, taken, self.book) if taken else part
            if left is not None:
                parts.append(left)
        return Need(operations, tuple(parts))


def _without(part: PatternPart, taken: int, book: RoleBook) -> PatternPart | None:
    """Return a part that does not grant some of its operations, or None if nothing is left of it."""
    names = {name for _, name in book.index.folded_members(taken)}
    patterns = tuple(text for text, key in zip(part.patterns, part.folded, strict=True) if key not in names)
    if not patterns:
        return None
    left = replace(part, patterns=patterns)
    named = [name for _, name in book.index.members(book.part_mask(left) & taken)]
    return replace(left, not_patterns=in_order((*part.not_patterns, *named)))


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


def _as_granted(role: KnownRole, index: OperationIndex) -> Need:
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


@dataclass(frozen=True, slots=True)
class Privilege:
    """The operations that are split off from needs, and the facts that decide about their state.

    Attributes:
        always: The operations that give privilege.
        secrets: The operations that read secrets.
        rare: By assignment, the secret reads that were used under it on few days.
        seldom: By assignment used fewer hours a month than the option `standing_hours`, the changes made under it.
        hours: For the same assignments, the length in hours of an activation that is enough for 95 of 100 days of work.
        eligibility: The facts on which principals may become eligible.
        delegations: The principals that assign roles, and the roles that they assign.
        layers: The principals and scopes whose needs are split by layer of defence.
    """

    always: int = 0
    secrets: int = 0
    rare: Mapping[Key, int] = field(default_factory=dict)
    seldom: Mapping[Key, int] = field(default_factory=dict)
    hours: Mapping[Key, float] = field(default_factory=dict)
    eligibility: Eligibility = field(default_factory=Eligibility)
    delegations: Delegations = field(default_factory=Delegations)
    layers: LayerParts = field(default_factory=LayerParts)

    def part_of(self, key: Key, profile: Profile | None) -> int:
        """Return the operations that are split off from an assignment.

        Use on few days counts only if a log would have shown use on other days. Operations that give privilege are
        split off whether they were seen or not.
        """
        hidden = profile.hidden | profile.open | profile.linked if profile is not None else 0
        return self.always | self.rare.get(key, 0) & ~hidden


def read_privilege(analysis: Analysis, index: OperationIndex, rows: UseRows, hours: Mapping[Key, float]) -> Privilege:
    """Return the operations to split off by the rules and the use, without what decides about their state.

    Args:
        analysis: The operations, and the window.
        index: The index that numbers them.
        rows: The use.
        hours: The assignments that are used few hours a month, as in `Privilege`.
    """
    operations = analysis.tenant.operations
    split = _split_masks(operations, index)
    always, rarely = split["always"], split["rarely_used"]
    few = max(1, analysis.window.days // FEW_DAYS)
    rare = {key: found & rarely for key, found in rows.bits(most_days=few).items() if found & rarely}
    reads = index.mask(operations.filter(only_reads(pl.col("name"))).select("plane", "name").iter_rows())
    seldom = {key: found & ~reads for key, found in rows.bits().items() if key in hours} if hours else {}
    return Privilege(always, rarely, rare, seldom, hours)


def split(demand: GrantRequest, profile: Profile | None, privilege: Privilege) -> Iterator[GrantRequest]:
    """Yield the parts of a demand: daily work, privileged parts with roles of their own, and constrained delegation."""
    by_layer = privilege.layers.splits(demand.principal_id, demand.place, demand.subject)
    if by_layer:
        apart = privilege.layers.harmful | privilege.always
        demand = replace(demand, need=privilege.layers.spelt_out(demand.need, apart))
    delegated = _delegated(demand, profile, privilege, GUARDS[0] if by_layer else PRIVILEGED)
    if delegated is not None:
        yield delegated
        demand = replace(demand, need=demand.need.without(delegated.need.operations))
    apart = 0
    if demand.state != "eligible":  # what is eligible already is activated as a whole
        apart = demand.need.operations & privilege.part_of(demand.subject.key, profile)
        seldom = demand.need.operations & privilege.seldom.get(demand.subject.key, 0)
        # Changes made in few hours a month are split off only if they become eligible: an active extra role is no gain.
        if seldom and not why_active(_apart(demand, apart | seldom, privilege, PRIVILEGED), privilege):
            apart |= seldom
    if by_layer:
        yield from _by_layer(demand, apart, privilege)
        return
    rest = demand.need.without(apart)
    if rest:
        yield replace(demand, need=rest)
    if apart:
        yield _asleep(_apart(demand, apart, privilege, PRIVILEGED), privilege)


def _by_layer(demand: GrantRequest, asleep: int, privilege: Privilege) -> Iterator[GrantRequest]:
    """Yield a part for each layer that the operations of a demand defeat, and the rest, which defeats no layer.

    Parts of the guarding layers become eligible where possible, like the operations in `asleep`. Others stay active.
    """
    left = demand.need.operations
    for layer, mask in privilege.layers.masks.items():
        own = left & mask
        left &= ~mask
        sleeping = own if layer in GUARDS else own & asleep
        if sleeping:
            yield _asleep(_apart(demand, sleeping, privilege, layer), privilege)
        if own & ~sleeping:
            yield replace(demand, need=Need(own & ~sleeping), apart=layer)
    if left & asleep:
        yield _asleep(_apart(demand, left & asleep, privilege, BESIDE), privilege)
    rest = replace(demand.need, operations=left & ~asleep)
    if rest:
        yield replace(demand, need=rest, apart=DAILY)


def _delegated(demand: GrantRequest, profile: Profile | None, privilege: Privilege, word: str) -> GrantRequest | None:
    """Return the part of a demand that assigns roles, limited to the roles seen; None if it cannot be limited."""
    found = privilege.delegations.of(demand, profile)
    if not isinstance(found, Delegation):
        return None
    part = _apart(demand, demand.need.operations & privilege.delegations.operations, privilege, word)
    held = replace(part, condition=found.condition, role_definition_id=ADMINISTRATOR)
    asleep = _asleep(held, privilege)
    # Azure accepts one assignment of a role for a principal at a scope.
    clashes = asleep.state == "active" and (asleep.principal_id, asleep.place) in privilege.delegations.held
    return None if clashes else asleep


def _asleep(part: GrantRequest, privilege: Privilege) -> GrantRequest:
    """Return a part as eligible if it can be eligible, else unchanged."""
    return part if why_active(part, privilege) else replace(part, state="eligible")


def _apart(demand: GrantRequest, operations: int, privilege: Privilege, word: str) -> GrantRequest:
    """Return the part of a demand that is split off, at its resource group if only there it can be eligible.

    Eligible access to the whole group exposes less than active access to one resource of it. It stays within today's
    grant.
    """
    part = replace(demand, need=Need(operations), apart=word)
    if why_active(part, privilege) != "resource_scope":
        return part
    wider = replace(part, place=Folded("/".join(part.place.split("/")[: GROUP_SEGMENTS + 1])))
    is_within = not part.subject.place.startswith(wider.place + "/")
    return wider if is_within and not why_active(wider, privilege) else part


def why_active(demand: GrantRequest, privilege: Privilege) -> str:
    """Return the reason why a demand has to stay active, as a word of `WHY_ACTIVE`; empty if it can be eligible."""
    return privilege.eligibility.refusal(demand.principal_id, demand.place, demand.subject)


def may_split(subject: Subject, profile: Profile, needs: Needs, privilege: Privilege, reads: int) -> bool:
    """Return whether to split an assignment although all of it is needed.

    True if a part can become eligible and the rest is only reads, which existing roles grant. Otherwise the new role
    would list a whole role without a few operations, which does not help a reviewer.

    Args:
        subject: The assignment.
        profile: The verdicts on its unused operations.
        needs: The needs behind it.
        privilege: The operations that are split off.
        reads: The operations that are reads.
    """
    found = False
    for place, need in needs.by_scope.items():
        for part in split(GrantRequest(subject.principal_id, place, need, subject=subject), profile, privilege):
            if part.apart not in ("", DAILY):
                found = found or part.state == "eligible"
            elif part.need.operations & ~reads or not all(
                is_read(text) for one in part.need.parts for text in one.patterns
            ):
                return False
    return found


def opened_by_layer(
    subject: Subject, role: KnownRole, needs: Needs, privilege: Privilege, index: OperationIndex
) -> Needs | None:
    """Return everything that a fully needed assignment grants, as needs to split by layer; None if that has no use.

    The rest keeps the patterns of its role, with not-patterns for the operations that are split off.
    """
    layers = privilege.layers
    # A new role cannot be assigned at the root, nor with data actions at a management group, and it cannot express a
    # condition inside a role.
    at_group = subject.place.startswith(MANAGEMENT_GROUP) and any(block.data_actions for block in role.blocks)
    if not layers.splits(subject.principal_id, subject.place, subject):
        return None
    if subject.place == ROOT or role.is_conditional or at_group:
        return None
    found = layers.layers_of(role.granted)
    word = privilege.eligibility.refusal(subject.principal_id, subject.place, subject)
    if len(found) > 1 or (not word and not set(GUARDS).isdisjoint(found)):
        return replace(needs, by_scope={subject.place: _as_granted(role, index)})
    return None


def is_to_sleep(part: GrantRequest, privilege: Privilege) -> bool:
    """Return whether a split-off part becomes eligible where possible: all but parts of layers that guard no other."""
    return part.apart in GUARDS or part.apart not in privilege.layers.masks
