"""List the roles and assignments that a plan's deployment makes, with their ids, for every language.

Define a form of role definitions: how one role and a whole plan are written in it, and how its files are read.

Write the list of the assignments that older code still makes, and that a plan replaces or removes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from rightsize.iac.templates import Beside
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS, Plan, PlannedRole, Proposal
from rightsize.model.text import fold
from rightsize.rbac.assignments import arm_principal_type, assignment_id, role_path
from rightsize.rbac.scopes import parse_scope
from rightsize.render.escape import for_markdown

_GROUPS = "/providers/Microsoft.Management/managementGroups/"
API = "2022-04-01"
"""The version of Resource Manager's interface for role definitions and assignments."""


@dataclass(frozen=True, slots=True, order=True)
class Made:
    """A role assignment that a deployment makes.

    Attributes:
        id: Its GUID, derived from all of its properties.
        role: GUID of its role; `role_path` is the id of the role in the assignment.
        principal_id: Its holder, with the `principal_type` that Resource Manager uses.
        description: Its description, which names the proposal.
    """

    scope: str
    id: str
    role: str
    role_path: str
    principal_id: str
    principal_type: str
    condition: str | None
    description: str

    @property
    def path(self) -> str:
        """Its id in Resource Manager."""
        return f"{self.scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{self.id}"

    def properties(self) -> dict[str, str]:
        """Return its properties as a PUT takes them."""
        found = {
            "roleDefinitionId": self.role_path,
            "principalId": self.principal_id,
            "principalType": self.principal_type,
            "condition": self.condition,
            "conditionVersion": "2.0" if self.condition else None,
            "description": self.description,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class DeployContents:
    """Everything that a deployment makes, sorted.

    Attributes:
        roles: New roles.
        assignments: Permanent, active assignments.
        managed: Number of eligible or time-bound ones: no file makes them, since they need requests to Privileged
            Identity Management, after their rules are set.
        replaced: Assignments of today that go once the new ones exist.
        names: Display names by folded id, of new roles too, and of subscriptions and management groups by folded scope.
        existing: Folded ids of the roles and assignments that Azure has already.
    """

    roles: tuple[PlannedRole, ...]
    assignments: tuple[Made, ...]
    managed: int
    replaced: tuple[Replaced, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    existing: Collection[str] = frozenset()

    def called(self, id_: str) -> str:
        """Return the display name of a principal, a role, a subscription or a group; empty where none is known."""
        return self.names.get(fold(id_), "")

    def said(self, one: Made) -> str:
        """Return an assignment in words: who gets which role where, by display names where they are known."""
        role = self.called(one.role) or f"role {one.role}"
        who = self.called(one.principal_id) or one.principal_id
        return f"{who}: {role} at {self.place(one.scope)}"

    def place(self, scope: str) -> str:
        """Return a scope by the names in it."""
        from rightsize.render.sentences import full_path  # noqa: PLC0415  it loads polars, and a single role needs none

        return full_path(scope, self.names)


@dataclass(frozen=True, slots=True, order=True)
class Replaced:
    """An assignment of today that the plan replaces or removes, and that code may still make.

    Attributes:
        role: GUID of its role.
        principal_id: Its holder.
        id: Its GUID.
        state: `active`, `eligible` or `activated`.
        waits: Whether assignments that no file makes have to exist first: eligible or time-bound ones.
    """

    scope: str
    role: str
    principal_id: str
    id: str
    state: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Today:
    """What the store knows of the tenant of today, for the files of a plan.

    Attributes:
        types: Type of each principal, by folded id; a missing one counts as a user.
        names: Display names of principals and roles by id, of subscriptions and management groups by scope.
        existing: Ids of the role definitions and assignments that Azure has.
        scopes: A spelling of each scope by folded scope, since plans and stores may spell it otherwise.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    existing: Collection[str] = ()
    scopes: Mapping[str, str] = field(default_factory=dict)


def contents_of(plan: Plan, today: Today, only: Collection[str] | None = None) -> DeployContents:
    """Return the roles and assignments that deploying a plan for Azure RBAC makes.

    Args:
        plan: The plan.
        today: What the store knows.
        only: Ids of the proposals to deploy; None means all.
    """
    made: dict[str, Made] = {}
    managed: set[str] = set()
    roles: set[str] = set()
    for proposal in sorted(plan.proposals, key=lambda one: one.id):
        if not proposal.is_of_rbac or (only is not None and proposal.id not in only):
            continue
        for one in proposal.assignments:
            name = assignment_id(one.scope, one.role, one.principal_id, one.condition)
            roles.add(fold(one.role))
            if one.state != "active" or one.end_on is not None:
                managed.add(name)
            elif name not in made:
                made[name] = Made(
                    scope=spelled(one.scope, today.scopes),
                    id=name,
                    role=fold(one.role),
                    role_path=role_path(spelled(one.scope, today.scopes), fold(one.role)),
                    principal_id=fold(one.principal_id),
                    principal_type=arm_principal_type(today.types.get(fold(one.principal_id), "User")),
                    condition=one.condition,
                    description=f"rightsize {proposal.id}",
                )
    wanted = [role for role in plan.roles if fold(role.definition.role_definition_id) in roles]
    names: dict[str, str] = {fold(id_): name for id_, name in today.names.items() if name}
    names |= {fold(one.definition.role_definition_id): one.definition.role_name for one in wanted}
    return DeployContents(
        tuple(sorted(wanted, key=lambda one: one.slug)),
        tuple(sorted(made.values())),
        len(managed),
        _replaced(plan, only, today.scopes),
        names,
        frozenset(map(fold, today.existing)),
    )


def spelled(scope: str, spellings: Mapping[str, str]) -> str:
    """Return a scope as the store spells it, with Azure's spelling of its fixed words and of the subscription's id.

    Terraform compares scopes as texts, and would make an assignment again where the next plan spells it otherwise.

    Raises:
        InputError: It is no scope.
    """
    found = parse_scope(spellings.get(fold(scope), scope))
    if found.kind == "management_group":
        return f"{_GROUPS}{found.text[len(_GROUPS) :]}"
    if found.subscription_id is None:
        return found.text
    rest = found.text.split("/")[3:]
    if found.resource_group is not None:
        rest[0] = "resourceGroups"
    return "/".join(("", "subscriptions", found.subscription_id, *rest))


def _replaced(plan: Plan, only: Collection[str] | None, spellings: Mapping[str, str]) -> tuple[Replaced, ...]:
    """Return the assignments of today that go; one that several proposals replace goes with all of them alone."""
    found: dict[str, list[Proposal]] = {}
    for proposal in plan.proposals:
        if proposal.is_of_rbac and PROPOSAL_KINDS[proposal.kind].changes:
            for id_ in proposal.replaces:
                found.setdefault(fold(id_), []).append(proposal)
    gone = []
    for id_, proposals in found.items():
        if only is not None and any(one.id not in only for one in proposals):
            continue
        evidence = proposals[0].evidence
        made = [place for one in proposals for place in one.assignments]
        gone.append(
            Replaced(
                scope=spelled(str(evidence.get("scope") or "/"), spellings),
                role=fold(str(evidence.get("role") or "")),
                principal_id=fold(proposals[0].principal_ids[0]),
                id=id_,
                state=str(evidence.get("state") or "active"),
                waits=any(one.state != "active" or one.end_on is not None for one in made),
            )
        )
    return tuple(sorted(gone))


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """The target of a deployment: the tenant, a management group, a subscription or a resource group.

    Attributes:
        level: Its kind, as Bicep's `targetScope` names it.
        group: Name of the management group.
        subscription: GUID of the subscription.
    """

    level: str
    group: str = ""
    subscription: str = ""
    resource_group: str = ""

    @property
    def path(self) -> str:
        """The id of the target, without a slash at the end."""
        if self.group:
            return f"/providers/Microsoft.Management/managementGroups/{self.group}"
        below = f"/resourceGroups/{self.resource_group}" if self.resource_group else ""
        return f"/subscriptions/{self.subscription}{below}" if self.subscription else ""

    @property
    def slug(self) -> str:
        """A unique name of the target for files and symbols, of letters, digits and dashes."""
        said = self.resource_group or self.group or self.subscription or "tenant"
        plain = re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")[:40]
        key = fold("/".join((self.level, self.group, self.subscription, self.resource_group)))
        return "-".join(("at", *([plain] if plain else []), sha256(key.encode()).hexdigest()[:8]))


def target_of(scope: str) -> tuple[Target, list[tuple[str, str]]]:
    """Return the target of a deployment that makes an assignment at a scope, and the resources down to that scope.

    Each resource is a type and a name as in templates (`Microsoft.Storage/storageAccounts/blobServices`,
    `account/default`); each one extends the one before.

    Raises:
        InputError: The id is incomplete.
    """
    found = parse_scope(scope)
    head, *tail = re.split(r"/providers/", found.text, flags=re.IGNORECASE)
    if found.kind == "management_group":
        return Target("managementGroup", group=found.text.rsplit("/", 1)[-1]), []
    if found.subscription_id is None:
        target = Target("tenant")
    elif found.resource_group is not None:
        target = Target("resourceGroup", subscription=found.subscription_id, resource_group=found.resource_group)
    else:
        target = Target("subscription", subscription=found.subscription_id)
    return target, [_type_and_name(part, head, scope) for part in tail]


def _type_and_name(part: str, head: str, scope: str) -> tuple[str, str]:
    provider, *pairs = part.split("/")
    if not pairs or len(pairs) % 2 or head.count("/") not in (0, 2, 4):
        raise InputError(f"`{scope}` is no scope that a template can assign at", hint="its id ends in the middle")
    return "/".join((provider, *pairs[::2])), "/".join(pairs[1::2])


def outer_level(contents: DeployContents) -> str:
    """Return the lowest level at which one deployment can make everything."""
    targets = {target_of(one.scope)[0] for one in contents.assignments}
    targets |= {home_of(role) for role in contents.roles}
    if any(one.level == "tenant" for one in targets):
        return "tenant"
    subscriptions = {one.subscription for one in targets}
    return "managementGroup" if len(subscriptions) != 1 or "" in subscriptions else "subscription"


def home_of(role: PlannedRole) -> Target:
    """Return the target of a role's deployment: the first scope where it can be assigned."""
    return target_of(role.definition.assignable_scopes[0])[0]


def by_target(contents: DeployContents) -> dict[Target, list[Made]]:
    """Return the assignments by the target of their deployment, sorted."""
    found: dict[Target, list[Made]] = {}
    for one in contents.assignments:
        found.setdefault(target_of(one.scope)[0], []).append(one)
    return {target: found[target] for target in sorted(found)}


@dataclass(frozen=True, slots=True)
class RoleFormat:
    """A form of role definitions; the table of `files` makes it known to commands, plans and gates.

    Attributes:
        name: Its name on the command line, and the name of the folder of a plan in it.
        write_role: Returns a role as the text of a file; raises InputError where the form cannot hold the role.
        write_plan: Returns the files of a plan by name; None where no plan is written in it.
        readers: What reads its files and those beside, by the end of their names; forms in JSON are told by their
            content instead.
    """

    name: str
    write_role: Callable[[RoleDefinition], str]
    write_plan: Callable[[DeployContents], dict[str, str]] | None = None
    readers: Mapping[str, Callable[[str, Beside], Iterable[RoleDefinition]]] = field(default_factory=dict)


def json_text(document: object) -> str:
    """Return a document as the text of a file, without characters beyond ASCII."""
    return json.dumps(document, ensure_ascii=True, indent=2) + "\n"


TAKE_OUT = "take-out.md"


def take_out_page(contents: DeployContents, how: str) -> str:
    """Return the list as Markdown; `how` says how to find them in code, and what to do there."""
    lines = [
        "# Take these assignments out of your code",
        "",
        f"The plan replaces or removes them, and no file here deletes one. {how}",
        "",
    ]
    if any(one.waits for one in contents.replaced):
        lines += [
            "Where `waits` stands, an eligible or time-bound assignment has to exist first: `rightsize rollout` makes "
            "it, and no file here does.",
            "",
        ]
    lines += ["| role | at | holder | ID | |", "| --- | --- | --- | --- | --- |"]
    lines += [_row(one, contents) for one in contents.replaced]
    return "\n".join(lines) + "\n"


def _row(one: Replaced, contents: DeployContents) -> str:
    # A list of eligible assignments has the schedule's GUID, which is no part of an id below the scope.
    path = f"{one.scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{one.id}"
    notes = [*(["waits"] if one.waits else []), *([] if one.state == "active" else [one.state])]
    cells = (
        contents.called(one.role) or one.role,
        contents.place(one.scope),
        contents.called(one.principal_id) or one.principal_id,
        path if one.state == "active" else one.id,
        ", ".join(notes),
    )
    return f"| {' | '.join(map(for_markdown, cells))} |"
