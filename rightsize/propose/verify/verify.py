"""Verify a written plan against the tenant of today: find what makes it stale, and prove it again.

A plan is stale if an assignment, definition, membership or deny that it read has changed, or if it does not cover a
use. The stages that made the plan are not run again: only its role files, its assignments and the tables count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.principals import classify_holders
from rightsize.analyze.tenant import read_tenant
from rightsize.analyze.verdicts.usage import read_role_requests
from rightsize.analyze.window import Window
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.progress import step
from rightsize.model.text import Folded, fold
from rightsize.propose.core.fingerprint import POLICY_NEEDS, WHAT, Readings, hash_of_blocks, take_readings
from rightsize.propose.core.role_catalog import blocks_by_role
from rightsize.propose.needs.assignments import Key, Subject, last_of, read_subjects
from rightsize.propose.proof import Containment, RoleFault, judge_roles
from rightsize.propose.replay import Evaluator, Outcomes, distinct_uses, grants_of, replay, row_today
from rightsize.propose.verify.plan_reader import WrittenPlan, WrittenProposal
from rightsize.propose.verify.reproof import ProofContext, Reproof, prove_again
from rightsize.propose.verify.smt_prover import Claims

GONE = "the plan read it, and it no longer exists"
_ASSIGNMENT = "its principal, role, scope, condition or end changed since the plan"
_OBJECTS = {
    "role_assignments": ("role_assignment", _ASSIGNMENT),
    "eligible_assignments": ("eligible_assignment", _ASSIGNMENT),
    "role_definitions": ("role_definition", "its permissions changed since the plan"),
    "group_members": ("group_members", "its members changed since the plan"),
    "deny_assignments": (
        "deny_assignment",
        "its scope, principals, permissions or condition changed since the plan",
    ),
    POLICY_NEEDS: ("policy_needs", "the needs of the policies of this managed identity changed since the plan"),
}
"""For each word of `fingerprint.WHAT` the kind of object, as in `Change`, and the clause for a changed one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change that makes a plan stale.

    Attributes:
        what: `role_assignment`, `eligible_assignment`, `role_definition`, `group_members`, `deny_assignment`,
            `policy_needs`, `principal`, `use`, `grant` for an assignment or permission of Graph or the directory, or
            `inheritance` for what agents inherit from a blueprint.
        id: The id of the changed object; for a use the principal.
        change: `changed`, `gone`, `returned` (a principal that was gone), `clashes` (a new role whose id another role
            has) or `not_covered`.
        detail: One clause.
        operation: The operation of a use.
        plane: The plane of a use.
        scope: The folded scope of a use.
        role_assignment_ids: The assignments that allow a use today and that the plan removes or replaces.
    """

    what: str
    id: str
    change: str
    detail: str
    operation: str | None = None
    plane: str | None = None
    scope: str | None = None
    role_assignment_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification.

    Attributes:
        changes: All changes that make the plan stale.
        proofs: One proof for each assignment that the plan removes or replaces.
        replay: The number of distinct uses by outcome.
        unread: The number of assignments and denies that the plan did not read and does not touch.
        window: The days of the replayed use.
        claims: What proofs and replay found of roles, for another prover to check.
        gate: What speaks against the new roles.
    """

    changes: tuple[Change, ...]
    proofs: tuple[Reproof, ...]
    replay: Mapping[str, int]
    unread: Mapping[str, int]
    window: Window
    claims: Claims
    gate: tuple[RoleFault, ...] = ()

    @property
    def failed(self) -> tuple[Reproof, ...]:
        """The proofs that fail: the replacement grants more than today, or the removed assignment is no duplicate."""
        return tuple(proof for proof in self.proofs if not proof.granted_superset)


