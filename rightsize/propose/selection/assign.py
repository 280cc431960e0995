"""Choose roles and scopes for the needs of all open drafts together, and write the result into each draft.

Holders without observed use get no new role of their own: existing roles serve workloads instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.verdicts.profiles import MOST_NODES
from rightsize.mining.bitsets import union
from rightsize.model.options import Unobservable
from rightsize.model.progress import step
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.drafts.demands import demands_of
from rightsize.propose.drafts.drafts import TOO_MANY_PARTS, Draft, Placement, with_roles
from rightsize.propose.drafts.keep_rules import active_holders
from rightsize.propose.needs.assignments import Key, Subject, last_of
from rightsize.propose.needs.grant_requests import (
    GrantRequest,
    GrantUnit,
    Units,
    form_units,
    granted_above,
    without_granted,
)
from rightsize.propose.needs.profiles import Profile
from rightsize.propose.selection.candidates import Atoms, CandidateIndex, Existing
from rightsize.propose.selection.cases import MOST_ROLES, CaseReader
from rightsize.propose.selection.choose import Solution, choose, not_worth
from rightsize.propose.selection.fewer_scopes import Together, gather_scopes
from rightsize.propose.selection.reconcile import Slot, make_room, role_of, slot_of
from rightsize.propose.selection.worth import Terms, hardly_narrowed
from rightsize.rbac.permissions import Reading


def find_unobserved(solution: Solution, terms: Terms) -> Iterator[GrantUnit]:
    """Yield the units of holders without any observed use that get no role, or a new role which only such holders get.

    A role that only has reads of Resource Manager is none of these: without it, a role of which the logs prove all but
    its reads unused would stay whole where no existing role has just these reads. With `--unobservable keep` such
    holders get new roles.
    """
    yield from (unit for unit in solution.refused if unit.principal_id not in terms.active)
    if terms.options.unobservable is Unobservable.KEEP:
        return
    busy = {unit for unit in solution.choices if unit.principal_id in terms.active}
    observed = {choice.content for unit in busy for choice in solution.choices[unit]}
    for unit, choices in solution.choices.items():
        made = (choice for choice in choices if choice.content is not None and choice.content not in observed)
        if any(choice.granted & ~terms.book.index.reads for choice in made):
            yield unit


def grant_through_existing(keys: Iterable[Key], drafts: Mapping[Key, Draft], terms: Terms) -> dict[Key, Draft]:
    """Return the drafts of workloads without observed use of which all that may be used has few existing roles.

    Where nothing but reads may be used and no existing role has them, the need becomes these reads.
    """
    asked: list[tuple[Key, Need, Profile]] = []
    for key in sorted(keys):
        draft, profile = drafts[key], drafts[key].profile
        if draft.needs.through or profile is None or draft.subject.condition is not None:
            continue
        need = terms.work.need(draft.subject.place, draft.needs, profile)
        if need is not None:
            asked.append((key, need, profile))
    atoms = Atoms.of((need for _, need, _ in asked), terms.book)
    candidates = CandidateIndex(terms.book, atoms, terms.tree, terms.never_spare)
    found = {}
    for key, need, profile in asked:
        draft, subject = drafts[key], drafts[key].subject
        roles = _cover_with_existing(need, subject, candidates, terms)
        whole = draft.needs.by_scope[subject.place]
        is_read = need != whole and not terms.book.mask(need) & ~terms.book.index.reads
        if roles or is_read:
            gone = whole.operations & ~need.operations
            needs = replace(draft.needs, through=roles or (), by_scope={subject.place: need})
            untouched = profile.untouched | profile.hidden & gone
            found[key] = replace(draft, needs=needs, profile=replace(profile, untouched=untouched))
    return found


def _cover_with_existing(
    need: Need, subject: Subject, candidates: CandidateIndex, terms: Terms
) -> tuple[tuple[Folded, Need], ...] | None:
    """Return the few existing roles that grant a need with the least excess, each with its part; None if too many.

    They stay inside the role of today, which is none of them.
    """
    atoms, ceiling = candidates.atoms, subject.role_definition_id
    left, granted = atoms.of_need(need), terms.book.mask(need)
    fitting = candidates.fitting((ceiling,), candidates.assignable_at(subject.place), left, granted)
    found = [one for one in fitting if one.role.role_definition_id != ceiling]
    chosen: list[tuple[Folded, Need]] = []
    while left and len(chosen) < MOST_ROLES:
        ranked = _ranked(found, left, granted, terms)
        best = next((one for one in ranked if candidates.is_inside(one, (ceiling,))), None)
        if best is None:
            return None
        chosen.append((best.role.role_definition_id, atoms.need(left & best.atoms)))
        left &= ~best.atoms
        granted |= best.role.granted
    return None if left else tuple(chosen)


def _ranked(found: Sequence[Existing], left: int, granted: int, terms: Terms) -> list[Existing]:
    """Return the roles that grant some of the atoms left, those first that add the least weight for each."""

    def rank(one: Existing) -> tuple[Fraction, int, int, Folded]:
        useful = (one.atoms & left).bit_count()
        weight = Fraction(terms.weigh(one.role.granted & ~granted), useful)
        return weight, -useful, one.role.granted.bit_count(), one.role.role_definition_id

    return sorted((one for one in found if one.atoms & left), key=rank)


def read_active_holders(
    inputs: Inputs, placed: pl.DataFrame, subjects: Iterable[Subject], profiles: Mapping[Key, Profile]
) -> frozenset[Folded]:
    """Return the folded principals of which a log shows any call.

    A call in quarantine counts: it is no need yet, and yet its holder did something.

    Args:
        inputs: The tables.
        placed: As `assignments.place_uses` returns it.
        subjects: Today's assignments.
        profiles: The verdicts on their unused operations.
    """
    suspects = (
        one.principal_id
        for one in subjects
        if one.key in profiles and any(why == OutOfCoverage.QUARANTINED for _, why in profiles[one.key].reasons)
    )
    return frozenset((*active_holders(inputs, placed), *suspects))


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


def grant_needs(drafts: Mapping[Key, Draft], terms: Terms) -> GrantedNeeds:
    """Choose scopes and roles for every open draft, and return all drafts.

    An assignment whose need cannot be granted by a new assignment is kept. Then the rest is chosen again, since a kept
    assignment may grant a part of it.
    """
    settled, book, tree = dict(drafts), terms.book, terms.tree
    moves: dict[Slot, Folded] | None = {} if terms.role_worth is None else None
    rounds = 0
    together = Together()
    demanded: dict[Key, tuple[Draft, list[GrantRequest]]] = {}
    cases: CaseReader | None = None
    step("choosing roles")
    while True:
        demanded = {
            key: known
            if (known := demanded.get(key)) and known[0] is draft
            else (draft, list(demands_of(draft, terms.demands)))
            for key, draft in sorted(settled.items())
            if draft.open
        }
        requests = together.join(
            [_moved(together.at_todays_scope(one), moves or {}) for _, own in demanded.values() for one in own]
        )
        units = form_units(requests, _kept_assignments(settled, terms), book, tree)
        if moves is None:
            moves = gather_scopes(units.units, terms)
            continue
        if hardly := dict(hardly_narrowed(units.units, terms)):
            settled |= {key: settled[key].kept(not_worth(price)) for key, price in hardly.items()}
            continue
        above = granted_above(units.units, tree)
        cases = CaseReader.of(units.units, terms, cases)
        solution = choose(units.units, above, cases)
        idle = list(_idle(solution, terms))
        spread = {key for unit in idle for key in unit.subjects} - together.whole
        together.whole |= spread
        unseen = list(find_unobserved(solution, terms))
        through = grant_through_existing({key for unit in unseen for key in unit.subjects}, settled, terms)
        settled |= through
        refused = {
            **solution.refused,
            **dict.fromkeys((unit for unit in idle if spread.isdisjoint(unit.subjects)), "idle_condition"),
            **dict.fromkeys((unit for unit in unseen if through.keys().isdisjoint(unit.subjects)), "nothing_observed"),
        }
        for unit, word in refused.items():
            for key in unit.subjects if through.keys().isdisjoint(unit.subjects) else ():
                settled[key] = settled[key].kept(word)
        if refused or idle or through:
            continue
        lean, fewer = _without_repeats(units, solution, above, book)
        if together.add_crowded(fewer.choices):
            continue
        if rounds < _ROUNDS:
            rounds += 1
            made = {unit: len(found) for unit, found in solution.choices.items() if unit.state != "eligible"}
            if wider := make_room(units.units, made, terms):
                moves |= wider
                continue
        places = Counter(key for key, _ in {(one.subject.key, one.place) for one in requests})
        chosen = _with_choices(dict(settled), lean, fewer, places, book)
        divided = {key: said for key, draft in chosen.items() if (said := _too_many_parts(draft)) is not None}
        if divided:
            settled |= {key: settled[key].kept(said) for key, said in divided.items()}
            continue
        return GrantedNeeds(together.say(chosen), solution.curve)


def _too_many_parts(draft: Draft) -> str | None:
    """Return the reason why a draft that is decided in parts is kept: it takes too many assignments; else None."""
    more = len(draft.placements) - 1
    if not draft.needs.stays_at or more <= MOST_NODES:
        return None
    return f"{TOO_MANY_PARTS}: to decide it in parts takes {more} assignments more, and at most {MOST_NODES} are made"


def _idle(solution: Solution, terms: Terms) -> Iterator[GrantUnit]:
    """Yield the units with a condition and a role that grants no operation to which the condition applies.

    Azure accepts conditions only on roles with blob or queue data actions, or with the assignment of roles. The
    condition cannot be dropped: an assignment without it would grant more than today's.
    """
    for unit, choices in solution.choices.items():
        if unit.condition is not None:
            decided = terms.decided_by(unit.condition)
            if any(not choice.granted & decided for choice in choices):
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


def _kept_assignments(drafts: Mapping[Key, Draft], terms: Terms) -> Iterator[tuple[Subject, KnownRole]]:
    """Yield the kept assignments that may serve a part of a need, those without any condition, with their roles."""
    for key, draft in sorted(drafts.items()):
        subject = draft.subject
        role = terms.book.roles.get(subject.role_definition_id)
        rests = draft.kind.keeps and subject.condition is None and key not in terms.ended
        if not rests or role is None or role.is_conditional:
            continue
        if subject.state in ("active", "eligible"):
            yield subject, role


def _with_choices(
    drafts: dict[Key, Draft], units: Units, solution: Solution, places: Mapping[Key, int], book: RoleBook
) -> dict[Key, Draft]:
    """Return the open drafts closed with the new assignments of their units.

    Of new assignments that differ only in their ends, the one with the latest end serves all.
    """
    of_subject: dict[Key, list[GrantUnit]] = defaultdict(list)
    for unit in units.units:
        for key in unit.subjects:
            of_subject[key].append(unit)
    made = {
        unit: [
            Placement(unit.place, choice, unit.principal_id, unit.state, unit.condition, unit.end_on)
            for choice in solution.choices[unit]
        ]
        for unit in units.units
    }
    longest: dict[tuple[object, ...], GrantUnit] = {}
    for unit in sorted(units.units, key=lambda one: last_of(one.end_on), reverse=True):
        for one in made[unit]:
            longest.setdefault(_taken_once(one), unit)
    for key, draft in drafts.items():
        if not draft.open:
            continue
        near, placements = [*of_subject[key], *units.leans_on.get(key, ())], []
        for unit in of_subject[key]:
            counted = _counted(unit, draft, drafts, book)
            for one in made[unit]:
                longer = longest[_taken_once(one)]
                if last_of(longer.end_on) != last_of(unit.end_on):
                    near.append(longer)
                    continue
                own = one.choice.granted & counted
                # Usually it is everything that is granted: reuse that object, since a set takes kilobytes.
                own = one.choice.granted if own == one.choice.granted else own
                placements.append(replace(one, counted=own))
        drafts[key] = with_roles(
            draft,
            placements,
            units.rests_on.get(key, ()),
            (id_ for unit in near for id_, _ in unit.subjects),
            places[key],
            book,
        )
    return drafts


def _taken_once(one: Placement) -> tuple[object, ...]:
    """Return the identity of an assignment: Azure accepts only one with it, whatever its end."""
    return one.principal_id, role_of(one), one.place, one.state, one.condition


def _counted(unit: GrantUnit, draft: Draft, drafts: Mapping[Key, Draft], book: RoleBook) -> int:
    """Return the operations of a unit that count for a draft: of those that other drafts need, only its own."""

    def needed(one: Draft) -> int:
        need = one.needs.by_scope.get(unit.place) if one.needs else None
        return book.mask(need) if need is not None else 0

    others = union(needed(drafts[key]) for key in unit.subjects if key != draft.subject.key)
    return book.roles[draft.subject.role_definition_id].granted & (~others | needed(draft))
