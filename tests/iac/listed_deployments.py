"""Deployments for which the vendor, pike or users list the operations, written anew, with where the list stands."""

from __future__ import annotations

from tests.iac.deployment_cases import (
    GROUP,
    HUB,
    HUB_IP,
    HUB_SUBNET,
    NETWORK,
    PUBLIC,
    STORAGE,
    SUBNET,
    SUBNET_ID,
    VAULT,
    Case,
    of_type,
    operations,
    resource,
    resource_id,
    state,
    template,
)

PIKE = "https://github.com/JamesWoolfenden/pike/blob/master/src/mapping/azurerm/resource"
LEARN = "https://learn.microsoft.com/en-us/azure"


def _learn() -> list[Case]:
    """Return what the vendor lists. It lists what Azure checks on the targets, not what reads and writes itself."""
    hub = "Microsoft.Network/virtualHubs"
    connection, intent = f"{hub}/hubVirtualNetworkConnections", f"{hub}/routingIntent"
    gateway, circuit = "Microsoft.Network/virtualNetworkGateways", "Microsoft.Network/expressRouteCircuits"
    firewall, appliance = "Microsoft.Network/azureFirewalls", "Microsoft.Network/networkVirtualAppliances"
    joins = {"ipConfigurations": [{"properties": {"subnet": {"id": HUB_SUBNET}, "publicIPAddress": {"id": HUB_IP}}}]}
    two_joins = operations(f"{SUBNET}: join/action", f"{PUBLIC}: join/action")
    peering = f"{NETWORK}/virtualNetworkPeerings"
    endpoint = "Microsoft.Network/privateEndpoints"
    table = {"associatedRouteTable": {"id": resource_id(f"{hub}/hubRouteTables", "h/t", HUB)}}
    return [
        Case(
            "Connection of a network to a virtual hub",
            f"{LEARN}/virtual-wan/roles-permissions#example-1",
            template(
                resource(
                    connection,
                    "h/c",
                    {
                        "remoteVirtualNetwork": {"id": resource_id(NETWORK, "spoke", HUB)},
                        "routingConfiguration": {
                            **table,
                            "inboundRouteMap": {"id": resource_id(f"{hub}/routeMaps", "h/m", HUB)},
                        },
                    },
                )
            ),
            operations(f"{connection}: write", f"{NETWORK}: peer/action", f"{hub}/hubRouteTables: read")
            | operations(f"{hub}/routeMaps: read"),
            silent=(f"{connection}/read",),
        ),
        Case(
            "Routing intent of a virtual hub",
            f"{LEARN}/virtual-wan/roles-permissions#example-2",
            template(
                resource(
                    intent,
                    "h/i",
                    {
                        "routingPolicies": [
                            {"name": "private", "nextHop": resource_id(appliance, "n", HUB)},
                            {"name": "internet", "nextHop": resource_id(firewall, "f", HUB)},
                        ]
                    },
                )
            ),
            operations(f"{intent}: write", f"{appliance}: read", f"{firewall}: read"),
            silent=(f"{intent}/read",),
        ),
        Case(
            "Site of a virtual WAN",
            f"{LEARN}/virtual-wan/roles-permissions",
            template(
                resource(
                    "Microsoft.Network/vpnSites",
                    "s",
                    {"virtualWan": {"id": resource_id("Microsoft.Network/virtualWans", "w", HUB)}},
                )
            ),
            operations("Microsoft.Network/virtualWans: read"),
            silent=("microsoft.network/vpnsites/",),
        ),
        Case(
            "ExpressRoute connection",
            f"{LEARN}/expressroute/roles-permissions",
            template(
                resource(
                    "Microsoft.Network/connections",
                    "c",
                    {
                        "virtualNetworkGateway1": {"id": resource_id(gateway, "g", HUB)},
                        "peer": {"id": resource_id(circuit, "e", HUB)},
                    },
                )
            ),
            operations("Microsoft.Network/connections: write", f"{gateway}: join/action", f"{circuit}: join/action"),
            silent=("microsoft.network/connections/read",),
        ),
        Case(
            "Virtual network gateway",
            f"{LEARN}/vpn-gateway/roles-permissions",
            template(resource(gateway, "g", joins)),
            two_joins | operations(f"{gateway}: write"),
            silent=(f"{gateway}/read",),
        ),
        Case(
            "Firewall in a virtual network",
            f"{LEARN}/firewall/roles-permissions",
            template(resource(firewall, "f", joins)),
            two_joins,
            silent=(f"{firewall}/",),
        ),
        Case(
            "Route server",
            f"{LEARN}/route-server/roles-permissions",
            template(
                resource(
                    f"{hub}/ipConfigurations",
                    "h/i",
                    {"subnet": {"id": HUB_SUBNET}, "publicIPAddress": {"id": HUB_IP}},
                )
            ),
            two_joins,
            silent=(f"{hub}/",),
        ),
        Case(
            "Private endpoint that is approved by who makes it",
            f"{LEARN}/private-link/rbac-permissions",
            template(
                resource(
                    endpoint,
                    "pe",
                    {
                        "subnet": {"id": HUB_SUBNET},
                        "privateLinkServiceConnections": [
                            {"name": "c", "properties": {"privateLinkServiceId": resource_id(STORAGE, "st", HUB)}}
                        ],
                    },
                )
            ),
            operations(
                f"{endpoint}: read write",
                f"{SUBNET}: join/action",
                f"{STORAGE}: privateEndpointConnectionsApproval/action",
            ),
        ),
        Case(
            "Peering with a hub network, azapi with destroy",
            "https://azure.github.io/Azure-Landing-Zones/terraform/subscription-vending/permissions",
            state(
                (
                    "azapi_resource",
                    "peering",
                    {
                        "id": resource_id(peering, "vnet/p", HUB),
                        "type": f"{peering}@2024-01-01",
                        "body": {"properties": {"remoteVirtualNetwork": {"id": resource_id(NETWORK, "spoke")}}},
                    },
                )
            ),
            operations(f"{peering}: read write delete", f"{NETWORK}: peer/action"),
        ),
    ]