def verify(
    plan: WrittenPlan,
    new_roles: Mapping[Folded, RoleDefinition],
    inputs: Inputs,
    evidence: Mapping[Folded, Mapping[str, Any]] | None = None,
) -> Verification:
    """Return the changes since the plan was made, and the proofs and the replay against the tables of today.

    Args:
        plan: The plan.
        new_roles: The new roles of the plan, by folded id, from their files.
        inputs: The tables.
        evidence: The evidence of the new roles, by folded id, as far as it is there.

    Raises:
        InputError: The plan contradicts itself.
    """
    step("proving the plan again")
    here = {fold(role): blocks for role, blocks in blocks_by_role(inputs.role_permissions).items()}
    roles = here | {role: definition.permissions for role, definition in new_roles.items()}
    today = {subject.key: subject for subject in read_subjects(inputs)}
    case = ProofContext(plan, inputs, read_tenant(inputs), Containment(roles), today, _going(plan, today))
    now = take_readings(inputs, earlier=plan.rests_on)
    # Use older than the plan counts is left out; use after its window is included.
    newest = max([plan.window.last_day, *inputs.usage_days["day"].drop_nulls().unique()])
    window = replace(plan.window.remembered, last_day=newest)
    evaluator = Evaluator(roles, case.tenant.tree, read_role_requests(inputs, window))
    uses = distinct_uses(inputs, window, since=plan.window.first_day)
    outcomes, through = _replay(case, uses, evaluator)
    uncovered, lost = _uncovered(outcomes.denied, through)
    changes = [
        *_changed(plan.rests_on, now),
        *_needed_since(case, now),
        *_clashing(case, new_roles, hash_of={role: hash_of_blocks(blocks) for role, blocks in here.items()}),
        *_returned(case),
        *uncovered,
    ]
    return Verification(
        changes=tuple(changes),
        proofs=tuple(prove_again(case, lost)),
        replay=outcomes.as_json(),
        unread={
            word: len(set(now[word]) - set(plan.rests_on[word]))
            for word in ("role_assignments", "eligible_assignments", "deny_assignments")
        },
        window=window,
        claims=Claims(case.within.answers, evaluator.granted_for_certain(), evaluator.granted_alike(), roles),
        # A plan of version 1 has no tables of evidence, and its roles had no gate.
        gate=judge_roles(new_roles, evidence or {}, uses) if plan.evidence else (),
    )


def _going(plan: WrittenPlan, today: Mapping[Key, Subject]) -> dict[Key, list[WrittenProposal]]:
    """Return the assignments that a plan removes or replaces, each with the proposals for it."""
    spoken: dict[Key, list[WrittenProposal]] = defaultdict(list)
    for proposal in plan.proposals:
        for id_ in proposal.replaces:
            states = (proposal.state,) if proposal.state else ("active", "eligible")
            found = [state for state in states if (id_, state) in today or id_ in plan.rests_on[_word(state)]]
            for state in found or states[:1]:
                spoken[id_, state].append(proposal)
    going = {}
    for key, proposals in sorted(spoken.items()):
        if all(proposal.kind.keeps for proposal in proposals):
            continue
        if any(proposal.kind.keeps for proposal in proposals):
            raise InputError(f"the plan both keeps and replaces the assignment `{key[0]}`")
        if key[1] == "activated" or key[0] not in plan.rests_on[_word(key[1])]:
            raise InputError(f"the plan replaces the assignment `{key[0]}`, which its `rests_on` does not have")
        going[key] = proposals
    return going


def _word(state: str) -> str:
    return "eligible_assignments" if state == "eligible" else "role_assignments"


def changed_since(
    what: str, read: Mapping[str, str], now: Mapping[str, str], changed: str, gone: str = GONE
) -> Iterator[Change]:
    """Yield a change for each object that a plan read and whose hash is another one today, or that is gone.

    Args:
        what: The kind of object, as in `Change`.
        read: The hashes that the plan rests on, by id.
        now: The hashes of today, by id; ids are compared folded.
        changed: The clause for a changed object.
        gone: The clause for one that is gone.
    """
    today = {fold(id_): found for id_, found in now.items()}
    for id_, found in sorted(read.items()):
        if (of_today := today.get(fold(id_))) is None:
            yield Change(what, id_, "gone", gone)
        elif of_today != found:
            yield Change(what, id_, "changed", changed)


def _changed(read: Readings, now: Readings) -> Iterator[Change]:
    for word in WHAT:
        what, clause = _OBJECTS[word]
        yield from changed_since(what, read[word], now[word], clause)


def _needed_since(case: ProofContext, now: Readings) -> list[Change]:
    """Return a change for each principal that loses access and has become a policy's identity since the plan."""
    holders = {case.today[key].principal_id for key in case.going if key in case.today}
    fresh = sorted(holders & set(now[POLICY_NEEDS]) - set(case.plan.rests_on[POLICY_NEEDS]))
    what, clause = _OBJECTS[POLICY_NEEDS]
    return [Change(what, one, "changed", clause) for one in fresh]


