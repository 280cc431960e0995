"""Make the frames of the Python interface, each with its columns also where it has no row; and a plan in its folder."""

from __future__ import annotations

import datetime as dt
import shutil
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.api.results import Place, VerifyAnswer, explained, path_of
from rightsize.model import plan as model
from rightsize.model.errors import UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan_totals import NextSteps
from rightsize.propose.verify.review import ReviewablePlan, plan_of
from rightsize.render.plan import proposal_document
from rightsize.store.connection import open_if_there
from rightsize.store.merging.loads import MergedFile
from rightsize.workflow.names import names_in
from rightsize.workflow.plan.propose import proposal_rows
from rightsize.workflow.plan.review import steps_in
from rightsize.workflow.plan.verify import verify_plan
from rightsize.workflow.plan_folder import copy_plan_folder, plan_file, read_plan_folder
from rightsize.workflow.signatures import Signers

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

_COUNTS: Schema = dict.fromkeys(("granted", "used", "unused", "unobservable", "out_of_coverage"), pl.Int64)
_SCORES: Schema = {**_COUNTS, "creep": pl.Float64, "risk": pl.Float64, "bucket": pl.String}
BY_PRINCIPAL: Schema = {
    "principal_id": pl.String,
    "plane": pl.String,
    **_SCORES,
    "name": pl.String,
    "principal_type": pl.String,
}
BY_ASSIGNMENT: Schema = {
    "role_assignment_id": pl.String,
    "state": pl.String,
    "plane": pl.String,
    **_SCORES,
    "principal_id": pl.String,
    "name": pl.String,
    "role_name": pl.String,
    "scope": pl.String,
}
ANALYSED: Mapping[str, Schema] = {"principal": BY_PRINCIPAL, "assignment": BY_ASSIGNMENT}
_REASON = pl.Struct(
    {
        "role_assignment_id": pl.String,
        "role_name": pl.String,
        "scope": pl.String,
        "via": pl.List(pl.String),
        "condition": pl.String,
        "state": pl.String,
    }
)
HOLDERS: Schema = {
    "principal_id": pl.String,
    "principal_type": pl.String,
    "name": pl.String,
    "operation": pl.String,
    "scope": pl.String,
    "plane": pl.String,
    "allowed": pl.String,
    "because": pl.List(_REASON),
    "denied_by": pl.List(pl.String),
    "depends_on_reading": pl.Boolean,
    "unknown": pl.String,
}
NEEDED: Schema = {
    **dict.fromkeys(("operation", "scope", "resource", "rule", "only_if"), pl.String),
    "privilege": pl.Boolean,
    "file": pl.String,
}
ANSWERED: Schema = {
    **NEEDED,
    "allowed": pl.String,
    "because": pl.List(_REASON),
    "denied_by": pl.List(pl.String),
    "unknown": pl.String,
}
DECLARED: Schema = {"path": pl.String, **dict.fromkeys(("read", "new", "duplicate"), pl.Int64)}
FILES: Schema = {
    "path": pl.String,
    "source": pl.String,
    **dict.fromkeys(("read", "new", "duplicate", "rejected", "unused_record", "late"), pl.Int64),
}
_ASSIGNMENT = pl.Struct(
    dict.fromkeys(("role", "scope", "principal_id", "condition", "state", "end_on"), pl.String),
)
REACHED: Schema = {
    **{name: kind for name, kind in schema_of("reach").items() if name != "basis"},
    **dict.fromkeys(("cells_used", "cells_proposed", "identities_proposed"), pl.Int64),
    "name": pl.String,
    "complete": pl.Boolean,
}
CONTROLS: Schema = {
    **dict.fromkeys(("severity", "control", "status"), pl.String),
    **dict.fromkeys(("failing", "unknown"), pl.Int64),
    "passed": pl.Boolean,
    **dict.fromkeys(("exempt", "known"), pl.Int64),
    "title": pl.String,
}
FINDINGS: Schema = {
    **dict.fromkeys(
        ("severity", "control", "status", "subject", "resource", "scope", "principal_id", "reason", "exempt_until"),
        pl.String,
    ),
    "known": pl.Boolean,
    "fingerprint": pl.String,
}
PROPOSALS: Schema = {
    "id": pl.String,
    "plane": pl.String,
    "kind": pl.String,
    "principal_id": pl.String,
    "principal": pl.String,
    "role": pl.String,
    "scope": pl.String,
    "role_assignment_id": pl.String,
    "assignments": pl.List(_ASSIGNMENT),
    "excess_before": pl.Float64,
    "excess_after": pl.Float64,
    "risk_before": pl.Float64,
    "risk_after": pl.Float64,
    "break_probability_30d": pl.Float64,
    "break_bound_30d": pl.Float64,
    "is_proved": pl.Boolean,
    "reason": pl.String,
    "rank": pl.Int64,
    "share": pl.Float64,
}
CURVE: Schema = {
    "custom_roles": pl.Int64,
    "excess": pl.Float64,
    "assignments": pl.Int64,
}
ADVICE: Schema = {"subject": pl.String, "text": pl.String}
FAULTS: Schema = {
    **dict.fromkeys(("what", "id", "name", "change", "operation", "plane", "scope"), pl.String),
    "role_assignment_ids": pl.List(pl.String),
    "detail": pl.String,
}


