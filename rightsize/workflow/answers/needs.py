"""Say what a deployment takes, whether a principal would be refused it, and the smallest roles that grant it.

Nothing is deployed, and a store is only read. Whether a principal may is decided as `can` decides it, by the same
listings: what may be allowed by one that is not complete is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rightsize.analyze.inputs import Inputs
from rightsize.iac.deployed.deployments import Change
from rightsize.iac.deployed.documents import read_deployment
from rightsize.iac.deployed.needs import Need, needs_of, not_known
from rightsize.iac.templates import NOTHING_BESIDE, Beside
from rightsize.model.errors import UsageError
from rightsize.model.file_reading import read_given
from rightsize.model.role_forms import to_arm
from rightsize.rbac.scopes import parse_scope
from rightsize.store.connection import open_store
from rightsize.workflow.answers import access
from rightsize.workflow.answers.needed_roles import NeededRole, choose_roles
from rightsize.workflow.answers.vault_changes import is_about_vaults, vault_notes
from rightsize.workflow.roles.sources import beside_file
from rightsize.workflow.tenant_access import AccessQuestion

ALLOWED, REFUSED, UNKNOWN = "yes", "no", "unknown"
Answer = Literal["allowed", "refused", "unknown"]
_ROLE_TABLES = ("role_definitions", "role_permissions", "role_operations", "operations", "scopes")


@dataclass(slots=True)
class DeploymentNeeds:
    """What files deploy, and what this takes.

    Attributes:
        needs: The operations, each once for a scope and a resource.
        files: For each of them the file that it comes from.
        not_known: What the files, or no rule, say: one sentence each.
        answers: For each need whether the principal may; None where no principal is asked about.
        roles: The smallest roles; None where none is asked for.
        notes: What a reader has to know beside the answers.
        vaults: The key vaults and access policies that the files write.
    """

    needs: list[Need]
    files: list[str]
    not_known: list[str]
    answers: list[dict[str, Any]] | None = None
    roles: list[NeededRole] | None = None
    notes: list[str] = field(default_factory=list)
    vaults: list[Change] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each need, with the answer where a principal is asked about."""
        rows = [
            asdict(need) | {"only_if": need.only_if or None, "file": file}
            for need, file in zip(self.needs, self.files, strict=True)
        ]
        if self.answers is None:
            return rows
        said = ("allowed", "because", "denied_by", "unknown", "lacks")
        return [row | {name: answer[name] for name in said} for row, answer in zip(rows, self.answers, strict=True)]

    @property
    def missing(self) -> list[dict[str, Any]]:
        """The needs that would certainly be refused."""
        return [row for row in self.rows() if row.get("allowed") == REFUSED and not row["only_if"]]

    @property
    def undecided(self) -> list[dict[str, Any]]:
        """The needs of which it is not known whether they would be refused, or which take an activation first."""
        decided = {REFUSED, ALLOWED}
        return [
            row
            for row in (self.rows() if self.answers is not None else ())
            if row["allowed"] not in decided or (row["allowed"] == REFUSED and row["only_if"])
        ]

    @property
    def answer(self) -> Answer | None:
        """Whether all of it is allowed; None where no principal is asked about."""
        if self.answers is None:
            return None
        return "refused" if self.missing else "unknown" if self.undecided or self.not_known else "allowed"


def read_needs(files: Sequence[Path], *, at: str = "", parameters: Path | None = None) -> DeploymentNeeds:
    """Return what files deploy and what this takes.

    Args:
        files: Templates, Bicep files, what-if output, plans or states; `-` is stdin.
        at: The scope of the deployment, where a file does not say it.
        parameters: A file with the parameters of a template.

    Raises:
        InputError: A file cannot be read, or deploys nothing.
        UsageError: There is no file, or the scope is none.
    """
    if not files:
        raise UsageError("a file is needed", hint="`rightsize needs FILE…`")
    values = read_given(parameters) if parameters is not None else None
    return _found([(read_given(path), str(path), beside_file(path)) for path in files], at, values)


def read_needs_of(content: bytes, name: str, *, at: str = "") -> DeploymentNeeds:
    """Return what a document deploys and what this takes, without any file beside it; its name tells Bicep.

    Raises:
        InputError: It cannot be read, or deploys nothing.
        UsageError: The scope is none.
    """
    return _found([(content, name, NOTHING_BESIDE)], at, None)


