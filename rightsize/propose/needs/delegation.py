"""Limit principals that assign roles to the roles and principal types that their logged requests name.

Today's grant usually lets such a principal assign any role to any principal, itself included. The plan replaces it with
the built-in role Role Based Access Control Administrator, if today's grant contains that role. A condition limits the
role and the principal type that a request may name. If the request bodies in the log are incomplete, nothing is
constrained, and the proposal says why.
Source: Microsoft Learn, "Delegate Azure access management to others" (the role, the condition, who may have one) and
"Authorization actions and attributes" (a write is judged by its request, a delete by the assignment).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.verdicts.usage import DELETE, WRITE
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.needs.assignments import KEY, Key, Subject
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.holders import GROUP_SEGMENTS
from rightsize.propose.needs.profiles import Profile

ADMINISTRATOR = Folded("f58310d9-a9f6-439a-9e8d-f62e7b41a168")
"""The built-in role Role Based Access Control Administrator."""

_LONGEST = 8_000
"""Azure takes conditions of 8 KB (Microsoft Learn: Azure role assignment conditions, FAQ)."""

WHY_UNCONSTRAINED = {
    "own_condition": "today's assignment has a condition of its own, which the plan keeps unchanged",
    "not_contained": "today's assignment does not grant all of Role Based Access Control Administrator",
    "only_deletes": "it only deleted assignments, and Role Based Access Control Administrator could create them",
    "out_of_coverage": "some days have no log, and it may have assigned other roles on them",
    "no_body": "the log does not show for each of its requests which role it assigned",
    "too_long": f"the condition would be longer than {_LONGEST:,} characters, and Azure accepts 8 KB",
    "assigned_there": "Azure accepts one assignment of a role for a principal at a scope: add the condition to today's",
}
"""The reason why a principal may still assign any role, one sentence a word."""

_ATTRIBUTE = "Microsoft.Authorization/roleAssignments:"

_SAID = 3
"""Maximum number of roles that a reason names; if there are more, it gives their number."""

Allowed = tuple[tuple[Folded, tuple[str, ...]], ...]
"""Roles, folded and sorted, each with the types of principals that may get it; an empty tuple allows all types."""

_Call = tuple[Folded, Folded, Folded | None, str | None]
"""(place, operation, role, principal type) of a call to assign a role."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """The roles that one principal may assign in one area.

    Attributes:
        assigns: The roles that it may assign.
        removes: The roles whose assignments it may delete: the same, and those that it was seen to delete.
        calls: The number of distinct calls that show this.
    """

    assigns: Allowed
    removes: Allowed
    calls: int

    @property
    def condition(self) -> str:
        """The condition of the assignment, in the form that the portal writes."""
        return f"{_clause('write', 'Request', self.assigns)} AND {_clause('delete', 'Resource', self.removes)}"

    def as_json(self, names: Mapping[Folded, str]) -> dict[str, Any]:
        """Return the delegation in the JSON form of a proposal."""
        return {
            "role": ADMINISTRATOR,
            "may_assign": _allowed_json(self.assigns, names),
            "may_take_away": _allowed_json(self.removes, names),
            "calls": self.calls,
            "meaning": "it may assign the roles that its requests named, to the types of principals that they named; "
            "a role without types is for all types, because one of its requests named none",
        }


@dataclass(frozen=True, slots=True)
class Delegations:
    """The delegations found in the log, and the facts that decide where they can be used.

    Attributes:
        write: The operation that makes role assignments, as a set.
        operations: The operations that make and delete role assignments.
        found: By (folded principal, area), the roles that the principal assigned there. A principal whose requests do
            not all show their role is left out.
        containing: The roles assigned today that grant everything that the administrator role grants.
        held: (folded principal, folded place) with an active assignment of the administrator role today.
    """

    write: int = 0
    operations: int = 0
    found: Mapping[tuple[Folded, Folded], Delegation] = field(default_factory=dict)
    containing: frozenset[Folded] = frozenset()
    held: frozenset[tuple[Folded, Folded]] = frozenset()

    def of(self, demand: GrantRequest, profile: Profile | None) -> Delegation | str:
        """Return the delegation for a demand, or a word of `WHY_UNCONSTRAINED`; empty if it assigns no roles."""
        needed = demand.need.operations & self.operations
        if not needed:
            return ""
        open_ = profile.hidden | profile.open | profile.linked if profile is not None else self.operations
        found = self.found.get((demand.principal_id, area_of(demand.place)))
        if demand.subject.condition is not None:
            return "own_condition"
        if demand.subject.role_definition_id not in self.containing:
            return "not_contained"
        if not needed & self.write:
            return "only_deletes"
        if needed & open_:
            return "out_of_coverage"
        if found is None or not found.assigns:
            return "no_body"
        return found if len(found.condition) <= _LONGEST else "too_long"


def area_of(place: Folded) -> Folded:
    """Return the area of one condition: the resource group of a folded place, or the place if it is wider."""
    if not place.startswith("/subscriptions/"):
        return place
    return Folded("/".join(place.split("/")[: GROUP_SEGMENTS + 1]))


def read_delegations(
    placed: pl.DataFrame, requests: pl.DataFrame, subjects: Sequence[Subject], book: RoleBook
) -> Delegations:
    """Return the delegations that the uses that assign roles and their logged requests show.

    Args:
        placed: As `assignments.place_uses` returns it.
        requests: As `usage.read_role_requests` returns it.
        subjects: Today's assignments.
        book: The roles.
    """
    write = book.index.mask([("control", WRITE)])
    operations = write | book.index.mask([("control", DELETE)])
    administrator = book.roles.get(ADMINISTRATOR)
    if administrator is None or administrator.is_conditional:
        return Delegations(write, operations)
    held = {subject.role_definition_id for subject in subjects}
    return Delegations(
        write=write,
        operations=operations,
        found=_found(placed, requests, {subject.key: subject.principal_id for subject in subjects}),
        containing=frozenset(id_ for id_ in held if id_ in book.roles and book.is_contained(administrator, (id_,))),
        held=frozenset(
            (subject.principal_id, subject.place)
            for subject in subjects
            if subject.role_definition_id == ADMINISTRATOR and subject.state == "active"
        ),
    )


def _found(
    placed: pl.DataFrame, requests: pl.DataFrame, holders: Mapping[Key, Folded]
) -> dict[tuple[Folded, Folded], Delegation]:
    """Return the delegation of each principal and area; a member's calls count for the member and for the group."""
    uses = placed.filter(pl.col("name").is_in([WRITE, DELETE])).select(
        *KEY, "target", "place", operation="name", actor=pl.col("principal_id").fill_null("")
    )
    named = requests.rename({"principal_id": "actor"})
    shown = uses.join(named, on=["actor", "operation", "place"], how="left")
    rows: dict[tuple[Folded, Folded], set[_Call]] = defaultdict(set)
    columns = shown.select(*KEY, "actor", "target", "place", "operation", "role", "kind")
    for id_, state, actor, target, *call in columns.iter_rows():
        for principal in (actor, holders[id_, state]):
            rows[principal, area_of(target)].add(tuple(call))
    return {key: one for key, seen in rows.items() if (one := _delegation(seen)) is not None}


