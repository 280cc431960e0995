"""Verify a plan folder against the store of today."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import principal_names
from rightsize.model.errors import EvidenceError, GateError, RightsizeError
from rightsize.model.text import fold
from rightsize.propose.verify.smt_prover import Certificate, certify
from rightsize.propose.verify.verify import Change, Verification, verify
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import digest_content
from rightsize.workflow.analysis.behaviour import with_holds
from rightsize.workflow.analysis.keep_analysis import verify_parts
from rightsize.workflow.plan_folder import open_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signature, Signers

_NOUNS = {
    "role_assignment": ("assignment", "assignments"),
    "eligible_assignment": ("eligible assignment", "eligible assignments"),
    "role_definition": ("role definition", "role definitions"),
    "group_members": ("membership", "memberships"),
    "deny_assignment": ("deny assignment", "deny assignments"),
    "policy_needs": ("need of a policy", "needs of policies"),
    "principal": ("principal", "principals"),
    "grant": ("assignment of another plane", "assignments of another plane"),
    "inheritance": ("inherited permission of agents", "inherited permissions of agents"),
    "vault": ("key vault", "key vaults"),
    "use": ("used operation that it does not cover", "used operations that it does not cover"),
}


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The result of `plan verify`.

    Attributes:
        document: The whole answer.
        rows: The faults of the plan, one row each: first what makes it stale, then what cannot be proved.
        refusal: The error to end with, or None where the plan holds.
        summary: One sentence for people.
        notes: The results of checking the chain and the signature, for people.
    """

    document: dict[str, Any]
    rows: list[dict[str, Any]]
    refusal: RightsizeError | None
    summary: str
    notes: list[str]


def verify_plan(
    db: Path,
    path: Path,
    *,
    signers: Signers = ANYBODY,
    removed: Collection[str] = (),
    with_solver: bool = False,
) -> VerifyResult:
    """Prove a plan against the store, and check its folder against its chain of hashes and their signature.

    Args:
        db: The store.
        path: The plan folder, or its `plan.json`.
        signers: Whose signature it must have.
        removed: Assignments that a rollout of this plan has removed; their absence does not make it stale.
        with_solver: Also ask an SMT solver what the proofs rest on (`smt_prover`).

    Raises:
        UsageError: The solver is not installed.
        InputError: There is no plan, the file is not a plan, its role files or tables of evidence are missing or
            altered, or its folder differs from the chain.
        GateError: The plan is not signed by a required signer.
    """
    opened = open_plan_folder(path, signers)
    plan, roles, chain, signature = opened.read.written, opened.read.roles, opened.chain, opened.signature
    evidence = opened.read.evidence
    del opened
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(with_holds(store))
        beyond = verify_parts(store.table, plan)
        linked = chain.answer(digest_content(store), store.table("loads")) if chain is not None else None
    found = verify(plan, roles, inputs, evidence)
    found = _without(replace(found, changes=(*found.changes, *beyond)), frozenset(map(fold, removed)))
    names = _names(inputs)
    certificate = None
    if with_solver:
        new: dict[str, str] = {id_: role.role_name for id_, role in roles.items()}
        certificate = certify(found.claims.listed(names | new))
    return VerifyResult(
        document={
            **_document(found, names),
            "chain": linked,
            "signed_by": signature.signer if signature is not None else None,
            **({"certificate": asdict(certificate)} if certificate else {}),
        },
        rows=[
            *(_change_row(change, names) for change in found.changes),
            *(_change_row(one, {}) for one in _faults(found)),
        ],
        refusal=_disagreement(certificate) or _refusal(found) or _undecided(certificate),
        notes=[
            *_notes(linked, signature),
            *(_certified(certificate) if certificate else ()),
        ],
        summary=f"{len(found.proofs)} changes proved, {found.replay['allowed']} calls of {found.window.first_day} to "
        f"{found.window.last_day} allowed, {found.replay['needs_activation']} need an activation",
    )


def _without(found: Verification, removed: frozenset[str]) -> Verification:
    """Return the verification without remarks on assignments that were removed as planned."""
    changes = [one for one in found.changes if one.change != "gone" or one.id not in removed]
    proofs = [one for one in found.proofs if one.role_assignment_id not in removed]
    return replace(found, changes=tuple(changes), proofs=tuple(proofs))


