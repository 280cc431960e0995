"""Choose roles and scopes for the needs of all open drafts together, and write the result into each draft."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from rightsize.analyze.part_profiles import MOST_NODES
from rightsize.analyze.scoping import ScopeTree
from rightsize.model.progress import step
from rightsize.propose.core.azure_limits import AzureLimits, RoleRoom
from rightsize.propose.core.bitsets import bits_of, union
from rightsize.propose.core.expiry import last_of
from rightsize.propose.core.options import AUTO, MAX, PlanOptions
from rightsize.propose.core.role_catalog import KnownRole, RoleBook
from rightsize.propose.jobs.jobs import Jobs
from rightsize.propose.needs.assignments import Key, Subject
from rightsize.propose.needs.demands import DemandInput, demands_of
from rightsize.propose.needs.drafts import TOO_MANY_PARTS, Draft, Placement, with_roles
from rightsize.propose.needs.grant_requests import (
    GrantRequest,
    GrantUnit,
    Units,
    form_units,
    granted_above,
    without_granted,
)
from rightsize.propose.needs.groups import AccessWeights
from rightsize.propose.needs.privileged import Privilege
from rightsize.propose.selection.choose import Solution, Terms, choose, not_worth
from rightsize.propose.selection.fewer_assignments import Together
from rightsize.propose.selection.fewer_scopes import ScopeFacts, gather_scopes
from rightsize.propose.selection.reconcile import role_key
from rightsize.propose.selection.role_contents import Companions
from rightsize.propose.selection.scope_limits import LimitContext, Room, Slot, make_room, slot_of
from rightsize.propose.selection.secret_places import SecretPlaces
from rightsize.propose.selection.unobserved import (
    UnobservedInput,
    find_idle,
    find_unobserved,
    grant_through_existing,
    worth_their_reads,
)
from rightsize.propose.selection.worth import LEAST_WORTH, Prices, hardly_narrowed, with_stays
from rightsize.rbac.conditions import targets
from rightsize.rbac.permissions import Reading
from rightsize.rbac.text import Folded

_ROUNDS = 3
"""Maximum rounds of widening scopes; after that, assignments that exceed a limit are kept."""


@dataclass(frozen=True, slots=True)
class GrantedNeeds:
    """Drafts with roles, and the curve of roles against excess.

    Attributes:
        drafts: All drafts; none of them is open.
        curve: The excess for each number of new roles.
    """

    drafts: dict[Key, Draft]
    curve: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ChoiceInput:
    """What roles and scopes are chosen from.

    Attributes:
        subjects: Today's assignments, by key.
        demands: The rules that divide their needs into parts.
        terms: The terms of the choice of roles.
        limits: The facts that decide how many assignments fit where.
        unobserved: What decides on the needs of holders without observed use.
        ended: The assignments that end by themselves, so that no need rests on them.
        secrets: The resources of which something reads a secret.
    """

    subjects: Mapping[Key, Subject]
    demands: DemandInput
    terms: Terms
    limits: LimitContext
    unobserved: UnobservedInput
    ended: Set[Key]
    secrets: SecretPlaces


def grant_needs(drafts: Mapping[Key, Draft], asked: ChoiceInput) -> GrantedNeeds:
    """Choose scopes and roles for every open draft, and return all drafts.

    An assignment whose need cannot be granted by a new assignment is kept. Then the rest is chosen again, since a kept
    assignment may grant a part of it.
    """
    settled = dict(drafts)
    subjects, terms, book = asked.subjects, asked.terms, asked.demands.book
    tree, weigh, unobserved = terms.tree, terms.prices.weigh, asked.unobserved
    singled = _singled_out(asked)
    moves: dict[Slot, Folded] | None = {} if terms.role_worth is None else None
    rooms: list[Room] = []
    together = Together()
    step("choosing roles")
    while True:
        requests = together.join(
            [
                _moved(together.at_todays_scope(one), moves or {})
                for key in sorted(settled)
                if settled[key].open
                for one in demands_of(settled[key], asked.demands)
            ]
        )
        units = form_units(requests, kept_assignments(settled, asked), book, tree)
        if moves is None:
            moves = gather_scopes(units.units, _scope_facts(asked))
            continue
        if hardly := dict(hardly_narrowed(units.units, terms.prices, subjects, book, _least(terms))):
            settled |= {key: settled[key].kept(not_worth(price)) for key, price in hardly.items()}
            continue
        above = granted_above(units.units, tree)
        prices = with_stays(units.units, terms.prices, subjects, book, terms.exposure)
        prices = worth_their_reads(units.units, unobserved, book, prices, terms.role_worth or 0)
        solution = choose(
            units.units, book, replace(terms, singled=singled, above=_granted_by(above, book), prices=prices)
        )
        idle = list(_idle(solution, book))
        spread = {key for unit in idle for key in unit.subjects} - together.whole
        together.whole |= spread
        stays = dict.fromkeys((unit for unit in idle if spread.isdisjoint(unit.subjects)), "idle_condition")
        unseen = [
            *find_unobserved(solution, unobserved, book.index.reads),
            *find_idle(solution, unobserved),
        ]
        keys = {key for unit in unseen for key in unit.subjects}
        through = grant_through_existing(keys, settled, unobserved.work, book, tree, weigh)
        settled |= through
        stays |= {unit: "nothing_observed" for unit in unseen if through.keys().isdisjoint(unit.subjects)}
        refused = {**solution.refused, **stays}
        for unit, word in refused.items():
            for key in unit.subjects if through.keys().isdisjoint(unit.subjects) else ():
                settled[key] = settled[key].kept(word)
        if refused or idle or stays or through:
            continue
        lean, fewer = _without_repeats(units, solution, above, book)
        if together.add_crowded(fewer.choices):
            continue
        if len(rooms) < _ROUNDS:
            made = {unit: len(found) for unit, found in solution.choices.items() if unit.state != "eligible"}
            rooms.append(make_room(units.units, made, asked.limits))
            moves |= rooms[-1].places
            if rooms[-1].places:
                continue
        chosen = _with_choices(dict(settled), lean, fewer, _places_of(requests), book)
        divided = {key: said for key, draft in chosen.items() if (said := _too_many_parts(draft)) is not None}
        if divided:
            settled |= {key: settled[key].kept(said) for key, said in divided.items()}
            continue
        return GrantedNeeds(together.say(chosen), solution.curve)


def _singled_out(asked: ChoiceInput) -> dict[Folded, int]:
    """Return by group what single members get instead of it."""
    found: dict[Folded, int] = defaultdict(int)
    for key, places in asked.demands.singled.items():
        if key in asked.subjects:
            found[asked.subjects[key].principal_id] |= union(mask for one in places.values() for mask in one.values())
    return found


def _least(terms: Terms) -> int:
    return LEAST_WORTH if terms.role_worth is not None else 0


def _places_of(requests: Iterable[GrantRequest]) -> dict[Key, set[Folded]]:
    """Return the places of the demands of each assignment."""
    places: dict[Key, set[Folded]] = defaultdict(set)
    for demand in requests:
        places[demand.subject.key].add(demand.place)
    return places


def _too_many_parts(draft: Draft) -> str | None:
    """Return the reason why a draft that is decided in parts is kept: it takes too many assignments; else None."""
    more = len(draft.placements) - 1
    if draft.needs is None or not draft.needs.stays_at or more <= MOST_NODES:
        return None
    return f"{TOO_MANY_PARTS}: to decide it in parts takes {more} assignments more, and at most {MOST_NODES} are made"


def _idle(solution: Solution, book: RoleBook) -> Iterator[GrantUnit]:
    """Yield the units with a condition and a role that grants no operation to which the condition applies.

    Azure accepts conditions only on roles with blob or queue data actions, or with the assignment of roles. The
    condition cannot be dropped: an assignment without it would grant more than today's.
    """
    names = book.index.names
    for unit, choices in solution.choices.items():
        if unit.condition is not None and any(
            not any(targets(unit.condition, names[bit][1]) for bit in bits_of(choice.granted)) for choice in choices
        ):
            yield unit


def _moved(demand: GrantRequest, moves: Mapping[Slot, Folded]) -> GrantRequest:
    while (place := moves.get(slot_of(demand))) is not None:
        demand = replace(demand, place=place)
    return demand


def _without_repeats(
    units: Units, solution: Solution, above: Mapping[GrantUnit, Sequence[GrantUnit]], book: RoleBook
) -> tuple[Units, Solution]:
    """Return the units and choices without the new assignments whose need a wider one of the same principal grants.

    A joined role may grant more than the need that it was chosen for, and so a narrower need as well.
    """
    choices, leans_on = dict(solution.choices), dict(units.leans_on)
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


def _granted_by(above: Mapping[GrantUnit, Sequence[GrantUnit]], book: RoleBook) -> dict[GrantUnit, int]:
    """Return for each unit the operations that the units above it grant by every reading, within its ceiling."""
    found = {}
    for unit, wider in above.items():
        granted = union(book.certain(one.need) for one in wider)
        granted &= union(book.roles[id_].certain for id_ in unit.ceiling)
        if granted:
            found[unit] = granted
    return found


def _scope_facts(asked: ChoiceInput) -> ScopeFacts:
    terms = asked.terms
    return ScopeFacts(asked.limits.today, terms.tree, asked.demands.book, terms.prices, LEAST_WORTH, asked.secrets)


@dataclass(frozen=True, slots=True)
class TermsInput:
    """The input of `read_terms`.

    Attributes:
        subjects: Today's assignments.
        prices: The prices of excess.
        privilege: The operations that get roles of their own.
        weights: The weights of access.
        tree: Management groups and subscriptions.
        room: The limit on new roles.
        options: The options.
        jobs: The jobs of the tenant.
    """

    subjects: Sequence[Subject]
    prices: Prices
    privilege: Privilege
    weights: AccessWeights
    tree: ScopeTree
    room: RoleRoom
    options: PlanOptions
    jobs: Jobs


def read_terms(asked: TermsInput, companions: Companions) -> Terms:
    """Return the terms of the choice of roles: weights, limits and roles held today."""
    held: dict[tuple[Folded, Folded], set[Folded]] = defaultdict(set)
    for subject in asked.subjects:
        held[subject.principal_id, subject.place].add(subject.role_definition_id)
    return Terms(
        jobs=asked.jobs,
        companions=companions,
        exposure=lambda unit: asked.weights.cells(unit.principal_id, unit.place),
        held={key: frozenset(roles) for key, roles in held.items()},
        tree=asked.tree,
        room=asked.room,
        prices=asked.prices,
        role_worth=asked.options.role_worth if asked.options.roles == AUTO else None,
        narrow_stays=asked.options.roles != MAX,
        foreign=asked.privilege.layers.foreign(),
        previous=asked.options.previous,
    )


def read_limits(
    subjects: Sequence[Subject], limits: AzureLimits, tree: ScopeTree, weights: AccessWeights, book: RoleBook
) -> LimitContext:
    """Return the facts of the tenant that decide how many assignments fit where."""
    return LimitContext(
        existing=Counter(subject.anchor for subject in subjects if subject.state == "active"),
        today={subject.key: subject.place for subject in subjects},
        limits=limits,
        tree=tree,
        weigh=lambda unit: weights.scale.weigh(book.mask(unit.need)),
        exposure=weights.cells,
        has_data=lambda unit: bool(book.mask(unit.need) & ~book.index.control),
    )


def kept_assignments(drafts: Mapping[Key, Draft], asked: ChoiceInput) -> Iterator[tuple[Subject, KnownRole]]:
    """Yield the kept assignments that may serve a part of a need, those without any condition, with their roles."""
    for key, draft in sorted(drafts.items()):
        subject = draft.subject
        role = asked.demands.book.roles.get(subject.role_definition_id)
        rests = draft.kind.keeps and subject.condition is None and key not in asked.ended
        if not rests or role is None or role.is_conditional:
            continue
        if subject.state in ("active", "eligible"):
            yield subject, role


def _with_choices(
    drafts: dict[Key, Draft], units: Units, solution: Solution, places: Mapping[Key, Set[Folded]], book: RoleBook
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
            one: longest[_taken_once(one)] for unit in own for one in _placements(unit, draft, solution, drafts, book)
        }
        longer = (unit for one, (end_on, unit) in found.items() if last_of(one.end_on) != end_on)
        near = [*own, *units.leans_on.get(key, ()), *longer]
        drafts[key] = with_roles(
            draft,
            (one for one, (end_on, _) in found.items() if last_of(one.end_on) == end_on),
            units.rests_on.get(key, ()),
            (id_ for unit in near for id_, _ in unit.subjects),
            len(places[key]),
            book,
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
    unit: GrantUnit, draft: Draft, solution: Solution, drafts: Mapping[Key, Draft], book: RoleBook
) -> Iterator[Placement]:
    others = 0
    for key in unit.subjects:
        if key != draft.subject.key:
            others |= _needed_at(drafts[key], unit.place, book)
    # If a new assignment replaces several, each counts only the operations that it grants today.
    own = book.roles[draft.subject.role_definition_id].granted
    counted = own & (~others | _needed_at(draft, unit.place, book))
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


def _needed_at(draft: Draft, place: Folded, book: RoleBook) -> int:
    need = draft.needs.by_scope.get(place) if draft.needs else None
    return book.mask(need) if need is not None else 0
