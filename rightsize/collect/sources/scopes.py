"""Declare the sources of scopes: management groups, subscriptions, resources and their settings.

Source: Microsoft Learn, REST reference of Microsoft.Management, Microsoft.Resources, Microsoft.Insights and of the
providers named below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rightsize.azure.wire import WireRequest
from rightsize.collect.forms import read_graph_query
from rightsize.collect.listing import CollectionUnit, Known, Right, Source, Units
from rightsize.collect.runs import ALL_RESOURCES
from rightsize.collect.sources.asking import arm, of_each_subscription, subscription_scope
from rightsize.rbac.text import fold

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
    _settings_source("key_vaults", "key vaults", "Microsoft.KeyVault/vaults", "2022-07-01"),
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
