"""Prove the drafts of a plan, replay the calls under it, and check its new roles by Azure's rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import chain

import polars as pl

from rightsize.analyze.columns import folded
from rightsize.analyze.tenant import Tenant
from rightsize.model.errors import InternalError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Proof
from rightsize.propose.assembly.role_uses import role_id_of
from rightsize.propose.core.azure_limits import AzureLimits, refusals
from rightsize.propose.core.expiry import last_of
from rightsize.propose.core.role_catalog import Blocks, RoleBook
from rightsize.propose.needs.assignments import Key, Subject
from rightsize.propose.needs.drafts import Draft, Placement
from rightsize.propose.needs.reading import TenantReading
from rightsize.propose.proof.access_evaluator import Evaluator
from rightsize.propose.proof.proof import Claim, ProvedGrant, prove
from rightsize.propose.proof.replay import GrantRow, Outcomes, grants_of, replay, row_today
from rightsize.propose.selection.role_names import NewRoles
from rightsize.rbac.text import Folded


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

    The other arguments are those of `prove_drafts`.

    Raises:
        InternalError: A call that counts would be denied.
    """
    tenant = reading.analysis.tenant
    ending = _activations_of_changed(drafts, tenant)
    activated = {id_ for id_, state in drafts if state == "activated"}
    alive = [draft for key, draft in sorted(drafts.items()) if key not in reading.today.orphans]
    stays = (one for one in alive if one.kind.keeps and one.subject.role_assignment_id not in ending)
    today = [row_today(one.subject, one.subject.state, activated) for one in alive]
    left = (row_today(one.subject, one.subject.state, activated) for one in stays)
    outcome = replay(
        calls,
        grants_of(today),
        grants_of(chain(left, *(_planned(one, new) for one in alive))),
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