def _pike() -> list[Case]:
    """Return what pike and users list for resources of Terraform."""
    zone, link = "Microsoft.Network/privateDnsZones", "Microsoft.Network/privateDnsZones/virtualNetworkLinks"
    endpoint, store = "Microsoft.Network/privateEndpoints", "Microsoft.AppConfiguration/configurationStores"
    groups = f"{endpoint}/privateDnsZoneGroups"
    interface = "Microsoft.Network/networkInterfaces"
    identity = "Microsoft.ManagedIdentity/userAssignedIdentities"
    group_read = ("microsoft.resources/subscriptions/resourcegroups/read",)
    return [
        Case(
            "Storage account, Terraform",
            f"{PIKE}/storage/azurerm_storage_account.json",
            state(of_type("azurerm_storage_account", "st", arm=STORAGE)),
            operations(f"{STORAGE}: read write delete listKeys/action blobServices/read fileServices/read"),
        ),
        Case(
            "Key vault, Terraform",
            f"{PIKE}/keyvault/azurerm_key_vault.json",
            state(of_type("azurerm_key_vault", "kv", arm=VAULT)),
            operations(f"{VAULT}: read write delete", "Microsoft.KeyVault/locations/deletedVaults: read"),
        ),
        Case(
            "App configuration, Terraform",
            f"{PIKE}/appconfiguration/azurerm_app_configuration.json",
            state(of_type("azurerm_app_configuration", "ac", arm=store)),
            operations(
                f"{store}: read write delete listKeys/action",
                "Microsoft.AppConfiguration/locations/deletedConfigurationStores: read",
            ),
        ),
        Case(
            "Subnet, Terraform",
            f"{PIKE}/network/azurerm_subnet.json",
            state(of_type("azurerm_subnet", "vnet/apps", arm=SUBNET)),
            operations(f"{SUBNET}: read write delete", f"{NETWORK}: read"),
        ),
        Case(
            "Network interface, Terraform",
            f"{PIKE}/network/azurerm_network_interface.json",
            state(
                of_type(
                    "azurerm_network_interface",
                    "nic",
                    {"ip_configuration": [{"name": "a", "subnet_id": SUBNET_ID}]},
                    arm=interface,
                )
            ),
            operations(f"{interface}: read write delete", f"{SUBNET}: join/action"),
            silent=group_read,
        ),
        Case(
            "Private endpoint with a zone group, Terraform",
            f"{PIKE}/network/azurerm_private_endpoint.json",
            state(
                of_type(
                    "azurerm_private_endpoint",
                    "pe",
                    {
                        "subnet_id": SUBNET_ID,
                        "private_service_connection": [
                            {
                                "name": "c",
                                "is_manual_connection": False,
                                "private_connection_resource_id": resource_id(STORAGE, "st"),
                            }
                        ],
                        "private_dns_zone_group": [
                            {"name": "z", "private_dns_zone_ids": [resource_id(zone, "z.net", HUB)]}
                        ],
                    },
                    arm=endpoint,
                )
            ),
            operations(
                f"{endpoint}: read write delete",
                f"{SUBNET}: join/action",
                f"{STORAGE}: privateEndpointConnectionsApproval/action",
                f"{groups}: read write delete",
                f"{zone}: join/action",
            ),
        ),
        Case(
            "Link of a private zone, Terraform",
            f"{PIKE}/network/azurerm_private_dns_zone_virtual_network_link.json",
            state(
                of_type(
                    "azurerm_private_dns_zone_virtual_network_link",
                    "z.net/l",
                    {"virtual_network_id": resource_id(NETWORK, "vnet")},
                    arm=link,
                )
            ),
            operations(f"{link}: read write delete", f"{zone}: read"),
        ),
        Case(
            "Gateway for outbound addresses, Terraform",
            f"{PIKE}/network/azurerm_nat_gateway.json",
            state(of_type("azurerm_nat_gateway", "nat", arm="Microsoft.Network/natGateways")),
            operations("Microsoft.Network/natGateways: read write delete"),
        ),
        Case(
            "Role assignment, Terraform",
            f"{PIKE}/authorization/azurerm_role_assignment.json",
            state(
                (
                    "azurerm_role_assignment",
                    "a",
                    {"id": resource_id("Microsoft.Authorization/roleAssignments", "a"), "scope": GROUP},
                )
            ),
            operations("Microsoft.Authorization/roleAssignments: read write delete"),
        ),
        Case(
            "Managed identity, Terraform",
            "https://github.com/squareops/terraform-azure-managed-identity/blob/main/IAM.md",
            state(of_type("azurerm_user_assigned_identity", "id", arm=identity)),
            operations(f"{identity}: read write delete"),
        ),
    ]


LISTED = [*_learn(), *_pike()]
