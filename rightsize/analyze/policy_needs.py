"""Read which roles the identities of Azure Policy need, from the definitions of their policy assignments.

An identity that deploys or modifies for a policy does so when a resource turns up that does not comply, which may be
months after the last time; its need is what the definitions say. The need is known only where the assignment, its
definition and, for a set, every definition in it are loaded, in the version that the assignment asks for.
Source: Microsoft Learn, "Remediate noncompliant resources with Azure Policy" and "Azure Policy assignment structure".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.text import place_of
from rightsize.rbac.text import fold

_OF_ASSIGNMENT = "/providers/microsoft.authorization/policyassignments/"


@dataclass(frozen=True, slots=True)
class PolicyNeed:
    """The roles that one policy assignment needs for its identity.

    Attributes:
        policy_assignment_id: Its resource id, folded.
        place: Its folded scope.
        name: Its name for people.
        roles: Folded ids of the roles that its definitions name, each with the definition that does; None where
            something is not loaded.
    """

    policy_assignment_id: str
    place: str
    name: str
    roles: Mapping[str, str] | None


def read_policy_needs(inputs: Inputs) -> dict[str, tuple[PolicyNeed, ...]]:
    """Return, for the folded id of each identity, the needs of the policy assignments that name it.

    An identity whose own description names a policy assignment that is not loaded has a need that is not known.
    """
    definitions = {row["policy_definition_id"]: row for row in inputs.policy_definitions.iter_rows(named=True)}
    found: dict[str, list[PolicyNeed]] = defaultdict(list)
    table = inputs.policy_assignments.with_columns(place=place_of(inputs.policy_assignments["scope"]))
    for row in table.sort("policy_assignment_id").iter_rows(named=True):
        need = PolicyNeed(
            row["policy_assignment_id"],
            row["place"] or "",
            row["display_name"] or row["policy_assignment_id"].rsplit("/", 1)[-1],
            _roles_of(row["policy_definition_id"], row["definition_version"], definitions),
        )
        for principal in row["principal_ids"] or ():
            found[fold(principal)].append(need)
    for principal, own in _described(inputs):
        if own not in {need.policy_assignment_id for need in found[principal]}:
            found[principal].append(PolicyNeed(own, "", own.rsplit("/", 1)[-1], None))
    return {principal: tuple(found[principal]) for principal in sorted(found)}


def _described(inputs: Inputs) -> Iterator[tuple[str, str]]:
    """Yield the identities that the directory describes as those of policy assignments, with these."""
    for principal, names in inputs.principals.select("principal_id", "alternative_names").iter_rows():
        for name in names or ():
            if _OF_ASSIGNMENT in fold(name):
                yield fold(principal), fold(name).strip(" ").rstrip("/")


def _roles_of(
    definition_id: str | None, version: str | None, definitions: Mapping[str, Mapping[str, Any]]
) -> dict[str, str] | None:
    """Return the roles that a definition or a set names, or None where they are not all known."""
    definition = definitions.get(definition_id or "")
    if definition is None or not _is_that_version(version, definition["version"]):
        return None
    if not definition["is_set"]:
        roles = definition["role_definition_ids"]
        return None if roles is None else {fold(role): definition["display_name"] or "" for role in roles}
    found: dict[str, str] = {}
    members = zip(definition["member_ids"] or (), definition["member_versions"] or (), strict=True)
    for member, member_version in members:
        inner = definitions.get(member)
        roles = None if inner is None or inner["is_set"] else _roles_of(member, member_version, definitions)
        if roles is None:
            return None
        found |= roles
    return found


def _is_that_version(wanted: str | None, loaded: str | None) -> bool:
    """Return whether the loaded version has the major version that is asked for, or either is not known."""
    return not wanted or not loaded or wanted.split(".", 1)[0] == loaded.split(".", 1)[0]
