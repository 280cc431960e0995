"""Answer `can` and `who-can` questions about effective access from the store.

The tables are read once and indexed, so thousands of questions cost little more than one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rightsize.model.errors import InputError, UsageError
from rightsize.model.progress import through
from rightsize.rbac.access import STRENGTH
from rightsize.rbac.permissions import PLANES
from rightsize.rbac.scopes import parse_scope
from rightsize.store.connection import Store, open_store
from rightsize.workflow.asked_names import AskedNames
from rightsize.workflow.content import require_content
from rightsize.workflow.tenant_access import AccessQuestion, Person, TenantAccess, read_tenant_access
from rightsize.workflow.text_files import read_json_lines

UNKNOWN = "unknown"
"""The answer to a question of a batch that names what nothing loaded knows."""
_DENIES_LOADED = "SELECT 1 FROM loads WHERE source = 'deny_assignments' LIMIT 1"


@dataclass(slots=True)
class Answers:
    """Answers in the order of their questions.

    Attributes:
        rows: One row a question, as the JSON contract has it.
        notes: What a reader has to know beside them, one sentence each.
        names: Display names of the principals and groups in them; those without a name are absent.
        gaps: What is not loaded and may allow what a `no` denies, one sentence each; empty where nobody asked for it.
        has_denies: Whether a listing of deny assignments is loaded; without one, less may be allowed than a `yes` says.
    """

    rows: list[dict[str, Any]]
    notes: list[str]
    names: Mapping[str, str]
    gaps: list[str]
    has_denies: bool


def read_questions(path: Path, plane: str | None) -> list[AccessQuestion]:
    """Return the questions of a file of JSON lines `{"principal_id", "operation", "scope"}`, `-` being stdin.

    Args:
        path: The file. A line may have a `plane` of its own.
        plane: The plane for lines without one.

    Raises:
        InputError: A line is not a question.
    """
    questions = []
    for number, line in read_json_lines(path):
        asked = [line.get(name) for name in ("principal_id", "operation", "scope")]
        own_plane = line.get("plane") or plane
        if not all(isinstance(text, str) for text in asked) or own_plane not in (None, *PLANES):
            raise InputError(
                f"line {number} of `{path}` is not a question",
                hint='a line is `{"principal_id": "…", "operation": "…", "scope": "…"}`, perhaps with `plane`',
            )
        questions.append(AccessQuestion(line["principal_id"], line["operation"], line["scope"], own_plane))
    return questions


def can(
    db: Path,
    questions: Sequence[AccessQuestion],
    *,
    as_of: dt.datetime | None = None,
    strict: bool = False,
    with_gaps: bool = False,
) -> Answers:
    """Answer questions from the store.

    Args:
        db: The store.
        questions: The questions.
        as_of: Count only assignments that are in force then; without it all count.
        strict: A principal, operation or scope that nothing loaded knows, or whose name several have, is an error;
            without `strict`, the answer to its question is `unknown`, with the error and its hint under `unknown`.
        with_gaps: Whether to look for what is not loaded and may allow more at the scopes of the answers.

    Raises:
        EvidenceError: The store has no assignments.
        InputError: A scope is none; or `strict` is set, and nothing knows a scope or an operation.
        UsageError: `strict` is set, and no loaded principal has the name, or several have.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        tenant = read_tenant_access(store.table, as_of=as_of)
        asked = AskedNames(store, tenant)
        rows = [
            _answer(asked, tenant, question, strict=strict) for question in through(questions, "asking", "questions")
        ]
        has_denies = _has_denies(store)
    places = [parse_scope(row["scope"]) for row in rows if row["allowed"] != UNKNOWN] if with_gaps else []
    gaps = tenant.gaps(places) if with_gaps else []
    return Answers(rows, tenant.notes(), _names(tenant.people, rows), gaps, has_denies)


def _answer(asked: AskedNames, tenant: TenantAccess, question: AccessQuestion, *, strict: bool) -> dict[str, Any]:
    """Return the row of a question, with the scope that it names."""
    try:
        asked.check_operation(question.operation)
        row = tenant.answer(replace(question, scope=asked.scopes.find(question.scope)), strict=True)
    except (InputError, UsageError) as error:
        if strict:
            raise
        return {
            "principal_id": question.principal,
            "operation": question.operation,
            "scope": question.scope,
            "plane": None,
            "allowed": UNKNOWN,
            "because": [],
            "denied_by": [],
            "depends_on_reading": False,
            "unknown": "; ".join(filter(None, (error.message, error.hint))),
        }
    return row if strict else row | {"unknown": None}


def who_can(
    db: Path,
    operation: str,
    scope: str,
    *,
    plane: str | None = None,
    as_of: dt.datetime | None = None,
    with_gaps: bool = False,
) -> Answers:
    """Return all principals that an assignment allows an operation at a scope, conditional and eligible ones included.

    Groups are listed beside their members; principals that a deny assignment refuses are left out. `with_gaps` is as
    for `can`.

    Raises:
        EvidenceError: The store has no assignments.
        InputError: Nothing knows the scope or the operation.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        tenant = read_tenant_access(store.table, as_of=as_of)
        asked = AskedNames(store, tenant)
        asked.check_operation(operation)
        scope = asked.scopes.find(scope)
        has_denies = _has_denies(store)
    place = parse_scope(scope)
    planes = tenant.planes_of(operation, plane)
    found = sorted({holder for one in planes for holder in tenant.access.holders(operation, one, place)})
    rows = []
    for principal_id in found:
        row = tenant.answer(AccessQuestion(principal_id, operation, scope, plane), strict=False)
        if row["allowed"] != "no":
            kind, name = tenant.people.get(principal_id, (None, None))
            rows.append({"principal_id": principal_id, "principal_type": kind, "name": name} | row)
    rows.sort(key=lambda row: (-STRENGTH[row["allowed"]], row["principal_id"]))
    tenant.unread.update(tenant.reaching_unread(place))
    gaps = tenant.gaps([place]) if with_gaps else []
    return Answers(rows, tenant.notes(), _names(tenant.people, rows), gaps, has_denies)


def _has_denies(store: Store) -> bool:
    return store.has_rows("deny_assignments") or bool(store.rows(_DENIES_LOADED))


def _names(people: Mapping[str, Person], rows: list[dict[str, Any]]) -> dict[str, str]:
    ids = {row["principal_id"] for row in rows}
    ids |= {group for row in rows for reason in row["because"] for group in reason["via"]}
    return {found: name for found in ids if (name := people.get(found, (None, None))[1])}
