"""Choose the smallest roles that grant what a deployment takes: existing ones first, as a plan chooses, else new ones.

For each resource group, or the scope above it, existing roles are taken that grant all of it and nothing more, at most
three. Else it is one role with hardly more: what it has beyond, reads apart, is less than a fiftieth of what a
Contributor has, and gives no privilege. Else it is a new role with just these operations.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from rightsize.analyze.inputs import Inputs, read_tree
from rightsize.iac.deployed.deployments import group_of, subscription_of
from rightsize.iac.deployed.needs import Need
from rightsize.mining.programs import smallest_cover
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.propose.core import role_catalog
from rightsize.propose.core.operation_sets import index_operations
from rightsize.propose.core.role_catalog import KnownRole, RoleBook, open_role_book
from rightsize.propose.selection.candidates import Atoms, CandidateIndex
from rightsize.propose.selection.cases import MOST_ROLES, NARROW
from rightsize.rbac.assignments import CONTRIBUTOR, OWNER
from rightsize.rbac.text import Folded, fold
from rightsize.rules.resource_types import gives_privilege
from rightsize.rules.tables import risk_weights

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
