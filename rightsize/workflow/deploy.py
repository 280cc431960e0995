"""Write an existing plan in the forms that teams deploy, or as a pull-request comment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rightsize.model.errors import UsageError
from rightsize.propose.verify.review import plan_of, standings
from rightsize.rbac.text import fold
from rightsize.render.comment import write_comment
from rightsize.render.deploy.contents import DeployContents, contents_of
from rightsize.render.deploy.files import ROLE_FORMATS, deploy_files
from rightsize.render.plan import write_folder
from rightsize.store.connection import open_store
from rightsize.workflow.next_steps import steps_in
from rightsize.workflow.plan_folder import plan_file, read_plan_folder
from rightsize.workflow.plan_names import names_in
from rightsize.workflow.review import accepted_of, read_review
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
        types = types_of(store.table("principals"))
    contents = contents_of(read, types, only)
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
    return write_comment(read, names_in(db, read), states, steps_in(db, read))


def types_of(principals: pl.DataFrame) -> dict[str, str]:
    """Return the type of each principal by its folded id."""
    rows = principals.select("principal_id", "principal_type").iter_rows()
    return {fold(id_): kind or "User" for id_, kind in rows}
