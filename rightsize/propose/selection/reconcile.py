"""From drafts to one plan that holds together: duplicates, what rests on what, the last owners, the limits of Azure.

Whatever does not fit becomes a `keep`, which never takes away what another proposal rests on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rightsize.model.nouns import AssignmentState
from rightsize.propose.core.azure_limits import AzureLimits, RoleRoom
from rightsize.propose.core.expiry import lasts_as_long
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.drafts import Draft, Key, Placement, Subject

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
"""The built-in role Owner."""

_REPLACED = ("custom", "builtin", "narrow_scope", "remove")

RoleKey = tuple[RoleContent, str]
"""What a new role grants, and the management group where it is assigned, or the empty string."""


def mark_duplicates(drafts: Mapping[Key, Draft], containers: Mapping[Key, Sequence[Key]]) -> dict[Key, Draft]:
    """Turn drafts into `remove_duplicate` where a containing assignment is kept by this very plan.

    Args:
        drafts: All drafts.
        containers: For each assignment that may go as a duplicate, the assignments that contain it.

    Of assignments that contain each other the first by id goes; what contains one that goes is looked for again
    among those that stay, so the relation has no cycle.
    """
    stays = {key for key, draft in drafts.items() if draft.kind == "keep"}
    going: set[Key] = set()
    for key in sorted(containers):
        if any(other in stays and other != key for other in containers[key]):
            stays.discard(key)
            going.add(key)
    settled = dict(drafts)
    for key in sorted(going):
        left = sorted(other for other in containers[key] if other in stays)
        if left:
            settled[key] = replace(
                drafts[key],
                kind="remove_duplicate",
                reason=f"assignment {left[0][0]} grants all of it at the same or a wider scope, and stays",
                placements=(),
                rests_on=(left[0][0],),
                open=False,
            )
        elif drafts[key].kind == "keep":
            stays.add(key)
    return settled


def say_duplicates(drafts: Mapping[Key, Draft], containers: Mapping[Key, Sequence[Key]]) -> dict[Key, Draft]:
    """Say of what gets a successor that another assignment grants all of it today, where that is replaced as well.

    Such a one is no `remove_duplicate`, which rests on what stays: its own use is granted by what takes its place. A
    reviewer has to see that the two belong together, and mostly end in the same assignments.
    """
    settled = dict(drafts)
    for key, others in sorted(containers.items()):
        draft = settled.get(key)
        big = next((other for other in sorted(others) if other in drafts and drafts[other].kind in _REPLACED), None)
        if draft is None or big is None or not draft.placements:
            continue
        both = set(draft.placements) <= set(drafts[big].placements)
        end = "both end in the same assignments" if both else "it is replaced as well"
        settled[key] = replace(draft, reason=f"{draft.reason}; assignment {big[0]} grants all of it today, and {end}")
    return settled


def rest_on_existing(drafts: Mapping[Key, Draft]) -> dict[Key, Draft]:
    """Leave out new assignments that exist already, and keep the existing ones.

    Azure refuses a second assignment of the same role to the same principal at the same scope, whatever its condition.
    Where one exists under another condition, or two new ones differ in it, what asks for a new one is kept; so is what
    would have to last longer than the one that exists.
    """
    existing = {
        (draft.subject.principal_id, draft.subject.role_definition_id, draft.subject.place, draft.subject.state): key
        for key, draft in sorted(drafts.items())
    }
    settled = dict(drafts)
    for key, word in _conflicting(drafts, existing):
        settled[key] = settled[key].kept(word)
    for key in sorted(drafts):
        draft = settled[key]
        found = {
            placement: existing[identity]
            for placement in draft.placements
            if (identity := _identity(placement)) in existing
        }
        if not found:
            continue
        rests_on = set(draft.rests_on)
        for other in found.values():
            if settled[other].kind == "remove_duplicate":
                rests_on.update(settled[other].rests_on)
                continue
            rests_on.add(other[0])
            if settled[other].kind != "keep":
                settled[other] = settled[other].kept("relied_upon")
        if key in found.values():
            # Its own role at its own scope is among what grants its need: it stays as it is.
            continue
        left = tuple(placement for placement in draft.placements if placement not in found)
        settled[key] = replace(draft, placements=left, rests_on=tuple(sorted(rests_on)))
    return settled


_Identity = tuple[str, str, str, AssignmentState]
"""Principal, role, place and state: what Azure takes once. An eligible one may stand beside a standing one."""


def _identity(placement: Placement) -> _Identity:
    return placement.principal_id, placement.choice.role_definition_id, placement.place, placement.state


def _conflicting(drafts: Mapping[Key, Draft], existing: Mapping[_Identity, Key]) -> Iterator[tuple[Key, str]]:
    """Yield the drafts with a placement that Azure would refuse for its condition or end; of new ones the later."""
    first: dict[tuple[str, RoleKey | str, str, AssignmentState], str | None] = {}
    for key, draft in sorted(drafts.items()):
        for one in draft.placements:
            there = drafts[existing[_identity(one)]].subject if _identity(one) in existing else None
            content = role_key(one) or one.choice.role_definition_id
            before = first.setdefault((one.principal_id, content, one.place, one.state), one.condition)
            if before != one.condition or (there is not None and there.condition != one.condition):
                yield key, "other_condition"
                break
            if there is not None and not lasts_as_long(there.end_on, one.end_on):
                yield key, "other_end"
                break


def keep_last_owners(drafts: Mapping[Key, Draft], used: Mapping[Key, int]) -> dict[Key, Draft]:
    """Keep at least one owner of each subscription that has one today: the most used, then the first by id.

    One without a condition and without an end, where there is any: who may assign only some roles cannot let anybody
    back in, and who ceases to be an owner cannot either.
    """
    owners: dict[str, list[Key]] = defaultdict(list)
    for key, draft in drafts.items():
        subject = draft.subject
        is_owner = subject.role_definition_id == OWNER and subject.place == subject.anchor
        if is_owner and subject.state == "active" and draft.kind != "remove_orphan":
            owners[subject.anchor].append(key)
    settled = dict(drafts)
    for anchor, found in sorted(owners.items()):
        whole = [key for key in found if drafts[key].subject.condition is None]
        keys = [key for key in whole if drafts[key].subject.end_on is None] or whole or found
        if not anchor.startswith("/subscriptions/") or any(settled[key].kind == "keep" for key in keys):
            continue
        last = min(keys, key=lambda key: (-used.get(key, 0), key))
        settled[last] = settled[last].kept("last_owner")
    return settled


def role_key(placement: Placement) -> RoleKey | None:
    """Return what a new role is recognised by while the plan is made, or None for an existing role."""
    content = placement.choice.content
    if content is None:
        return None
    at_group = placement.place.startswith("/providers/")
    return content, placement.place if at_group else ""


def fit_limits(
    drafts: Mapping[Key, Draft], existing: Sequence[Subject], custom_roles: int, limits: AzureLimits
) -> dict[Key, Draft]:
    """Keep what would take the tenant past a limit of Azure.

    New assignments are made before old ones go, so both count; eligible ones do not. The choice of places and roles has
    made room already; this keeps what did not fit even so, the last by id.

    Args:
        drafts: All drafts.
        existing: Today's active assignments.
        custom_roles: Custom roles that the tenant has today.
        limits: The limits.
    """
    per_anchor = Counter(subject.anchor for subject in existing)
    roles: set[RoleKey] = set()
    assigned: set[tuple[str, RoleKey | str, str]] = set()
    settled = dict(drafts)
    for key in sorted(drafts):
        draft = drafts[key]
        new_roles = {found for placement in draft.placements if (found := role_key(placement)) is not None} - roles
        wanted = {
            (placement.principal_id, role_key(placement) or placement.choice.role_definition_id, placement.place)
            for placement in draft.placements
            if placement.state != "eligible"
        } - assigned
        added = Counter(anchor_of_place(place) for _, _, place in wanted)
        room = RoleRoom(limits, custom_roles)
        full = [
            anchor for anchor, number in sorted(added.items()) if per_anchor[anchor] + number > limits.room_at(anchor)
        ]
        if len(roles) + len(new_roles) > room.most:
            settled[key] = draft.kept(room.refusal(len(roles) + len(new_roles)))
        elif full:
            settled[key] = draft.kept(limits.refusal_at(full[0], per_anchor[full[0]], added[full[0]]))
        else:
            roles |= new_roles
            assigned |= wanted
            per_anchor.update(added)
    return settled
