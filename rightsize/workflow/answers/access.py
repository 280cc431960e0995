"""Answer `can` and `who-can` questions about effective access from the store.

The tables are read once and indexed, so thousands of questions cost little more than one.

Roles of the service decide about the data of some resources. They answer by what no listing of role assignments has.
So a question about their data is `unknown` by roles, whatever roles grant. `rules/resource_settings.csv` has the
settings that say so. Of a key vault the policies are loaded with it, and answer (`vaults`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.lacks import Lack, sentence_of
from rightsize.analyze.reasons import UnobservableReason
from rightsize.analyze.vaults import Vault
from rightsize.analyze.verdicts.resource_logs import AZURE_ROLES, KEYS, REPOSITORY_ROLES, kind_at, setting_facts
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_json_lines
from rightsize.model.nouns import PLANES
from rightsize.model.progress import through
from rightsize.model.text import fold
from rightsize.rbac.access import STRENGTH
from rightsize.rbac.scopes import Scope, parse_scope
from rightsize.rules.operations import classify
from rightsize.rules.vaults import VAULT
from rightsize.store.connection import Store, open_store
from rightsize.workflow.analysis.find_analysis import require_content
from rightsize.workflow.answers.vaults import VaultAnswers, woken
from rightsize.workflow.names import AskedNames
from rightsize.workflow.tenant_access import AccessQuestion, Person, TenantAccess, read_tenant_access

_LISTED = "SELECT * FROM resources WHERE scope = $scope"
_INSTEAD: Mapping[str, str] = {
    "microsoft.keyvault/managedhsms": "local roles decide about the keys of `{}`, and not Azure roles: "
    "`az keyvault role assignment list --hsm-name NAME` lists them",
    "microsoft.containerservice/managedclusters": "`{}` does not use Azure RBAC for Kubernetes: its own roles decide",
    "microsoft.containerregistry/registries": "`{}` decides for the whole registry, and not by repository: "
    "ask for `Microsoft.ContainerRegistry/registries/pull/read` or `push/write`",
}
_OTHERS = "roles and accounts of the service decide about the data of `{}`, and not Azure roles"


class BesideRoles:
    """What decides instead of roles, by resource; each is looked up once."""

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store
        self._reasons: dict[str, str | None] = {}
        self._at_endpoint: dict[str, bool] = {}

    def reason(self, operation: str, plane: str, scope: Scope) -> str | None:
        """Return why roles decide nothing about an operation at a scope, one sentence; None where they decide."""
        kind = kind_at(scope.key)
        if kind in (None, VAULT) or not (plane == "data" or self._runs_at_endpoint(operation)):
            return None
        resource = "/".join(scope.key.split("/")[:9])
        if resource not in self._reasons:
            self._reasons[resource] = self._read(resource, kind)
        return self._reasons[resource]

    def _read(self, resource: str, kind: str) -> str | None:
        listed = self._store.frame(_LISTED, {"scope": resource})
        if listed.is_empty():
            row = {"scope": resource, "resource_type": kind}
            listed = pl.DataFrame([row | dict.fromkeys(set(listed.columns) - row.keys())], schema=listed.schema)
        facts = set(setting_facts(Inputs.of(resources=listed)).select("fact", "answer").iter_rows())
        if facts.isdisjoint({(AZURE_ROLES, "no"), (REPOSITORY_ROLES, "no")}):
            return None
        keys = ["keys or local accounts open it, too"] if (KEYS, "yes") in facts else []
        return "; ".join([_INSTEAD.get(kind, _OTHERS).format(resource), *keys])

    def _runs_at_endpoint(self, operation: str) -> bool:
        name = fold(operation)
        if name not in self._at_endpoint:
            judged = classify(pl.DataFrame({"operation": [name], "is_data_action": [False]}))
            self._at_endpoint[name] = judged["unobservable_reason"][0] == UnobservableReason.DATA_ENDPOINT.value
        return self._at_endpoint[name]


UNKNOWN = "unknown"
"""The answer where roles decide nothing, where a listing may allow what nothing loaded allows, and to a question of a
batch that names what nothing loaded knows."""
_DENIES_LOADED = "SELECT 1 FROM loads WHERE source = 'deny_assignments' LIMIT 1"
_NO_DENIES = "no listing of deny assignments is loaded: less may be allowed than this says"


@dataclass(slots=True)
class Answers:
    """Answers in the order of their questions.

    Attributes:
        rows: One row a question, as the JSON contract has it. `unknown` says why an answer is that, and `lacks` has the
            listings to blame, each with the command that gets it.
        notes: What a reader has to know beside them, one sentence each.
        names: Display names of the principals and groups in them; those without a name are absent.
    """

    rows: list[dict[str, Any]]
    notes: list[str]
    names: Mapping[str, str]

    @property
    def lacks(self) -> list[dict[str, Any]]:
        """Return the listings that make answers unknown, each once."""
        found = {(lack["listing"], lack["of"]): lack for row in self.rows for lack in row["lacks"]}
        return list(found.values())

    @property
    def misnamed(self) -> int:
        """Return the number of questions that name what nothing loaded knows."""
        return sum(row["plane"] is None and not row["lacks"] for row in self.rows)


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
    of_named: bool = False,
) -> Answers:
    """Answer questions from the store; a `no` that a listing may contradict is `unknown`.

    Args:
        db: The store.
        questions: The questions.
        as_of: Count only assignments that are in force then; without it all count.
        strict: A principal, operation or scope that nothing loaded knows, or whose name several have, is an error;
            without `strict`, the answer to its question is `unknown`, with the error and its hint under `unknown`.
        of_named: Of an id that no listing and no log names a `no` is `unknown`, too: who asks may have made it up.

    Raises:
        EvidenceError: The store has no assignments.
        InputError: A scope is none; or `strict` is set, and nothing knows a scope or an operation.
        UsageError: `strict` is set, and no loaded principal has the name, or several have.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        tenant = read_tenant_access(store.table, as_of=as_of)
        asked, beside, vaults = AskedNames(store, tenant), BesideRoles(store), VaultAnswers(store, tenant)
        rows = [
            _answer(asked, tenant, beside, vaults, question, strict=strict, of_named=of_named)
            for question in through(questions, "asking", "questions")
        ]
        notes = [*tenant.notes(), *asked.scopes.notes(), *_on_denies(store, tenant, rows)]
    return Answers(rows, notes, _names(tenant.people, rows))