def _notes(linked: Mapping[str, Any] | None, signature: Signature | None) -> list[str]:
    if linked is None:
        return ["there is no chain of hashes beside the plan"]
    missing = f", {linked['inputs_missing']} of them not loaded here" if linked["inputs_missing"] else ""
    same = "has not changed since the plan" if linked["store_is_the_same"] else "has changed since the plan"
    notes = [f"chain {linked['head'][:12]}: whole, from {linked['inputs']} loaded files{missing}; the store {same}"]
    if signature is not None and signature.signer is not None:
        notes.append(f"signed by {signature.signer}")
    elif signature is not None:
        notes.append(f"signed with {signature.key}; --signers FILE would say whose key that is")
    return notes


def _certified(certificate: Certificate) -> list[str]:
    return [f"{certificate.prover} agrees on {certificate.agreed} of {certificate.claims} claims about roles"]


def _disagreement(certificate: Certificate | None) -> RightsizeError | None:
    if certificate is None or not certificate.disagreements:
        return None
    first = certificate.disagreements[0]
    return GateError(
        f"{certificate.prover} disagrees on {len(certificate.disagreements)} of {certificate.claims} claims, the first "
        f"is that {first.about}: rightsize says that {first.ours}, {certificate.prover} that {first.theirs}",
        hint="one of the two is wrong: do not apply the plan, and please report both answers",
    )


def _undecided(certificate: Certificate | None) -> RightsizeError | None:
    if certificate is None or not certificate.undecided:
        return None
    return EvidenceError(
        f"{certificate.prover} could not decide {len(certificate.undecided)} of {certificate.claims} claims, the first "
        f"is that {certificate.undecided[0]}"
    )


def _names(inputs: Inputs) -> dict[str, str]:
    """Return the display names of principals and roles, by folded id."""
    roles = inputs.role_definitions.filter(pl.col("role_name").fill_null("") != "")
    named = [*principal_names(inputs).select("principal_id", "name").iter_rows()]
    named += roles.select("role_definition_id", "role_name").iter_rows()
    return {fold(id_): name for id_, name in named}


def _document(found: Verification, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "verified": not found.changes and not found.failed and not found.gate,
        "stale": bool(found.changes),
        "changes": [_change_row(change, names) for change in found.changes],
        "proofs": [
            {
                "role_assignment_id": proof.role_assignment_id,
                "state": proof.state,
                "kinds": list(proof.kinds),
                "proof": {
                    "used_subset": proof.used_subset,
                    "granted_superset": proof.granted_superset,
                    "witness": proof.witness,
                },
            }
            for proof in found.proofs
        ],
        "gate": [asdict(fault) for fault in found.gate],
        "replay": dict(found.replay),
        "unread": dict(found.unread),
        "window": {
            "first_day": found.window.first_day.isoformat(),
            "last_day": found.window.last_day.isoformat(),
        },
    }


def _change_row(change: Change, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "what": change.what,
        "id": change.id,
        "name": names.get(change.id),
        "change": change.change,
        "operation": change.operation,
        "plane": change.plane,
        "scope": change.scope,
        "role_assignment_ids": list(change.role_assignment_ids),
        "detail": change.detail,
    }


def _faults(found: Verification) -> Iterator[Change]:
    """Yield what cannot be proved, as changes are told: assignments, and then roles."""
    for proof in found.failed:
        id_ = proof.role_assignment_id
        yield Change("proof", id_, "failed", str(proof.witness), role_assignment_ids=(id_,))
    for fault in found.gate:
        yield Change("role", fault.role, "failed", fault.detail)


def _refusal(found: Verification) -> RightsizeError | None:
    """Return why the plan is refused: staleness first, since changes explain most failed proofs."""
    if found.changes:
        counted = Counter(change.what for change in found.changes)
        said = ", ".join(f"{number} {_NOUNS[what][number > 1]}" for what, number in counted.items())
        return EvidenceError(
            f"the plan is stale: {said}", hint="make a new one with `rightsize propose`, and review the differences"
        )
    if found.failed:
        first = found.failed[0]
        return GateError(
            f"{len(found.failed)} of {len(found.proofs)} changes cannot be proved, the first is for assignment "
            f"`{first.role_assignment_id}`: {first.witness}",
            hint="the store has not changed, so somebody changed the plan: do not apply it",
        )
    if found.gate:
        role = found.gate[0]
        return GateError(
            f"{len(found.gate)} reasons speak against new roles, the first is for `{role.role}`: {role.detail}",
            hint="somebody changed the roles or their evidence: do not apply the plan",
        )
    return None
