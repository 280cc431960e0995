"""Answer access questions from the tables of a store: resolve names, choose planes, note missing data.

`rbac.access` decides; this module gives it the tables, and collects the notes that a reader of the answers needs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.lacks import Lack, in_order
from rightsize.analyze.listings import Listings, parents_of
from rightsize.analyze.principals import resolve_principal
from rightsize.analyze.tenant import HeldAssignments, hold_assignments
from rightsize.analyze.verdicts.coverage import described_principals, open_groups
from rightsize.model.access_answers import ROLE_ASSIGNMENTS
from rightsize.model.errors import EvidenceError, InputError, UsageError
from rightsize.model.nouns import PLANES, Decision, DenyAssignment, PermissionBlock, Planes
from rightsize.model.role_forms import permissions_from_json
from rightsize.model.text import fold
from rightsize.rbac.access import STRENGTH, Access, AssignedRole, read_membership
from rightsize.rbac.expand import planes_spelling_out
from rightsize.rbac.permissions import read_permissions
from rightsize.rbac.scopes import MANAGEMENT_GROUPS, ROOT, Scope, lineage, parse_scope
from rightsize.rules.operations import planes_of

Person = tuple[str | None, str | None]
"""Type and display name of a principal."""

_TABLES = (
    "principals",
    "principal_aliases",
    "group_members",
    "group_closure",
    "group_schedule_instances",
    "listings",
    "scopes",
    "role_definitions",
    "role_assignments",
    "deny_assignments",
    "operations",
)


@dataclass(frozen=True, slots=True)
class AccessQuestion:
    """A question whether a principal may perform an operation at a scope; `plane` is used where no catalogue has it.

    `is_of_code` says that code asks it, by a rule that knows the operation; `is_above` that the resource is somewhere
    at or below the scope.
    """

    principal: str
    operation: str
    scope: str
    plane: str | None = None
    is_of_code: bool = False
    is_above: bool = False


@dataclass
class TenantAccess:
    """The tables of a tenant, indexed for access questions."""

    access: Access
    inputs: Inputs
    roles: Mapping[str, AssignedRole]
    tree: Mapping[str, str]
    held: HeldAssignments
    misplaced: Mapping[str, str] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    _strangers: set[str] = field(default_factory=set)
    _unlisted_operations: set[str] = field(default_factory=set)
    _rootless: set[str] = field(default_factory=set)
    _doubtful: set[str] = field(default_factory=set)
    _planes: dict[tuple[str, str | None], tuple[str, ...]] = field(default_factory=dict)
    _scopes: dict[str, Scope] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def answer(self, question: AccessQuestion, *, strict: bool) -> dict[str, Any]:
        """Return the row of one question, on the plane where the answer is strongest if the plane is not known."""
        principal_id = self._resolve(question.principal, strict=strict)
        scope = self._scope(question.scope)
        decisions = {
            plane: self.access.decide(principal_id, question.operation, plane, scope)
            for plane in self.planes_of(question.operation, question.plane)
        }
        plane = max(decisions, key=lambda one: STRENGTH[decisions[one].allowed])
        if decisions[plane].depends_on_reading:
            self._doubtful.add(question.operation)
        for assignment, _ in self.access.reaching(principal_id, scope):
            if fold(assignment.role_definition_id) not in self.roles:
                self.unread.add(assignment.role_assignment_id)
        return {
            "principal_id": principal_id,
            "operation": question.operation,
            "scope": question.scope,
            "plane": plane,
            **_said(decisions[plane]),
        }

    def planes_of(self, operation: str, asked: str | None) -> tuple[str, ...]:
        """Return the planes on which an operation is decided: as ARM says, else as the user says, else as roles say.

        Where no role spells it out either, both planes are returned.
        """
        key = (fold(operation), asked)
        if key not in self._planes:
            known = self.known_planes.get(key[0])
            if known is None and self.known_planes:
                self._unlisted_operations.add(operation)
            if known:
                self._planes[key] = (asked,) if asked in known else known
            else:
                spelt_out = planes_spelling_out((role.permissions for role in self.roles.values()), operation)
                self._planes[key] = (asked,) if asked else spelt_out or PLANES
        return self._planes[key]

    def may_below(self, principal_id: str, operation: str, planes: Iterable[str], scope: Scope) -> bool:
        """Return whether an assignment below a scope allows a principal, or a group of it, an operation there."""
        own = self.access.holders_of(principal_id)
        return any(
            holder in own and any(self.access.grants(assignment, operation, plane) for plane in planes)
            for holder, assignment in self.held.below(f"{scope.key.rstrip('/')}/")
        )

    def reaching_unread(self, scope: Scope) -> list[str]:
        """Return the assignments at a scope or above whose role is not loaded."""
        return [
            assignment.role_assignment_id
            for place in lineage(scope, self.tree)
            for held in self.held.get(place, {}).values()
            for assignment in held
            if fold(assignment.role_definition_id) not in self.roles
        ]

    def blocks_of(self, role_definition_id: str) -> tuple[PermissionBlock, ...]:
        """Return the permission blocks of a loaded role; none where it is not loaded."""
        return self._blocks.get(fold(role_definition_id), ())

    def blocks_called(self, name: str) -> tuple[PermissionBlock, ...]:
        """Return the permission blocks of the loaded role with a name or an id; InputError where there is not one."""
        wanted = fold(name)
        found = [id_ for id_, role in self.roles.items() if wanted in (id_, fold(role.role_name))]
        if len(found) != 1:
            raise InputError(
                f"{len(found) or 'no'} loaded roles are called `{name}`",
                hint="give the id of a role of the table `role_definitions`",
            )
        return self.blocks_of(found[0])

    @cached_property
    def _blocks(self) -> dict[str, tuple[PermissionBlock, ...]]:
        rows = self.inputs.role_definitions.select("role_definition_id", "permissions").iter_rows()
        return {fold(id_): permissions_from_json(permissions) for id_, permissions in rows}

    def notes(self) -> list[str]:
        """Return the notes that a reader needs beside the answers."""
        *absent, rootless = self._hiding()
        said = (
            *absent,
            (self._unlisted_operations, "the catalogue does not know the plane of {n}: {which}", "operation"),
            (
                self._doubtful,
                "Azure does not say whether `/*/` in a role or deny may stand for `/`, and the answer for {n} "
                "rests on it; it is the most that may be allowed: {which}",
                "operation",
            ),
            rootless,
        )
        return [_note(text, noun, found) for found, text, noun in said if found]

    def lacks(self, operation: str, planes: Iterable[str], scope: Scope, principal_id: str | None = None) -> list[Lack]:
        """Return the listings that are not complete and may allow an operation at a scope that nothing loaded allows.

        Args:
            operation: The operation.
            planes: The planes on which it is decided.
            scope: The scope.
            principal_id: To whom it is not allowed; None for anybody.
        """
        own = None if principal_id is None else self.access.holders_of(principal_id)
        planes = tuple(planes)
        found = list(self.listings.of_assignments(scope))
        for key in lineage(scope, self.tree):
            here = self.held.get(key, {})
            for holder, assignment in ((holder, one) for holder, some in here.items() for one in some):
                is_read = fold(assignment.role_definition_id) in self.roles
                if own is None or holder in own:
                    found += [] if is_read else [self.listings.of_role(fold(assignment.role_definition_id))]
                elif holder not in self.open_groups:
                    continue
                if holder in self.open_groups and (own is None or holder not in own):
                    may = not is_read or any(self.access.grants(assignment, operation, plane) for plane in planes)
                    found += [self.listings.of_group(holder)] if may else []
        return in_order([*found, *self._lost_assignments(own), *self._unknown_tree(operation, planes, scope, own)])

    def _lost_assignments(self, own: frozenset[str] | None) -> list[Lack]:
        """Return a lack for each assignment whose scope cannot be read: it may be anywhere."""
        return [
            Lack(ROLE_ASSIGNMENTS.name, ROOT, f"the scope of assignment `{id_}` cannot be read", None)
            for id_, holder in self.misplaced.items()
            if own is None or fold(holder) in own
        ]

    def _unknown_tree(
        self, operation: str, planes: Sequence[str], scope: Scope, own: frozenset[str] | None
    ) -> list[Lack]:
        """Return the lack of the management groups above a subscription, where an assignment at one may count."""
        subscription = f"/subscriptions/{scope.subscription_id}"
        if not scope.subscription_id or self.tree.get(subscription, ROOT) != ROOT:
            return []
        may = any(
            (own is None or holder in own) and any(self.access.grants(assignment, operation, plane) for plane in planes)
            for holder, assignment in self.held.below(MANAGEMENT_GROUPS)
        )
        command = "az account management-group show --name ROOT --expand --recurse -o json"
        why = "no listing of the management groups above it is loaded"
        return [Lack("management groups", subscription, why, command)] if may else []

    @cached_property
    def listings(self) -> Listings:
        """Return the listings that answers rest on."""
        return Listings(self.inputs.listings, self.tree)

    @cached_property
    def open_groups(self) -> frozenset[str]:
        """Return the groups whose members are not all loaded."""
        described = described_principals(self.inputs)
        groups = described.filter(pl.col("principal_type") == "Group")["principal_id"]
        return frozenset(open_groups(self.inputs)) & frozenset(groups)

    @cached_property
    def known_planes(self) -> Mapping[str, Planes]:
        """Return the planes of every operation where ARM or a role says them; a guess decides nothing."""
        operations = self.inputs.operations
        said = operations.filter(pl.col("is_data_action").is_not_null() & ~pl.col("is_guess").fill_null(False))
        rows = said.select(folded(pl.col("operation")), "is_data_action").iter_rows()
        return {name: planes_of(name, is_data_action=is_data) for name, is_data in rows}

    @cached_property
    def people(self) -> Mapping[str, Person]:
        """Return the type and display name of each principal."""
        name = pl.coalesce("user_principal_name", "display_name")
        rows = self.inputs.principals.select(folded(pl.col("principal_id")), "principal_type", name=name).iter_rows()
        return {principal_id: (kind, called) for principal_id, kind, called in rows}

    @cached_property
    def _ids(self) -> frozenset[str]:
        members = self.inputs.group_members
        holders = (self.inputs.principals["principal_id"], self.inputs.role_assignments["principal_id"])
        return frozenset(folded(pl.concat([*holders, members["member_id"], members["group_id"]]).drop_nulls().unique()))

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        aliases = self.inputs.principal_aliases
        return dict(aliases.select(folded(pl.col("alias")), folded(pl.col("principal_id"))).iter_rows())

    def _hiding(self) -> tuple[tuple[set[str], str, str], ...]:
        """Return what may hide access from an answer: the things, the note on them, and their noun."""
        rootless = self._rootless if self._has_group_assignments() else set[str]()
        return (
            (
                self.unread,
                "the role of {n} at or above the scope is not loaded, so {it} granted nothing: {which}",
                "assignment",
            ),
            (set(self.misplaced), "the scope of {n} cannot be read, so {it} granted nothing: {which}", "assignment"),
            (self._strangers, "no loaded listing or log names {n}: {which}", "principal"),
            (rootless, "no management group is loaded above {n}, so none counted: {which}", "subscription"),
        )

    def is_stranger(self, name: str) -> bool:
        """Return whether no loaded listing or log names a principal that was asked about."""
        return name in self._strangers

    def _resolve(self, name: str, *, strict: bool) -> str:
        if name not in self._names:
            self._names[name] = self._find(name, strict=strict)
        return self._names[name]

    def _find(self, name: str, *, strict: bool) -> str:
        dashed = _dashed(name)
        if dashed in self._ids:
            return dashed
        if dashed in self._aliases:
            return self._aliases[dashed]
        if dashed != fold(name) or _is_guid(dashed):
            self._strangers.add(name)
            return dashed
        try:
            return resolve_principal(self.inputs, name)
        except (InputError, UsageError):
            if strict:
                raise
            self._strangers.add(name)
            return dashed

    def _scope(self, text: str) -> Scope:
        if text not in self._scopes:
            scope = self._scopes[text] = parse_scope(text)
            subscription = f"/subscriptions/{scope.subscription_id}"
            above = self.tree.get(subscription, ROOT)
            if scope.subscription_id and above == ROOT:
                self._rootless.add(subscription)
        return self._scopes[text]

    def _has_group_assignments(self) -> bool:
        return any(place.startswith(MANAGEMENT_GROUPS) for place in self.held)


def read_tenant_access(table_of: Callable[[str], pl.DataFrame], *, as_of: dt.datetime | None = None) -> TenantAccess:
    """Return the tenant's access from the tables that `table_of` returns by name.

    Raises:
        EvidenceError: No assignments are loaded.
    """
    inputs = Inputs.of(**{name: table_of(name) for name in _TABLES})
    if inputs.role_assignments.is_empty():
        raise EvidenceError(
            "the store has no role assignments", hint="load `az role assignment list --all`, or what ARM returns"
        )
    roles: dict[str, AssignedRole] = {
        fold(identifier): AssignedRole(name or "", read_permissions(permissions_from_json(permissions)))
        for identifier, name, permissions in inputs.role_definitions.select(
            "role_definition_id", "role_name", "permissions"
        ).iter_rows()
    }
    held, misplaced = hold_assignments(_in_force(inputs.role_assignments, as_of))
    members = inputs.group_members
    is_direct = pl.col("listing") == "members"
    governed = _in_force(inputs.group_schedule_instances.filter(pl.col("access") == "member"), as_of)
    governed = governed.rename({"principal_id": "member_id"})
    sleeping = pl.col("state") == "eligible"
    membership = read_membership(
        [*_pairs(members.filter(is_direct)), *_pairs(governed.filter(~sleeping))],
        _pairs(members.filter(~is_direct)),
        _pairs(governed.filter(sleeping)),
    )
    tree = parents_of(inputs.scopes)
    denies = _denies(inputs.deny_assignments)
    access = Access(roles, held, denies, membership, tree, held.conditions())
    return TenantAccess(access, inputs, roles, tree, held, misplaced)


def _in_force(assignments: pl.DataFrame, as_of: dt.datetime | None) -> pl.DataFrame:
    if as_of is None:
        return assignments
    begun = (pl.col("start_on") <= as_of).fill_null(True)
    lasting = (pl.col("end_on") > as_of).fill_null(True)
    return assignments.filter(begun & lasting)


def _denies(frame: pl.DataFrame) -> list[DenyAssignment]:
    return [
        DenyAssignment(
            row["deny_assignment_id"],
            row["scope"],
            permissions_from_json(row["permissions"]),
            tuple(row["principal_ids"] or ()),
            tuple(row["exclude_principal_ids"] or ()),
            bool(row["does_not_apply_to_child_scopes"]),
            row["condition"],
        )
        for row in frame.drop_nulls("scope").sort("deny_assignment_id").iter_rows(named=True)
    ]


def _pairs(members: pl.DataFrame) -> Iterable[tuple[str, str]]:
    return members.select(folded(pl.col("group_id")), folded(pl.col("member_id"))).iter_rows()


def _said(decision: Decision) -> dict[str, Any]:
    return {
        "allowed": decision.allowed,
        "because": [
            {
                "role_assignment_id": reason.role_assignment_id,
                "role_name": reason.role_name,
                "scope": reason.scope,
                "via": list(reason.via),
                "condition": reason.condition,
                "state": reason.state,
            }
            for reason in decision.because
        ],
        "denied_by": list(decision.denied_by),
        "depends_on_reading": decision.depends_on_reading,
    }


def _note(text: str, noun: str, found: set[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in sorted(found)[:5])
    return text.format(
        n=f"{len(found)} {noun}{'s' if len(found) > 1 else ''}",
        it="they" if len(found) > 1 else "it",
        which=shown + (", …" if len(found) > 5 else ""),
    )


def _is_guid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _dashed(text: str) -> str:
    folded = fold(text)
    return str(UUID(folded)) if _is_guid(folded) else folded