def _answer(
    asked: AskedNames,
    tenant: TenantAccess,
    beside: BesideRoles,
    vaults: VaultAnswers,
    question: AccessQuestion,
    *,
    strict: bool,
    of_named: bool,
) -> dict[str, Any]:
    """Return the row of a question, with the scope that it names."""
    try:
        if not question.is_of_code:
            asked.check_operation(question.operation)
        question = replace(question, scope=asked.scopes.find(question.scope))
        row = tenant.answer(question, strict=True)
    except (InputError, UsageError) as error:
        if strict:
            raise
        said = "; ".join(filter(None, (error.message, error.hint)))
        return _undecided(_about(question.principal, question), said)
    # A `no` without a known plane is one for each plane that it may be.
    planes = tenant.planes_of(question.operation, question.plane) if row["allowed"] == "no" else (row["plane"],)
    place = parse_scope(row["scope"])
    reasons = (beside.reason(row["operation"], plane, place) for plane in planes)
    if reason := next(filter(None, reasons), None):
        return _undecided(row, reason)
    vault = vaults.beside_roles(place) if "data" in planes else None
    if vault is not None:
        if vault.lack is not None:
            return _undecided(row, vault.lack.text, [vault.lack])
        row |= {"plane": "data"} | vaults.decide(vault, row["operation"], row["principal_id"])
    if row["allowed"] != "no" or row["denied_by"]:
        return row | {"unknown": None, "lacks": []}
    if of_named and tenant.is_stranger(question.principal):
        return _undecided(row, f"no loaded listing or log names `{question.principal}`")
    if question.is_above and tenant.may_below(row["principal_id"], question.operation, planes, place):
        return _undecided(row, "it may at a scope below: the code does not say which resource it is")
    by_roles = [plane for plane in planes if vault is None or plane != "data"]
    lacks = tenant.lacks(question.operation, by_roles, place, row["principal_id"]) if by_roles else []
    lacks += vaults.lacks(vault, row["operation"], row["principal_id"]) if vault is not None else []
    if not lacks:
        return row | {"unknown": None, "lacks": []}
    return row | {"allowed": UNKNOWN, "unknown": sentence_of(lacks), "lacks": [lack.row() for lack in lacks]}


def _undecided(row: Mapping[str, Any], reason: str, lacks: Sequence[Lack] = ()) -> dict[str, Any]:
    """Return the row of a question whose answer is not known, with what decides instead or the listings to blame."""
    return {
        **row,
        "allowed": UNKNOWN,
        "because": [],
        "denied_by": [],
        "depends_on_reading": False,
        "unknown": reason,
        "lacks": [lack.row() for lack in lacks],
    }


def _about(principal_id: str | None, question: AccessQuestion) -> dict[str, Any]:
    """Return what a row says of its question where no plane is known."""
    return {
        "principal_id": principal_id,
        "operation": question.operation,
        "scope": question.scope,
        "plane": None,
    }


