"""Read a written plan for display to a reviewer, and match reviewers' decisions with its proposals, by id and content.

A proposal's id is made of its assignment, so it stays the same in every plan. Its content is the change: the kind, the
assignments that are removed, and those that are made. Counts, excess and break probability are evidence, not content.
So new days of logs do not undo a decision.

`plan_reader` reads the fields that the proof of a plan needs; this module reads the fields that a page shows.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl

from rightsize.analyze.plan_evidence import AGAIN
from rightsize.model.decisions import PARTICIPLE, ReviewDecision
from rightsize.model.errors import InputError
from rightsize.model.json_schemas import load_object
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import KEEP, Advice, Growth, Plan, PlanePart, PlannedRole, Proof, Proposal
from rightsize.model.plan_file import OPERATIONS
from rightsize.model.progress import counted
from rightsize.model.text import Folded, fold
from rightsize.propose.core.fingerprint import hash_of
from rightsize.propose.verify import plan_reader

State = Literal["open", "accepted", "rejected", "deferred", "outdated", "expired"]
STATES: tuple[State, ...] = ("open", "outdated", "expired", "deferred", "accepted", "rejected")
"""The states of a proposal in a review: `outdated` was decided with other content, `expired` has an ended decision."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ReviewStatus:
    """The review state of one proposal that changes an assignment, or that was rejected and would have changed it."""

    proposal: Proposal
    state: State
    content: str
    decision: ReviewDecision | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a review, for Azure RBAC.

    Attributes:
        states: Number of proposals in each state, of all planes.
        excess_accepted: Excess after the accepted proposals are carried out.
        excess_all: Excess after all proposals that are not rejected are carried out.
        roles: Number of new roles that the accepted proposals need.
        made: Number of assignments that the accepted proposals make.
        gone: Number of assignments that the accepted proposals remove.
        beyond: Number of accepted changes beyond Azure roles, which have no excess: of Entra, Graph, trust or vaults.
    """

    states: Mapping[str, int]
    excess_today: float
    excess_accepted: float
    excess_all: float
    roles: int
    made: int
    gone: int
    beyond: int


def content_of(proposal: Proposal) -> str:
    """Return the hash of the change that a proposal makes, or would have made if it were not rejected."""
    reviewed = proposal.evidence.get("review")
    if proposal.kind.keeps and isinstance(reviewed, Mapping) and isinstance(reviewed.get("content"), str):
        return str(reviewed["content"])
    document = {
        "kind": proposal.kind,
        "plane": proposal.plane,
        "state": proposal.evidence.get("state", "active"),
        "principals": sorted(map(fold, proposal.principal_ids)),
        "replaces": sorted(map(fold, proposal.replaces)),
        "assignments": sorted(
            [fold(one.scope), one.role, one.principal_id, one.condition or "", one.state]
            + ([one.end_on] if one.end_on else [])
            for one in proposal.assignments
        ),
    }
    return hash_of(document)


def standings(plan: Plan, decisions: Mapping[str, ReviewDecision], day: dt.date) -> list[ReviewStatus]:
    """Return the review status of every proposal that can be decided on, in the plan's order.

    Args:
        plan: The plan.
        decisions: Decisions by proposal.
        day: The day on which a decision counts as ended or not.
    """
    found = []
    for one in plan.all_proposals:
        if one.kind.keeps and "review" not in one.evidence:
            continue
        content, decision = content_of(one), decisions.get(one.id)
        found.append(ReviewStatus(one, _state(content, decision, day), content, decision))
    return found


def _state(content: str, decision: ReviewDecision | None, day: dt.date) -> State:
    if decision is None:
        return "open"
    if decision.content != content:
        return "outdated"
    if decision.has_ended(day):
        return "expired"
    states: Mapping[str, State] = {"accept": "accepted", "reject": "rejected", "defer": "deferred"}
    return states[decision.decision]


def unmatched(plan: Plan, decisions: Mapping[str, ReviewDecision]) -> list[ReviewDecision]:
    """Return the decisions whose proposal is not in the plan, or does not change anything any more."""
    open_ = {one.id for one in plan.all_proposals if one.kind.changes or "review" in one.evidence}
    return [decision for id_, decision in sorted(decisions.items()) if id_ not in open_]


def require_current(found: Iterable[ReviewStatus]) -> None:
    """Raise `InputError` if a decision has ended.

    Raises:
        InputError: At least one decision has ended; the message names up to five of them.
    """
    ended = [one for one in found if one.state == "expired"]
    if ended:
        said = "; ".join(
            f"`{one.proposal.id}` until {one.decision.expires}, {one.decision}"
            for one in ended[:_SHOWN]
            if one.decision
        )
        raise InputError(
            f"{counted(len(ended), 'decision')} {'has' if len(ended) == 1 else 'have'} ended: {said}",
            hint="decide again with `rightsize review`, or take them out with `rightsize review reopen --ended`",
        )


def totals(found: Sequence[ReviewStatus], plan: Plan) -> Totals:
    """Return the totals of a review; proposals that cannot be decided on count with the excess of today."""
    decided = {one.proposal.id for one in found}
    of_rbac = [one for one in found if one.proposal.is_of_rbac]
    kept = sum(one.excess_before for one in plan.all_proposals if one.is_of_rbac and one.id not in decided)
    changes = [one.proposal for one in found if one.state == "accepted" and one.proposal.kind.changes]
    accepted = [one for one in changes if one.is_of_rbac]
    new = {role.definition.role_definition_id for role in plan.roles}
    made = {place for one in accepted for place in one.assignments}

    def excess(*carried_out: State) -> float:
        return kept + sum(
            one.proposal.excess_after if one.state in carried_out else one.proposal.excess_before for one in of_rbac
        )

    return Totals(
        states=Counter(one.state for one in found),
        excess_today=excess(),
        excess_accepted=excess("accepted"),
        excess_all=excess(*(state for state in STATES if state != "rejected")),
        roles=len({place.role for place in made} & new),
        made=len(made),
        gone=len({fold(id_) for one in accepted for id_ in one.replaces}),
        beyond=len(changes) - len(accepted),
    )


def respect(plan: Plan, decisions: Mapping[str, ReviewDecision]) -> Plan:
    """Return the plan with rejected proposals turned into `keep`, and with each decision in its proposal's evidence.

    A change grants nothing beyond today's assignment, so an assignment that stays grants all that other proposals rely
    on. Therefore the rest of the plan stays valid, and a later rejection changes no role of an accepted proposal.
    Roles that only rejected proposals would assign are left out. In the parts for other planes, the files of
    principals with a rejected proposal are left out.

    Raises:
        InputError: A decision has ended on the day after the window.
    """
    day = dt.date.fromisoformat(plan.generated_from["window"]["last_day"]) + dt.timedelta(days=1)
    found = {one.proposal.id: one for one in standings(plan, decisions, day)}
    require_current(found.values())
    proposals = tuple(_respected(one, found.get(one.id)) for one in plan.proposals)
    assigned = {place.role for one in proposals for place in one.assignments}
    return replace(
        plan,
        generated_from={**plan.generated_from, "decisions": _hash(decisions.values())},
        proposals=proposals,
        roles=tuple(role for role in plan.roles if role.definition.role_definition_id in assigned),
        parts=tuple(_part(part, found) for part in plan.parts),
    )


def review_states(plan: Plan) -> dict[str, str]:
    """Return the review state of each decided proposal, by id, from a plan that `respect` returned."""
    reviewed = {one.id: one.evidence.get("review") for one in plan.all_proposals}
    return {id_: str(said["state"]) for id_, said in reviewed.items() if isinstance(said, Mapping)}


def _hash(decisions: Iterable[ReviewDecision]) -> str:
    said = sorted((one.proposal, one.decision, one.content, str(one.expires)) for one in decisions)
    return hash_of(said)


def _part(part: PlanePart, found: Mapping[str, ReviewStatus]) -> PlanePart:
    rejected = {fold(id_) for one in part.proposals if _is(found.get(one.id), "rejected") for id_ in one.principal_ids}
    files = {name: text for name, text in part.files.items() if _stem(name) not in rejected}
    return replace(part, proposals=tuple(_respected(one, found.get(one.id)) for one in part.proposals), files=files)


def _stem(name: str) -> str:
    return fold(name.rpartition("/")[2].partition(".")[0])


def _is(status: ReviewStatus | None, state: State) -> bool:
    return status is not None and status.state == state


def _respected(one: Proposal, status: ReviewStatus | None) -> Proposal:
    if status is None or status.decision is None:
        return one
    decision = status.decision
    review: dict[str, Any] = {
        "state": status.state,
        "by": decision.by,
        "reason": decision.reason,
        "decided": decision.decided.isoformat(),
        "expires": decision.expires and decision.expires.isoformat(),
    }
    if status.state != "rejected":
        return replace(one, evidence={**one.evidence, "review": review})
    review |= {"content": status.content, "proposed": one.kind, "because": one.reason}
    return replace(
        one,
        kind=KEEP,
        assignments=(),
        reason=f"{PARTICIPLE[decision.decision]} by {decision.by}: {decision.reason}",
        evidence={
            **{key: value for key, value in one.evidence.items() if key not in ("removed", "comes")},
            "review": review,
        },
        proof=Proof(True, True),
        break_probability_30d=0.0,
        excess_after=one.excess_before,
        risk_after=one.risk_before,
    )


@dataclass(frozen=True, slots=True)
class ReviewablePlan:
    """The content of a plan folder.

    Attributes:
        written: The fields that the proof needs.
        document: `plan.json` in today's format; every value that a page shows has the right type.
        roles: The new roles of the plan, by folded id.
        evidence: Their evidence, by folded id, where it was read: `actions`, each with `action`, `plane` and `why`;
            `summary` in plans of this version.
        tables: The tables of evidence, by the name of the table.
    """

    written: plan_reader.WrittenPlan
    document: Mapping[str, Any]
    roles: Mapping[Folded, RoleDefinition]
    evidence: Mapping[Folded, Mapping[str, Any]]
    tables: Mapping[str, pl.DataFrame] = field(compare=False)


def read_reviewable(text: bytes, files: Mapping[str, bytes], *, with_pages: bool = True) -> ReviewablePlan:
    """Return a plan with its role files and their evidence.

    Args:
        text: `plan.json`.
        files: The content of each file of the plan folder, by its name.
        with_pages: Whether the evidence is read, too, that only pages show, which no proof needs.

    Raises:
        InputError: The text is not a plan, or files are missing, altered, or of another form.
    """
    document = plan_reader.load_plan(text)
    written = plan_reader.check_plan(document)
    roles = plan_reader.read_roles(written, files)
    document, tables = plan_reader.read_evidence(written, document, files, with_pages=with_pages)
    for index, one in enumerate(document["proposals"], 1):
        plan_reader.written_checks("proposal_evidence").require(
            one["evidence"], f"the evidence of proposal {index}", hint=AGAIN
        )
    written = plan_reader.with_readings(written, tables)
    evidence: dict[Folded, Mapping[str, Any]] = {}
    for role in written.roles if with_pages else ():
        evidence[role.role] = _read_evidence(evidence_files(role.file), files)
    return ReviewablePlan(written, document, roles, evidence, tables)


def plan_of(read: ReviewablePlan) -> Plan:
    """Return the plan object of a plan that was read, without `names` and `verdicts`, which no file has.

    Without its pages, its roles have no evidence, and it has no uses.
    """
    document, written = read.document, {one.id: one for one in read.written.every}
    return Plan(
        generated_from=document["generated_from"],
        proposals=tuple(_proposal_of(one, written[one["id"]]) for one in document["proposals"]),
        roles=tuple(
            PlannedRole(
                read.roles[role.role], role.file[len("roles/") : -len(".json")], read.evidence.get(role.role, {})
            )
            for role in read.written.roles
        ),
        advice=tuple(Advice(one["subject"], one["text"]) for one in document["advice"]),
        replay=document["replay"],
        curve=tuple(document["curve"]),
        would_tell=document.get("would_tell", {}),
        separation=document.get("separation", {}),
        uses=read.tables.get(OPERATIONS.name),
    )


def _proposal_of(one: Mapping[str, Any], written: plan_reader.WrittenProposal) -> Proposal:
    proof = one["proof"]
    grown = tuple(Growth(found["role"], found["because"]) for found in proof.get("tomorrow", ()))
    numbers = ("break_probability_30d", "excess_before", "excess_after", "risk_before", "risk_after")
    return Proposal(
        id=one["id"],
        plane=one["plane"],
        principal_ids=tuple(one["principal_ids"]),
        kind=written.kind,
        # Ids of grants of Microsoft Graph keep their case.
        replaces=written.replaces if one["plane"] in ("control", "data") else tuple(one["replaces"]),
        assignments=written.assignments,
        reason=one["reason"],
        evidence=one["evidence"],
        proof=Proof(proof["used_subset"], proof["granted_superset"], proof.get("witness"), grown),
        **{name: float(one[name]) for name in numbers},
    )


def evidence_files(role_file: str) -> tuple[str, str]:
    """Return the two possible names of the file with a role's evidence: the current one and the former one."""
    slug = role_file.removeprefix("roles/").removesuffix(".json")
    return f"evidence/{slug}.json", f"roles/{slug}.evidence.json"


def _read_evidence(names: Sequence[str], files: Mapping[str, bytes]) -> Mapping[str, Any]:
    name = next((one for one in names if one in files), None)
    if name is None:
        raise InputError(f"the plan folder has no `{names[0]}`", hint=AGAIN)
    document = load_object(files[name], f"`{name}`", hint=AGAIN)
    plan_reader.written_checks("role_evidence").require(document, f"`{name}`", hint=AGAIN)
    return document
