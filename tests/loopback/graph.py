"""Serve Microsoft Graph, v1.0 and beta: the listings of the directory and its logs, batches, and `getByIds`.

Sources: Microsoft Learn, Microsoft Graph reference; "Use query parameters"; "Combine multiple HTTP requests using JSON
batching".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from rightsize.demo.directory_files import transitive_members
from tests.loopback.content import Content, Document
from tests.loopback.graph_filters import keep
from tests.loopback.graph_sign_ins import sign_in_page
from tests.loopback.wire import Answer, RefusalError, Request, graph_error, page, read_request

_PAGE, _MAX_PAGE = 100, 999
_MAX_BATCH = 20
_EMPTY = (
    "oauth2PermissionGrants domains auditLogs/directoryAudits "
    "roleManagement/directory/roleEligibilityScheduleRequests "
    "roleManagement/directory/roleAssignmentScheduleInstances "
    "roleManagement/directory/roleEligibilitySchedules roleManagement/directory/roleAssignmentSchedules "
    "policies/roleManagementPolicies policies/roleManagementPolicyAssignments identity/conditionalAccess/policies "
    "identityGovernance/privilegedAccess/group/assignmentScheduleInstances "
    "identityGovernance/privilegedAccess/group/assignmentScheduleRequests "
    "identityGovernance/entitlementManagement/accessPackages "
    "identityGovernance/entitlementManagement/assignments "
    "reports/servicePrincipalSignInActivities directory/deletedItems/microsoft.graph.group "
    "directory/deletedItems/microsoft.graph.application"
)
_SIGNALS = [
    "identityprotection/riskyusers",
    "identityprotection/riskdetections",
    "identityprotection/riskyserviceprincipals",
    "identityprotection/serviceprincipalriskdetections",
    "security/alerts_v2",
    "security/incidents",
]
_EMPTY_OF_OBJECT = (
    "owners federatedIdentityCredentials appRoleAssignments appRoleAssignedTo oauth2PermissionGrants licenseDetails "
    "transitiveMemberOf memberOf ownedObjects"
)
_EMPTY_PATHS = {path.lower() for path in _EMPTY.split()}
_EMPTY_PARTS = {path.lower(): path for path in _EMPTY_OF_OBJECT.split()}
# A filter on the group or the principal is required by the API.
_NEEDS_FILTER = "identitygovernance/privilegedaccess/group/"
# Not shown unless asked for.
_HIDDEN = {"signInActivity", "owners", "sponsors"}
_BLUEPRINT = "microsoft.graph.agentidentityblueprint"


class Graph:
    """Answers the requests of Microsoft Graph."""

    def __init__(self, content: Content, page_size: int | None) -> None:
        self._content, self.page_size = content, page_size
        self._listings: dict[str, Callable[[], list[Document]]] = {
            "users": lambda: content.directory("users"),
            "groups": lambda: content.directory("groups"),
            "serviceprincipals": lambda: content.directory("servicePrincipals"),
            "directory/deleteditems/microsoft.graph.user": lambda: content.directory("deletedItems-users"),
            "directory/deleteditems/microsoft.graph.serviceprincipal": lambda: content.directory(
                "deletedItems-servicePrincipals"
            ),
            "applications": self._applications,
            "directory/administrativeunits": lambda: content.directory("administrativeUnits"),
            f"{_NEEDS_FILTER}eligibilityscheduleinstances": lambda: content.directory("group-eligibility-instances"),
            f"applications/{_BLUEPRINT}": lambda: content.directory("agentBlueprints"),
            f"serviceprincipals/{_BLUEPRINT}principal": lambda: content.directory("agentBlueprintPrincipals"),
            "serviceprincipals/microsoft.graph.agentidentity": lambda: content.directory("agentIdentities"),
            "users/microsoft.graph.agentuser": lambda: content.directory("agentUsers"),
            "organization": self._organization,
            "subscribedskus": self._licences,
            "rolemanagement/directory/roledefinitions": lambda: content.directory("directory-roles"),
            "rolemanagement/directory/roleassignments": lambda: content.directory("directory-role-assignments"),
            "rolemanagement/directory/roleeligibilityscheduleinstances": lambda: content.directory(
                "directory-role-eligibility"
            ),
            "rolemanagement/directory/roleassignmentschedulerequests": lambda: content.directory(
                "directory-role-requests"
            ),
        }
        self._made: dict[str, list[Document]] = {}

    def answer(self, request: Request) -> Answer:
        """Answer a request that carries a good token.

        Raises:
            RefusalError: With the error that Graph would answer.
        """
        version, _, path = request.path[1:].partition("/")
        key = path.lower()
        if request.method == "POST":
            return self._post(request, key)
        if version == "beta" and key == "applications" and self._content.refuses_new_versions:
            return graph_error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        if key == "auditlogs/signins":
            return sign_in_page(self._content, request, version, self._size(request, 1000))
        if key.startswith(_NEEDS_FILTER) and not re.search(
            r"(groupId|principalId) eq '", request.query.get("$filter", "")
        ):
            text = "A filter on groupId or principalId is required."
            return graph_error(400, "MissingParameters", text)
        if key in _SIGNALS:
            return self._page(request, version, path, self._content.signals.get(key, []))
        if key in self._listings or key in _EMPTY_PATHS:
            items = self._listing(key) if key in self._listings else []
            return self._page(request, version, path, items)
        if unit := re.fullmatch(r"directory/administrativeunits/([^/]+)/members", key):
            members = self._content.directory(f"administrativeUnit-members-{unit[1]}")
            return self._page(request, version, path.replace(unit[1], f"('{unit[1]}')").replace("/(", "("), members)
        if one := re.fullmatch(rf"applications/([^/]+)/{_BLUEPRINT}/inheritablepermissions", key):
            return self._inheritable(request, version, one[1])
        if key.endswith("/$count") and key.removesuffix("/$count") in self._listings:
            return Answer(
                document=str(len(self._listing(key.removesuffix("/$count")))).encode(), content_type="text/plain"
            )
        return self._of_object(request, version, path)

    def _inheritable(self, request: Request, version: str, blueprint: str) -> Answer:
        if all(one["id"] != blueprint for one in self._listing(f"applications/{_BLUEPRINT}")):
            return graph_error(404, "Request_ResourceNotFound", f"Resource '{blueprint}' does not exist.")
        listed = self._content.directory("inheritablePermissions")
        return self._page(request, version, f"applications('{blueprint}')/inheritablePermissions", listed)

    def _listing(self, key: str) -> list[Document]:
        if key not in self._made:
            self._made[key] = self._listings[key]()
        return self._made[key]

    def _size(self, request: Request, most: int = _MAX_PAGE) -> int:
        asked = request.query.get("$top", "")
        if asked and not (asked.isdigit() and 0 < int(asked) <= most):
            text = f"Invalid page size specified: '{asked}'. Must be between 1 and {most} inclusive."
            raise RefusalError(graph_error(400, "Request_UnsupportedQuery", text))
        size = int(asked) if asked else _PAGE
        return min(size, self.page_size or size)

    def _page(self, request: Request, version: str, path: str, items: list[Document]) -> Answer:
        select = [name for name in request.query.get("$select", "").split(",") if name]
        size = self._size(request, 500 if "signInActivity" in select else _MAX_PAGE)
        held = keep(items, request.query.get("$filter", ""))
        expand = re.sub(r"\(.*?\)", "", request.query.get("$expand", ""))
        shown = [_selected(item, select) | self._expanded(version, path, item, expand) for item in held]
        inner = f",{expand}(id)" if expand else ""
        chosen = f"({request.query['$select']}{inner})" if select else ""
        head: Document = {"@odata.context": f"{request.base}/{version}/$metadata#{path}{chosen}"}
        if request.query.get("$count", "").lower() == "true":
            head["@odata.count"] = len(held)
        return page(request, shown, size, link="@odata.nextLink", **head)

    def _expanded(self, version: str, path: str, item: Document, name: str) -> Document:
        """Return a navigation of an object, as it stands beside its properties."""
        if name in item:
            return {name: item[name]}
        listing = {"owners": f"owners-{path}", "federatedIdentityCredentials": f"{path}-trust"}.get(name)
        if listing is None:
            return {}
        found = [one[name] for one in self._content.directory(listing) if one["id"] == item["id"]]
        if name != "federatedIdentityCredentials" or version == "beta":
            return {name: found[0] if found else []}
        # The version 1.0 knows no expressions.
        known = (
            [{key: one[key] for key in one if key != "claimsMatchingExpression"} for one in found[0]] if found else []
        )
        return {name: known}

    def _of_object(self, request: Request, version: str, path: str) -> Answer:
        kind, _, rest = path.partition("/")
        identifier, _, part = rest.partition("/")
        part, _, cast = part.partition("/")
        known = kind.lower() in ("users", "groups", "serviceprincipals", "applications", "directoryobjects")
        if not known or not identifier:
            return graph_error(400, "BadRequest", f"Resource not found for the segment '{path.rsplit('/', 1)[-1]}'.")
        held = self._object(kind, identifier)
        if held is None:
            text = f"Resource '{identifier}' does not exist or one of its queried properties is not present."
            return graph_error(404, "Request_ResourceNotFound", text)
        if not part:
            return Answer(document=held)
        if kind.lower() == "groups" and part.lower() in ("members", "transitivemembers"):
            members = self._members(held["id"], transitive=part.lower() != "members")
            if cast:
                members = [member for member in members if member["@odata.type"].lower() == f"#{cast}".lower()]
            return self._members_page(request, version, held["id"], part, members)
        if part.lower() in _EMPTY_PARTS:
            return self._page(request, version, f"{kind}('{held['id']}')/{part}", [])
        return graph_error(400, "BadRequest", f"Resource not found for the segment '{part}'.")

    def _members_page(self, request: Request, version: str, group: str, part: str, members: list[Document]) -> Answer:
        # Graph names the group in the context only where properties are selected.
        path = f"groups('{group}')/{part}" if request.query.get("$select") else "directoryObjects"
        return self._page(request, version, path, members)

    def _object(self, kind: str, identifier: str) -> Document | None:
        kinds = ("users", "groups", "serviceprincipals") if kind.lower() == "directoryobjects" else (kind.lower(),)
        for key in kinds:
            for item in self._listing(key) if key in self._listings else []:
                if item["id"].lower() == identifier.lower():
                    return item
        return None

    def _members(self, group: str, *, transitive: bool) -> list[Document]:
        tenant = self._content.tenant
        ids = transitive_members(tenant, group) if transitive else tenant.members.get(group, ())
        people = tenant.principals_by_id()
        kinds = {
            "user": "user",
            "guest": "user",
            "group": "group",
            "app": "servicePrincipal",
            "identity": "servicePrincipal",
        }
        found = []
        for member in ids:
            principal = people[member]
            entry = {
                "@odata.type": f"#microsoft.graph.{kinds[principal.kind]}",
                "id": member,
                "displayName": principal.name,
            }
            if principal.user_principal_name:
                entry["userPrincipalName"] = principal.user_principal_name
            found.append(entry)
        return found

    def _post(self, request: Request, key: str) -> Answer:
        if key == "$batch":
            return self._batch(request)
        if key in ("directoryobjects/getbyids", "directory/deleteditems/getbyids"):
            return self._by_ids(request)
        return graph_error(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")

    def _batch(self, request: Request) -> Answer:
        asked = request.json()["requests"]
        if len(asked) > _MAX_BATCH:
            text = f"Number of batch request steps exceeds the maximum value of {_MAX_BATCH}."
            return graph_error(400, "BadRequest", text)
        version = request.path.split("/")[1]
        responses = []
        for part in asked:
            body = json.dumps(part["body"]).encode() if "body" in part else b""
            target = f"/{version}/{str(part['url']).lstrip('/')}"
            inner = read_request(part["method"], request.base, target, dict(request.headers), body)
            try:
                answer = self.answer(inner)
            except RefusalError as refusal:
                answer = refusal.answer
            responses.append(
                {
                    "id": part["id"],
                    "status": answer.status,
                    "headers": {"Content-Type": "application/json", **answer.headers},
                    "body": json.loads(answer.content()),
                }
            )
        return Answer(document={"responses": responses[::-1]})

    def _by_ids(self, request: Request) -> Answer:
        ids = request.json().get("ids", [])
        if len(ids) > 1000:
            return graph_error(400, "Request_BadRequest", "Too many ids.")
        kinds = (("users", "user"), ("groups", "group"), ("serviceprincipals", "servicePrincipal"))
        wanted = {str(identifier).lower() for identifier in ids}
        found = [
            {"@odata.type": f"#microsoft.graph.{name}", **_selected(item, [])}
            for key, name in kinds
            for item in self._listing(key)
            if item["id"].lower() in wanted
        ]
        context = f"{request.base}/v1.0/$metadata#directoryObjects"
        return Answer(document={"@odata.context": context, "value": found})

    def _applications(self) -> list[Document]:
        names = {app["appId"]: app["displayName"] for app in self._listing("serviceprincipals")}
        listed = self._content.directory("applications-trust")
        return [
            {
                "id": app["id"],
                "appId": app["appId"],
                "displayName": names[app["appId"]],
                "signInAudience": "AzureADMyOrg",
            }
            for app in listed
        ]

    def _organization(self) -> list[Document]:
        tenant = self._content.tenant
        return [
            {"id": tenant.tenant_id, "displayName": "Alder Valley Health", "verifiedDomains": [{"name": tenant.domain}]}
        ]

    def _licences(self) -> list[Document]:
        return [
            {
                "id": f"{self._content.tenant.tenant_id}_84a661c4-e949-4bd2-a560-ed7766fcaf2b",
                "skuId": "84a661c4-e949-4bd2-a560-ed7766fcaf2b",
                "skuPartNumber": "AAD_PREMIUM_P2",
                "capabilityStatus": "Enabled",
                "consumedUnits": 60,
                "prepaidUnits": {"enabled": 100, "suspended": 0, "warning": 0},
                "servicePlans": [
                    {
                        "servicePlanId": "eec0eb4f-6444-4f95-aba0-50c24d67f998",
                        "servicePlanName": "AAD_PREMIUM_P2",
                        "provisioningStatus": "Success",
                        "appliesTo": "User",
                    }
                ],
            }
        ]


def _selected(item: Document, select: list[str]) -> Document:
    if select:
        wanted = {"id", "@odata.type", *select}
        return {name: value for name, value in item.items() if name in wanted}
    return {name: value for name, value in item.items() if name not in _HIDDEN}
