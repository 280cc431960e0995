"""Choose roles and scopes for the needs of all open drafts together, and write the result into each draft."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rightsize.analyze.part_profiles import MOST_NODES
from rightsize.model.nouns import AssignmentState
from rightsize.model.progress import step
from rightsize.propose.core.azure_limits import RoleRoom
from rightsize.propose.core.bitsets import bits_of
from rightsize.propose.core.expiry import last_of
from rightsize.propose.core.options import AUTO
from rightsize.propose.core.role_catalog import Need
from rightsize.propose.needs.context import PlanContext
from rightsize.propose.needs.drafts import TOO_MANY_PARTS, Draft, Key, Placement, Subject, with_roles
from rightsize.propose.needs.grant_requests import (
    GrantRequest,
    GrantUnit,
    KeptAssignment,
    Units,
    form_units,
    granted_above,
    without_granted,
)
from rightsize.propose.needs.privileged import split
from rightsize.propose.needs.unobserved_work import UnobservedWork
from rightsize.propose.selection.choose import Solution, Terms, choose, not_worth
from rightsize.propose.selection.fewer_scopes import ScopeFacts, gather_scopes
from rightsize.propose.selection.reconcile import role_key
from rightsize.propose.selection.scope_limits import LimitContext, Room, Slot, make_room, slot_of
from rightsize.propose.selection.unobserved import find_unobserved, grant_through_existing, read_active_holders
from rightsize.propose.selection.warm_start import Carried
from rightsize.propose.selection.worth import (
    LEAST_WORTH,
    LEAST_WORTH_OF_ASSIGNMENT,
    hardly_narrowed,
    price_stays,
    read_prices,
)
from rightsize.rbac.conditions import targets
from rightsize.rbac.permissions import Reading
from rightsize.rbac.text import Folded

_ROUNDS = 3
"""Maximum rounds of widening scopes; after that, assignments that exceed a limit are kept."""


_TOGETHER = "in one role at today's scope, since its condition applies to no operation of a part"
"""The clause in the reason of an assignment whose whole need is granted in one role at its scope."""


@dataclass(frozen=True, slots=True)
class GrantedNeeds:
    """Drafts with roles, and the quality of the choice.

    Attributes:
        drafts: All drafts; none of them is open.
        optimum: For scopes and for roles: the value found, the proved bound and the gap, as `plan.json` has them.
        curve: The excess for each smaller number of new roles.
    """

    drafts: dict[Key, Draft]
    optimum: Mapping[str, Any]
    curve: tuple[Mapping[str, Any], ...]


def grant_needs(drafts: Mapping[Key, Draft], context: PlanContext) -> GrantedNeeds:
    """Choose scopes and roles for every open draft, and return all drafts.

    An assignment whose need cannot be granted by a new assignment is kept. Then the rest is chosen again, since a kept
    assignment may grant a part of it.
    """
    settled = dict(drafts)
    terms = read_terms(context)
    moves: dict[Slot, Folded] | None = None if context.options.roles == AUTO else {}
    rooms: list[Room] = []
    carried: Carried | None = None
    gathered: set[Key] = set()
    active = read_active_holders(context)
    work = UnobservedWork(context.analysis, context.book.index)
    step("choosing roles")
    while True:
        asked = [_moved(_gathered(demand, gathered), moves or {}) for demand in demands(settled, context)]
        units = form_units(asked, kept_assignments(settled, context), context.book, context.analysis.tenant.tree)
        if moves is None:
            moves = gather_scopes(units.units, _scope_facts(context, terms))
            continue
        if hardly := dict(hardly_narrowed(units.units, terms.prices, context, terms.least_worth or 0)):
            settled |= {key: settled[key].kept(not_worth(price, 1)) for key, price in hardly.items()}
            continue
        above = granted_above(units.units, context.analysis.tenant.tree)
        prices = replace(terms.prices, stay=price_stays(units.units, terms.prices, context))
        these = replace(terms, above=_granted_by(above, context), prices=prices)
        solution = choose(units.units, context.book, these, carried)
        carried = solution.carried
        idle = list(_idle(solution, context))
        spread = {key for unit in idle for key in unit.subjects} - gathered
        gathered |= spread
        stays = dict.fromkeys((unit for unit in idle if spread.isdisjoint(unit.subjects)), "idle_condition")
        unobserved = list(find_unobserved(solution, active, context))
        through = grant_through_existing({key for unit in unobserved for key in unit.subjects}, settled, work, context)
        settled |= through
        stays |= {unit: "nothing_observed" for unit in unobserved if through.keys().isdisjoint(unit.subjects)}
        for unit, word in (*solution.refused.items(), *stays.items()):
            for key in unit.subjects:
                settled[key] = settled[key].kept(word)
        if solution.refused or idle or stays or through:
            continue
        if len(rooms) < _ROUNDS:
            made = {unit: len(found) for unit, found in solution.choices.items() if unit.state != "eligible"}
            rooms.append(make_room(units.units, made, _tenant(context)))
            moves |= rooms[-1].places
            if rooms[-1].places:
                continue
        optimum, curve = {"places": _places_json(rooms), "roles": solution.optimum}, solution.curve
        units, solution = _without_repeats(units, solution, above, context)
        chosen = _with_choices(dict(settled), units, solution, _places_of(asked), context)
        crowded = {key: said for key, draft in chosen.items() if (said := _too_many_parts(draft)) is not None}
        if crowded:
            settled |= {key: settled[key].kept(said) for key, said in crowded.items()}
            continue
        for key in gathered:
            if chosen[key].placements:
                chosen[key] = replace(chosen[key], reason=f"{chosen[key].reason}; {_TOGETHER}")
        return GrantedNeeds(chosen, optimum, curve)


def _places_of(asked: Iterable[GrantRequest]) -> dict[Key, set[Folded]]:
    """Return the places of the demands of each assignment."""
    places: dict[Key, set[Folded]] = defaultdict(set)
    for demand in asked:
        places[demand.subject.key].add(demand.place)
    return places


def _too_many_parts(draft: Draft) -> str | None:
    """Return the reason why a draft that is decided in parts is kept: it takes too many assignments; else None."""
    more = len(draft.placements) - 1
    if draft.needs is None or not draft.needs.stays_at or more <= MOST_NODES:
        return None
    return f"{TOO_MANY_PARTS}: to decide it in parts takes {more} assignments more, and at most {MOST_NODES} are made"


def _idle(solution: Solution, context: PlanContext) -> Iterator[GrantUnit]:
    """Yield the units with a condition and a role that grants no operation to which the condition applies.

    Azure accepts conditions only on roles with blob or queue data actions, or with the assignment of roles. The
    condition cannot be dropped: an assignment without it would grant more than today's.
    """
    names = context.book.index.names
    for unit, choices in solution.choices.items():
        if unit.condition is not None and any(
            not any(targets(unit.condition, names[bit][1]) for bit in bits_of(choice.granted)) for choice in choices
        ):
            yield unit


def _gathered(demand: GrantRequest, gathered: Set[Key]) -> GrantRequest:
    """Return a gathered demand at the scope of its assignment, undivided; other demands stay as they are.

    A part of it alone could not carry the condition. In one role with the operations to which the condition applies,
    Azure accepts the condition for the rest as well, so nothing is split off.
    """
    if demand.subject.key not in gathered:
        return demand
    return replace(demand, place=demand.subject.place, state=_state_of(demand.subject), apart="")


def _moved(demand: GrantRequest, moves: Mapping[Slot, Folded]) -> GrantRequest:
    while (place := moves.get(slot_of(demand))) is not None:
        demand = replace(demand, place=place)
    return demand


def _places_json(rooms: list[Room]) -> dict[str, Any]:
    """Return the excess that wider scopes add, and its bound, which only the first round (narrowest scopes) has."""
    excess, bound = sum(room.excess for room in rooms), rooms[0].lower_bound
    return {
        "moved": sum(len(room.places) for room in rooms),
        "excess": excess,
        "lower_bound": bound,
        "gap": round((excess - bound) / excess, 4) if excess else 0.0,
        "assignments_that_fit_nowhere": rooms[-1].left_over,
    }


def _without_repeats(
    units: Units, solution: Solution, above: Mapping[GrantUnit, Sequence[GrantUnit]], context: PlanContext
) -> tuple[Units, Solution]:
    """Return the units and choices without the new assignments whose need a wider one of the same principal grants.

    A joined role may grant more than the need that it was chosen for, and so a narrower need as well.
    """
    book, choices, leans_on = context.book, dict(solution.choices), dict(units.leans_on)
    for unit in units.units:
        need, used = unit.need, []
        for wide in above.get(unit, ()):
            blocks = tuple(block for choice in choices[wide] for block in choice.blocks)
            left = without_granted(need, book.index.granted_by(blocks, Reading.LEAST), blocks, book)
            used += [wide] if left != need else []
            need = left
        if not need and any(choice.content is not None for choice in choices[unit]):
            choices[unit] = ()
            for key in unit.subjects:
                leans_on[key] = (*leans_on.get(key, ()), *used)
    return replace(units, leans_on=leans_on), replace(solution, choices=choices)


def _granted_by(above: Mapping[GrantUnit, Sequence[GrantUnit]], context: PlanContext) -> dict[GrantUnit, int]:
    """Return for each unit the operations that the units above it grant by every reading, within its ceiling."""
    found = {}
    for unit, wider in above.items():
        granted = _union(context.book.certain(one.need) for one in wider)
        granted &= _union(context.book.roles[id_].certain for id_ in unit.ceiling)
        if granted:
            found[unit] = granted
    return found


def _union(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)


def _scope_facts(context: PlanContext, terms: Terms) -> ScopeFacts:
    return ScopeFacts(
        {subject.key: subject.place for subject in context.subjects},
        context.analysis.tenant.tree,
        context.book,
        terms.prices,
        LEAST_WORTH_OF_ASSIGNMENT,
    )


def _tenant(context: PlanContext) -> LimitContext:
    """Return the facts of the tenant that decide how many assignments fit where."""
    return LimitContext(
        existing=Counter(subject.anchor for subject in context.subjects if subject.state == "active"),
        today={subject.key: subject.place for subject in context.subjects},
        limits=context.limits,
        tree=context.analysis.tenant.tree,
        weigh=lambda unit: context.scale.weigh(context.book.mask(unit.need)),
        exposure=lambda principal, place: context.reach.of(place) * context.groups.people_of(principal),
        has_data=lambda unit: bool(context.book.mask(unit.need) & ~context.book.index.control),
    )


def read_terms(context: PlanContext) -> Terms:
    """Return the terms of the choice of roles: weights, limits and roles held today."""
    held: dict[tuple[Folded, Folded], set[Folded]] = defaultdict(set)
    for subject in context.subjects:
        held[subject.principal_id, subject.place].add(subject.role_definition_id)
    custom = context.inputs.role_definitions.filter(pl.col("role_type") == "CustomRole").height
    return Terms(
        max_excess=context.options.max_excess,
        weigh=context.scale.weigh,
        exposure=lambda unit: context.reach.of(unit.place) * context.groups.people_of(unit.principal_id),
        held={key: frozenset(roles) for key, roles in held.items()},
        tree=context.analysis.tenant.tree,
        room=RoleRoom(context.limits, custom, context.options.most_roles),
        weights=context.options.weights,
        foreign=context.privilege.layers.foreign(),
        prices=read_prices(context),
        previous=context.options.previous,
        least_worth=LEAST_WORTH if context.options.roles == AUTO else None,
    )


def demands(drafts: Mapping[Key, Draft], context: PlanContext) -> Iterator[GrantRequest]:
    """Yield the demands of the open drafts, by assignment and place."""
    for _, draft in sorted(drafts.items()):
        if draft.open:
            yield from demands_of(draft, context)


def demands_of(draft: Draft, context: PlanContext) -> Iterator[GrantRequest]:
    """Yield the demands of one assignment, with parts for few group members and privileged parts as own demands."""
    subject = draft.subject
    state = _state_of(subject)
    for place, need in sorted(draft.needs.by_scope.items() if draft.needs and not draft.needs.through else ()):
        own = _singled_out(draft, place, need, context)
        common = need.operations
        for mask in own.values():
            common &= ~mask
        shared = replace(need, operations=common)
        parts = [(subject.principal_id, shared), *((member, Need(mask)) for member, mask in sorted(own.items()))]
        for principal, part in parts:
            asked = GrantRequest(subject, place, part, principal, state, subject.condition, subject.end_on)
            yield from split(asked, draft.profile, context.privilege)
    role = context.book.roles.get(subject.role_definition_id)
    for role_id, part in draft.needs.through if draft.needs else ():
        yield GrantRequest(
            subject, subject.place, part, subject.principal_id, state, subject.condition, subject.end_on, role_id
        )
    for place in sorted(draft.needs.stays_at) if draft.needs and role else ():
        yield GrantRequest(
            subject,
            place,
            Need(role.certain if role else 0),
            subject.principal_id,
            state,
            subject.condition,
            subject.end_on,
            role_definition_id=subject.role_definition_id,
        )


def is_split(draft: Draft, context: PlanContext) -> bool:
    """Return whether any demand of an assignment is the part of a layer of defence."""
    return any(part.apart in context.privilege.layers.masks for part in demands_of(draft, context))


def _state_of(subject: Subject) -> AssignmentState:
    """Return the state of an assignment's demands before parts are split off: eligible or active."""
    return "eligible" if subject.state == "eligible" else "active"