def who_can(
    db: Path,
    operation: str,
    scope: str,
    *,
    plane: str | None = None,
    as_of: dt.datetime | None = None,
) -> Answers:
    """Return all principals that an assignment allows an operation at a scope, conditional and eligible ones included.

    Groups are listed beside their members; principals that a deny assignment refuses are left out. Where roles decide
    nothing, the answer for each of them is `unknown`. Where a listing may have further ones, the last row is `unknown`,
    without a principal, and names the listing.

    Raises:
        EvidenceError: The store has no assignments.
        InputError: Nothing knows the scope or the operation.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        tenant = read_tenant_access(store.table, as_of=as_of)
        asked, beside, vaults = AskedNames(store, tenant), BesideRoles(store), VaultAnswers(store, tenant)
        asked.check_operation(operation)
        scope = asked.scopes.find(scope)
        place = parse_scope(scope)
        planes = tenant.planes_of(operation, plane)
        instead = {one: reason for one in planes if (reason := beside.reason(operation, one, place)) is not None}
        rows = [
            _undecided(row, instead[row["plane"]]) if row["plane"] in instead else row
            for row in _holders(tenant, AccessQuestion("", operation, scope, plane))
        ]
        more = list(instead.values())
        vault = vaults.beside_roles(place) if "data" in planes else None
        if vault is not None:
            rows, woken_up = _by_policies(vaults, vault, tenant, rows, operation, scope)
            more += woken_up
        tenant.unread.update(tenant.reaching_unread(place))
        notes = [*more, *tenant.notes(), *asked.scopes.notes(), *_on_denies(store, tenant, rows)]
    return Answers(rows, notes, _names(tenant.people, rows))


def _by_policies(
    vaults: VaultAnswers,
    vault: Vault,
    tenant: TenantAccess,
    rows: list[dict[str, Any]],
    operation: str,
    scope: str,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows at a vault where roles do not decide, and a note on whom they would let in after a switch.

    Of an operation that is one of Resource Manager, too, the rows of who may call it there stay.
    """
    others = [row for row in rows if row["plane"] == "control"]
    data = [row for row in rows if row["plane"] == "data"]
    about = {"operation": operation, "scope": scope, "plane": "data"}
    nobody: dict[str, Any] = {"principal_id": None, "principal_type": None, "name": None} | about
    if vault.lack is not None:
        who_else = _undecided(nobody, f"who else may: {vault.lack.text}", [vault.lack])
        return [*others, *(_undecided(row, vault.lack.text, [vault.lack]) for row in data), who_else], []
    found = []
    for principal_id in vaults.holders(vault, operation):
        kind, name = tenant.people.get(principal_id, (None, None))
        who = {"principal_id": principal_id, "principal_type": kind, "name": name} | about
        found.append(who | vaults.decide(vault, operation, principal_id) | {"unknown": None, "lacks": []})
    found.sort(key=lambda row: (-STRENGTH[row["allowed"]], row["principal_id"]))
    lacks = vaults.lacks(vault, operation)
    rest = [_undecided(nobody, f"who else may: {sentence_of(lacks)}", lacks)] if lacks else []
    return [*others, *found, *rest], woken(vault, data, operation)


def _holders(tenant: TenantAccess, question: AccessQuestion) -> list[dict[str, Any]]:
    """Return a row for everybody who may do what a question asks, and one for who is not known."""
    operation, place = question.operation, parse_scope(question.scope)
    planes = tenant.planes_of(operation, question.plane)
    found = sorted({holder for one in planes for holder in tenant.access.holders(operation, one, place)})
    rows = []
    for principal_id in found:
        row = tenant.answer(replace(question, principal=principal_id), strict=False)
        if row["allowed"] != "no":
            kind, name = tenant.people.get(principal_id, (None, None))
            more: dict[str, Any] = {"unknown": None, "lacks": []}
            rows.append({"principal_id": principal_id, "principal_type": kind, "name": name} | row | more)
    rows.sort(key=lambda row: (-STRENGTH[row["allowed"]], row["principal_id"]))
    lacks = tenant.lacks(operation, planes, place)
    if lacks:
        said = f"who else may: {sentence_of(lacks)}"
        rows.append(_undecided({"principal_type": None, "name": None} | _about(None, question), said, lacks))
    return rows


def _on_denies(store: Store, tenant: TenantAccess, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a note where what is allowed may be denied by an assignment that is not loaded."""
    allowed = {str(row["scope"]) for row in rows if row["allowed"] in STRENGTH and row["allowed"] != "no"}
    if not allowed:
        return []
    if not _has_denies(store):
        return [_NO_DENIES]
    lacks = [lack for scope in sorted(allowed) for lack in tenant.listings.of_denies(parse_scope(scope))]
    return [f"less may be allowed than this says: {sentence_of(lacks)}"] if lacks else []


def _has_denies(store: Store) -> bool:
    return store.has_rows("deny_assignments") or bool(store.rows(_DENIES_LOADED))


def _names(people: Mapping[str, Person], rows: list[dict[str, Any]]) -> dict[str, str]:
    ids = {row["principal_id"] for row in rows} - {None}
    ids |= {group for row in rows for reason in row["because"] for group in reason["via"]}
    return {found: name for found in ids if (name := people.get(found, (None, None))[1])}
