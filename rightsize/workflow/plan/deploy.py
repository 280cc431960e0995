"""Write an existing plan in other forms: files that teams deploy, a pull-request comment, rows, and names of roles.

`python -m rightsize.workflow.plan.deploy DIR…` writes a page of the names of all new roles in plan folders.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.model.errors import UsageError
from rightsize.model.plan import Plan, Proposal
from rightsize.model.role_forms import to_arm
from rightsize.model.text import fold
from rightsize.propose.verify.review import ReviewablePlan, plan_of, standings
from rightsize.render.comment import write_comment
from rightsize.render.deploy.contents import DeployContents, Today, contents_of
from rightsize.render.deploy.files import ROLE_FORMATS, deploy_files
from rightsize.render.folder import write_folder
from rightsize.render.rows import write_markdown
from rightsize.store.connection import Store, open_if_there, open_store
from rightsize.workflow.names import names_in, proposals_called, spellings_in
from rightsize.workflow.plan.review import accepted_of, read_review, steps_in
from rightsize.workflow.plan_folder import plan_file, read_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers

COMMENT_FORM = "markdown"


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The names of the written files, and the roles and assignments they make."""

    files: list[str]
    contents: DeployContents


def write_deployment(
    db: Path, plan: Path, out: Path, forms: Collection[str], review: Path | None = None, signers: Signers = ANYBODY
) -> DeployResult:
    """Write the roles and assignments of a plan into a folder of their own.

    Args:
        db: The store, which has the types of principals.
        plan: The plan folder, or its `plan.json`.
        out: The folder that is written, not the plan's own.
        forms: Names from `render.deploy.files.PLAN_FORMS`.
        review: A file of decisions; only accepted proposals are written.
        signers: Whose signature the plan must have.

    Raises:
        UsageError: The folder is the plan's.
        EvidenceError: No proposal is accepted.
        InputError: The plan cannot be read, a form cannot express it, or decisions contradict each other or have ended.
    """
    if out.resolve() == plan_file(plan).parent.resolve():
        raise UsageError("`--out` is the folder of the plan", hint="name another folder with --out")
    read = plan_of(read_plan_folder(plan, signers))
    if COMMENT_FORM in forms:
        raise UsageError("markdown is a comment, not a form to deploy", hint="`rightsize plan comment PLAN` writes it")
    only = None if review is None else accepted_of(read, review, dt.datetime.now(dt.UTC).date())
    with open_store(db, read_only=True) as store:
        names = names_in(store, read)
        tables = ("principals", "role_definitions", "role_assignments")
        inputs = Inputs.of(**{name: store.table(name) for name in tables})
        contents = contents_of(read, today_of(store, inputs, read, names), only)
    roles = {f"roles/{role.slug}.json": ROLE_FORMATS["json"].write_role(role.definition) for role in contents.roles}
    return DeployResult(write_folder({**roles, **deploy_files(contents, forms)}, out), contents)


def comment_on(db: Path, plan: Path, review: Path | None = None, signers: Signers = ANYBODY) -> str:
    """Return a plan as a comment on a pull request, with names from the store where there is one.

    Args:
        db: The store.
        plan: The plan folder, or its `plan.json`.
        review: A file of decisions, to show the status of each proposal.
        signers: Whose signature the plan must have.

    Raises:
        InputError: The plan or the decisions cannot be read.
    """
    read = plan_of(read_plan_folder(plan, signers))
    states = None
    if review is not None:
        found = standings(read, read_review(review), dt.datetime.now(dt.UTC).date())
        states = {one.proposal.id: str(one.state) for one in found}
    with open_if_there(db) as store:
        return write_comment(read, names_in(store, read), states, steps_in(store, read))


def today_of(store: Store, inputs: Inputs, plan: Plan, names: Mapping[str, str]) -> Today:
    """Return what the store says of today, for the files of a plan.

    Args:
        store: The store, for the spelling of scopes.
        inputs: Its tables of principals, roles and assignments.
        plan: The plan.
        names: Display names by id.
    """
    roles, assignments = inputs.role_definitions["role_definition_id"], inputs.role_assignments["role_assignment_id"]
    scopes = [place.scope for one in plan.proposals for place in one.assignments]
    scopes += [str(one.evidence["scope"]) for one in plan.proposals if "scope" in one.evidence]
    existing = [*roles.drop_nulls(), *assignments.drop_nulls()]
    return Today(types_of(inputs.principals), names, existing, spellings_in(store, scopes))


def types_of(principals: pl.DataFrame) -> dict[str, str]:
    """Return the type of each principal by its folded id."""
    rows = principals.select("principal_id", "principal_type").iter_rows()
    return {fold(id_): kind or "User" for id_, kind in rows}


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
    with open_if_there(db) as store:
        names = names_in(store, read)
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


_COLUMNS = ("name", "actions", "used", "most used")


def names_table(read: ReviewablePlan) -> str:
    """Return the new roles of a plan as a Markdown table, by name."""
    rows = []
    for id_, role in read.roles.items():
        summary = read.evidence[fold(id_)].get("summary") or {}
        used = summary.get("most_used") or ()
        actions = [text for block in role.permissions for text in (*block.actions, *block.data_actions)]
        rows.append(
            {
                "name": role.role_name,
                "actions": len(actions),
                "used": summary.get("used", 0),
                "most used": used[0]["action"] if used else f"none; holds {actions[0]}",
            }
        )
    rows.sort(key=lambda row: (fold(str(row["name"])), str(row["name"])))
    return write_markdown(rows, _COLUMNS)


def names_page(folders: Sequence[Path]) -> Iterator[str]:
    """Yield a section for each plan folder: its name and the table of its new roles."""
    for folder in folders:
        read = read_plan_folder(folder)
        yield f"### {folder.name}: {len(read.roles):,} new roles\n\n{names_table(read)}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(names_page([Path(name) for name in sys.argv[1:]])))