def _singled_out(draft: Draft, place: Folded, need: Need, context: PlanContext) -> dict[Folded, int]:
    """Return the operations that only few members of a group need at a place, by member.

    At the scope of the assignment itself, the group keeps the operations that are not proved unused by the others.
    Eligible access stays with the group: the others do not have it before an activation, so it is no active excess.
    """
    if not context.options.direct_assignments or draft.profile is None or draft.subject.state == "eligible":
        return {}
    spare = need.operations & (draft.profile.unused if place == draft.subject.place else ~0)
    found = context.groups.singled.get(draft.subject.key, {}).get(place, {})
    return {member: mask & spare for member, mask in found.items() if mask & spare}


def kept_assignments(drafts: Mapping[Key, Draft], context: PlanContext) -> Iterator[KeptAssignment]:
    """Yield the kept assignments that may serve a part of a need: those without any condition."""
    for key, draft in sorted(drafts.items()):
        subject = draft.subject
        role = context.book.roles.get(subject.role_definition_id)
        rests = (
            draft.kind == "keep"
            and subject.condition is None
            and context.untouched.get(key) not in ("activated", "ended")
        )
        if not rests or role is None or role.is_conditional:
            continue
        if subject.state in ("active", "eligible"):
            yield KeptAssignment(
                subject.role_assignment_id, subject.principal_id, subject.place, role, subject.state, subject.end_on
            )


