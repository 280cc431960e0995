"""Say what a deployment takes, whether a principal would be refused it, and the smallest roles that grant it.

Nothing is deployed, and a store is only read. Whether a principal may is decided as `can` decides it, by the same
listings: what may be allowed by one that is not complete is unknown.

For each resource group, or the scope above it, existing roles are taken that grant all of it and nothing more, at most
three. Else it is one role with hardly more: what it has beyond, reads apart, is less than a fiftieth of what a
Contributor has, and gives no privilege. Else it is a new role with just these operations.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from rightsize.analyze.inputs import Inputs, read_tree
from rightsize.iac.deployed.deployments import Change, group_of, subscription_of
from rightsize.iac.deployed.documents import FORMS_HINT, Need, needs_of, not_known, read_deployment
from rightsize.iac.templates import NOTHING_BESIDE, Beside
from rightsize.mining.programs import smallest_cover
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_given
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import to_arm
from rightsize.model.text import Folded, fold
from rightsize.propose.core import role_catalog
from rightsize.propose.core.operation_sets import index_operations
from rightsize.propose.core.role_catalog import KnownRole, RoleBook, open_role_book
from rightsize.propose.selection.candidates import Atoms, CandidateIndex
from rightsize.propose.selection.cases import MOST_ROLES, NARROW
from rightsize.rbac.assignments import CONTRIBUTOR, OWNER
from rightsize.rbac.scopes import parse_scope
from rightsize.rules.resource_types import gives_privilege
from rightsize.rules.tables import risk_weights
from rightsize.store.connection import open_store
from rightsize.workflow.answers import access
from rightsize.workflow.answers.vaults import is_about_vaults, vault_notes
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
    for path in files:
        if path.is_dir():
            raise InputError(f"cannot read `{path}`: it is a folder", hint=FORMS_HINT)
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


_NAMESPACE = uuid.UUID("5f0dcd53-8a3c-5d6c-9c1d-6a4f0a3f1d44")


@dataclass(frozen=True, slots=True)
class NeededRole:
    """A role that a deployment takes at a scope.

    Attributes:
        role: The role; an existing one has no permissions here.
        scope: Where it has to be assigned.
        is_new: Whether nothing loaded has it.
        operations: The operations of the deployment that it grants there.
        beyond: How many other operations of the catalogue it grants.
    """

    role: RoleDefinition
    scope: str
    is_new: bool
    operations: tuple[str, ...]
    beyond: int


def places_of(needs: Iterable[Need]) -> dict[str, list[str]]:
    """Return the operations by the scope where a role for them is assigned: the resource group, or what is above."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    spelt: dict[str, str] = {}
    for need in needs:
        place = _place_of(need.scope)
        found[spelt.setdefault(place.lower(), place)].setdefault(need.operation.lower(), need.operation)
    return {place: sorted(operations.values()) for place, operations in sorted(found.items())}


def _place_of(scope: str) -> str:
    if "/resourcegroups/" in scope.lower():
        return group_of(scope)
    if scope.lower().startswith("/subscriptions/"):
        return subscription_of(scope)
    above, provider, _ = scope.partition("/providers/Microsoft.Management/managementGroups/")
    return "/".join(scope.split("/")[:5]) if provider and not above else "/"


def choose_roles(needs: Sequence[Need], name: str, inputs: Inputs | None) -> list[NeededRole]:
    """Return the roles for needs, at each scope where one has to be assigned.

    Args:
        needs: What a deployment takes.
        name: The name for a new role; a second one has its scope in its name, too.
        inputs: The tables of a store with roles; None makes new roles only.
    """
    found: list[NeededRole] = []
    named: dict[tuple[str, ...], str] = {}
    places = places_of(needs)
    book = _book(inputs, places.values()) if inputs is not None else None
    for place in sorted(places, key=lambda one: (-len(places[one]), one)):
        operations = places[place]
        existing = _existing(book, inputs, place, operations) if book is not None and inputs is not None else []
        if existing:
            found += existing
            continue
        content = tuple(operations)
        called = named.setdefault(content, name if not named else f"{name} at {place.rsplit('/', 1)[-1]}"[:128])
        found.append(NeededRole(_new_role(called, content, [place]), place, True, content, 0))
    return _merged(found)


