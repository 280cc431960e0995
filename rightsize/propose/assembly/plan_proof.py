"""Prove the drafts of a plan, replay the calls under it, and check its new roles by Azure's rules.

`RoleUses` has for each new role the drafts that assign it, and the use of its operations under the old assignments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import Any

import polars as pl

from rightsize.analyze.inputs import folded
from rightsize.analyze.tenant import Tenant
from rightsize.model.errors import InternalError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Proof
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import FoldedKey
from rightsize.propose.core.role_catalog import Blocks, RoleBook, RoleSaving
from rightsize.propose.core.role_patterns import AzureLimits, refusals, strings_of
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.drafts.drafts import Draft, Placement
from rightsize.propose.drafts.reading import ObservedUse, TenantReading
from rightsize.propose.needs.assignments import KEY, Key, Subject, Used, last_of
from rightsize.propose.needs.needs import DECLARED, USED, USED_BEFORE, WHY
from rightsize.propose.proof import Claim, ProvedGrant, prove
from rightsize.propose.replay import Evaluator, GrantRow, Outcomes, grants_of, replay, row_today
from rightsize.propose.selection.reconcile import role_key
from rightsize.propose.selection.role_names import NewRoles


@dataclass(frozen=True, slots=True)
class Seen:
    """The use of operations under the assignments that a role replaces in part.

    Attributes:
        used: The use in the window.
        earlier: The use before the window that still counts.
        declared: What code declares and nobody used.
    """

    used: Used = field(default_factory=dict)
    earlier: Used = field(default_factory=dict)
    declared: Used = field(default_factory=dict)

    def of(self, key: FoldedKey) -> dict[str, Any] | None:
        """Return the evidence for the use of a (plane, folded action); None for an action without use."""
        if key in self.used:
            return {"why": USED, **self.used[key]}
        if key in self.earlier:
            found = self.earlier[key]
            return {"why": USED_BEFORE, "meaning": [last_used(found["days_ago"])], **found}
        if key in self.declared:
            found = self.declared[key]
            return {"why": DECLARED, "meaning": [WHY[DECLARED]], "principal_ids": found["principal_ids"]}
        return None


def last_used(days_ago: int) -> str:
    """Return the sentence that says how many days ago a use before the window took place."""
    return f"last used {days_ago} days ago, before the window"


@dataclass(frozen=True, slots=True)
class RoleUses:
    """The drafts that assign a new role, their placements of it, and the use of its operations."""

    drafts: tuple[Draft, ...]
    placements: tuple[Placement, ...]
    seen: Seen

    @property
    def job(self) -> str:
        """The key of the job whose role it is, or empty for an add-on and for the work of one holder."""
        choices = (one.choice for one in self.placements)
        return next((one.job for one in choices if one.job and not one.is_add_on), "")

    @property
    def is_add_on(self) -> bool:
        """Whether it keeps risky changes apart from the jobs of its holders."""
        return any(one.choice.is_add_on for one in self.placements)

    @property
    def saves(self) -> RoleSaving | None:
        """What it saves against the best roles without it; None where it only keeps risk apart."""
        return next((one.choice.saves for one in self.placements if one.choice.saves is not None), None)


def role_id_of(placement: Placement, new: NewRoles) -> Folded:
    """Return the id of the role that a placement assigns: a new role or an existing one."""
    key = role_key(placement)
    if key is None:
        return placement.choice.role_definition_id
    return new.placed[key, anchor_of_place(placement.place)]


def read_role_uses(
    drafts: Mapping[Key, Draft], new: NewRoles, use: ObservedUse, book: RoleBook
) -> dict[Folded, RoleUses]:
    """Return what each new role is assigned for, by its id, sorted.

    Args:
        drafts: The drafts with their placements.
        new: The new roles.
        use: The use in the window and before it, and what is declared.
        book: The roles of today.
    """
    users: dict[Folded, list[Draft]] = defaultdict(list)
    placed: dict[Folded, list[Placement]] = defaultdict(list)
    for key in sorted(drafts):
        own: dict[Folded, list[Placement]] = defaultdict(list)
        for one in drafts[key].placements:
            if one.choice.content is not None:
                own[role_id_of(one, new)].append(one)
        for id_, placements in sorted(own.items()):
            users[id_].append(drafts[key])
            placed[id_].extend(placements)
    replaced = _frame(((id_, *draft.subject.key) for id_, those in users.items() for draft in those), ("role", *KEY))
    named = _frame(
        ((id_, *key) for id_, role in new.definitions.items() for key in _named(role, book)),
        ("role", "plane", "name"),
    )
    seen = [rows.of_roles(replaced, named) for rows in (use.rows, use.earlier_rows, use.declared_rows)]
    return {
        id_: RoleUses(tuple(users[id_]), tuple(placed[id_]), Seen(*(found.get(id_, {}) for found in seen)))
        for id_ in sorted(new.definitions)
    }


def _frame(rows: Iterable[tuple[str, ...]], names: Iterable[str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict.fromkeys(names, pl.String), orient="row").unique()


def _named(role: RoleDefinition, book: RoleBook) -> Iterator[FoldedKey]:
    """Yield `(plane, folded string)` for each string of a role, and for each operation that its patterns match."""
    for block in role.permissions:
        for one in strings_of(block):
            yield one.key
            if "*" in one.text:
                yield from book.index.folded_members(book.part_mask(one))


def check_roles(
    definitions: Mapping[Folded, RoleDefinition], drafts: Mapping[Key, Draft], book: RoleBook, limits: AzureLimits
) -> None:
    """Raise `InternalError` if Azure would refuse a new role."""
    replaced = {draft.subject.role_definition_id for draft in drafts.values() if draft.placements}
    inherited = frozenset().union(*(book.roles[id_].strings for id_ in replaced))
    for role in definitions.values():
        found = refusals(role, book.index.lists, inherited, limits)
        if found:
            raise InternalError(f"Azure would refuse the new role `{role.role_name}`: {found[0]}")


def prove_drafts(
    drafts: Mapping[Key, Draft], new: NewRoles, reading: TenantReading, roles: Mapping[Folded, Blocks]
) -> dict[Key, Proof]:
    """Return the proof of each draft; unchanged assignments and those of deleted holders hold without one.

    Args:
        drafts: The drafts.
        new: The new roles.
        reading: The tenant.
        roles: The permission blocks of today's roles and the new ones, by id.

    Raises:
        InternalError: A proposal cannot be proved.
    """
    tenant, use = reading.analysis.tenant, reading.use
    claims = _claims(drafts, new, reading.today.subjects, tenant.membership)
    uses = use.placed.select(
        "plane",
        "place",
        claim=pl.col("role_assignment_id") + " " + pl.col("state"),
        principal_id=folded(pl.col("principal_id")).fill_null(""),
        operation="name",
    ).unique()
    proved = prove(claims, uses, roles, tenant.tree, use.requests)
    for name, proof in proved.items():
        if not proof.holds:
            raise InternalError(f"the proposal for assignment `{name}` cannot be proved: {proof.witness}")
    return {key: proved.get(_name_of(key), Proof(True, True)) for key in drafts}


def _name_of(key: Key) -> str:
    """Return the name of a claim, made of the id and the state of its assignment."""
    return f"{key[0]} {key[1]}"


def _claims(
    drafts: Mapping[Key, Draft], new: NewRoles, subjects: Iterable[Subject], membership: pl.DataFrame
) -> list[Claim]:
    """Return a claim for each draft that changes an assignment, except where the holder is deleted.

    Args:
        drafts: The drafts with their placements.
        new: The new roles.
        subjects: Today's assignments.
        membership: `(principal_id, holder)` of a `Tenant`.
    """
    by_id: dict[Folded, list[Subject]] = defaultdict(list)
    held: dict[Folded, list[Subject]] = defaultdict(list)
    for subject in subjects:
        by_id[subject.role_assignment_id].append(subject)
        held[subject.principal_id].append(subject)
    given: dict[Folded, dict[Placement, None]] = defaultdict(dict)
    for _, draft in sorted(drafts.items()):
        for placement in draft.placements:
            given[placement.principal_id][placement] = None
    resting_owners = {draft.subject.principal_id for draft in drafts.values() if draft.rests_on}
    reached = _reached({*given, *resting_owners}, membership)
    # Access through groups counts too: the replacement may grant part of any of it.
    holders: dict[Folded, list[Folded]] = defaultdict(list)
    for group, members in sorted(reached.items()):
        for member in members:
            holders[member].append(group)

    # Claims of one holder share one object of each, which `prove` knows again.
    @cache
    def after(owner: Folded) -> tuple[ProvedGrant, ...]:
        people = (owner, *reached.get(owner, ()))
        return _distinct(_grant(one, new, owner) for name in people for one in given.get(name, ()))

    @cache
    def before(owner: Folded) -> tuple[ProvedGrant, ...]:
        return _distinct(_today(one, owner, reached) for name in (owner, *holders[owner]) for one in held[name])

    @cache
    def alone(member: Folded) -> tuple[ProvedGrant, ...]:
        return _distinct(_as_member(one, member) for name in (member, *holders[member]) for one in held[name])

    claims = []
    for key, draft in sorted(drafts.items()):
        subject, owner = draft.subject, draft.subject.principal_id
        if draft.kind.keeps or not draft.kind.has_holder:
            continue
        rests_on = [_today(other, owner, reached) for id_ in draft.rests_on for other in by_id[id_]]
        # Members of the group that get assignments of their own in its place.
        members = sorted({one.principal_id for one in draft.placements}.intersection(reached.get(owner, ())) - {owner})
        singled = [one for member in members for one in (_as_member(subject, member), *alone(member))]
        claims.append(
            Claim(
                _name_of(key),
                tuple(_grant(one, new, owner) for one in draft.placements),
                (*after(owner), *rests_on) if rests_on else after(owner),
                _distinct((*before(owner), *singled)) if singled else before(owner),
                frozenset([None, subject.condition]),
                subject.end_on,
                subject.role_definition_id,
            )
        )
    return claims


def _distinct(grants: Iterable[ProvedGrant]) -> tuple[ProvedGrant, ...]:
    return tuple(dict.fromkeys(grants))


def _reached(members: set[Folded], membership: pl.DataFrame) -> dict[Folded, list[Folded]]:
    """Return for each folded group its members among `members`, sorted."""
    within = membership.filter(
        pl.col("principal_id").is_in(sorted(members)) & (pl.col("principal_id") != pl.col("holder"))
    )
    return dict(within.group_by("holder").agg(pl.col("principal_id").unique().sort()).iter_rows())


def _grant(placement: Placement, new: NewRoles, owner: Folded) -> ProvedGrant:
    member = placement.principal_id
    return ProvedGrant(
        role_id_of(placement, new),
        placement.place,
        "" if member == owner else member,
        placement.state,
        placement.condition,
        placement.end_on,
    )


def _as_member(subject: Subject, member: Folded) -> ProvedGrant:
    """Return an assignment of today as access of one member of a group, held directly or through a group."""
    return replace(_today(subject, subject.principal_id, {}), member=member)


def _today(subject: Subject, owner: Folded, reached: Mapping[Folded, list[Folded]]) -> ProvedGrant:
    """Return an assignment of today as access of the owner's people: of all of them, or of one member of a group."""
    holder = subject.principal_id
    is_theirs = holder == owner or owner in reached.get(holder, ())
    return ProvedGrant(
        subject.role_definition_id,
        subject.place,
        "" if is_theirs else holder,
        "eligible" if subject.state == "eligible" else "active",
        subject.condition,
        subject.end_on,
    )


