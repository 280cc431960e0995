"""Verify the part of a written plan for federated credentials: changed credentials, and sign-ins that it would stop."""

from __future__ import annotations

from collections.abc import Iterator

from rightsize.analyze.federated.judge import TrustAnalysis, is_in_use
from rightsize.analyze.federated.tables import CredentialVerdict
from rightsize.propose.trust.bodies import id_of_narrowed
from rightsize.propose.trust.plan import read_credentials
from rightsize.propose.verify.plan_reader import WrittenPart, WrittenProposal
from rightsize.propose.verify.verify import Change, changed_since
from rightsize.rbac.text import fold
from rightsize.rules.trust import parse_expression


def verify_trust(part: WrittenPart, today: TrustAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed credentials, and sign-ins that the plan would refuse."""
    changed = "its issuer, subject or audiences changed since the plan"
    read = part.rests_on.get("credentials", {})
    return [*changed_since("grant", read, read_credentials(today), changed), *_uncovered(part, today)]


def _uncovered(part: WrittenPart, today: TrustAnalysis) -> Iterator[Change]:
    spoken = {fold(grant): proposal for proposal in part.proposals for grant in proposal.replaces}
    for one in today.judged:
        proposal = spoken.get(fold(one.credential.grant))
        if proposal is None or proposal.kind.keeps or not is_in_use(one):
            continue
        for what, detail in _refused(one, proposal):
            yield Change("use", one.credential.principal_id, "not_covered", detail, what, "trust", "/")


def _refused(one: CredentialVerdict, proposal: WrittenProposal) -> Iterator[tuple[str, str]]:
    subject = one.credential.subject or one.trusts.means
    if proposal.kind.removes:
        yield subject, "sign-ins use the credential that the plan removes"
        return
    others = tuple(other for other in parse_expression(subject) or () if other.claim != "sub")
    planned = {assignment.role for assignment in proposal.assignments}
    for seen in one.observed:
        if id_of_narrowed(one.credential, seen.subject, others) not in planned:
            yield seen.subject, "the subject signed in, and none of the planned credentials trusts it"
    told = {day for seen in one.observed for day in seen.days}
    for use in (one.use, one.earlier):
        if use is not None and set(use.days) - told:
            yield subject, f"it signed in on {min(set(use.days) - told)}, and no observed subject says who"
            return
