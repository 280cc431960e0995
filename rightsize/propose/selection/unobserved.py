"""Find new roles for holders without observed use alone, and grant workloads theirs by existing roles instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.propose.core.options import Unobservable
from rightsize.propose.core.role_catalog import Need
from rightsize.propose.needs.assignments import Key, Subject
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.needs.keep_rules import active_holders
from rightsize.propose.needs.profiles import Profile
from rightsize.propose.selection.candidates import Atoms, CandidateIndex, Existing
from rightsize.propose.selection.cases import MOST_ROLES
from rightsize.propose.selection.choose import Solution
from rightsize.propose.selection.worth import Terms
from rightsize.rbac.text import Folded


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
    found = {}
    for key in sorted(keys):
        draft = drafts[key]
        subject = draft.subject
        if draft.needs.through or draft.profile is None or subject.condition is not None:
            continue
        need = terms.work.need(subject.place, draft.needs, draft.profile)
        if need is None:
            continue
        roles = _cover_with_existing(need, subject, terms)
        whole = draft.needs.by_scope[subject.place]
        is_read = need != whole and not terms.book.mask(need) & ~terms.book.index.reads
        if roles or is_read:
            gone = whole.operations & ~need.operations
            needs = replace(draft.needs, through=roles or (), by_scope={subject.place: need})
            profile = replace(draft.profile, untouched=draft.profile.untouched | draft.profile.hidden & gone)
            found[key] = replace(draft, needs=needs, profile=profile)
    return found


def _cover_with_existing(need: Need, subject: Subject, terms: Terms) -> tuple[tuple[Folded, Need], ...] | None:
    """Return the few existing roles that grant a need with the least excess, each with its part; None if too many.

    They stay inside the role of today, which is none of them.
    """
    candidates = CandidateIndex(terms.book, Atoms.of([need], terms.book), terms.tree)
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
