"""Serve Resource Manager: listings of access, scopes and resources, the Activity Log, and Resource Graph.

Sources: Microsoft Learn, REST reference of Microsoft.Authorization, Microsoft.Management, Microsoft.Resources,
Microsoft.Insights and Microsoft.ResourceGraph.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.loopback.activity import activity_page
from tests.loopback.arm_writes import write_role_object
from tests.loopback.content import Content, Document
from tests.loopback.monitor import Monitor
from tests.loopback.pim_writes import filtered, rules_of
from tests.loopback.wire import HOP, Answer, RefusalError, Request, arm_error, page

_PAGE = 100
_AUTHORIZATION_LISTING = re.compile(
    r"(?P<scope>.*?)/providers/microsoft\.authorization/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?", re.IGNORECASE
)
_ACTIVITY = re.compile(r"(?P<scope>.*?)/providers/microsoft\.insights/eventtypes/management/values", re.IGNORECASE)
_OF_SCOPE = re.compile(
    r"(?P<scope>.*?)/providers/(?P<kind>microsoft\.insights/diagnosticsettings|"
    r"microsoft\.managedservices/registration(?:definitions|assignments))",
    re.IGNORECASE,
)
_OF_RESOURCE = re.compile(
    r"(?P<resource>/subscriptions/.+?/providers/.+)/"
    r"(?P<kind>federatedidentitycredentials|sqlroleassignments|sqlroledefinitions|tables)",
    re.IGNORECASE,
)
_OLDER_TRUST = "2024-11-30"
"""The last version that shows no expression of federated credentials."""
_RESOURCES_OF_TYPE = re.compile(
    r"(?P<scope>/subscriptions/[^/]+(?:/resourcegroups/[^/]+)?)/providers/(?P<type>[^/]+/[^/]+)", re.IGNORECASE
)


class Arm:
    """Answers the requests of Resource Manager."""

    def __init__(self, content: Content, monitor: Monitor, page_size: int | None, *, writes: bool) -> None:
        self._content, self._monitor, self._writes = content, monitor, writes
        self._size = page_size or _PAGE

    def answer(self, request: Request) -> Answer:
        """Answer a request that carries a good token.

        Raises:
            RefusalError: With the error that Resource Manager would answer.
        """
        if "api-version" not in request.query:
            text = "The api-version query parameter (?api-version=) is required for all requests."
            return arm_error(400, "MissingApiVersionParameter", text)
        self._check_subscription(request)
        path = request.path.lower()
        for pattern, answer in self._routes():
            found = re.fullmatch(pattern, path if isinstance(pattern, str) else request.path)
            if found:
                return answer(request, found)
        text = f"No registered resource provider found for the path '{request.path}'."
        return arm_error(404, "InvalidResourceType", text)

    def _routes(self) -> list[tuple[str | re.Pattern[str], Callable[[Request, re.Match[str]], Answer]]]:
        return [
            (r"/tenants", self._tenants),
            (r"/subscriptions", self._subscriptions),
            (r"/subscriptions/[^/]+", self._subscription),
            (r"/subscriptions/[^/]+/resources", self._resources),
            (r"/subscriptions/[^/]+/providers", self._providers),
            (r"/subscriptions/[^/]+/resourcegroups", self._resource_groups),
            (r"/subscriptions/[^/]+/resourcegroups/[^/]+", self._resource_group),
            (r"/providers/microsoft\.authorization/provideroperations(/[^/]+)?", self._operations),
            (r"/providers/microsoft\.management/getentities", self._entities),
            (r"/providers/microsoft\.management/managementgroups", self._management_groups),
            (r"/providers/microsoft\.management/managementgroups/[^/]+(/descendants)?", self._management_group),
            (r"/providers/microsoft\.resourcegraph/resources", self._resource_graph),
            (_ACTIVITY, self._activity),
            (_AUTHORIZATION_LISTING, self._authorization),
            (_OF_SCOPE, self._of_scope),
            (_OF_RESOURCE, self._of_resource),
            (_RESOURCES_OF_TYPE, self._of_type),
            (r"/subscriptions/.+/providers/.+", self._resource),
        ]

    def _check_subscription(self, request: Request) -> None:
        parts = request.path.split("/")
        if len(parts) > 2 and parts[1].lower() == "subscriptions":
            known = {scope.scope.lower() for scope in self._content.subscriptions}
            if f"/subscriptions/{parts[2]}".lower() not in known:
                text = f"The subscription '{parts[2]}' could not be found."
                raise RefusalError(arm_error(404, "SubscriptionNotFound", text))
        group = "/".join(parts[:5]).lower()
        if group in self._content.gone_groups:
            raise RefusalError(arm_error(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found."))

    def _page(self, request: Request, items: Sequence[Any]) -> Answer:
        return page(request, items, self._size)

    def _tenants(self, request: Request, _: re.Match[str]) -> Answer:
        tenant = self._content.tenant
        found = {
            "id": f"/tenants/{tenant.tenant_id}",
            "tenantId": tenant.tenant_id,
            "displayName": "Alder Valley Health",
        }
        return self._page(request, [found | {"defaultDomain": tenant.domain, "tenantCategory": "Home"}])

    def _subscriptions(self, request: Request, _: re.Match[str]) -> Answer:
        return self._page(request, [_subscription(self._content, scope) for scope in self._content.subscriptions])

    def _subscription(self, request: Request, _: re.Match[str]) -> Answer:
        (scope,) = (s for s in self._content.subscriptions if s.scope.lower() == request.path.lower())
        return Answer(document=_subscription(self._content, scope))

    def _resources(self, request: Request, _: re.Match[str]) -> Answer:
        scope = request.path.rpartition("/")[0]
        held = [resource for resource in self._content.resources if self._content.is_within(resource["id"], scope)]
        # Extensions of resources, such as role assignments, are no resources of this listing.
        held = [resource for resource in held if not resource["type"].lower().startswith("microsoft.authorization/")]
        # The generic listing shows no properties.
        return self._page(request, [{k: v for k, v in resource.items() if k != "properties"} for resource in held])

    def _providers(self, request: Request, _: re.Match[str]) -> Answer:
        scope = request.path.rpartition("/")[0]
        within = self._content.is_within
        used = {r["type"].split("/")[0].lower() for r in self._content.resources if within(r["id"], scope)}
        providers = [
            {"id": f"{scope}/providers/{document['name']}", "namespace": document["name"], "resourceTypes": [],
             "registrationState": "Registered" if document["name"].lower() in used else "NotRegistered",
             "registrationPolicy": "RegistrationRequired"}
            for document in self._content.provider_operations
        ]  # fmt: skip
        return self._page(request, providers)

    def _resource_groups(self, request: Request, _: re.Match[str]) -> Answer:
        scope = request.path.rpartition("/")[0].lower() + "/"
        ids = {"/".join(resource["id"].split("/")[:5]) for resource in self._content.resources}
        groups = [
            {"id": group, "name": group.rsplit("/", 1)[-1], "type": "Microsoft.Resources/resourceGroups",
             "location": "westeurope", "tags": {}, "properties": {"provisioningState": "Succeeded"}}
            for group in sorted(ids) if group.lower().startswith(scope)
        ]  # fmt: skip
        return self._page(request, groups)

    def _resource_group(self, request: Request, _: re.Match[str]) -> Answer:
        name = request.path.rsplit("/", 1)[-1]
        return Answer(document={"id": request.path, "name": name, "type": "Microsoft.Resources/resourceGroups"})

    def _operations(self, request: Request, found: re.Match[str]) -> Answer:
        documents = self._content.provider_operations
        if request.query.get("$expand", "").lower() != "resourcetypes":
            documents = [{**document, "resourceTypes": [], "operations": []} for document in documents]
        if not found[1]:
            return self._page(request, documents)
        named = [document for document in documents if document["name"].lower() == found[1][1:]]
        return Answer(document=named[0]) if named else arm_error(404, "ProviderNotFound", "There is no such provider.")

    def _entities(self, request: Request, _: re.Match[str]) -> Answer:
        # The first page is asked for by POST, and Microsoft's clients follow its next links by GET.
        if request.method != "POST" and not {HOP, "$skiptoken"} & set(request.query):
            return arm_error(405, "MethodNotAllowed", "The requested resource does not support this method.")
        return self._page(request, [_entity(self._content, scope) for scope in self._content.tenant.scopes])

    def _management_groups(self, request: Request, _: re.Match[str]) -> Answer:
        groups = [
            {"id": scope.scope, "type": "Microsoft.Management/managementGroups", "name": scope.scope.rsplit("/", 1)[-1],
             "properties": {"tenantId": self._content.tenant.tenant_id, "displayName": scope.name}}
            for scope in self._content.management_groups
        ]  # fmt: skip
        return self._page(request, groups)

    def _management_group(self, request: Request, found: re.Match[str]) -> Answer:
        path = request.path.removesuffix("/descendants").lower()
        held = [scope for scope in self._content.management_groups if scope.scope.lower() == path]
        if not held:
            return arm_error(404, "NotFound", f"'{path}' is not found.")
        if found[1]:
            below = [s for s in self._content.tenant.scopes if s != held[0] and self._content.is_within(s.scope, path)]
            return self._page(request, [_descendant(scope) for scope in below])
        deep = request.query.get("$recurse", "").lower() == "true"
        wide = request.query.get("$expand", "").lower() == "children"
        return Answer(document=_group_node(self._content, held[0], depth=99 if wide and deep else int(wide)))

    def _resource_graph(self, request: Request, _: re.Match[str]) -> Answer:
        if request.method != "POST":
            return arm_error(405, "MethodNotAllowed", "The requested resource does not support this method.")
        return self._monitor.resource_graph(request)

    def _activity(self, request: Request, found: re.Match[str]) -> Answer:
        return activity_page(self._content, request, found["scope"], min(self._size * 2, 200))

    def _authorization(self, request: Request, found: re.Match[str]) -> Answer:
        scope, kind, name = found["scope"], found["kind"].lower(), found["name"]
        if request.method in ("PUT", "PATCH", "DELETE"):
            if not self._writes:
                return arm_error(
                    403, "AuthorizationFailed", f"This tenant may only be read, and not by {request.method}."
                )
            return write_role_object(self._content, request, scope, kind, name or "")
        text = request.query.get("$filter", "")
        listing = self._access_listing(kind)
        if kind == "rolemanagementpolicies" and (role := re.search(r"roleDefinitionId eq '([^']+)'", text)):
            return self._page(request, [rules_of(self._content, scope, role[1])])
        if listing is None:
            return arm_error(404, "InvalidResourceType", f"There is no '{kind}' in Microsoft.Authorization.")
        if name:
            named = [item for item in listing if item["name"].lower() == name.lower()]
            code = kind[0].upper() + kind[1:-1] + "NotFound"
            return Answer(document=named[0]) if named else arm_error(404, code, f"'{name}' is not found.")
        if kind == "locks":
            return self._page(request, [one for one in listing if one["id"].lower().startswith(f"{scope.lower()}/")])
        found = self._filtered(request, kind, scope, listing)
        return self._page(request, filtered(found, text) if kind.endswith("scheduleinstances") else found)

    def _access_listing(self, kind: str) -> list[Document] | None:
        content = self._content
        listings: dict[str, list[Document]] = {
            "roleassignments": content.role_assignments,
            "roledefinitions": content.role_definitions,
            "denyassignments": content.deny_assignments,
            "policyassignments": content.policy_assignments,
            "policydefinitions": content.policy_definitions,
            "roleeligibilityscheduleinstances": content.eligibility_instances,
            "roleassignmentscheduleinstances": content.assignment_instances,
            "roleassignmentschedulerequests": content.assignment_requests,
            "locks": content.locks,
        }
        empty = (
            "roleeligibilityschedulerequests roleeligibilityschedules roleassignmentschedules classicadministrators "
            "rolemanagementpolicies rolemanagementpolicyassignments permissions policysetdefinitions"
        )
        return listings.get(kind, [] if kind in empty.split() else None)

    def _filtered(self, request: Request, kind: str, scope: str, listing: list[Document]) -> list[Document]:
        within = self._content.is_within
        text = request.query.get("$filter", "")
        only_above = re.search(r"\batScope\(\)", text, re.IGNORECASE) is not None
        if kind in ("policydefinitions", "policysetdefinitions"):
            wanted = re.search(r"policyType eq '(\w+)'", text, re.IGNORECASE)
            return [item for item in listing if wanted is None or item["properties"]["policyType"] == wanted[1]]
        if kind == "roledefinitions":
            below = "atscopeandbelow()" in text.lower()
            custom = re.search(r"type eq '(\w+)'", text, re.IGNORECASE)
            return [
                role for role in listing
                if any(within(scope, place) or (below and within(place, scope))
                       for place in role["properties"]["assignableScopes"])
                and (custom is None or role["properties"]["type"].lower() == custom[1].lower())
            ]  # fmt: skip
        held = [
            item for item in listing
            if within(scope, item["properties"]["scope"])
            or (not only_above and within(item["properties"]["scope"], scope))
        ]  # fmt: skip
        principal = re.search(r"(?:assignedTo\('|principalId eq ')([^']+)'", text, re.IGNORECASE)
        if principal:
            held = [item for item in held if item["properties"]["principalId"].lower() == principal[1].lower()]
        return held

    def _of_scope(self, _: Request, found: re.Match[str]) -> Answer:
        if "diagnostic" in found["kind"].lower():
            account = found["scope"].lower().removesuffix("/blobservices/default")
            logged = {resource.lower() for resource in self._content.tenant.logged_resources}
            if account in logged and found["scope"].lower() != account:
                return Answer(document={"value": [diagnostic_setting(self._content, found["scope"])]})
        return Answer(document={"value": []})

    def _of_resource(self, request: Request, found: re.Match[str]) -> Answer:
        if found["kind"].lower() != "federatedidentitycredentials":
            return self._page(request, [])
        start = f"{request.path.lower()}/"
        held = [one for one in self._content.federated_credentials if one["id"].lower().startswith(start)]
        version = request.query["api-version"]
        if version > _OLDER_TRUST and self._content.refuses_new_versions:
            text = f"No registered resource provider found for API version '{version}'."
            return arm_error(400, "NoRegisteredProviderFound", text)
        return self._page(request, [_trust_at(one, version) for one in held])

    def _of_type(self, request: Request, found: re.Match[str]) -> Answer:
        if (kind := found["type"].lower()) == "microsoft.security/alerts":
            alerts = self._content.signals.get(kind, [])
            within = self._content.is_within
            return self._page(request, [alert for alert in alerts if within(alert["id"], found["scope"])])
        held = [
            resource for resource in self._content.resources
            if resource["type"].lower() == found["type"].lower()
            and self._content.is_within(resource["id"], found["scope"])
        ]  # fmt: skip
        return self._page(request, held)

    def _resource(self, request: Request, _: re.Match[str]) -> Answer:
        held = [resource for resource in self._content.resources if resource["id"].lower() == request.path.lower()]
        if held and request.method == "PATCH" and held[0]["type"].lower() == "microsoft.keyvault/vaults":
            if not self._writes:
                return arm_error(403, "AuthorizationFailed", "This tenant may only be read, and not by PATCH.")
            held[0]["properties"] = held[0]["properties"] | request.json()["properties"]
        if held:
            return Answer(document=held[0])
        return arm_error(404, "ResourceNotFound", f"The Resource '{request.path}' was not found.")


def _trust_at(one: Document, version: str) -> Document:
    """Return a federated credential as a version shows it: an older one knows no expression."""
    said = one["properties"]
    if version > _OLDER_TRUST or "claimsMatchingExpression" not in said:
        return one
    hidden = {name: value for name, value in said.items() if name != "claimsMatchingExpression"}
    return one | {"properties": hidden | {"subject": None}}


def _subscription(content: Content, scope: Any) -> Document:
    return {
        "id": scope.scope,
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": scope.scope.rsplit("/", 1)[-1],
        "tenantId": content.tenant.tenant_id,
        "displayName": scope.name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
        },
    }


def _entity(content: Content, scope: Any) -> Document:
    is_group = scope.kind == "management_group"
    chain, current = [], content.parents[scope.scope.lower()]
    while current:
        chain.append(current.rsplit("/", 1)[-1])
        current = content.parents.get(current, "")
    return {
        "id": scope.scope,
        "type": "/providers/Microsoft.Management/managementGroups" if is_group else "/subscriptions",
        "name": scope.scope.rsplit("/", 1)[-1],
        "properties": {
            "displayName": scope.name,
            "tenantId": content.tenant.tenant_id,
            "parent": {"id": scope.parent} if scope.parent else {},
            "parentNameChain": chain[::-1],
            "permissions": "view",
            "inheritedPermissions": "view",
        },
    }


def _descendant(scope: Any) -> Document:
    is_group = scope.kind == "management_group"
    return {
        "id": scope.scope,
        "type": "Microsoft.Management/managementGroups" + ("" if is_group else "/subscriptions"),
        "name": scope.scope.rsplit("/", 1)[-1],
        "properties": {"displayName": scope.name, "parent": {"id": scope.parent}},
    }


def _group_node(content: Content, scope: Any, depth: int) -> Document:
    children = [
        _group_child(content, child, depth - 1)
        for child in content.tenant.scopes
        if depth and child.parent == scope.scope
    ]
    parent = {"id": scope.parent, "name": scope.parent.rsplit("/", 1)[-1]} if scope.parent else None
    return {
        "id": scope.scope,
        "type": "Microsoft.Management/managementGroups",
        "name": scope.scope.rsplit("/", 1)[-1],
        "properties": {
            "tenantId": content.tenant.tenant_id,
            "displayName": scope.name,
            "details": {"version": 4, "parent": parent},
            "children": children or None,
        },
    }


def _group_child(content: Content, scope: Any, depth: int) -> Document:
    is_group = scope.kind == "management_group"
    children = [
        _group_child(content, child, depth - 1)
        for child in content.tenant.scopes
        if depth > 0 and child.parent == scope.scope
    ]
    return {
        "id": scope.scope,
        "type": "Microsoft.Management/managementGroups" if is_group else "/subscriptions",
        "name": scope.scope.rsplit("/", 1)[-1],
        "displayName": scope.name,
        **({"children": children} if children else {}),
    }


def diagnostic_setting(content: Content, scope: str) -> Document:
    """Return the setting that sends the log of a scope into the workspace."""
    workspace = next(r["id"] for r in content.resources if r["properties"].get("customerId"))
    logs = [{"category": name, "enabled": True} for name in ("StorageRead", "StorageWrite", "StorageDelete")]
    return {
        "id": f"{scope}/providers/Microsoft.Insights/diagnosticSettings/to-workspace",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": "to-workspace",
        "properties": {"workspaceId": workspace, "logs": logs, "metrics": []},
    }
