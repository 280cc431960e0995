"""Declare the sources of Azure: scopes, resources and their settings, role assignments, PIM and policies.

Source: Microsoft Learn, REST reference of Microsoft.Management, Microsoft.Resources, Microsoft.Insights and of the
providers named below.

A subscription is listed without a filter, which returns assignments above, at and below it: `atScope()` would omit
those at resource groups and resources. At management groups, only `atScope()` returns a complete answer.
Source: Microsoft Learn, "List Azure role assignments using the REST API"; REST reference of Microsoft.Authorization.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import (
    AUTHORIZATION,
    CollectionUnit,
    Known,
    Right,
    Source,
    Units,
    arm,
    of_each_subscription,
    read_graph_query,
    subscription_scope,
)
from rightsize.collect.runs import ALL_RESOURCES
from rightsize.model.text import fold

_READER = "Reader"
_SMALL_REQUESTS = 50


def _management_groups(known: Known) -> Iterator[CollectionUnit]:  # noqa: ARG001  it answers for the caller
    yield CollectionUnit(
        "/",
        (
            WireRequest(
                "arm",
                "/providers/Microsoft.Management/getEntities?api-version=2020-05-01",
                "POST",
                "{}",
                budget="arm:tenant",
            ),
        ),
        "/",
    )


def _subscriptions(known: Known) -> Iterator[CollectionUnit]:  # noqa: ARG001  it answers for the caller
    yield CollectionUnit("/", (arm("/subscriptions", "2022-12-01"),), "/")


_QUERY_OPTIONS = {"resultFormat": "objectArray", "$top": 1000}
_COUNT = (
    '{"query":"authorizationresources | where type =~ \'microsoft.authorization/roleassignments\' '
    '| summarize assignments = count() by subscriptionId","options":{"resultFormat":"objectArray"}}'
)


def _counted(known: Known) -> Iterator[CollectionUnit]:  # noqa: ARG001  it answers for everything that the caller sees
    path = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
    yield CollectionUnit("/", (WireRequest("arm", path, "POST", _COUNT, budget="resource_graph"),), "/")


def _queried(known: Known) -> Iterator[CollectionUnit]:
    path = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
    for identifier in known.subscriptions():
        asked = {"subscriptions": [identifier], "query": ALL_RESOURCES, "options": _QUERY_OPTIONS}
        request = WireRequest("arm", path, "POST", json.dumps(asked), budget="resource_graph")
        scope = subscription_scope(identifier)
        yield CollectionUnit(scope, (request,), scope)


def _listed(path: str, version: str, **parameters: str) -> Units:
    return lambda known: of_each_subscription(known, path, version, **parameters)


def _settings_source(name: str, title: str, kind: str, version: str) -> Source:
    return Source(
        name,
        "arm",
        title,
        Right(f"{kind}/read", _READER),
        _listed(f"/providers/{kind}", version),
        ("subscriptions",),
    )


def _below(parents: str, path: str, version: str, older: str = "") -> Units:
    """Return a maker of units for a path below each resource of another source, several resources a unit.

    `older` is the version to ask for where the service does not take `version`.
    """

    def units(known: Known) -> Iterator[CollectionUnit]:
        yield from _in_units([(text, path) for text in sorted(_ids(known.records(parents)))], version, older)

    return units


def _ids(records: Iterator[dict[str, Any]]) -> set[str]:
    return {text for record in records if isinstance(text := record.get("id"), str) and is_resource_id(text)}


_RESOURCE = re.compile(r"/subscriptions/[0-9a-f-]{36}/resourcegroups/[^/?#]+/providers/[^?#]+", re.IGNORECASE)


def is_resource_id(text: str) -> bool:
    """Return whether a text from a listing is a resource id that is safe to build a request from."""
    return _RESOURCE.fullmatch(text) is not None and ".." not in text


def _in_units(asked: list[tuple[str, str]], version: str, older: str = "") -> Iterator[CollectionUnit]:
    by_subscription: dict[str, list[tuple[str, str]]] = {}
    for resource, path in asked:
        by_subscription.setdefault(fold(resource.split("/")[2]), []).append((resource, path))
    for identifier, held in sorted(by_subscription.items()):
        scope = subscription_scope(identifier)
        for at in range(0, len(held), _SMALL_REQUESTS):
            part = held[at : at + _SMALL_REQUESTS]
            requests = tuple(arm(f"{resource}{path}", version) for resource, path in part)
            instead = tuple(arm(f"{resource}{path}", older) for resource, path in part) if older else ()
            yield CollectionUnit(f"{scope}#{fold(part[0][0])}", requests, scope, instead=instead)


OBSERVED_TYPES: dict[str, tuple[str, ...]] = {
    # A storage account has its diagnostic settings at each of its services.
    "microsoft.storage/storageaccounts": tuple(
        f"/{service}Services/default" for service in ("blob", "file", "queue", "table")
    ),
    "microsoft.keyvault/vaults": ("",),
    "microsoft.keyvault/managedhsms": ("",),
    "microsoft.containerservice/managedclusters": ("",),
    "microsoft.containerregistry/registries": ("",),
    "microsoft.documentdb/databaseaccounts": ("",),
    "microsoft.eventhub/namespaces": ("",),
    "microsoft.servicebus/namespaces": ("",),
    "microsoft.appconfiguration/configurationstores": ("",),
    "microsoft.cognitiveservices/accounts": ("",),
    "microsoft.search/searchservices": ("",),
    "microsoft.sql/servers": ("",),
    "microsoft.operationalinsights/workspaces": ("",),
}
"""Resource types with a data plane that logs can show, and the paths to their diagnostic settings."""


def _diagnostic_settings(known: Known) -> Iterator[CollectionUnit]:
    asked = []
    for record in known.records("resources"):
        identifier, kind = record.get("id"), record.get("type")
        if isinstance(identifier, str) and isinstance(kind, str) and is_resource_id(identifier):
            asked += [(identifier, part) for part in OBSERVED_TYPES.get(fold(kind), ())]
    settings = "/providers/Microsoft.Insights/diagnosticSettings"
    yield from _in_units([(f"{resource}{part}", settings) for resource, part in sorted(asked)], "2021-05-01-preview")


SCOPE_SOURCES = (
    Source(
        "management_groups", "arm", "management groups with their children",
        Right("Microsoft.Management/managementGroups/read", "Management Group Reader"), _management_groups,
    ),
    Source(
        "subscriptions", "arm", "subscriptions", Right("Microsoft.Resources/subscriptions/read"), _subscriptions
    ),
    Source(
        "assignment_counts", "arm", "counts of role assignments, from Resource Graph",
        Right("Microsoft.ResourceGraph/resources/read"), _counted, form=read_graph_query, is_raw=True,
        pool="resource_graph",
    ),
    Source(
        "resource_groups", "arm", "resource groups with their tags",
        Right("Microsoft.Resources/subscriptions/resourceGroups/read"),
        _listed("/resourcegroups", "2021-04-01"), ("subscriptions",),
    ),
    Source(
        "resources", "arm", "resources with their tags and identities",
        Right("Microsoft.Resources/subscriptions/resources/read"),
        _listed("/resources", "2021-04-01", expand="createdTime,changedTime"), ("subscriptions",),
    ),
    Source(
        "resource_graph", "arm", "resources with their properties, from Resource Graph",
        Right("Microsoft.ResourceGraph/resources/read"), _queried, ("subscriptions",), form=read_graph_query,
        pool="resource_graph",
    ),
    Source(
        "providers", "arm", "resource providers with their registration",
        Right("Microsoft.Resources/subscriptions/providers/read"),
        _listed("/providers", "2021-04-01"), ("subscriptions",),
    ),
    _settings_source(
        "user_assigned_identities", "user-assigned identities",
        "Microsoft.ManagedIdentity/userAssignedIdentities", "2023-01-31",
    ),
    Source(
        "identity_federated_credentials", "arm", "federated credentials of user-assigned identities",
        Right("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read"),
        # The older version does not show the expressions of flexible credentials.
        _below("user_assigned_identities", "/federatedIdentityCredentials", "2025-01-31-preview", "2023-01-31"),
        ("user_assigned_identities",),
    ),
    Source(
        "diagnostic_settings", "arm", "diagnostic settings of data planes",
        Right("Microsoft.Insights/diagnosticSettings/read"), _diagnostic_settings,
        ("resources",),
    ),
    _settings_source("key_vaults", "key vaults", "Microsoft.KeyVault/vaults", "2026-02-01"),
    _settings_source("storage_accounts", "storage accounts", "Microsoft.Storage/storageAccounts", "2023-01-01"),
    _settings_source("kubernetes_clusters", "Kubernetes clusters", "Microsoft.ContainerService/managedClusters",
                     "2024-02-01"),
    _settings_source("container_registries", "container registries", "Microsoft.ContainerRegistry/registries",
                     "2025-11-01"),
    _settings_source("cosmos_accounts", "Cosmos DB accounts", "Microsoft.DocumentDB/databaseAccounts", "2023-04-15"),
    Source(
        "cosmos_role_assignments", "arm", "role assignments within Cosmos DB",
        Right("Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments/read"),
        _below("cosmos_accounts", "/sqlRoleAssignments", "2023-04-15"), ("cosmos_accounts",),
    ),
    Source(
        "cosmos_role_definitions", "arm", "role definitions within Cosmos DB",
        Right("Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions/read"),
        _below("cosmos_accounts", "/sqlRoleDefinitions", "2023-04-15"), ("cosmos_accounts",),
    ),
    _settings_source("event_hubs", "Event Hubs namespaces", "Microsoft.EventHub/namespaces", "2021-11-01"),
    _settings_source("service_buses", "Service Bus namespaces", "Microsoft.ServiceBus/namespaces", "2021-11-01"),
    _settings_source("app_configurations", "App Configuration stores",
                     "Microsoft.AppConfiguration/configurationStores", "2023-03-01"),
    _settings_source("cognitive_accounts", "AI services", "Microsoft.CognitiveServices/accounts", "2023-05-01"),
    _settings_source("search_services", "search services", "Microsoft.Search/searchServices", "2023-11-01"),
    _settings_source("log_workspaces", "Log Analytics workspaces", "Microsoft.OperationalInsights/workspaces",
                     "2022-10-01"),
)  # fmt: skip
"""The sources of scopes and resources, in the order in which they are reported."""


_SCOPES = ("subscriptions", "management_groups")
_P2 = "Microsoft Entra ID P2 or Governance"


def _at_all_scopes(kind: str, version: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        for scope in known.management_groups():
            yield CollectionUnit(scope, (arm(f"{scope}{AUTHORIZATION}/{kind}", version, filter="atScope()"),), scope)
        yield from of_each_subscription(known, f"{AUTHORIZATION}/{kind}", version)

    return units


def _definitions(known: Known) -> Iterator[CollectionUnit]:
    """Yield one unit for all built-in roles, and one for the custom roles assignable at each scope."""
    version = "2022-05-01-preview"
    path = f"{AUTHORIZATION}/roleDefinitions"
    yield CollectionUnit("/", (arm(path, version),), "/")
    scopes = [*known.management_groups(), *map(subscription_scope, known.subscriptions())]
    for scope in scopes:
        yield CollectionUnit(scope, (arm(f"{scope}{path}", version, filter="type eq 'CustomRole'"),), scope)


def _policies(kind: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        for scope in [*known.management_groups(), *map(subscription_scope, known.subscriptions())]:
            yield CollectionUnit(scope, (arm(f"{scope}{AUTHORIZATION}/{kind}", "2020-10-01"),), scope)

    return units


def _policy_definitions(kind: str) -> Units:
    """Return a maker of units: one for Microsoft's definitions, and one for the custom ones of each scope."""
    version, path = "2023-04-01", f"{AUTHORIZATION}/{kind}"

    def units(known: Known) -> Iterator[CollectionUnit]:
        yield CollectionUnit("/", (arm(path, version),), "/")
        for scope in [*known.management_groups(), *map(subscription_scope, known.subscriptions())]:
            yield CollectionUnit(scope, (arm(f"{scope}{path}", version, filter="policyType eq 'Custom'"),), scope)

    return units


