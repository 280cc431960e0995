"""Make the part of a plan for federated credentials: one proposal for each, with evidence, proof and risk.

Each credential is removed, narrowed to the subjects that signed in, or kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from rightsize.analyze.observability.undecided import Gaps
from rightsize.analyze.reasons import Verdict, sentence_on
from rightsize.analyze.window import Window, days_missing
from rightsize.model import plan
from rightsize.model.errors import InternalError
from rightsize.model.text import fold
from rightsize.planes.federated.judge import WEIGHTS, TrustAnalysis, is_in_use, trusts
from rightsize.planes.federated.tables import (
    MOST_CREDENTIALS,
    Credential,
    CredentialVerdict,
    ObservedSubject,
    SignInUse,
    body_of,
    can_be_restored,
    id_of_narrowed,
    name_of_narrowed,
    request_to_delete,
    request_to_make,
)
from rightsize.propose.core.fingerprint import grant_proposal_id, hash_of
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import KEY, count_incidence
from rightsize.rules.attacks import OUTSIDE_POWER
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

    kind: plan.ProposalKind
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
        return TrustChoice(plan.KEEP)
    young = options.young_from(window)
    made = held.principal_created
    names = {held.grant, held.object_id, held.principal_id, held.app_id, fold(held.principal_name), fold(held.name)}
    if names & excluded:
        return TrustChoice(plan.KEEP, "excluded")
    if (made is not None and made >= young) or (one.changed_on is not None and one.changed_on >= young.date()):
        return TrustChoice(plan.KEEP, "young")
    if not can_be_restored(held):
        return TrustChoice(plan.KEEP, "cannot_restore")
    if unused:
        return TrustChoice(plan.REMOVE) if one.is_age_known else TrustChoice(plan.KEEP, "age_unknown")
    return _narrow(one)


def _narrow(one: CredentialVerdict) -> TrustChoice:
    comparisons = parse_expression(one.credential.subject or "")
    if comparisons is None:
        return TrustChoice(plan.KEEP, "not_understood")
    signed = {day for use in (one.use, one.earlier) if use for day in use.days}
    told = {day for seen in one.observed for day in seen.days}
    if signed - told:
        return TrustChoice(plan.KEEP, "days_without_subject", f"{len(signed - told)} of {len(signed)} days")
    others = tuple(other for other in comparisons if other.claim != "sub")
    found = []
    for seen in one.observed:
        expression = narrowed(comparisons, seen.subject) if others else None
        if others and expression is None:
            return TrustChoice(plan.KEEP, "cannot_be_written")
        found.append(NarrowedCredential(seen, expression, others))
    return TrustChoice(plan.NARROW_SCOPE, narrowed=tuple(found))


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
                found[one.grant] = TrustChoice(plan.KEEP, "no_room", text)
                continue
            taken += more
            found[one.grant] = TrustChoice(plan.NARROW_SCOPE, narrowed=choice.narrowed, exists=known)
    return found


_TOLD = 50
_UNITS = dict.fromkeys((*KEY, "role", "holder_type", "holder"), pl.String)


def plan_trust(analysis: TrustAnalysis, options: PlanOptions) -> plan.PlanePart:
    """Return the part of the plan for federated credentials.

    Raises:
        InternalError: A proposal cannot be proved.
    """
    choices = choose_all(analysis.judged, analysis.window, options)
    bounds = _bounds(analysis)
    proposals, allowed = [], 0
    for one in analysis.judged:
        bound = bounds.get(one.credential.grant)
        choice = _dared(choices[one.credential.grant], bound, options)
        proposals.append(_proposal(one, choice, analysis, bound))
        allowed += is_in_use(one)
    names = {one.credential.principal_id: one.credential.principal_name for one in analysis.judged}
    return plan.PlanePart(
        plane="trust",
        proposals=tuple(sorted(proposals, key=lambda one: one.id)),
        window=analysis.window.as_json(),
        replay={"allowed": allowed, "needs_activation": 0, "denied": 0, "unknown": 0},
        rests_on={"credentials": read_credentials(analysis)},
        advice=tuple(_advice(analysis, choices)),
        names={id_: name for id_, name in sorted(names.items()) if id_},
    )


def read_credentials(analysis: TrustAnalysis) -> dict[str, str]:
    """Return a hash of each credential: of all that is needed to make it again."""
    return {one.credential.grant: hash_of([one.credential.name, body_of(one.credential)]) for one in analysis.judged}


def _bounds(analysis: TrustAnalysis) -> dict[str, Estimate]:
    """Return the break probability of each credential, by its `grant`; empty where no sign-in log covers a day.

    The estimate is that of Azure roles (`propose.risk.calibration`). The unit is a credential and its holder the
    principal that it signs in as; active days are days with a sign-in of that principal. A *novelty* is an observed
    subject: without the days on which it signed in, a narrowed credential would not trust it.
    """
    tables, window = analysis.tables, analysis.window
    held = [one.credential for one in analysis.judged if one.credential.principal_id]
    rows = [(one.grant, "active", one.subject or "", "ServicePrincipal", one.principal_id) for one in held]
    units = pl.DataFrame(rows, schema=_UNITS, orient="row")
    days = tables.covered["day"].unique()
    if units.is_empty() or days.is_empty():
        return {}
    active = tables.sign_ins.select(holder="principal_id", day="day").drop_nulls().unique()
    seen = [
        (one.credential.grant, "active", number, day)
        for one in analysis.judged
        for number, subject in enumerate(one.observed)
        for day in subject.days
    ]
    types = {KEY[0]: pl.String, KEY[1]: pl.String, "novelty": pl.UInt32, "day": pl.Date}
    gaps = Gaps.of_one_log(units.select(KEY), days_missing(days, window))
    incidence = count_incidence(units, active, pl.DataFrame(seen, schema=types, orient="row"), window, gaps)
    return {grant: found for (grant, _), found in estimates_of(incidence, window).items()}


def _dared(choice: TrustChoice, bound: Estimate | None, options: PlanOptions) -> TrustChoice:
    """Return the choice, or one that keeps the credential where the break probability is above `--max-break`."""
    if bound is None or not bound.exceeds(options.max_break) or choice.kind.keeps:
        return choice
    return TrustChoice(plan.KEEP, "risky", f"{bound.bound} is above {options.max_break}")


def _proposal(
    one: CredentialVerdict, choice: TrustChoice, analysis: TrustAnalysis, bound: Estimate | None
) -> plan.Proposal:
    held, kind = one.credential, choice.kind
    proof = _prove(one, choice)
    if not proof.holds:
        raise InternalError(
            f"the proposal for the federated credential `{held.grant}` cannot be proved: {proof.witness}"
        )
    weight = WEIGHTS[one.trusts.risk]
    kept = min(weight, len(choice.narrowed) * WEIGHTS["low"]) if choice.narrowed else weight if kind.keeps else 0.0
    needed = weight if is_in_use(one) and not is_wide(one) else WEIGHTS["low"] if is_in_use(one) else 0.0
    evidence = _evidence(one, choice)
    risked = bound if kind.may_break else None
    if risked is not None:
        evidence["break_probability"] = risked.as_json()
    return plan.Proposal(
        id=grant_proposal_id("trust", held.grant),
        plane="trust",
        principal_ids=(held.principal_id or held.object_id,),
        kind=kind,
        replaces=(held.grant,),
        assignments=tuple(
            plan.PlannedAssignment(
                "/", id_of_narrowed(held, new.observed.subject, new.others), fold(held.principal_id or held.object_id)
            )
            for new in choice.narrowed
        ),
        reason=_reason(one, choice, analysis),
        evidence=evidence,
        proof=proof,
        break_probability_30d=risked.expected if risked is not None else 0.0,
        excess_before=max(0.0, weight - needed),
        excess_after=max(0.0, kept - needed),
        risk_before=weight,
        risk_after=kept,
    )


def _prove(one: CredentialVerdict, choice: TrustChoice) -> plan.Proof:
    """Return the proof: every subject that signed in still does, and no token is trusted that is not trusted today."""
    if choice.kind.keeps:
        return plan.Proof(used_subset=True, granted_superset=True)
    if choice.kind.removes:
        used = is_in_use(one)
        return plan.Proof(not used, granted_superset=True, witness=one.credential.subject if used else None)
    planned = {new.observed.subject for new in choice.narrowed}
    missing = [seen.subject for seen in one.observed if seen.subject not in planned]
    wider = [subject for subject in sorted(planned) if not trusts(one.credential, subject)]
    return plan.Proof(not missing, not wider, next(iter([*missing, *wider]), None))


def _evidence(one: CredentialVerdict, choice: TrustChoice) -> dict[str, Any]:
    held, gone = one.credential, choice.kind.removes
    makes = []
    for new in choice.narrowed:
        if new.observed.subject not in choice.exists:
            name = name_of_narrowed(held, new.observed.subject)
            body = body_of(held, name=name, subject=new.observed.subject, expression=new.expression)
            makes.append(
                {"name": name, "request": request_to_make(held, name, body)} | {"undo": request_to_delete(held, name)}
            )
    changes = choice.kind.changes
    return {
        "role": f"{one.trusts.platform}: {one.trusts.means}",
        "scope": "/",
        "state": "active",
        "granted": 1,
        "used": int(one.verdict is Verdict.USED),
        **({"removed": {one.reason: 1}} if gone else {}),
        **({"covered_days": one.covered_days} if one.covered_days is not None else {}),
        **({"comes": [new.observed.subject for new in choice.narrowed]} if choice.narrowed else {}),
        **_given_away(one),
        "trust": {
            "holder": held.holder,
            "object_id": held.object_id,
            "app_id": held.app_id or None,
            "name": held.name,
            "issuer": held.issuer,
            "subject": held.subject,
            "is_expression": held.is_expression,
            "platform": one.trusts.platform,
            "means": one.trusts.means,
            "breadth": one.trusts.breadth,
            "risk": one.trusts.risk,
            "why": one.trusts.why,
            "verdict": one.verdict.value,
            "because": one.reason,
            "use": _said(one.use),
            "earlier": _said(one.earlier),
            "observed": [
                {"subject": seen.subject, "days": len(seen.days), "last_seen": seen.last_seen, "runs": list(seen.runs)}
                for seen in one.observed[:_TOLD]
            ],
            "exists": sorted(choice.exists),
            "makes": makes,
            "deletes": request_to_delete(held, held.name) if changes else None,
            "restores": request_to_make(held, held.name, body_of(held)) if changes and can_be_restored(held) else None,
        },
    }  # fmt: skip


def _given_away(one: CredentialVerdict) -> dict[str, Any]:
    """Return the evidence that outsiders can sign in by it; `rank_steps` adds what its principal can do."""
    if one.trusts.breadth == EXACT or one.trusts.risk != "high":
        return {}
    return {"gives_away": {"power": OUTSIDE_POWER, "what": one.trusts.why}}


def _said(use: SignInUse | None) -> dict[str, Any] | None:
    if use is None:
        return None
    return asdict(use) | {"days": len(use.days), "resources": list(use.resources[:_TOLD])}


def _reason(one: CredentialVerdict, choice: TrustChoice, analysis: TrustAnalysis) -> str:
    if choice.kind.removes:
        on = f" ({sentence_on(one.reason, one.covered_days, analysis.window.days).partition(':')[0]})"
        days = on if one.covered_days is not None else ""
        return f"no sign-in used it, and the sign-in logs name the credential of each{days}"
    if choice.narrowed:
        number = len(choice.narrowed)
        subjects = "one subject" if number == 1 else f"{number} subjects"
        return f"only {subjects} signed in by it, of all that it trusts"
    if choice.word:
        text = f"{choice.word}: {REASONS[choice.word]}"
        return f"{text} ({choice.detail})" if choice.detail else text
    if one.verdict is Verdict.USED:
        return "it is used"
    return sentence_on(one.reason, one.covered_days, analysis.window.days)


def _advice(analysis: TrustAnalysis, choices: Mapping[str, TrustChoice]) -> list[plan.Advice]:
    """Return questions to the owners of credentials that the logs do not decide, and advice on risky subjects."""
    found = set()
    for one in analysis.judged:
        held, choice = one.credential, choices[one.credential.grant]
        if not choice.kind.keeps or choice.word == "excluded":
            continue
        about = f"the federated credential {held.name} trusts {one.trusts.means}"
        if is_in_use(one) and is_wide(one):
            text = f"{about}: {one.trusts.why}. Which subjects have to sign in by it? No sign-in log says; "
            text += "load the subjects of its runs, and a plan narrows it to them"
        elif choice.word == "age_unknown":
            log = "directory audit log" if held.holder == "application" else "Activity Log"
            text = f"{about}, and nobody signed in by it. Since when does it exist? Load the {log}"
        elif one.trusts.breadth != EXACT and one.trusts.risk == "high" and is_in_use(one):
            text = f"{about}, and is used: {one.trusts.why}"
        else:
            continue
        found.add(plan.Advice(held.principal_id or held.object_id, text))
    return sorted(found, key=lambda one: (one.subject, one.text))
