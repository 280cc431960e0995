"""Decide which linked checks an assignment keeps beside the writes that its holder keeps, direct or by group.

Azure checks a linked action against the caller, not against the assignment that allows the write: an identity may write
scale sets in one resource group as Contributor, and join a subnet in another as Network Contributor. So a linked action
is kept while its holder keeps, through any assignment, a write that can reference it. The same holds for reads of the
status of a long-running operation, if the assignment that allows the write does not also allow these reads.

No rule names the writes of some checks. `--unobservable keep` keeps such a check beside any write. By default it stays
only if both of this is true, and a check with a rule if the second is:

- A kept write can cause it. That is a write of the same resource provider, a write of a type of which a listing shows a
  resource that refers to the type of the check, or any write if a refusal in the log names the check.
- A resource of its type exists at or below the scope of the assignment, or existed there in the window. Where no
  listing is complete, and for what no listing has, this is assumed (`profiles.Profile.untargeted`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.verdicts.linked_checks import may_exist_below, runs_elsewhere, type_references
from rightsize.analyze.verdicts.resource_logs import kind_at, kind_of, resource_of
from rightsize.mining.bitsets import bits_of, mask_of, union
from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.needs.profiles import Profile
from rightsize.rbac.algebra import grants
from rightsize.rules.resource_types import (
    callable_checks,
    complete_writes,
    linked_writes,
    linkless_writes,
    names_a_write,
    referring_writes,
    rules_out,
    source_of_check,
)

_ANY_WRITE = ("*/write",)
"""The pattern of every write."""
_REGISTRY = "microsoft.containerregistry/registries"

_REACHED = ("principal_id", "holder")


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


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """The evidence on linked checks that no rule pairs with a write; all names are folded.

    Attributes:
        referrers: For a top-level type, the types whose resources refer to one of that type.
        refused: Operations that a refusal in the log names.
        elsewhere: Operations of the control plane that run on a service's own endpoint: Resource Manager, which checks
            linked actions, never sees them.
        on_endpoints: The same, and those that a log of the resource may show.
        registries: The folded scopes of the container registries that a listing shows, sorted.
    """

    referrers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    elsewhere: int = 0
    on_endpoints: int = 0
    registries: tuple[Folded, ...] = ()

    def seen_writes(self, checked: str) -> tuple[str, ...]:
        """Return the patterns of the writes of types of which a resource of the tenant refers to the checked type."""
        top = "/".join(checked.split("/")[:2])
        return tuple(f"{kind}{end}" for kind in self.referrers.get(top, ()) for end in ("/write", "/*/write"))


def read_check_evidence(inputs: Inputs, operations: pl.DataFrame, index: OperationIndex) -> CheckEvidence:
    """Return the references that listings show, and the operations that refusals in the log name.

    Args:
        inputs: The tables.
        operations: The operations of a `Tenant`, with the reason why no log shows them.
        index: The same operations, numbered.
    """
    denied = inputs.usage_days.filter((pl.col("plane") == "control") & (pl.col("denied").fill_null(0) > 0))
    refused = denied.select(name=folded(pl.col("operation")))["name"].drop_nulls().unique()
    referrers: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for target, kind in type_references(inputs).sort("target", "kind").select("target", "kind").iter_rows():
        referrers[target] += (kind,)
    elsewhere = operations.filter(runs_elsewhere(pl.col("reason"), pl.col("name"))).select("plane", "name")
    by_resource = pl.col("reason").is_null() & (pl.col("observable_by") != "activity_log")
    shown_there = operations.filter((pl.col("plane") == "control") & by_resource).select("plane", "name")
    places = inputs.resources.select(place=place_of(pl.col("scope"))).select(place=resource_of("place")).unique()
    return CheckEvidence(
        referrers,
        frozenset(refused),
        index.mask(elsewhere.iter_rows()),
        index.mask(pl.concat([elsewhere, shown_there]).iter_rows()),
        tuple(places.filter(kind_of("place") == _REGISTRY).sort("place")["place"]),
    )


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
    names = list(of_holder)
    themselves = pl.DataFrame({"principal_id": names, "holder": names}, schema=dict.fromkeys(_REACHED, pl.String))
    reached = pl.concat([membership.filter(pl.col("holder").is_in(names)).select(_REACHED), themselves])
    people = reached.group_by("principal_id").agg(pl.col("holder").unique().sort())
    # Those who reach the same holders keep the same writes: groups in a circle give thousands of members each the same.
    found: dict[Folded, Writes] = {}
    together: dict[tuple[Folded, ...], Writes] = {}
    for person, holders in people.iter_rows():
        those = tuple(holders)
        if those not in together:
            together[those] = reduce(or_, (of_holder[one] for one in those))
        if person in of_holder:
            found[person] = together[those]
    for those, writes in together.items():
        for holder in those:
            if missing := writes.checks & ~found[holder].checks:
                found[holder] |= Writes(checks=missing)
    return found


@dataclass(frozen=True, slots=True)
class _Causes:
    """The writes that can cause a linked check.

    `certain` are those that a rule or a schema names. `possible` are all writes of a provider, or below a type: of
    these, a write whose type is known to refer to nothing of the kind causes no check. `known` are the operations of
    the catalogue that are known to cause it, and `any` all that can.
    """

    certain: PermissionBlock
    possible: PermissionBlock
    known: int
    any: int


class CheckReader:
    """A reader of the linked checks that stay.

    Args:
        index: The operations.
        evidence: The evidence on linked checks that no rule pairs with a write.
        keeps_all: Whether a check without a rule stays beside any write, as `--unobservable keep` asks.
        linked: All linked checks.
    """

    def __init__(self, index: OperationIndex, evidence: CheckEvidence, keeps_all: bool, linked: int = 0) -> None:
        self._index, self._evidence, self._keeps_all = index, evidence, keeps_all
        self.linked = linked
        self._causes: dict[int, _Causes] = {}
        self._elsewhere: dict[int, int] = {}
        self._callable: dict[str | None, int] = {}

    def kept(self, scope: str, profile: Profile, staying: Writes, around: Writes) -> int:
        """Return the linked checks that a kept write can cause; no option removes them from a write that stays.

        They include operations that no log shows, also since they run on a data endpoint, operations that a complete
        log does not name, and unlogged reads.
        Azure checks them for each caller of the write, even if the write was not made in the window. A type of which
        there was no resource all through the window keeps no check.

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
        checks = profile.linked if self._keeps_all else profile.linked & ~profile.untargeted
        return mask_of(
            bit
            for bit in bits_of(checks | callable_too)
            if self._causes_of(bit).any & staying.operations
            or around.checks >> bit & 1
            or any(self._may_cause(write, bit) for write in unknown)
        )

    def elsewhere(self, changes: int) -> int:
        """Return the linked checks that some changes are known to cause, by a rule or a schema.

        Another assignment may have to grant them: what the changed resource refers to may lie anywhere.
        """
        key = changes & ~self._index.reads
        if key not in self._elsewhere:
            found = (bit for bit in bits_of(self.linked if key else 0) if self._causes_of(bit).known & key)
            self._elsewhere[key] = mask_of(found)
        return self._elsewhere[key]

    def caused(self, changes: int, among: int) -> int:
        """Return which of some operations are linked checks that some changes can cause."""
        checks = bits_of(among & self.linked)
        return mask_of(bit for bit in checks if self._causes_of(bit).any & changes)

    def cause(self, check: int, changes: int) -> tuple[int, str] | None:
        """Return the first of some changes, by name, that can cause a check, and the source of the rule; None for none.

        What a rule, a schema or a listing ties to the check comes before all other writes.

        Args:
            check: The check, by its number in the index.
            changes: The changes.
        """
        causes, names = self._causes_of(check), self._index.keys
        found = bits_of(causes.known & changes or causes.any & changes)
        change = min(found, key=lambda bit: names[bit][1], default=None)
        return None if change is None else (change, self._source(names[change][1], check))

    def _source(self, write: Folded, check: int) -> str:
        checked = self._index.keys[check][1]
        if source := source_of_check(write, checked):
            return source
        shown = PermissionBlock(actions=self._evidence.seen_writes(checked))
        if grants([shown], write, "control") == "yes":
            return "a listed resource of its type refers to one of the type of the check"
        if checked in self._evidence.refused:
            return "a refusal in the log names the check, and not the write"
        return "no rule says which writes of this resource provider cause it"

    def loose(self, profile: Profile, kept: int, staying: Writes) -> int:
        """Return the checks without a rule that are not in `kept`, and that `--unobservable keep` would keep."""
        rest = profile.linked & ~kept
        if self._keeps_all or not rest:
            return 0
        if not self._any_write & staying.operations and not any(name.endswith("/write") for name in staying.unknown):
            return 0
        return mask_of(bit for bit in bits_of(rest) if not linked_writes(self._index.keys[bit][1]))

    @cached_property
    def _any_write(self) -> int:
        return self._index.granted_by([PermissionBlock(actions=_ANY_WRITE)])

    @cached_property
    def _complete(self) -> int:
        """The writes whose references are all known."""
        return self._mask(complete_writes())

    def _causes_of(self, bit: int) -> _Causes:
        """Return the writes that can cause a check."""
        if bit not in self._causes:
            checked = self._index.keys[bit][1]
            referring = self._mask(referring_writes(checked))
            certain, possible = self._patterns(checked)
            open_ = self._index.granted_by([possible]) & ~(self._complete & ~referring)
            shown = self._index.granted_by([PermissionBlock(actions=self._evidence.seen_writes(checked))])
            known = self._index.granted_by([certain]) | (referring | shown) & open_
            self._causes[bit] = _Causes(certain, possible, known, known | open_)
        return self._causes[bit]

    def _patterns(self, checked: Folded) -> tuple[PermissionBlock, PermissionBlock]:
        """Return `certain` and `possible` of `_Causes`."""
        certain: Iterable[str] = _ANY_WRITE
        possible: Iterable[str] = ()
        if ruled := linked_writes(checked):
            certain = [write for write in ruled if names_a_write(write)]
            possible = [write for write in ruled if not names_a_write(write)]
        elif not self._keeps_all and checked not in self._evidence.refused:
            certain = sorted(referring_writes(checked))
            possible = (f"{checked.partition('/')[0]}/*/write", *self._evidence.seen_writes(checked))
        excluded = linkless_writes(checked)
        return (
            PermissionBlock(actions=tuple(certain), not_actions=excluded),
            PermissionBlock(actions=tuple(possible), not_actions=excluded),
        )

    def _may_cause(self, write: Folded, bit: int) -> bool:
        """Return whether a folded write that the catalogue lacks can cause a check."""
        causes = self._causes_of(bit)
        is_open = not rules_out(self._index.keys[bit][1], write)
        blocks = [causes.certain, causes.possible] if is_open else [causes.certain]
        return grants(blocks, write, "control") == "yes"

    def _mask(self, writes: Iterable[Folded]) -> int:
        return self._index.mask(("control", write) for write in writes)

    def _callable_below(self, scope: str) -> int:
        """Return the operations that, by the rules, writes check, limited to types that may exist below the scope."""
        kind = kind_at(scope)
        if kind not in self._callable:
            bits = list(bits_of(self._index.granted_by([PermissionBlock(actions=callable_checks())])))
            names = pl.Series([self._index.keys[bit][1] for bit in bits], dtype=pl.String)
            there = may_exist_below(pl.Series([kind] * len(bits), dtype=pl.String), names)
            self._callable[kind] = mask_of(bit for bit, here in zip(bits, there, strict=True) if here)
        return self._callable[kind]


def linked_checks(profiles: Iterable[Profile], index: OperationIndex) -> int:
    """Return the operations that Azure checks inside other writes: those that no log shows, and those of the rules."""
    unlogged = union({id(profile): profile.linked for profile in profiles}.values())
    return unlogged | index.granted_by([PermissionBlock(actions=callable_checks())])