def _right(kind: str, licence: str = "") -> Right:
    return Right(f"Microsoft.Authorization/{kind}/read", "Reader", licence)


def _lighthouse(kind: str, **parameters: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        yield from of_each_subscription(
            known, f"/providers/Microsoft.ManagedServices/{kind}", "2022-10-01", **parameters
        )

    return units


def _operations(known: Known) -> Iterator[CollectionUnit]:  # noqa: ARG001  the catalogue is the same for everybody
    yield CollectionUnit("/", (arm(f"{AUTHORIZATION}/providerOperations", "2022-04-01", expand="resourceTypes"),), "/")


def _of_scopes(name: str, title: str, kind: str, version: str, *, licence: str = "") -> Source:
    return Source(name, "arm", title, _right(kind, licence), _at_all_scopes(kind, version), _SCOPES)


ACCESS_SOURCES = (
    Source("operations", "arm", "operations of all providers", _right("providerOperations"), _operations),
    Source("role_definitions", "arm", "role definitions", _right("roleDefinitions"), _definitions, _SCOPES),
    _of_scopes("role_assignments", "role assignments", "roleAssignments", "2022-04-01"),
    _of_scopes("deny_assignments", "deny assignments", "denyAssignments", "2022-04-01"),
    _of_scopes("policy_assignments", "policy assignments with their managed identities", "policyAssignments",
               "2023-04-01"),
    Source(
        "policy_definitions", "arm", "policy definitions with the roles that remediation needs",
        _right("policyDefinitions"),
        _policy_definitions("policyDefinitions"), _SCOPES,
    ),
    Source(
        "policy_set_definitions", "arm", "policy initiatives with their policies", _right("policySetDefinitions"),
        _policy_definitions("policySetDefinitions"), _SCOPES,
    ),
    _of_scopes(
        "role_eligibility_instances", "eligible assignments", "roleEligibilityScheduleInstances", "2020-10-01",
        licence=_P2,
    ),
    _of_scopes(
        "role_assignment_instances", "active assignments, with activations", "roleAssignmentScheduleInstances",
        "2020-10-01", licence=_P2,
    ),
    _of_scopes(
        "role_eligibility_requests", "requests for eligible assignments", "roleEligibilityScheduleRequests",
        "2020-10-01", licence=_P2,
    ),
    _of_scopes(
        "role_assignment_requests", "requests for active assignments and activations",
        "roleAssignmentScheduleRequests", "2020-10-01", licence=_P2,
    ),
    Source(
        "role_management_policies", "arm", "activation rules of roles", _right("roleManagementPolicies", _P2),
        _policies("roleManagementPolicies"), _SCOPES,
    ),
    Source(
        "role_management_policy_assignments", "arm", "assignments of activation rules to roles",
        _right("roleManagementPolicyAssignments", _P2), _policies("roleManagementPolicyAssignments"), _SCOPES,
    ),
    Source(
        "classic_administrators", "arm", "classic administrators", _right("classicAdministrators"),
        lambda known: of_each_subscription(known, f"{AUTHORIZATION}/classicAdministrators", "2015-07-01"),
        ("subscriptions",),
    ),
    Source(
        "lighthouse_definitions", "arm", "delegations to other tenants",
        Right("Microsoft.ManagedServices/registrationDefinitions/read"), _lighthouse("registrationDefinitions"),
        ("subscriptions",),
    ),
    Source(
        "lighthouse_assignments", "arm", "scopes delegated to other tenants",
        Right("Microsoft.ManagedServices/registrationAssignments/read"),
        _lighthouse("registrationAssignments", expandRegistrationDefinition="true"), ("subscriptions",),
    ),
)  # fmt: skip
"""The sources of access, in the order in which they are reported."""
