"""Declare the sources of Entra ID: users, groups, applications, owners, directory roles and Graph permissions.

Members are requested for groups that hold access in Azure or may hold directory roles, and for the groups within those.
Everything else is listed as a whole, because that takes the fewest requests.
Source: Microsoft Learn, Microsoft Graph v1.0 reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import CollectionUnit, Known, Right, Source, Units, graph
from rightsize.model.text import GUID_FORM, fold

DIRECTORY_READER = "Directory Readers"
P2 = "Microsoft Entra ID P2 or Governance"
_GRANTS = ("role_assignments", "role_eligibility_instances", "role_assignment_instances")
_FEW = 20
_MOST_EXPANDED = 20


def whole(path: str, *, label: str = "", **parameters: Any) -> Units:
    """Return a maker of one unit for a whole listing."""
    return lambda _: [CollectionUnit("/", (graph(path, **parameters),), label=label)]


def _users(known: Known) -> Iterator[CollectionUnit]:  # noqa: ARG001  everybody is listed
    """Yield the listing of users; without the right and licence for sign-in activity, that field is left out."""
    names = "id,displayName,userPrincipalName,userType,accountEnabled,createdDateTime,onPremisesSyncEnabled"
    with_activity = graph("/users", select=f"{names},signInActivity", top="500")
    yield CollectionUnit("/", (with_activity,), instead=(graph("/users", select=names, top="999"),))


def _trusting_applications(known: Known) -> Iterator[CollectionUnit]:  # noqa: ARG001  all applications are listed
    """Yield the listing of federated credentials; only the beta version shows the expressions of flexible ones."""
    asked, older = (
        graph("/applications", beta=beta, select="id,appId,signInAudience", expand="federatedIdentityCredentials",
              top="999")
        for beta in (True, False)
    )  # fmt: skip
    yield CollectionUnit("/", (asked,), instead=(older,))


def holding_groups(known: Known) -> set[str]:
    """Return the ids of the groups with an active or eligible role assignment in Azure."""
    found: set[str] = set()
    for source in _GRANTS:
        for record in known.records(source):
            properties = record.get("properties")
            if not isinstance(properties, dict) or fold(str(properties.get("principalType"))) != "group":
                continue
            identifier = fold(str(properties.get("principalId")))
            if GUID_FORM.fullmatch(identifier):
                found.add(identifier)
    return found


def _nested(known: Known, source: str) -> Iterator[tuple[str, str]]:
    """Yield groups within groups, as pairs of outer and inner id."""
    for key, records in known.parts(source):
        for record in records:
            identifier = fold(str(record.get("id")))
            if record.get("@odata.type") == "#microsoft.graph.group" and GUID_FORM.fullmatch(identifier):
                yield key, identifier


def _members_of(groups: set[str], listing: str, cost: float) -> Iterator[CollectionUnit]:
    for group in sorted(groups):
        request = graph(f"/groups/{group}/{listing}", select="id,displayName,userPrincipalName", top="999", cost=cost)
        yield CollectionUnit(group, (request,), label=f"{listing}-{group}")


def _listed_groups(known: Known) -> set[str]:
    """Return the ids of the groups that hold access in Azure or may hold directory roles."""
    return holding_groups(known) | set(_assignable(known))


def _assignable(known: Known) -> list[str]:
    return _ids(known, "groups", lambda record: record.get("isAssignableToRole") is True)


def _members(known: Known) -> Iterator[CollectionUnit]:
    yield from _members_of(_listed_groups(known), "members", 3)


def _transitive_members(known: Known) -> Iterator[CollectionUnit]:
    """Yield units for groups that have a group among their members; others have no transitive members."""
    yield from _members_of({outer for outer, _ in _nested(known, "group_members")}, "transitiveMembers", 5)


def _nested_members(known: Known) -> Iterator[CollectionUnit]:
    inner = {inner for _, inner in _nested(known, "transitive_members")}
    yield from _members_of(inner - _listed_groups(known), "members", 3)


def _unit_members(known: Known) -> Iterator[CollectionUnit]:
    for unit in _ids(known, "administrative_units", lambda _: True):
        path = f"/directory/administrativeUnits/{unit}/members"
        yield CollectionUnit(
            unit, (graph(path, select="id,displayName", top="999"),), label=f"administrativeUnit-members-{unit}"
        )


def _in_few(requests: list[tuple[str, WireRequest]]) -> Iterator[CollectionUnit]:
    for at in range(0, len(requests), _FEW):
        part = requests[at : at + _FEW]
        yield CollectionUnit(part[0][0], tuple(request for _, request in part))


def _ids(known: Known, source: str, wanted: Callable[[dict[str, Any]], bool]) -> list[str]:
    found = {fold(str(record.get("id"))) for record in known.records(source) if wanted(record)}
    return sorted(identifier for identifier in found if GUID_FORM.fullmatch(identifier))


def _app_role_assignments(known: Known) -> Iterator[CollectionUnit]:
    """Yield units for the few applications that define app roles, not for each principal that may hold one."""
    held = _ids(known, "service_principals", lambda record: bool(record.get("appRoles")))
    yield from _in_few([(one, graph(f"/servicePrincipals/{one}/appRoleAssignedTo", top="999")) for one in held])


def _inheritable_permissions(known: Known) -> Iterator[CollectionUnit]:
    """Yield units for what each blueprint lets its agents inherit, which only a request about it lists."""
    for blueprint in _ids(known, "agent_blueprints", lambda _: True):
        path = f"/applications/{blueprint}/microsoft.graph.agentIdentityBlueprint/inheritablePermissions"
        yield CollectionUnit(blueprint, (graph(path),), label=f"inheritablePermissions-{blueprint}")


def _many_owners(known: Known) -> Iterator[CollectionUnit]:
    """Yield units for all owners of objects where `$expand` returned its maximum; it has no link to the rest.

    Source: Microsoft Graph known issues, "$expand on relationships of directory objects".
    """
    for source, path in _OWNED:
        for record in known.records(source):
            identifier, owners = fold(str(record.get("id"))), record.get("owners")
            if isinstance(owners, list) and len(owners) >= _MOST_EXPANDED and GUID_FORM.fullmatch(identifier):
                request = graph(f"/{path}/{identifier}/owners", select="id", top="999")
                yield CollectionUnit(f"{path}/{identifier}", (request,), label=f"{path}-owners-{identifier}")


def _of_groups(path: str) -> Units:
    """Return a maker of units for a PIM listing that Graph returns only group by group."""

    def units(known: Known) -> Iterator[CollectionUnit]:
        groups = sorted(_listed_groups(known))
        yield from _in_few([(group, graph(path, filter=f"groupId eq '{group}'")) for group in groups])

    return units


def _group_policies(known: Known) -> Iterator[CollectionUnit]:
    """Yield units for the PIM activation rules of memberships, which Graph returns one group at a time."""
    groups = sorted(_listed_groups(known))
    yield from _in_few([(group, _policies(f"scopeId eq '{group}' and scopeType eq 'Group'")) for group in groups])


def _policies(which: str) -> WireRequest:
    return graph("/policies/roleManagementPolicyAssignments", filter=which, expand="policy($expand=rules)")


def _listing(
    name: str, title: str, permission: str, path: str, *, role: str = DIRECTORY_READER, licence: str = "",
    label: str = "", is_raw: bool = False, **parameters: str,
) -> Source:  # fmt: skip
    right = Right(permission, role, licence)
    return Source(name, "graph", title, right, whole(path, label=label, **parameters), is_raw=is_raw)


def _pim_groups(name: str, title: str, kind: str, path: str) -> Source:
    right = Right(f"Privileged{kind}Schedule.Read.AzureADGroup", "Privileged Role Administrator", P2)
    units = _of_groups(f"/identityGovernance/privilegedAccess/group/{path}")
    return Source(name, "graph", title, right, units, (*_GRANTS, "groups"))


_OWNED = (
    ("application_owners", "applications"),
    ("service_principal_owners", "servicePrincipals"),
    ("group_owners", "groups"),
)
_AGENT_READER = "Agent ID Administrator"
_OF_AGENTS = "/servicePrincipals/microsoft.graph.agentIdentity"
_OF_BLUEPRINTS = "/applications/microsoft.graph.agentIdentityBlueprint"
_MEMBER_RIGHT = Right("GroupMember.Read.All", DIRECTORY_READER)
_ROLES = "/roleManagement/directory"
_ENTITLEMENT = "/identityGovernance/entitlementManagement"
_DELETED = "/directory/deletedItems/microsoft.graph"

DIRECTORY_SOURCES = (
    Source("users", "graph", "users", Right("User.Read.All", DIRECTORY_READER), _users),
    _listing("groups", "groups", "Group.Read.All", "/groups", top="999"),
    _listing("service_principals", "service principals with their roles and scopes", "Application.Read.All",
             "/servicePrincipals", top="999"),
    Source("group_members", "graph", "members of groups that hold access", _MEMBER_RIGHT, _members,
           (*_GRANTS, "groups")),
    Source("transitive_members", "graph", "members of groups within groups that hold access", _MEMBER_RIGHT,
           _transitive_members, ("group_members",)),
    Source("nested_members", "graph", "members of groups within groups", _MEMBER_RIGHT, _nested_members,
           ("transitive_members", *_GRANTS, "groups")),
    _listing("deleted_users", "deleted users", "User.Read.All", f"{_DELETED}.user",
             label="deletedItems-users"),
    _listing("deleted_groups", "deleted groups", "Group.Read.All", f"{_DELETED}.group",
             label="deletedItems-groups"),
    _listing("deleted_service_principals", "deleted service principals", "Application.Read.All",
             f"{_DELETED}.servicePrincipal", label="deletedItems-servicePrincipals"),
    _listing("deleted_applications", "deleted applications", "Application.Read.All", f"{_DELETED}.application",
             label="deletedItems-applications", is_raw=True),
    _listing("licences", "licences", "LicenseAssignment.Read.All", "/subscribedSkus"),
    _listing("applications", "applications", "Application.Read.All", "/applications", top="999"),
    _listing("application_owners", "owners of applications", "Application.Read.All", "/applications",
             select="id,appId", expand="owners($select=id)", top="999"),
    Source("application_federated_credentials", "graph", "federated credentials of applications",
           Right("Application.Read.All", DIRECTORY_READER), _trusting_applications),
    _listing("service_principal_owners", "owners of service principals", "Application.Read.All",
             "/servicePrincipals", select="id,appId", expand="owners($select=id)", top="999"),
    _listing("group_owners", "owners of groups", "Group.Read.All", "/groups", select="id",
             expand="owners($select=id)", top="999"),
    # Graph expands one relation of directory objects in a request.
    _listing("agent_blueprints", "agent identity blueprints with their owners", "AgentIdentityBlueprint.Read.All",
             _OF_BLUEPRINTS, role=_AGENT_READER, expand="owners($select=id)", top="999"),
    _listing("agent_blueprint_sponsors", "sponsors of agent identity blueprints", "AgentIdentityBlueprint.Read.All",
             _OF_BLUEPRINTS, role=_AGENT_READER, select="id,appId", expand="sponsors($select=id)", top="999"),
    Source("inheritable_permissions", "graph", "permissions that agents inherit from their blueprint",
           Right("AgentIdentityBlueprint.Read.All", _AGENT_READER), _inheritable_permissions, ("agent_blueprints",)),
    _listing("agent_blueprint_principals", "principals of agent identity blueprints",
             "AgentIdentityBlueprintPrincipal.Read.All",
             "/servicePrincipals/microsoft.graph.agentIdentityBlueprintPrincipal", role=_AGENT_READER, top="999"),
    _listing("agent_identities", "agent identities with their owners", "AgentIdentity.Read.All", _OF_AGENTS,
             role=_AGENT_READER, expand="owners($select=id)", top="999"),
    _listing("agent_sponsors", "sponsors of agent identities", "AgentIdentity.Read.All", _OF_AGENTS,
             role=_AGENT_READER, select="id,displayName,agentIdentityBlueprintId", expand="sponsors($select=id)",
             top="999"),
    _listing("agent_users", "users of agents", "User.Read.All", "/users/microsoft.graph.agentUser", top="999",
             select="id,displayName,userPrincipalName,accountEnabled,createdDateTime,identityParentId"),
    Source("many_owners", "graph", "owners of objects with 20 or more owners",
           Right("Directory.Read.All", DIRECTORY_READER), _many_owners, tuple(name for name, _ in _OWNED), is_raw=True),
    Source("app_role_assignments", "graph", "who holds application permissions",
           Right("Application.Read.All", DIRECTORY_READER), _app_role_assignments, ("service_principals",)),
    _listing("delegated_grants", "delegated permission grants", "Directory.Read.All",
             "/oauth2PermissionGrants", top="999"),
    _listing("directory_roles", "directory roles", "RoleManagement.Read.Directory", f"{_ROLES}/roleDefinitions"),
    _listing("directory_role_assignments", "who holds directory roles", "RoleManagement.Read.Directory",
             f"{_ROLES}/roleAssignments"),
    _listing("administrative_units", "administrative units", "AdministrativeUnit.Read.All",
             "/directory/administrativeUnits", select="id,displayName,isMemberManagementRestricted", top="999"),
    Source("administrative_unit_members", "graph", "members of administrative units",
           Right("AdministrativeUnit.Read.All", DIRECTORY_READER), _unit_members, ("administrative_units",)),
    _listing("directory_eligibility_instances", "who may activate directory roles", "RoleManagement.Read.Directory",
             f"{_ROLES}/roleEligibilityScheduleInstances", licence=P2),
    _listing("directory_assignment_instances", "active directory roles, with activations",
             "RoleManagement.Read.Directory", f"{_ROLES}/roleAssignmentScheduleInstances", licence=P2),
    _listing("directory_assignment_requests", "requests for directory roles and activations",
             "RoleManagement.Read.Directory", f"{_ROLES}/roleAssignmentScheduleRequests", licence=P2),
    Source("directory_role_policies", "graph", "activation rules of directory roles",
           Right("RoleManagementPolicy.Read.Directory", "Global Reader", P2),
           lambda _: [CollectionUnit("/", (_policies("scopeId eq '/' and scopeType eq 'DirectoryRole'"),))]),
    Source("group_policies", "graph", "activation rules of group memberships",
           Right("RoleManagementPolicy.Read.AzureADGroup", "Global Reader", P2), _group_policies, (*_GRANTS, "groups")),
    _pim_groups("group_eligibility_instances", "who may activate a group membership", "Eligibility",
                "eligibilityScheduleInstances"),
    _pim_groups("group_assignment_instances", "active group memberships, with activations", "Assignment",
                "assignmentScheduleInstances"),
    _pim_groups("group_assignment_requests", "requests for group memberships and activations", "Assignment",
                "assignmentScheduleRequests"),
    _listing("access_packages", "access packages", "EntitlementManagement.Read.All",
             f"{_ENTITLEMENT}/accessPackages", role="Global Reader", licence="Microsoft Entra ID Governance"),
    _listing("access_package_assignments", "who holds access packages", "EntitlementManagement.Read.All",
             f"{_ENTITLEMENT}/assignments", role="Global Reader", licence="Microsoft Entra ID Governance",
             expand="target,accessPackage"),
)  # fmt: skip
"""The sources of the directory, in the order in which they are reported."""
