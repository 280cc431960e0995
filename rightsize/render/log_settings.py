"""Write the diagnostic settings that switch a missing log on, as Bicep, and the commands that deploy them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rightsize.analyze.observability.ways import RESOURCE_LOG
from rightsize.render.escape import for_bicep, for_shell
from rightsize.rules.prices import log_tables
from rightsize.rules.tables import rows_of

FOLDER_OF_LOG = "EXPORT"
"""The placeholder in commands for the folder or file to which a person exported the log."""

_VERSIONS = {
    "microsoft.storage/storageaccounts": "2023-01-01",
    "microsoft.keyvault/vaults": "2023-07-01",
    "microsoft.servicebus/namespaces": "2021-11-01",
    "microsoft.eventhub/namespaces": "2021-11-01",
    "microsoft.containerservice/managedclusters": "2023-08-01",
    "microsoft.containerregistry/registries": "2023-07-01",
}
_ENTRA = {
    "sign_ins:user": ("SignInLogs", "NonInteractiveUserSignInLogs"),
    "sign_ins:service_principal": ("ServicePrincipalSignInLogs",),
    "sign_ins:managed_identity": ("ManagedIdentitySignInLogs",),
    "graph_log": ("MicrosoftGraphActivityLogs",),
    "directory_log": ("AuditLogs",),
}


def template_name(item: str) -> str:
    """Return the name of the file with the setting of a missing log."""
    return item.replace("/", "-").replace(":", "-").replace("_", "-") + ".bicep"


def write_template(item: str) -> str | None:
    """Return the Bicep that switches a missing log on; None for what is no setting."""
    if item in _ENTRA:
        return "\n".join(_entra_lines(_ENTRA[item])) + "\n"
    if item.startswith(RESOURCE_LOG):
        return "\n".join(_resource_lines(item.removeprefix(RESOURCE_LOG))) + "\n"
    return None


def deployment_commands(kind: str, resources: Sequence[str]) -> tuple[str, ...]:
    """Return the commands that deploy the setting to folded resources of a type, one a resource group."""
    groups: dict[tuple[str, str], list[str]] = {}
    for resource in resources:
        parts = resource.split("/")
        groups.setdefault((parts[2], parts[4]), []).append(parts[8])
    file = template_name(RESOURCE_LOG + kind)
    return tuple(
        f"az deployment group create --subscription {for_shell(subscription)} --resource-group {for_shell(group)} "
        f"--template-file {file} --parameters workspaceId=WORKSPACE names={for_shell(json.dumps(sorted(names)))}"
        for (subscription, group), names in sorted(groups.items())
    )


def entra_command(item: str) -> str:
    """Return the command that deploys the setting of a log of the directory."""
    return (
        f"az deployment tenant create --location eastus --template-file {template_name(item)} "
        "--parameters workspaceId=WORKSPACE"
    )


def policy_commands(item: str, policies: Sequence[str], subscriptions: Sequence[str]) -> tuple[str, ...]:
    """Return the commands that send a log by built-in policies, from resources of today and those to come.

    Args:
        item: The missing log.
        policies: The GUIDs of the policy definitions.
        subscriptions: The folded scopes of the subscriptions.
    """
    target = for_shell(json.dumps({"logAnalytics": {"value": "WORKSPACE"}}))
    kind = item.rsplit("/", 1)[-1]
    found = []
    for scope in subscriptions:
        for number, policy in enumerate(policies, start=1):
            name = f"rightsize-{kind}-{number}"
            subscription = for_shell(scope.rsplit("/", 1)[-1])
            found += [
                f"az policy assignment create --name {name} --policy {policy} --scope {for_shell(scope)} "
                f"--params {target} --mi-system-assigned --location eastus "
                f"--identity-scope {for_shell(scope)} --role 'Log Analytics Contributor'",
                f"az policy remediation create --name {name} --policy-assignment {name} --subscription {subscription}",
            ]
    return tuple(found)


def template_files(items: Iterable[str]) -> Mapping[str, str]:
    """Return name and content of the files for missing logs; things that are no setting have none."""
    found = ((template_name(item), write_template(item)) for item in items)
    return {name: text for name, text in found if text is not None}


def _parameters(what: str) -> Iterator[str]:
    yield f"@description({for_bicep(what)})"
    yield "param workspaceId string"


def _entra_lines(categories: Sequence[str]) -> Iterator[str]:
    yield "targetScope = 'tenant'"
    yield ""
    yield from _parameters("Resource id of the Log Analytics workspace that gets the log")
    yield ""
    yield "resource setting 'microsoft.aadiam/diagnosticSettings@2017-04-01' = {"
    yield f"  name: {for_bicep('rightsize-' + categories[0])}"
    yield from _properties(categories)
    yield "}"


def _resource_lines(kind: str) -> Iterator[str]:
    rules = [row for row in rows_of("resource_logs") if row["resource_type"].lower() == kind]
    parts = list(dict.fromkeys(row["part"] for row in rules))
    spelt = rules[0]["resource_type"]
    (table,) = log_tables(RESOURCE_LOG + kind)
    yield from _parameters("Resource id of the Log Analytics workspace that gets the log")
    yield "@description('Names of the resources in this resource group')"
    yield "param names array"
    for number, part in enumerate(parts):
        child = part.split("/", 1)
        type_ = f"{spelt}/{child[0]}" if part else spelt
        name = "'${name}/" + child[1] + "'" if part else "name"
        yield ""
        yield f"resource target{number} '{type_}@{_VERSIONS[kind]}' existing = [for name in names: {{"
        yield f"  name: {name}"
        yield "}]"
        yield ""
        yield (
            f"resource setting{number} 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = "
            "[for (name, index) in names: {"
        )
        yield "  name: 'rightsize'"
        yield f"  scope: target{number}[index]"
        yield from _properties(table.category.split(" "))
        yield "}]"


def _properties(categories: Sequence[str]) -> Iterator[str]:
    yield "  properties: {"
    yield "    workspaceId: workspaceId"
    yield "    logs: ["
    for category in categories:
        yield f"      {{ category: {for_bicep(category)}, enabled: true }}"
    yield "    ]"
    yield "  }"