def replay_drafts(
    drafts: Mapping[Key, Draft],
    new: NewRoles,
    calls: pl.DataFrame,
    reading: TenantReading,
    roles: Mapping[Folded, Blocks],
) -> Outcomes:
    """Return the outcome of the calls, as `replay.distinct_uses` returns them, under the plan.

    An assignment without a draft stays. The other arguments are those of `prove_drafts`.

    Raises:
        InternalError: A call that counts would be denied.
    """
    tenant, subjects = reading.analysis.tenant, reading.today.subjects
    ending = _activations_of_changed(drafts, tenant)
    activated = {one.role_assignment_id for one in subjects if one.state == "activated"}
    alive = [one for one in subjects if one.key not in reading.today.orphans]
    going = {key for key, draft in drafts.items() if not draft.kind.keeps}
    stays = (one for one in alive if one.key not in going and one.role_assignment_id not in ending)
    today = [row_today(one, one.state, activated) for one in alive]
    left = (row_today(one, one.state, activated) for one in stays)
    made = (drafts[one.key] for one in alive if one.key in drafts)
    outcome = replay(
        calls,
        grants_of(today),
        grants_of(chain(left, *(_planned(one, new) for one in made))),
        Evaluator(roles, tenant.tree, reading.use.requests),
        tenant,
        reading.inputs,
    )
    if denied := len(outcome.denied):
        raise InternalError(f"the plan would deny {denied} calls that count, the first of them {outcome.first_denied}")
    return outcome


def _activations_of_changed(drafts: Mapping[Key, Draft], tenant: Tenant) -> set[Folded]:
    """Return the folded ids of running activations whose eligible assignment changes; the replay ends them with it."""
    changed = {id_ for (id_, state), draft in drafts.items() if state == "eligible" and draft.kind.changes}
    rows = tenant.assignments.filter((pl.col("state") == "activated") & pl.col("eligibility").is_in(sorted(changed)))
    return set(rows["id"])


def _planned(draft: Draft, new: NewRoles) -> Iterator[GrantRow]:
    """Yield the new assignments of a draft as rows of `GRANTS_SCHEMA`."""
    for one in draft.placements:
        condition = None if one.condition == draft.subject.condition else one.condition
        yield one.principal_id, one.place, role_id_of(one, new), one.state, condition, last_of(one.end_on)