def _delegation(seen: set[_Call]) -> Delegation | None:
    """Return the delegation that calls show, or None if one of them does not show its role."""
    if any(role is None for _, _, role, _ in seen):
        return None
    written = {(role, kind) for _, operation, role, kind in seen if operation == WRITE}
    everything = {(role, kind) for _, _, role, kind in seen}
    return Delegation(_allowed(written), _allowed(everything), len({(place, name) for place, name, _, _ in seen}))


def _allowed(pairs: Iterable[tuple[Folded | None, str | None]]) -> Allowed:
    kinds: dict[Folded, set[str]] = defaultdict(set)
    for role, kind in pairs:
        kinds[role or Folded("")].add(kind or "")
    return tuple((role, () if "" in found else tuple(sorted(found))) for role, found in sorted(kinds.items()))


def _clause(verb: str, source: str, allowed: Allowed) -> str:
    """Return the part of the condition for one operation: true for other operations and for the allowed roles."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for role, kinds in allowed:
        alike[kinds].append(role)
    named = []
    for kinds, roles in sorted(alike.items()):
        text = f"@{source}[{_ATTRIBUTE}RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{', '.join(roles)}}}"
        if kinds:
            quoted = ", ".join(f"'{kind}'" for kind in kinds)
            text += f" AND @{source}[{_ATTRIBUTE}PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {{{quoted}}}"
        named.append(f"({text})")
    return f"((!(ActionMatches{{'Microsoft.Authorization/roleAssignments/{verb}'}})) OR {' OR '.join(named)})"


def describe_delegation(evidence: Mapping[str, Any]) -> list[str]:
    """Return the clause of a reason about the roles that may be assigned; empty if they are not constrained."""
    parts = (*evidence.get("privileged", ()), *evidence.get("separated", ()))
    found = [part["delegation"].get("may_assign", ()) for part in parts if "delegation" in part]
    named = {
        " to ".join(filter(None, (one["role_name"] or one["role"], ", ".join(one["principal_types"]))))
        for allowed in found
        for one in allowed
    }
    if not named:
        return []
    which = "; ".join(sorted(named)) if len(named) <= _SAID else f"the {len(named)} roles that the log shows it assign"
    return [f"it may assign only {which}"]


def _allowed_json(allowed: Allowed, names: Mapping[Folded, str]) -> list[dict[str, Any]]:
    return [{"role": role, "role_name": names.get(role, ""), "principal_types": list(kinds)} for role, kinds in allowed]