def _found(documents: Sequence[tuple[bytes, str, Beside]], at: str, values: bytes | None) -> DeploymentNeeds:
    place = parse_scope(at).text if at else ""
    needs: dict[tuple[str, str, str], tuple[Need, str]] = {}
    said: list[str] = []
    vaults: list[Change] = []
    for content, name, beside in documents:
        deployment = read_deployment(content, name, beside, place, values)
        for need in needs_of(deployment):
            needs.setdefault((need.scope.lower(), need.operation.lower(), need.resource), (need, name))
        said += not_known(deployment)
        vaults += filter(is_about_vaults, deployment.changes)
    found = [needs[key] for key in sorted(needs)]
    unknown = list(dict.fromkeys(said))
    return DeploymentNeeds([one for one, _ in found], [file for _, file in found], unknown, vaults=vaults)


def judge_vaults(db: Path, found: DeploymentNeeds) -> None:
    """Add what the files do to the access to key vaults, where a store is there to compare with."""
    if found.vaults and db.exists():
        with open_store(db, read_only=True) as store:
            found.notes += vault_notes(store, found.vaults)


def answer_needs(db: Path, found: DeploymentNeeds, principal: str) -> None:
    """Add whether a principal may perform each operation where a deployment takes it.

    Raises:
        EvidenceError: The store has no assignments.
        UsageError: No loaded principal has the name, or several have.
    """
    questions = list(map(_question, found.needs, [principal] * len(found.needs)))
    asked = [one for one in questions if one is not None]
    answers = access.can(db, asked, strict=False) if asked else None
    rows: Iterator[dict[str, Any]] = iter(answers.rows if answers is not None else ())
    found.answers = [next(rows) if one is not None else _nowhere() for one in questions]
    stranger = next((row["unknown"] for row in found.answers if row.get("plane", "") is None and row["unknown"]), None)
    if stranger is not None and all(row.get("plane", "") is None for row in found.answers):
        raise UsageError(stranger)
    found.notes += [note for note in (answers.notes if answers is not None else ()) if not _is_about_code(note)]


def _is_about_code(note: str) -> bool:
    """Return whether a note only says that a resource or an operation of the code is not in the store yet."""
    return note.startswith(("nothing loaded names", "the catalogue does not know the plane"))


def _question(need: Need, principal: str) -> AccessQuestion | None:
    """Return the question whether a principal may; None where not even the subscription is known."""
    scope = known_scope(need.scope)
    if scope is None:
        return None
    is_above = "{" in need.scope
    return AccessQuestion(principal, need.operation, scope, "control", is_of_code=True, is_above=is_above)


def known_scope(scope: str) -> str | None:
    """Return the part of a scope that the code says, and that is a scope itself; None where there is none."""
    known, cut, _ = scope.partition("{")
    if not cut:
        return scope
    parts = known.split("/")[:-1]
    if len(parts) < 3 or parts[1].lower() != "subscriptions":
        return None
    # An id has a type and a name by turns: below the resource group after the name of the provider.
    length = len(parts) - (len(parts) - 7) % 2 if len(parts) > 8 else 5 if len(parts) > 4 else 3
    while length > 5 and parts[length - 2].lower() == "providers":
        length -= 2
    return "/".join(parts[:length])


def _nowhere() -> dict[str, Any]:
    return {
        "allowed": UNKNOWN,
        "because": [],
        "denied_by": [],
        "unknown": "the file does not say in which subscription: give `--at SCOPE`",
        "lacks": [],
    }


def add_roles(db: Path, found: DeploymentNeeds, name: str) -> None:
    """Add the smallest roles that grant what a deployment takes; without a store, new ones only."""
    inputs = None
    if db.exists():
        with open_store(db, read_only=True) as store:
            inputs = Inputs.of(**{table: store.table(table) for table in _ROLE_TABLES})
    needs = [need for need in found.needs if not need.only_if]
    found.roles = choose_roles(needs, name, inputs)
    if inputs is None or inputs.role_definitions.is_empty():
        found.notes.append("no store with roles is here, so that no existing role was considered")


def role_rows(roles: Sequence[NeededRole]) -> list[dict[str, Any]]:
    """Return a row for each role at a scope."""
    return [
        {
            "role_name": one.role.role_name,
            "is_new": one.is_new,
            "scope": one.scope,
            "operations": len(one.operations),
            "beyond": one.beyond,
        }
        for one in roles
    ]


def new_roles(roles: Sequence[NeededRole]) -> list[dict[str, Any]]:
    """Return the definitions of the new roles, each once, as ARM has them."""
    found = {one.role.role_definition_id: one.role for one in roles if one.is_new}
    return [to_arm(role) for role in found.values()]
