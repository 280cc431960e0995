"""Find new roles for holders without observed use alone, and grant workloads theirs by existing roles instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.scoping import ScopeTree
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.needs.drafts import Draft, Key, Subject
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.needs.needs import Profile
from rightsize.propose.needs.reading import active_holders
from rightsize.propose.needs.unobserved_work import UnobservedWork
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.candidates import CandidateIndex
from rightsize.propose.selection.choose import Solution
from rightsize.propose.selection.equivalence import MOST_ROLES
from rightsize.propose.selection.existing_cover import cover_with_existing
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


def find_unobserved(solution: Solution, asked: UnobservedInput) -> Iterator[GrantUnit]:
    """Yield the units that get a new role which only holders without any observed use get."""
    if asked.gets_roles:
        return
    busy = {unit for unit in solution.choices if unit.principal_id in asked.active}
    observed = {choice.content for unit in busy for choice in solution.choices[unit]}
    for unit, choices in solution.choices.items():
        if any(choice.content is not None and choice.content not in observed for choice in choices):
            yield unit


def grant_through_existing(
    keys: Iterable[Key],
    drafts: Mapping[Key, Draft],
    work: UnobservedWork,
    book: RoleBook,
    tree: ScopeTree,
    weigh: Callable[[int], int],
) -> dict[Key, Draft]:
    """Return the drafts of workloads without observed use of which all that may be used has few existing roles."""
    found = {}
    for key in sorted(keys):
        draft = drafts[key]
        need = work.need(draft) if draft.needs is not None and not draft.needs.through else None
        if need is None or draft.needs is None or draft.profile is None or draft.subject.condition is not None:
            continue
        candidates = CandidateIndex(book, Atoms.of([need], book), tree)
        subject = draft.subject
        roles = cover_with_existing(need, subject.role_definition_id, subject.place, candidates, weigh, MOST_ROLES)
        if roles:
            gone = draft.needs.by_scope[subject.place].operations & ~need.operations
            needs = replace(draft.needs, through=roles, by_scope={subject.place: need})
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