def frame_of(rows: Iterable[Mapping[str, Any]], schema: Schema) -> pl.DataFrame:
    """Return rows as a frame with the columns of a schema; further values of a row are left out."""
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema, orient="row")


def files_of(files: Iterable[MergedFile]) -> pl.DataFrame:
    """Return the counts of loaded files as a frame, in their order."""
    return frame_of(map(asdict, files), FILES)


def frame_of_table(rows: Iterable[Mapping[str, Any]], table: str) -> pl.DataFrame:
    """Return rows as a frame with the columns of a table of the store."""
    return frame_of(rows, schema_of(table))


def frame_of_answer(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the answer to a statement as a frame; the type of a column is that of its values."""
    # Every value is looked at: a map of the first row says nothing about those of others.
    return pl.DataFrame([pl.Series(name, [_plain(row[name]) for row in rows], strict=False) for name in columns])


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


class Plan:
    """A plan: the smallest role assignments that would have allowed the observed use.

    `Store.propose` makes one, `read_plan` reads one. A plan is always in a folder, since its tables of evidence may be
    larger than memory. Without `out`, `Store.propose` writes it into a temporary folder, which is deleted with the
    object.

    Examples:
        >>> import rightsize
        >>> plan = rightsize.read_plan("plan", rightsize.open("tenant.duckdb", read_only=True))
        >>> plan.proposals.select("principal", "role", "kind").rows()
        [('mei@example.com', 'Contributor', 'custom'), ('pat@example.com', 'Reader', 'keep')]
    """

    def __init__(self, folder: Path, db: Path | None = None, *, is_private: bool = False) -> None:
        self._folder = folder
        self._db = db
        if is_private:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __repr__(self) -> str:
        """Return the folder, as text."""
        return f"<Plan in {str(self._folder)!r}>"

    @property
    def folder(self) -> Path:
        """The folder with its files: `plan.json`, `roles/`, `evidence/` and `summary.html`."""
        return self._folder

    @cached_property
    def proposals(self) -> pl.DataFrame:
        """One row for each proposal: changes in the order of `Store.next_steps`, then what stays, most excess first.

        | column | is |
        |---|---|
        | `id`, `plane`, `kind` | as in `plan.json` |
        | `principal_id`, `principal` | the holder of today's assignment, and its name where the store has one |
        | `role`, `scope`, `role_assignment_id` | today's role by its name, its scope, and the id of the assignment |
        | `assignments` | the assignments to make: a list of `{role, scope, principal_id, condition, state, end_on}` |
        | `excess_before`, `excess_after` | unneeded permissions, weighted by risk |
        | `risk_before`, `risk_after` | all permissions, weighted by risk |
        | `break_probability_30d`, `break_bound_30d` | the chance that the change breaks something within 30 days, and \
its upper bound, 0 to 1 |
        | `is_proved` | whether it grants all observed use, and nothing beyond today's grant |
        | `reason` | why, as the reasons of `plan.json` |
        | `rank`, `share` | the place among all steps, and the share of what can be removed; null for no change |

        Names come from the tenant: escape them in HTML and Markdown.
        """
        whole = {one.id: one for one in self._plan.all_proposals}
        rows = proposal_rows(self._plan, self._names, self._steps)
        return frame_of((row | _said(whole[row["id"]]) for row in rows), PROPOSALS)

    @property
    def roles(self) -> tuple[RoleDefinition, ...]:
        """The new roles that it introduces.

        Examples:
            >>> import rightsize
            >>> [block.actions for role in rightsize.read_plan("plan").roles for block in role.permissions]
            [('Microsoft.Compute/virtualMachines/start/action',)]
        """
        return tuple(one.definition for one in self._plan.roles)

    @property
    def advice(self) -> pl.DataFrame:
        """One row for each step that only people can take: `subject`, `text`."""
        return frame_of(self._document["advice"], ADVICE)

    @property
    def curve(self) -> pl.DataFrame:
        """The excess that stays with each number of new roles: one row a number, the highest number first.

        Columns: `custom_roles` (the number of new roles), `excess` (unneeded permissions that stay, weighted by risk),
        `assignments`.
        """
        return frame_of(self._plan.curve, CURVE)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that it was made with, as `generated_from.options` of `plan.json`."""
        found: Mapping[str, Any] = self._plan.generated_from["options"]
        return found

    @property
    def window(self) -> tuple[dt.date, dt.date]:
        """The first and the last day of the observation window."""
        window = self._plan.generated_from["window"]
        return dt.date.fromisoformat(window["first_day"]), dt.date.fromisoformat(window["last_day"])

    def write(self, folder: Place) -> list[str]:
        """Copy the files of the plan into a folder, unchanged; return their names, sorted.

        Files of an earlier plan in that folder are deleted unless somebody changed them since, and other files stay.

        Args:
            folder: The folder; it is created where it is missing.

        Raises:
            InputError: The folder cannot be written.
            UsageError: The plan is in this folder already.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> files = rightsize.read_plan("plan", store).write("copy")
            >>> "plan.json" in files, bool(rightsize.read_plan("copy", store).verify())
            (True, True)
        """
        out = Path(folder)
        if out.exists() and out.samefile(self._folder):
            raise UsageError(f"the plan stands in `{folder}` already")
        return copy_plan_folder(self._folder, out)

    def verify(
        self,
        *,
        signers: Place | None = None,
        signer: str | None = None,
        prover: Literal["smt"] | None = None,
    ) -> VerifyAnswer:
        """Prove the plan again on the store of today, and check its folder against its chain of hashes.

        A plan is stale if an assignment, role definition, membership or deny assignment that it read has changed, or if
        the logs show use that it does not cover. This is `rightsize plan verify`, but a refused plan is an answer
        and not an exception.

        Args:
            signers: A file of accepted signers: OpenSSH's allowed signers, or a public key of minisign.
            signer: The one signer whose signature is required.
            prover: `smt` also asks Z3 what the proofs rest on; it needs the extra `prover`.

        Raises:
            UsageError: The plan was read without a store, or the solver is not installed.
            InputError: Files of the folder are missing or altered, or the store no longer exists.
            GateError: The plan is not signed by a required signer.
        """
        if self._db is None:
            raise UsageError("the plan was read without a store", hint="rightsize.read_plan(folder, store)")
        if prover not in (None, "smt"):
            raise UsageError(f"`prover={prover}` is not a solver that is known", hint="give smt")
        with explained():
            result = verify_plan(
                self._db, self._folder, signers=Signers(path_of(signers), signer), with_solver=prover is not None
            )
        return VerifyAnswer(
            is_stale=bool(result.document["stale"]),
            faults=frame_of(result.rows, FAULTS),
            refusal=result.refusal,
            summary=result.summary,
            notes=tuple(result.notes),
        )

    @cached_property
    def _read(self) -> ReviewablePlan:
        return read_plan_folder(self._folder)

    @property
    def _document(self) -> Mapping[str, Any]:
        return self._read.document

    @cached_property
    def _plan(self) -> model.Plan:
        return plan_of(self._read)

    @cached_property
    def _names(self) -> dict[str, str]:
        with explained(), open_if_there(self._db) as store:
            return names_in(store, self._plan)

    @cached_property
    def _steps(self) -> NextSteps:
        with explained(), open_if_there(self._db) as store:
            return steps_in(store, self._plan)


def open_plan(folder: Place, db: Path | None) -> Plan:
    """Return the plan in a folder, which may be named by its `plan.json`; `db` is the store that it is about.

    Raises:
        InputError: There is no plan, or the file is not a plan.
    """
    plan = Plan(plan_file(Path(folder)).parent, db)
    _ = plan.window
    return plan


def _said(proposal: model.Proposal) -> dict[str, Any]:
    """Return the columns of a proposal that tables for people do not have."""
    return {
        "assignments": [{"end_on": None, **one} for one in proposal_document(proposal)["assignments"]],
        "risk_before": proposal.risk_before,
        "risk_after": proposal.risk_after,
        "is_proved": proposal.proof.holds,
    }
