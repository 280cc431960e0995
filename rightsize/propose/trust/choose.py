"""Choose what becomes of each federated credential: removed, narrowed to the subjects that signed in, or kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rightsize.analyze.federated.judge import is_in_use
from rightsize.analyze.federated.tables import Credential, CredentialVerdict, ObservedSubject
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.window import Window
from rightsize.model.plan import KEEP, NARROW_SCOPE, REMOVE, ProposalKind
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.trust.bodies import MOST_CREDENTIALS, can_be_restored
from rightsize.rbac.text import fold
from rightsize.rules.trust import EXACT, Comparison, narrowed, parse_expression

REASONS = {
    "excluded": "it was excluded by name",
    "young": "it, its application or its principal was made or changed within the window or the grace period",
    "age_unknown": "no log of changes covers the window, so it may be newer than the sign-ins",
    "cannot_restore": "the export does not show its expression or its audiences, so it could not be made again",
    "not_understood": "its expression is not understood, so nothing proves that a narrower one lies within it",
    "days_without_subject": "it signed in on days of which no observed subject is loaded",
    "cannot_be_written": "the exact subject cannot be written beside its other conditions within 128 characters",
    "no_room": "an application or identity has at most 20 credentials, and old and new ones exceed that",
    "risky": "the chance that its change breaks something exceeds `--max-break`",
}
"""The reasons to keep a credential that is unused or wide: a sentence for each word."""


@dataclass(frozen=True, slots=True)
class NarrowedCredential:
    """A credential for one subject: the subject, the expression where one is needed, and what was observed."""

    observed: ObservedSubject
    expression: str | None
    others: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class TrustChoice:
    """What becomes of a credential.

    Attributes:
        kind: `remove`, `narrow_scope` or `keep`.
        word: For a kept one that is unused or wide the word of `REASONS` why; else empty.
        detail: The two numbers that a limit compares, or the days; else empty.
        narrowed: The credentials that take its place.
        exists: The credentials of the same object that trust one of these subjects already; no new one is made.
    """

    kind: ProposalKind
    word: str = ""
    detail: str = ""
    narrowed: tuple[NarrowedCredential, ...] = ()
    exists: frozenset[str] = frozenset()


def choose_all(judged: Sequence[CredentialVerdict], window: Window, options: PlanOptions) -> dict[str, TrustChoice]:
    """Return the choice for each credential by its `grant`."""
    excluded = options.excluded_names(window)
    found = {one.credential.grant: _of_one(one, window, options, excluded) for one in judged}
    return found | _without_room(judged, found)


def is_wide(one: CredentialVerdict) -> bool:
    """Return whether a credential trusts more than one subject."""
    return one.credential.is_expression and one.trusts.breadth != EXACT


def _of_one(one: CredentialVerdict, window: Window, options: PlanOptions, excluded: set[str]) -> TrustChoice:
    held = one.credential
    unused, wide = one.verdict is Verdict.UNUSED, is_in_use(one) and is_wide(one)
    if not unused and not wide:
        return TrustChoice(KEEP)
    young = options.young_from(window)
    made = held.principal_created
    names = {held.grant, held.object_id, held.principal_id, held.app_id, fold(held.principal_name), fold(held.name)}
    if names & excluded:
        return TrustChoice(KEEP, "excluded")
    if (made is not None and made >= young) or (one.changed_on is not None and one.changed_on >= young.date()):
        return TrustChoice(KEEP, "young")
    if not can_be_restored(held):
        return TrustChoice(KEEP, "cannot_restore")
    if unused:
        return TrustChoice(REMOVE) if one.is_age_known else TrustChoice(KEEP, "age_unknown")
    return _narrow(one)


def _narrow(one: CredentialVerdict) -> TrustChoice:
    comparisons = parse_expression(one.credential.subject or "")
    if comparisons is None:
        return TrustChoice(KEEP, "not_understood")
    signed = {day for use in (one.use, one.earlier) if use for day in use.days}
    told = {day for seen in one.observed for day in seen.days}
    if signed - told:
        return TrustChoice(KEEP, "days_without_subject", f"{len(signed - told)} of {len(signed)} days")
    others = tuple(other for other in comparisons if other.claim != "sub")
    found = []
    for seen in one.observed:
        expression = narrowed(comparisons, seen.subject) if others else None
        if others and expression is None:
            return TrustChoice(KEEP, "cannot_be_written")
        found.append(NarrowedCredential(seen, expression, others))
    return TrustChoice(NARROW_SCOPE, narrowed=tuple(found))


def _without_room(judged: Sequence[CredentialVerdict], choices: Mapping[str, TrustChoice]) -> dict[str, TrustChoice]:
    """Return the narrowed credentials again: without those that exist, and kept where old and new do not fit."""
    by_object: dict[str, list[Credential]] = {}
    for judgement in judged:
        by_object.setdefault(judgement.credential.object_id, []).append(judgement.credential)
    found: dict[str, TrustChoice] = {}
    for held in by_object.values():
        # What nobody uses goes first and makes room.
        taken = sum(not choices[one.grant].kind.removes for one in held)
        exact = {(one.issuer.rstrip("/"), one.subject) for one in held if not one.is_expression}
        for one in held:
            choice = choices[one.grant]
            if not choice.narrowed:
                continue
            known = frozenset(
                new.observed.subject
                for new in choice.narrowed
                if new.expression is None and (one.issuer.rstrip("/"), new.observed.subject) in exact
            )
            more = len(choice.narrowed) - len(known)
            if taken + more > MOST_CREDENTIALS:
                text = f"{taken} and {more} new ones are more than {MOST_CREDENTIALS}"
                found[one.grant] = TrustChoice(KEEP, "no_room", text)
                continue
            taken += more
            found[one.grant] = TrustChoice(NARROW_SCOPE, narrowed=choice.narrowed, exists=known)
    return found
