"""Deployments that Azure/mpf ran until nothing was refused, written anew, with the operations that it measured."""

from __future__ import annotations

from tests.iac.deployment_cases import (
    AKS,
    NETWORK,
    OF_GROUP,
    OWN_GROUP,
    STORAGE,
    SUBNET,
    SUBNET_ID,
    Case,
    of_type,
    operations,
    resource,
    state,
    template,
)

MPF = "https://github.com/Azure/mpf/blob/main/e2eTests"


def _mpf() -> list[Case]:
    """Return what Azure/mpf measured: it deploys until nothing is refused."""
    aks_list = operations(f"{AKS}: read write", f"{NETWORK}: read write", f"{SUBNET}: read write join/action")
    cluster = {"agentPoolProfiles": [{"name": "a", "vnetSubnetID": f"[resourceId('{SUBNET}', 'vnet', 'apps')]"}]}
    bicep = f"""
resource vnet '{NETWORK}@2024-01-01' = {{ name: 'vnet', properties: {{ addressSpace: {{ }} }} }}
resource subnet '{SUBNET}@2024-01-01' = {{ parent: vnet, name: 'apps', properties: {{ }} }}
resource aks '{AKS}@2024-01-01' = {{
  name: 'aks'
  properties: {{ agentPoolProfiles: [ {{ name: 'a', vnetSubnetID: subnet.id }} ] }}
}}
"""
    bicep = bicep.replace(", properties", "\n  properties").replace(", name", "\n  name")
    hub = "Microsoft.MachineLearningServices/workspaces"
    law, insights = "Microsoft.OperationalInsights/workspaces", "Microsoft.Insights/components"
    return [
        Case(
            "AKS in a subnet, ARM template",
            f"{MPF}/e2eArm_test.go",
            template(resource(NETWORK, "vnet"), resource(SUBNET, "vnet/apps"), resource(AKS, "aks", cluster)),
            aks_list,
            measured=True,
        ),
        Case(
            "AKS in a subnet, Bicep", f"{MPF}/e2eBicep_test.go", bicep.encode(), aks_list, "main.bicep", measured=True
        ),
        Case(
            "Storage account, Bicep",
            f"{MPF}/e2eBicep_test.go",
            f"resource s '{STORAGE}@2023-01-01' = {{\n  name: 's'\n}}\noutput i string = s.id\n".encode(),
            operations(f"{STORAGE}: read write"),
            "main.bicep",
            measured=True,
        ),
        Case(
            "Resource group, Bicep at a subscription",
            f"{MPF}/e2eBicepSubscriptionScoped_test.go",
            b"targetScope = 'subscription'\nresource g 'Microsoft.Resources/resourceGroups@2021-04-01' = {\n"
            b"  name: 'rg'\n  location: 'eastus2'\n}\n",
            operations("Microsoft.Resources/subscriptions/resourceGroups: read write"),
            "main.bicep",
            measured=True,
        ),
        Case(
            "AI hub, ARM template",
            f"{MPF}/e2eArm_test.go",
            template(
                resource("Microsoft.CognitiveServices/accounts", "ai", kind="AIServices"),
                resource(hub, "hub", kind="hub", identity={"type": "SystemAssigned"}),
            ),
            operations(
                "Microsoft.CognitiveServices/accounts: read write", f"{hub}: read write", f"{hub}/hubs: read write"
            ),
            measured=True,
        ),
        Case(
            "Container group, Terraform with destroy",
            f"{MPF}/e2eTerraform_test.go",
            state(
                OWN_GROUP,
                of_type("azurerm_container_group", "aci", arm="Microsoft.ContainerInstance/containerGroups"),
            ),
            operations("Microsoft.ContainerInstance/containerGroups: read write delete", OF_GROUP),
            measured=True,
        ),
        Case(
            "Resource group, Terraform with destroy",
            f"{MPF}/e2eTerraform_test.go",
            state(OWN_GROUP),
            operations(OF_GROUP),
            measured=True,
        ),
        Case(
            "Workspace of a module, Terraform with destroy",
            f"{MPF}/e2eTerraform_test.go",
            state(OWN_GROUP, of_type("azurerm_log_analytics_workspace", "law", arm=law)),
            operations(f"{law}: read write delete", OF_GROUP),
            measured=True,
        ),
        Case(
            "AKS in a subnet, Terraform with destroy",
            f"{MPF}/e2eTerraform_test.go",
            state(
                OWN_GROUP,
                of_type("azurerm_virtual_network", "vnet", arm=NETWORK),
                of_type("azurerm_subnet", "vnet/apps", arm=SUBNET),
                of_type(
                    "azurerm_kubernetes_cluster",
                    "aks",
                    {"default_node_pool": [{"name": "a", "vnet_subnet_id": SUBNET_ID}]},
                    arm=AKS,
                ),
            ),
            operations(
                f"{AKS}: read write delete listClusterUserCredential/action",
                f"{NETWORK}: read write delete",
                f"{SUBNET}: read write delete join/action",
                OF_GROUP,
            ),
            measured=True,
        ),
        Case(
            "Registry, storage, network, workspace: the writes and the poll",
            f"{MPF}/e2eTerraformOperationStatuses_test.go",
            state(
                OWN_GROUP,
                of_type("azurerm_container_registry", "acr", arm="Microsoft.ContainerRegistry/registries"),
                of_type("azurerm_storage_account", "st", arm=STORAGE),
                of_type("azurerm_virtual_network", "vnet", arm=NETWORK),
                of_type("azurerm_subnet", "vnet/apps", arm=SUBNET),
                of_type("azurerm_log_analytics_workspace", "law", arm=law),
            ),
            operations(
                "Microsoft.ContainerRegistry/registries: write operationStatuses/read",
                f"{STORAGE}: write",
                f"{NETWORK}: write",
                f"{SUBNET}: write",
                f"{law}: write",
            ),
            silent=("/read", "/delete", "/action", "microsoft.resources/"),
            measured=True,
        ),
        Case(
            "Application Insights of a verified module: the module's own types",
            "https://github.com/Azure/mpf/blob/main/docs/known-issues-and-workarounds.md",
            state(
                OWN_GROUP,
                of_type("azurerm_log_analytics_workspace", "law", arm=law),
                of_type("azurerm_application_insights", "ai", arm=insights),
            ),
            operations(
                f"{law}: read write delete",
                f"{insights}: read write delete currentBillingFeatures/read currentBillingFeatures/write",
                OF_GROUP,
            ),
            measured=True,
        ),
    ]


MEASURED = _mpf()