def _with_choices(
    drafts: dict[Key, Draft], units: Units, solution: Solution, places: Mapping[Key, Set[Folded]], context: PlanContext
) -> dict[Key, Draft]:
    of_subject: dict[Key, list[GrantUnit]] = defaultdict(list)
    for unit in units.units:
        for key in unit.subjects:
            of_subject[key].append(unit)
    longest = _longest(units, solution)
    for key, draft in drafts.items():
        if not draft.open:
            continue
        own = of_subject[key]
        found = {
            one: longest[_taken_once(one)]
            for unit in own
            for one in _placements(unit, draft, solution, drafts, context)
        }
        longer = (unit for one, (end_on, unit) in found.items() if last_of(one.end_on) != end_on)
        near = [*own, *units.leans_on.get(key, ()), *longer]
        drafts[key] = with_roles(
            draft,
            (one for one, (end_on, _) in found.items() if last_of(one.end_on) == end_on),
            units.rests_on.get(key, ()),
            (id_ for unit in near for id_, _ in unit.subjects),
            len(places[key]),
            context.book.roles[draft.subject.role_definition_id],
            context.book,
        )
    return drafts


def _taken_once(one: Placement) -> tuple[object, ...]:
    """Return the identity of an assignment: Azure accepts only one with it, whatever its end."""
    return one.principal_id, role_key(one) or one.choice.role_definition_id, one.place, one.state, one.condition