def _clashing(
    case: ProofContext, new_roles: Mapping[Folded, RoleDefinition], hash_of: Mapping[str, str]
) -> list[Change]:
    """Return a change for each new role whose id a role of the tenant with other permissions already has."""
    loaded = set(folded(case.inputs.role_definitions["role_definition_id"]))
    nothing = hash_of_blocks(())
    return [
        Change("role_definition", role, "clashes", "the tenant has a role with this id and other permissions")
        for role, definition in sorted(new_roles.items())
        if role in loaded and hash_of.get(role, nothing) != hash_of_blocks(definition.permissions)
    ]


def _orphaned(case: ProofContext) -> set[Key]:
    """Return the assignments that the plan removes because their holder is deleted, so that nobody uses them."""
    return {key for key, proposals in case.going.items() if not any(proposal.kind.has_holder for proposal in proposals)}


def _returned(case: ProofContext) -> list[Change]:
    """Return a change for each holder that the plan takes as deleted and that is no longer proved to be."""
    found = classify_holders(case.inputs).filter(pl.col("holder") == "orphan")
    gone = set(found.select(folded(pl.col("role_assignment_id")), "state").iter_rows())
    back = {case.today[key].principal_id for key in _orphaned(case) if key in case.today and key not in gone}
    return [Change("principal", one, "returned", "nothing proves any more that it was deleted") for one in sorted(back)]


def _replay(
    case: ProofContext, uses: pl.DataFrame, evaluator: Evaluator
) -> tuple[Outcomes, Mapping[int, tuple[Key, ...]]]:
    """Return the outcome of each use, and for each denied use the removed assignments that allow it today."""
    orphaned = _orphaned(case)
    present = [holding for key, holding in case.today.items() if key not in orphaned]
    ending = _activations_of_going(case)
    activated = {id_ for id_, state in case.today if state == "activated"}
    after = [
        row_today(holding, holding.state, activated)
        for holding in present
        if holding.key not in case.going and holding.key[0] not in ending
    ]
    carried = {
        (proposal.id, case.today[key].condition)
        for key, proposals in case.going.items()
        for proposal in proposals
        if key in case.today
    }
    after += [
        (one.principal_id, one.scope, one.role, one.state, None if is_carried else one.condition, last_of(one.end_on))
        for proposal in case.proposals()
        for one in proposal.assignments
        for is_carried in [(proposal.id, one.condition) in carried]
    ]
    today = grants_of(row_today(holding, holding.state, activated) for holding in present)
    outcomes = replay(uses, today, grants_of(after), evaluator, case.tenant, case.inputs)
    keys = [holding.key for holding in present if holding.key in case.going]
    going = grants_of(row_today(case.today[key], str(number)) for number, key in enumerate(keys))
    found = evaluator.allowed_through(outcomes.denied, case.tenant.membership, going)
    through: dict[int, list[Key]] = defaultdict(list)
    for use, label in found.select("use", "label").unique().sort("use", "label").iter_rows():
        through[use].append(keys[int(label)])
    return outcomes, {use: tuple(sorted(named)) for use, named in through.items()}


def _activations_of_going(case: ProofContext) -> set[Folded]:
    """Return the folded ids of running activations whose eligible assignment the plan removes: they end with it."""
    going = [id_ for id_, state in case.going if state == "eligible"]
    table = case.inputs.role_assignments.filter(pl.col("state") == "activated")
    behind = folded(table["eligibility_id"]).is_in(going)
    return set(folded(table["role_assignment_id"]).filter(behind.fill_null(False)))


def _uncovered(denied: pl.DataFrame, through: Mapping[int, tuple[Key, ...]]) -> tuple[list[Change], dict[Key, str]]:
    """Return a change for each use that the plan does not cover, and for each removed assignment its first such use."""
    changes, lost = [], dict[Key, str]()
    detail = "today's assignments allow it, and the planned ones do not"
    for row in denied.iter_rows(named=True):
        keys, operation, plane, place = through.get(row["use"], ()), row["operation"], row["plane"], row["place"]
        ids = tuple(id_ for id_, _ in keys)
        changes.append(Change("use", row["principal_id"], "not_covered", detail, operation, plane, place, ids))
        for key in keys:
            lost.setdefault(key, f"{operation} ({plane}) at {place} was used and is not granted")
    return changes, lost
