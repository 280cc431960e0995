"""Find new roles for holders without observed use alone, and grant workloads theirs by existing roles instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.scoping import ScopeTree
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.needs.assignments import Key, Subject
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.needs.keep_rules import active_holders
from rightsize.propose.needs.needs import UnobservedWork
from rightsize.propose.needs.profiles import Profile
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.candidates import CandidateIndex
from rightsize.propose.selection.choose import Solution
from rightsize.propose.selection.classes import MOST_ROLES
from rightsize.propose.selection.existing_cover import cover_with_existing
from rightsize.propose.selection.worth import LEAST_WORTH, Prices
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class UnobservedInput:
    """What decides on the needs of holders without observed use.

    Attributes:
        active: The folded principals of which a log shows any call.
        work: The reader of what workloads may need.
        gets_roles: Whether they get new roles: `--unobservable keep` keeps whatever no log could show.
    """

    active: Set[Folded]
    work: UnobservedWork
    gets_roles: bool


def find_unobserved(solution: Solution, asked: UnobservedInput, reads: int) -> Iterator[GrantUnit]:
    """Yield the units that get a new role which only holders without any observed use get.

    A role that only has operations in `reads` is none of these: without it, a role of which the logs prove all but its
    reads unused would stay whole where no existing role has just these reads.
    """
    if asked.gets_roles:
        return
    busy = {unit for unit in solution.choices if unit.principal_id in asked.active}
    observed = {choice.content for unit in busy for choice in solution.choices[unit]}
    for unit, choices in solution.choices.items():
        made = (choice for choice in choices if choice.content is not None and choice.content not in observed)
        if any(choice.granted & ~reads for choice in made):
            yield unit


def find_idle(solution: Solution, asked: UnobservedInput) -> Iterator[GrantUnit]:
    """Yield the units of holders without any observed use that get no role."""
    for unit in solution.refused:
        if unit.principal_id not in asked.active:
            yield unit


def worth_their_reads(
    units: Iterable[GrantUnit], asked: UnobservedInput, book: RoleBook, prices: Prices, role_worth: int
) -> Prices:
    """Return the prices with today's assignments of idle holders who need reads alone worth a role of reads.

    That is where they give privilege or secrets: these go if they are proved unused, whatever the role would save.

    Args:
        units: The needs.
        asked: What decides on holders without observed use.
        book: The roles.
        prices: The prices, with those of today's assignments.
        role_worth: The live excess that a new role has to save.
    """
    idle = [
        unit
        for unit in units
        if unit.principal_id not in asked.active
        and not (need := book.mask(unit.need)) & ~book.index.reads
        and any(book.roles[id_].granted & ~need & prices.privileged for id_ in unit.ceiling)
    ]
    stay = {unit: max(prices.stay[unit], LEAST_WORTH) for unit in idle}
    live = {unit: max(prices.stay_live[unit], role_worth) for unit in idle}
    return replace(prices, stay={**prices.stay, **stay}, stay_live={**prices.stay_live, **live})


def grant_through_existing(
    keys: Iterable[Key],
    drafts: Mapping[Key, Draft],
    work: UnobservedWork,
    book: RoleBook,
    tree: ScopeTree,
    weigh: Callable[[int], int],
) -> dict[Key, Draft]:
    """Return the drafts of workloads without observed use of which all that may be used has few existing roles.

    Where nothing but reads may be used and no existing role has them, the need becomes these reads.
    """
    found = {}
    for key in sorted(keys):
        draft = drafts[key]
        subject = draft.subject
        if draft.needs.through or draft.profile is None or subject.condition is not None:
            continue
        need = work.need(subject.place, draft.needs, draft.profile)
        if need is None:
            continue
        candidates = CandidateIndex(book, Atoms.of([need], book), tree)
        roles = cover_with_existing(need, subject.role_definition_id, subject.place, candidates, weigh, MOST_ROLES)
        is_read = need != draft.needs.by_scope[subject.place] and not book.mask(need) & ~book.index.reads
        if roles or is_read:
            gone = draft.needs.by_scope[subject.place].operations & ~need.operations
            needs = replace(draft.needs, through=roles or (), by_scope={subject.place: need})
            profile = replace(draft.profile, untouched=draft.profile.untouched | draft.profile.hidden & gone)
            found[key] = replace(draft, needs=needs, profile=profile)
    return found


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
    suspects = (one.principal_id for one in subjects if _has_quarantined(profiles.get(one.key)))
    return frozenset(active_holders(inputs, placed)) | frozenset(suspects)


def _has_quarantined(profile: Profile | None) -> bool:
    return profile is not None and any(reason == OutOfCoverage.QUARANTINED for _, reason in profile.reasons)
