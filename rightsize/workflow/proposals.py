"""List the proposals of a written plan as rows, without the store's or the plan's being changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rightsize.model.errors import UsageError
from rightsize.model.plan import Plan, Proposal
from rightsize.model.role_forms import to_arm
from rightsize.propose.verify.review import plan_of
from rightsize.rbac.text import fold
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.plan_names import names_in, proposals_called
from rightsize.workflow.signatures import ANYBODY, Signers


def list_proposals(
    db: Path,
    plan: Path,
    *,
    principal: str | None = None,
    kind: str | None = None,
    proposal: str | None = None,
    signers: Signers = ANYBODY,
) -> dict[str, Any]:
    """Return the proposals of a plan, in the order of the plan.

    Args:
        db: The store, for names; it need not exist.
        plan: The plan folder, or its `plan.json`.
        principal: Only those of a holder: its id or its display name.
        kind: Only those of a kind, such as `custom`.
        proposal: Only this one, by its id or a unique beginning; it comes with its evidence and the new roles.
        signers: Whose signature the plan must have.

    Returns:
        window, content_hash: What the plan was made from.
        proposals: The rows; `roles` has the new roles of the one that was asked for, as ARM has them.

    Raises:
        InputError: There is no plan, or the file is none.
        UsageError: No proposal has the id, or none is of the holder or kind.
    """
    read = plan_of(read_plan_folder(plan, signers))
    names = names_in(db, read)
    wanted = set() if proposal is None else set(proposals_called(read, [proposal]))
    chosen = [
        one
        for one in read.all_proposals
        if (not wanted or one.id in wanted)
        and (kind is None or str(one.kind) == kind)
        and (principal is None or _is_of(one, principal, names))
    ]
    if not chosen and (principal is not None or kind is not None):
        raise UsageError("no proposal of the plan is of this holder and kind", hint="ask without them for all")
    return {
        "window": read.generated_from["window"],
        "content_hash": read.generated_from["content_hash"],
        "proposals": [_row(one, names, with_evidence=bool(wanted)) for one in chosen],
        "roles": _roles_of(chosen, read) if wanted else [],
    }


def _is_of(proposal: Proposal, principal: str, names: dict[str, str]) -> bool:
    asked = fold(principal)
    return any(asked in (fold(id_), fold(names.get(id_, ""))) for id_ in proposal.principal_ids)


def _row(one: Proposal, names: dict[str, str], *, with_evidence: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "proposal": one.id,
        "kind": str(one.kind),
        "plane": one.plane,
        "principal_id": one.principal_ids[0],
        "principal": names.get(one.principal_ids[0]),
        "role": names.get(str(one.evidence["role"]), str(one.evidence["role"])),
        "scope": one.evidence["scope"],
        "replaces": list(one.replaces),
        "assignments": [
            {
                "role": names.get(planned.role, planned.role),
                "role_definition_id": planned.role,
                "scope": planned.scope,
                "state": planned.state,
                "condition": planned.condition,
            }
            for planned in one.assignments
        ],
        "reason": one.reason,
        "excess_before": one.excess_before,
        "excess_after": one.excess_after,
        "break_probability_30d": one.break_probability_30d,
        "is_proved": one.proof.holds,
        "witness": one.proof.witness,
    }
    return row | {"evidence": dict(one.evidence)} if with_evidence else row


def _roles_of(chosen: list[Proposal], plan: Plan) -> list[dict[str, Any]]:
    """Return the new roles that proposals assign."""
    assigned = {planned.role for one in chosen for planned in one.assignments}
    return [to_arm(role.definition) for role in plan.roles if role.definition.role_definition_id in assigned]
