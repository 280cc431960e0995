"""Prove the drafts of a plan, replay the calls under it, and check its new roles by Azure's rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded
from rightsize.model.errors import InternalError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Proof
from rightsize.propose.assembly.proof_obligations import claim_name, make_claims
from rightsize.propose.assembly.role_uses import role_id_of
from rightsize.propose.core.azure_limits import AzureLimits, refusals
from rightsize.propose.core.expiry import AT_ONCE, last_of
from rightsize.propose.core.role_catalog import Blocks, RoleBook
from rightsize.propose.needs.drafts import Draft, Key, Subject
from rightsize.propose.proof.access_evaluator import GRANTS_SCHEMA, Evaluator
from rightsize.propose.proof.proof import prove
from rightsize.propose.proof.replay import Replay, replay
from rightsize.propose.selection.role_names import NewRoles
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class ProofInput:
    """The input of `prove_drafts`, besides the drafts and the new roles.

    Attributes:
        subjects: Today's assignments.
        roles: The permission blocks of today's roles and the new ones, by id.
        placed: Use with the scope at which it has to be granted, as `assignments.place_uses` returns it.
        tenant: Who reaches the assignments of whom, and the management groups.
        requests: The role and principal type that each call to assign a role asked for.
    """

    subjects: Sequence[Subject]
    roles: Mapping[Folded, Blocks]
    placed: pl.DataFrame
    tenant: Tenant
    requests: pl.DataFrame


@dataclass(frozen=True, slots=True)
class ReplayInput:
    """The input of `replay_drafts`, besides the drafts and the new roles.

    Attributes:
        calls: The calls, as `replay.distinct_uses` returns them.
        roles: The permission blocks of today's roles and the new ones, by id.
        orphans: Assignments whose holder is proved to be deleted.
        tenant: The assignments of today, and who reaches them.
        inputs: The tables, for the deny assignments.
        requests: The role and principal type that each call to assign a role asked for.
    """

    calls: pl.DataFrame
    roles: Mapping[Folded, Blocks]
    orphans: Set[Key]
    tenant: Tenant
    inputs: Inputs
    requests: pl.DataFrame


def check_roles(
    definitions: Mapping[Folded, RoleDefinition], drafts: Mapping[Key, Draft], book: RoleBook, limits: AzureLimits
) -> None:
    """Raise `InternalError` if Azure would refuse a new role."""
    replaced = {draft.subject.role_definition_id for draft in drafts.values() if draft.placements}
    inherited = frozenset().union(*(book.roles[id_].strings for id_ in replaced))
    for role in definitions.values():
        found = refusals(role, book.index.lists, inherited, limits)
        if found:
            raise InternalError(f"Azure would refuse the new role `{role.role_name}`: {found[0]}")


def prove_drafts(drafts: Mapping[Key, Draft], new: NewRoles, asked: ProofInput) -> dict[Key, Proof]:
    """Return the proof of each draft; unchanged assignments and those of deleted holders hold without one.

    Raises:
        InternalError: A proposal cannot be proved.
    """
    claims = make_claims(drafts, new, asked.subjects, asked.tenant.membership)
    uses = asked.placed.select(
        "plane",
        "place",
        claim=pl.col("role_assignment_id") + " " + pl.col("state"),
        principal_id=folded(pl.col("principal_id")).fill_null(""),
        operation="name",
    ).unique()
    proved = prove(claims, uses, asked.roles, asked.tenant.tree, asked.requests)
    for name, proof in proved.items():
        if not proof.holds:
            raise InternalError(f"the proposal for assignment `{name}` cannot be proved: {proof.witness}")
    return {key: proved.get(claim_name(key), Proof(True, True)) for key in drafts}


def replay_drafts(drafts: Mapping[Key, Draft], new: NewRoles, asked: ReplayInput) -> Replay:
    """Return the outcome of the calls under the plan.

    Raises:
        InternalError: A call that counts would be denied.
    """
    ending = _activations_of_changed(drafts, asked.tenant)
    activated = {id_ for id_, state in drafts if state == "activated"}
    alive = [draft for key, draft in sorted(drafts.items()) if key not in asked.orphans]
    stays = (one for one in alive if one.kind.keeps and one.subject.role_assignment_id not in ending)
    after = chain(
        (_grant(one.subject, activated) for one in stays), (row for one in alive for row in _planned(one, new))
    )
    outcome = replay(
        asked.calls,
        pl.DataFrame([_grant(one.subject, activated) for one in alive], schema=GRANTS_SCHEMA, orient="row"),
        pl.DataFrame(list(after), schema=GRANTS_SCHEMA, orient="row"),
        Evaluator(asked.roles, asked.tenant.tree, asked.requests),
        asked.tenant,
        asked.inputs,
    )
    if outcome.denied:
        raise InternalError(
            f"the plan would deny {outcome.denied} calls that count, the first of them {outcome.first_denied}"
        )
    return outcome


def _activations_of_changed(drafts: Mapping[Key, Draft], tenant: Tenant) -> set[Folded]:
    """Return the folded ids of running activations whose eligible assignment changes; the replay ends them with it."""
    changed = {id_ for (id_, state), draft in drafts.items() if state == "eligible" and draft.kind.changes}
    rows = tenant.assignments.filter((pl.col("state") == "activated") & pl.col("eligibility").is_in(sorted(changed)))
    return set(rows["id"])


def _grant(subject: Subject, activated: Set[Folded]) -> tuple[str | None, ...]:
    """Return an assignment of today as a row of `GRANTS_SCHEMA`."""
    last = AT_ONCE if subject.role_assignment_id in activated else last_of(subject.end_on)
    return subject.principal_id, subject.place, subject.role_definition_id, subject.state, None, last


def _planned(draft: Draft, new: NewRoles) -> Iterator[tuple[str | None, ...]]:
    """Yield the new assignments of a draft as rows of `GRANTS_SCHEMA`."""
    for one in draft.placements:
        condition = None if one.condition == draft.subject.condition else one.condition
        yield one.principal_id, one.place, role_id_of(one, new), one.state, condition, last_of(one.end_on)
