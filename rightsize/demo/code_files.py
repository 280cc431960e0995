"""Write the code that a team of the demo's tenant would have: Terraform with its states, Bicep, and CODEOWNERS.

It stands beside the exports, where no load reads it, and makes the assignments that those list: of one subscription in
single blocks, of another by a map, and of a third in Bicep. A key vault with access policies is in Terraform, too.

Beside it stands what a pipeline would deploy next, as Azure tells it before. The portal's pipeline may do anything in
its own subscription. The new site joins a subnet of the hub, where the pipeline has no access: the one thing that would
be refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rightsize.demo.inventory_files import LEGACY, vault_id, vault_properties
from rightsize.demo.people import read_cast
from rightsize.demo.tenant import Principal, SampleGrant, SampleTenant, TenantSpec

_OWNERS = """# Who reviews which code.
*                    @alder-valley/cloud
/terraform/portal/   @alder-valley/patient-portal
/terraform/records/  @alder-valley/clinical-records
"""
_KIND = "'Microsoft.Authorization/roleAssignments@2022-04-01'"
_DATA = {"group": "azuread_group", "user": "azuread_user", "guest": "azuread_user"}


def write_code(tenant: SampleTenant, folder: Path) -> None:
    """Write the repository; the folder need not exist."""
    scopes = {one.name: one.scope for one in tenant.scopes if one.kind == "subscription"}
    files: dict[str, str] = {"CODEOWNERS": _OWNERS}
    for name, slug in (("Patient Portal", "portal"), ("Clinical Records", "records")):
        code = _Terraform(tenant, scopes[name])
        text = code.single() if slug == "portal" else code.by_map()
        files[f"terraform/{slug}/main.tf"] = text
        if slug == "portal":
            files[f"terraform/{slug}/vaults.tf"] = code.vault(vault_id(tenant, LEGACY))
        files[f"terraform/{slug}/terraform.tfstate"] = json.dumps(code.state(), indent=2) + "\n"
    files["bicep/operations.bicep"] = _bicep(tenant, scopes["Operations"])
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _grants(tenant: SampleTenant, subscription: str) -> list[tuple[SampleGrant, Principal]]:
    """Return today's active assignments of a subscription whose holders exist, by name of holder and role."""
    principals = tenant.principals_by_id()
    below = subscription.lower()
    found = [
        (grant, principals[grant.principal_id])
        for grant in tenant.grants
        if f"{grant.scope.lower()}/".startswith(f"{below}/") and grant.listed and grant.state == "active"
    ]
    kept = [(grant, who) for grant, who in found if grant.condition is None and not {"gone", "orphan"} & who.options]
    return sorted(kept, key=lambda pair: (pair[1].name, pair[0].role.role_name, pair[0].scope))


class _Terraform:
    """The configuration of one subscription and its state."""

    def __init__(self, tenant: SampleTenant, subscription: str) -> None:
        self.tenant, self.subscription = tenant, subscription
        self.grants = _grants(tenant, subscription)
        self.resources = [_held("data", "azurerm_subscription", "this", {"id": subscription})]
        holders = {who.principal_id: who for _, who in self.grants}
        self.names = _distinct([(id_, who.name) for id_, who in holders.items()])
        for id_, who in holders.items():
            kind = _DATA.get(who.kind, "azuread_service_principal")
            attributes = {"object_id": id_, "display_name": who.name}
            self.resources.append(_held("data", kind, self.names[id_], attributes))
        self.holders = holders

    def _head(self) -> Iterator[str]:
        yield 'data "azurerm_subscription" "this" {}\n'
        for id_, who in sorted(self.holders.items(), key=lambda pair: self.names[pair[0]]):
            kind = _DATA.get(who.kind, "azuread_service_principal")
            field = "user_principal_name" if kind == "azuread_user" else "display_name"
            value = who.user_principal_name if kind == "azuread_user" else who.name
            yield f'data "{kind}" "{self.names[id_]}" {{\n  {field} = {json.dumps(value)}\n}}\n'

    def _holder(self, who: Principal) -> str:
        kind = _DATA.get(who.kind, "azuread_service_principal")
        return f"data.{kind}.{self.names[who.principal_id]}.object_id"

    def _scope(self, scope: str) -> str:
        rest = scope[len(self.subscription) :]
        return f'"${{data.azurerm_subscription.this.id}}{rest}"' if rest else "data.azurerm_subscription.this.id"

    def _labels(self) -> list[str]:
        wanted = [(grant.grant_id, f"{who.name} {grant.role.role_name}") for grant, who in self.grants]
        names = _distinct(wanted)
        return [names[grant.grant_id] for grant, _ in self.grants]

    def single(self) -> str:
        """Return a block for each assignment, and note them in the state."""
        parts = list(self._head())
        for label, (grant, who) in zip(self._labels(), self.grants, strict=True):
            parts.append(
                f'resource "azurerm_role_assignment" "{label}" {{\n'
                f"  scope                = {self._scope(grant.scope)}\n"
                f'  role_definition_name = "{grant.role.role_name}"\n  principal_id         = {self._holder(who)}\n}}\n'
            )
            self.resources.append(_held("managed", "azurerm_role_assignment", label, self._attributes(grant)))
        return "\n".join(parts)

    def by_map(self) -> str:
        """Return one block that goes over a map, and note its instances in the state."""
        entries, instances = [], []
        for label, (grant, who) in zip(self._labels(), self.grants, strict=True):
            entries.append(
                f'    {label} = {{\n      role      = "{grant.role.role_name}"\n'
                f"      scope     = {self._scope(grant.scope)}\n"
                f"      principal = {self._holder(who)}\n    }}\n"
            )
            instances.append({"index_key": label, "attributes": self._attributes(grant)})
        made = _held("managed", "azurerm_role_assignment", "access", {})
        self.resources.append({**made, "instances": instances})
        body = (
            "locals {\n  # Who may do what in the subscription of clinical records.\n  access = {\n"
            + "".join(entries)
            + "  }\n}\n"
        )
        block = (
            'resource "azurerm_role_assignment" "access" {\n  for_each             = local.access\n'
            "  scope                = each.value.scope\n  role_definition_name = each.value.role\n"
            "  principal_id         = each.value.principal\n}\n"
        )
        return "\n".join([*self._head(), body, block])

    def vault(self, scope: str) -> str:
        """Return the block of a key vault with access policies, and note it in the state."""
        policies = vault_properties(self.tenant)[scope]["accessPolicies"]
        held = {"id": scope, "name": LEGACY, "enable_rbac_authorization": False, "rbac_authorization_enabled": False}
        self.resources.append(_held("managed", "azurerm_key_vault", "legacy", held))
        blocks = []
        for one in policies:
            given = one["permissions"].items()
            lines = [f"    {kind.removesuffix('s')}_permissions = {json.dumps(words)}\n" for kind, words in given]
            who = f"    tenant_id = var.tenant_id\n    object_id = {json.dumps(one['objectId'])}\n\n"
            blocks.append(f"\n  access_policy {{\n{who}{''.join(lines)}  }}\n")
        return (
            'variable "tenant_id" {\n  type = string\n}\n\n'
            f'resource "azurerm_key_vault" "legacy" {{\n  name                = "{LEGACY}"\n'
            f'  resource_group_name = "{scope.split("/")[4]}"\n  location            = "westeurope"\n'
            '  tenant_id           = var.tenant_id\n  sku_name            = "standard"\n\n'
            "  enabled_for_deployment = true\n" + "".join(blocks) + "}\n"
        )

    def _attributes(self, grant: SampleGrant) -> dict[str, Any]:
        return {
            "id": f"{grant.scope}/providers/Microsoft.Authorization/roleAssignments/{grant.grant_id}",
            "name": grant.grant_id,
            "scope": grant.scope,
            "role_definition_id": f"{self.subscription}/providers/Microsoft.Authorization/roleDefinitions/"
            f"{grant.role.role_definition_id}",
            "role_definition_name": grant.role.role_name,
            "principal_id": grant.principal_id,
            "condition": "",
        }

    def state(self) -> dict[str, Any]:
        """Return the state, as Terraform keeps it."""
        head = {"version": 4, "terraform_version": "1.9.8", "serial": 12, "lineage": "", "outputs": {}}
        return {**head, "resources": self.resources}