def _longest(units: Units, solution: Solution) -> dict[tuple[object, ...], tuple[str, GrantUnit]]:
    """Return for each new assignment its latest end, and the unit with that end: units with earlier ends share it."""
    found: dict[tuple[object, ...], tuple[str, GrantUnit]] = {}
    for unit in units.units:
        last = last_of(unit.end_on)
        for choice in solution.choices[unit]:
            one = _taken_once(Placement(unit.place, choice, unit.principal_id, unit.state, unit.condition))
            if one not in found or last > found[one][0]:
                found[one] = last, unit
    return found


def _placements(
    unit: GrantUnit, draft: Draft, solution: Solution, drafts: Mapping[Key, Draft], context: PlanContext
) -> Iterator[Placement]:
    others = 0
    for key in unit.subjects:
        if key != draft.subject.key:
            others |= _needed_at(drafts[key], unit.place, context)
    # If a new assignment replaces several, each counts only the operations that it grants today.
    own = context.book.roles[draft.subject.role_definition_id].granted
    counted = own & (~others | _needed_at(draft, unit.place, context))
    for choice in solution.choices[unit]:
        own_part = choice.granted & counted
        yield Placement(
            unit.place,
            choice,
            unit.principal_id,
            unit.state,
            unit.condition,
            unit.end_on,
            # Usually it is everything that is granted: reuse that object, since a set takes kilobytes.
            counted=choice.granted if own_part == choice.granted else own_part,
        )


def _needed_at(draft: Draft, place: Folded, context: PlanContext) -> int:
    need = draft.needs.by_scope.get(place) if draft.needs else None
    return context.book.mask(need) if need is not None else 0