def _new_role(name: str, operations: Sequence[str], scopes: Sequence[str]) -> RoleDefinition:
    role_id = Folded(str(uuid.uuid5(_NAMESPACE, f"{name}\n" + "\n".join(operations))))
    said = "What a deployment takes, read from its code."
    return RoleDefinition(
        role_id, name, (PermissionBlock(actions=tuple(operations)),), "CustomRole", said, tuple(scopes)
    )


def _merged(found: Sequence[NeededRole]) -> list[NeededRole]:
    """Return the roles, each new one with all scopes where it is assigned."""
    scopes: dict[str, list[str]] = defaultdict(list)
    for one in found:
        if one.is_new:
            scopes[one.role.role_name].append(one.scope)
    return [
        NeededRole(
            _new_role(one.role.role_name, one.operations, scopes[one.role.role_name]),
            one.scope,
            True,
            one.operations,
            0,
        )
        if one.is_new
        else one
        for one in found
    ]


def _book(inputs: Inputs, needed: Iterable[Sequence[str]]) -> RoleBook:
    named = sorted({operation for operations in needed for operation in operations})
    catalogue = inputs.operations.filter(~pl.col("is_data_action").fill_null(False))
    names = pl.concat([catalogue["operation"], pl.Series("operation", named, dtype=pl.String)]).unique()
    operations = pl.DataFrame({"operation": names}).with_columns(plane=pl.lit("control"), in_catalogue=pl.lit(True))
    return open_role_book(inputs, index_operations(operations, inputs.role_operations))


def _existing(book: RoleBook, inputs: Inputs, place: str, operations: Sequence[str]) -> list[NeededRole]:
    """Return existing roles that grant the operations and hardly anything beside; none if there are none."""
    owner = Folded(OWNER)
    if owner not in book.roles:
        return []
    wanted = book.index.mask(("control", fold(one)) for one in operations)
    need = role_catalog.Need(wanted)
    candidates = CandidateIndex(book, Atoms.of([need], book), read_tree(inputs.scopes, inputs.scopes["scope"]))
    custom = candidates.assignable_at(Folded(fold(place)))
    exact = [one.role for one in candidates.fitting((owner,), custom, wanted, wanted, is_exact=True)]
    cover = smallest_cover(wanted, [role.certain for role in exact], MOST_ROLES)
    if cover is not None:
        return [_taken(exact[number], place, wanted, book) for number in cover]
    weights = _weights(book, inputs)
    whole = book.roles.get(Folded(CONTRIBUTOR))
    narrow = []
    for one in candidates.fitting((owner,), custom, wanted, wanted):
        beyond = one.role.granted & ~wanted & ~book.index.reads
        privileged = any(gives_privilege(name) for _, name in book.index.members(beyond))
        if one.kind == "own" or wanted & ~one.role.certain or privileged or whole is None:
            continue
        weight = _weigh(beyond, weights)
        if NARROW * weight < _weigh(whole.granted & ~book.index.reads, weights):
            narrow.append((weight, one.role.role_name, one.role))
    return [_taken(min(narrow)[2], place, wanted, book)] if narrow else []


def _weights(book: RoleBook, inputs: Inputs) -> Mapping[int, int]:
    known, risks = (
        risk_weights(),
        dict(inputs.operations.select(pl.col("operation").str.to_lowercase(), "risk").iter_rows()),
    )
    return {bit: known.get(risks.get(key) or "change", 1) for (plane, key), bit in book.index.bits.items() if plane}


def _weigh(mask: int, weights: Mapping[int, int]) -> int:
    return sum(weight for bit, weight in weights.items() if mask >> bit & 1)


def _taken(role: KnownRole, place: str, wanted: int, book: RoleBook) -> NeededRole:
    kind: Literal["BuiltInRole", "CustomRole"] = "BuiltInRole" if role.is_builtin else "CustomRole"
    granted = tuple(name for _, name in book.index.members(role.certain & wanted))
    beyond = (role.granted & ~wanted).bit_count()
    return NeededRole(RoleDefinition(role.role_definition_id, role.role_name, (), kind), place, False, granted, beyond)