def _held(mode: str, kind: str, name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"mode": mode, "type": kind, "name": name, "instances": [{"attributes": attributes}]}


def _bicep(tenant: SampleTenant, subscription: str) -> str:
    """Return a file that makes the assignments of a subscription, which were adopted with their names."""
    grants = [pair for pair in _grants(tenant, subscription) if pair[0].scope.lower() == subscription.lower()]
    roles = _distinct([(grant.role.role_definition_id, grant.role.role_name) for grant, _ in grants])
    parts = ["targetScope = 'subscription'\n"]
    parts += [f"var {_camel(name)}Id = '{id_}'\n" for id_, name in roles.items()]
    labels = _distinct([(grant.grant_id, f"{who.name} {grant.role.role_name}") for grant, who in grants])
    for grant, who in grants:
        parts.append(
            f"// {who.name}\nresource {_camel(labels[grant.grant_id])} {_KIND} = {{\n"
            f"  name: '{grant.grant_id}'\n  properties: {{\n"
            f"    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', "
            f"{_camel(roles[grant.role.role_definition_id])}Id)\n"
            f"    principalId: '{grant.principal_id}'\n    principalType: '{who.arm_type}'\n  }}\n}}\n"
        )
    return "\n".join(parts)


def _distinct(wanted: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return a name for code for each key; a name that is taken gets a number."""
    found: dict[str, str] = {}
    for key, text in wanted:
        if key in found:
            continue
        word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "one"
        word = word if word[0].isalpha() else f"one_{word}"
        number, name = 2, word
        while name in found.values():
            name, number = f"{word}_{number}", number + 1
        found[key] = name
    return found


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


PIPELINE = "pipeline"
"""The folder beside the exports."""
DEPLOYED_BY = "github-portal-deploy"
WHAT_IF = "portal-what-if.json"
_GROUP = "portal:rg-portal-web"
_SUBNET = "hub:rg-hub-network//Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-apps"


def write_pipeline(spec: TenantSpec, folder: Path) -> Path:
    """Write the output of `az deployment group what-if --no-pretty-print` below a folder; return the file."""
    places = read_cast(spec).places
    group, subnet = places.full(_GROUP), places.full(_SUBNET)
    plan = f"{group}/providers/Microsoft.Web/serverfarms/plan-portal-reports"
    made = {
        plan: {"sku": {"name": "P1v3"}},
        f"{group}/providers/Microsoft.Web/sites/app-portal-reports": {
            "properties": {"serverFarmId": plan, "virtualNetworkSubnetId": subnet}
        },
    }
    changes = [
        {"resourceId": place, "changeType": "Create", "after": {"id": place, "name": place.rsplit("/", 1)[1], **body}}
        for place, body in made.items()
    ]
    path = folder / PIPELINE / WHAT_IF
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"status": "Succeeded", "changes": changes}, indent=2)
    path.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return path
