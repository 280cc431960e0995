"""Make the claims to be proved of a plan: for each changed assignment, its replacements and today's access."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from rightsize.propose.assembly.role_uses import role_id_of
from rightsize.propose.needs.drafts import Draft, Key, Placement, Subject
from rightsize.propose.proof.proof import Claim, ProvedGrant
from rightsize.propose.selection.role_names import NewRoles
from rightsize.rbac.text import Folded


def claim_name(key: Key) -> str:
    """Return the name of a claim, made of the id and the state of its assignment."""
    return f"{key[0]} {key[1]}"


def make_claims(
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
    # All claims of one holder share the same `before` and `after`, so each is computed once.
    after: dict[Folded, tuple[ProvedGrant, ...]] = {}
    before: dict[Folded, tuple[ProvedGrant, ...]] = {}
    alone: dict[Folded, tuple[ProvedGrant, ...]] = {}
    claims = []
    for key, draft in sorted(drafts.items()):
        if draft.kind.keeps or not draft.kind.has_holder:
            continue
        owner = draft.subject.principal_id
        if owner not in after:
            people = (owner, *reached.get(owner, ()))
            after[owner] = _distinct(_grant(one, new, owner) for name in people for one in given.get(name, ()))
            before[owner] = _distinct(
                _today(one, owner, reached) for name in (owner, *holders[owner]) for one in held[name]
            )
        rests_on = [_today(other, owner, reached) for id_ in draft.rests_on for other in by_id[id_]]
        singled: list[ProvedGrant] = []
        for member in _members(draft):
            if member in reached.get(owner, ()):
                if member not in alone:
                    names = (member, *holders[member])
                    alone[member] = _distinct(_as_member(one, member) for name in names for one in held[name])
                singled += [_as_member(draft.subject, member), *alone[member]]
        claims.append(
            Claim(
                claim_name(key),
                tuple(_grant(one, new, owner) for one in draft.placements),
                (*after[owner], *rests_on) if rests_on else after[owner],
                _distinct((*before[owner], *singled)) if singled else before[owner],
                frozenset([None, draft.subject.condition]),
                draft.subject.end_on,
                draft.subject.role_definition_id,
            )
        )
    return claims


def _distinct(grants: Iterable[ProvedGrant]) -> tuple[ProvedGrant, ...]:
    return tuple(dict.fromkeys(grants))


def _members(draft: Draft) -> list[Folded]:
    """Return the folded ids of the group members that get assignments of their own in place of the group's."""
    owner = draft.subject.principal_id
    return sorted({one.principal_id for one in draft.placements} - {owner})


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
