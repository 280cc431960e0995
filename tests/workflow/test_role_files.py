"""Role files in the forms that public repositories have: each is read as the role that it means, or refused by name.

The files are written here. `seen` names a repository whose files have the form; no text of it stands here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.workflow.roles.sources import read_file, read_folder

READ, WRITE, START = "Microsoft.Compute/virtualMachines/read", "Microsoft.Web/sites/write", "Microsoft.Compute/*/action"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
SCHEMA = "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#"
ROLES = "Microsoft.Authorization/roleDefinitions"
GUID = "8311e382-0749-4cb8-b61a-304f252e45ec"


def role(
    name: str, *actions: str, but: tuple[str, ...] = (), data: tuple[str, ...] = (), at: tuple[str, ...] = ()
) -> Any:
    """What a file means: the name, and the lists of its only block."""
    return name, actions, but, data, at


@dataclass(frozen=True)
class Case:
    """A file, what stands beside it, and what it means or why it is refused."""

    name: str
    text: str
    roles: tuple[Any, ...] = ()
    refused: tuple[str, ...] = ()
    beside: dict[str, str] = field(default_factory=dict)
    seen: str = ""


def arm(resources: Any, **parts: Any) -> str:
    return json.dumps({"$schema": SCHEMA, "contentVersion": "1.0.0.0", **parts, "resources": resources}, indent=1)


def arm_resource(actions: Any, name: str = "R", **parts: Any) -> dict[str, Any]:
    properties = {"roleName": name, "permissions": [{"actions": actions}], "assignableScopes": ["[subscription().id]"]}
    return {"type": ROLES, "apiVersion": "2022-04-01", "name": "[guid('x')]", "properties": properties, **parts}


def tf(body: str, before: str = "") -> str:
    return f'{before}\nresource "azurerm_role_definition" "r" {{\n{body}\n}}\n'


def bicep(actions: str, before: str = "", name: str = "'R'") -> str:
    return (
        f"targetScope = 'subscription'\n{before}\nresource r '{ROLES}@2022-04-01' = {{\n  name: guid('x')\n"
        f"  properties: {{\n    roleName: {name}\n    permissions: [\n      {{\n        actions: {actions}\n      }}\n"
        "    ]\n    assignableScopes: [subscription().id]\n  }\n}\n"
    )


HERE = ("${subscription().id}",)
ARM_HERE = ("[subscription().id]",)
FLAT = f'{{"Name": "R", "IsCustom": true, "Actions": ["{READ}"], "AssignableScopes": ["/s"]}}'
STATE = {"version": 4, "terraform_version": "1.9.0"}
TF_BLOCKS = [{"actions": [READ], "not_actions": [], "data_actions": [BLOBS], "not_data_actions": None}]
TF_VALUES = {"name": "R", "role_definition_id": GUID, "permissions": TF_BLOCKS, "assignable_scopes": ["/s"]}
PLANNED = {"address": "azurerm_role_definition.r", "mode": "managed", "type": "azurerm_role_definition"}
ROLE_MAP = f"""
locals {{
  roles = {{
    reader = {{ name = "VM reader", actions = ["{READ}"] }}   # what most need
    "web-writer" = {{
      name        = "Web writer"
      actions     = concat(["{WRITE}"], ["{READ}"])
      not_actions = ["Microsoft.Web/sites/*/write"]
    }}
  }}
}}
"""

CASES = {
    # --- JSON of az, PowerShell and REST
    "flat with comments": Case(
        "r.json",
        f'// ours\n{{\n  "Name": "R", /* shown */\n  "IsCustom": true,\n  "Actions": [\n    "{READ}", // starts\n    "a//b/read",\n'
        '  ],\n  "AssignableScopes": ["/s",],\n}\n',
        (role("R", READ, "a//b/read", at=("/s",)),),
        seen="a page of MicrosoftDocs/azure-docs style: az role definition create",
    ),
    "array of flat roles": Case("roles.json", f"[{FLAT}, {FLAT.replace('R', 'S', 1)}]", (role("R", READ, at=("/s",)), role("S", READ, at=("/s",)))),
    "landing zone library": Case(
        "x.alz_role_definition.json",
        json.dumps({"name": GUID, "type": ROLES, "apiVersion": "2022-04-01", "properties": {
            "roleName": "R", "type": "customRole", "permissions": [{"actions": [READ], "notActions": [], "dataActions": [BLOBS]}],
            "assignableScopes": ["${current_scope_resource_id}"]}}),
        (role("R", READ, data=(BLOBS,), at=("${current_scope_resource_id}",)),),
        seen="Azure/Azure-Landing-Zones-Library, Azure/terraform-azurerm-caf-enterprise-scale",
    ),
    "landing zone library in YAML": Case(
        "x.alz_role_definition.yaml",
        f"name: {GUID}\nproperties:\n  roleName: R\n  permissions:\n    - actions: [{READ}]\n      notActions:\n        - {START}\n"
        "  assignableScopes:\n    - /s\n",
        (role("R", READ, but=(START,), at=("/s",)),),
        seen="documented file pattern of Azure/Azure-Landing-Zones-Library",
    ),
    "a key that stands twice": Case("r.json", FLAT.replace('"AssignableScopes"', f'"Actions": ["{START}"], "AssignableScopes"'), refused=("`Actions` twice",)),
    # --- ARM templates
    "ARM loop over a variable": Case(
        "t.json",
        arm([arm_resource("[variables('roles')[copyIndex()].actions]", "[variables('roles')[copyIndex()].name]",
                          copy={"name": "all", "count": "[length(variables('roles'))]"})],
            variables={"roles": [{"name": "R", "actions": [READ], "id": "[guid(subscription().id)]"},
                                 {"name": "S", "actions": "[createArray('Microsoft.Web/sites/write')]"}]}),
        (role("R", READ, at=ARM_HERE), role("S", WRITE, at=ARM_HERE)),
    ),
    "ARM loop over a parameter's default": Case(
        "t.json",
        arm([arm_resource("[parameters('sets')[copyIndex('all')]]", "[concat('R', copyIndex('all', 1))]",
                          copy={"name": "all", "count": "[length(parameters('sets'))]"})],
            parameters={"sets": {"type": "array", "defaultValue": [[READ], [WRITE, START]]}}),
        (role("R1", READ, at=ARM_HERE), role("R2", WRITE, START, at=ARM_HERE)),
    ),
    "ARM property loop": Case(
        "t.json",
        arm([{"type": ROLES, "name": "x", "properties": {"roleName": "R", "assignableScopes": ["/s"], "copy": [{
            "name": "permissions", "count": 2, "input": {"actions": ["[format('{0}/read', variables('kinds')[copyIndex('permissions')])]"]}}]}}],
            variables={"copy": [{"name": "kinds", "count": 2, "input": "[concat('Microsoft.X/k', copyIndex('kinds'))]"}]}),
        (("R", ("Microsoft.X/k0/read", "Microsoft.X/k1/read"), (), (), ("/s",)),),
    ),
    "ARM compiled from Bicep, nested with passed values": Case(
        "t.json",
        arm({"m": {"type": "Microsoft.Resources/deployments", "properties": {
            "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"acts": {"value": "[variables('$fxv#0').actions]"}},
            "template": {"$schema": SCHEMA, "languageVersion": "2.0", "parameters": {"acts": {"type": "array"}, "name": {"type": "string", "defaultValue": "R"}},
                         "variables": {"all": "[union(parameters('acts'), createArray('Microsoft.Web/sites/write'))]"},
                         "resources": {"r": arm_resource("[variables('all')]", "[parameters('name')]")}}}}},
            variables={"$fxv#0": {"actions": [READ]}}, languageVersion="2.0"),
        (role("R", READ, WRITE, at=ARM_HERE),),
    ),
    "ARM nested in the scope of its parent": Case(
        "t.json",
        arm([{"type": "Microsoft.Resources/deployments", "properties": {"template": {
            "variables": {"acts": ["*"]}, "resources": [arm_resource("[variables('acts')]")]}}}], variables={"acts": [READ]}),
        (role("R", READ, at=ARM_HERE),),
    ),
    "ARM text over lines": Case(
        "t.json",
        arm([arm_resource("@")], variables={"acts": [READ]}).replace('"@"', '"[if(equals(1, 1),\n  variables(\'acts\'),\n  parameters(\'no\'))]"'),
        (role("R", READ, at=ARM_HERE),),
    ),
    "ARM with an unknown name and a condition": Case(
        "t.json",
        arm([arm_resource([READ], "[concat(parameters('prefix'), '-r')]", condition="[parameters('deployed')]")],
            parameters={"prefix": {"type": "string"}, "deployed": {"type": "bool", "defaultValue": False}}),
        (role("[concat(parameters('prefix'), '-r')]", READ, at=ARM_HERE),),
    ),
    "ARM role below another resource": Case(
        "t.json",
        arm([{"type": "Microsoft.Web/sites", "name": "a", "resources": [arm_resource([READ]) | {"type": "Microsoft.Web/sites/providers/roleDefinitions"}]}]),
        (role("R", READ, at=ARM_HERE),),
    ),
    "ARM type of a variable": Case(
        "t.json",
        arm([arm_resource([READ]) | {"type": "[variables('kind')]"}], variables={"kind": ROLES}),
        (role("R", READ, at=ARM_HERE),),
    ),
    "ARM type of a parameter": Case(
        "t.json",
        arm([arm_resource([READ]) | {"type": "[parameters('kind')]"}], parameters={"kind": {"type": "string"}}),
        refused=("`type` of a resource with permissions", "`parameters('kind')`"),
    ),
    "ARM left out": Case("t.json", arm([arm_resource(["*"], condition=False), arm_resource([READ])]), (role("R", READ, at=ARM_HERE),)),
    "ARM actions of a parameter": Case(
        "t.json",
        arm([arm_resource("[parameters('actions')]")], parameters={"actions": {"type": "array"}}),
        refused=("`actions` of role `R`", "`parameters('actions')`", "line 18"),
        seen="Azure/ResourceModules: arm/Microsoft.Authorization/roleDefinitions",
    ),
    "ARM actions empty by default": Case(
        "t.json",
        arm([arm_resource("[parameters('actions')]")], parameters={"actions": {"type": "array", "defaultValue": []}}),
        refused=("role `R` grants nothing by default", "`parameters('actions')`"),
        seen="Azure/ResourceModules: nested_roleDefinitions_rg.bicep, compiled",
    ),
    "ARM linked template": Case(
        "t.json",
        arm([arm_resource([READ]), {"type": "Microsoft.Resources/deployments", "properties": {"templateLink": {"uri": "https://x/roles.json"}}}]),
        refused=("linked template", "https://x/roles.json"),
    ),
    "ARM loop of unknown length": Case(
        "t.json",
        arm([arm_resource([READ], copy={"name": "all", "count": "[length(parameters('names'))]"})], parameters={"names": {"type": "array"}}),
        refused=("the loop `all`", "`parameters('names')`"),
    ),
    # --- Terraform
    "Terraform for_each over a local map": Case(
        "main.tf",
        tf('  for_each = local.roles\n  name = each.value.name\n  scope = data.azurerm_subscription.primary.id\n  permissions {\n'
           '    actions     = each.value.actions\n    not_actions = lookup(each.value, "not_actions", [])\n  }\n'
           "  assignable_scopes = [data.azurerm_subscription.primary.id]", ROLE_MAP),
        (role("VM reader", READ, at=("${data.azurerm_subscription.primary.id}",)),
         role("Web writer", WRITE, READ, but=("Microsoft.Web/sites/*/write",), at=("${data.azurerm_subscription.primary.id}",))),
        seen="kaushikgayal/azure-custom-roles: modules/custom_role/customrole.tf",
    ),
    "Terraform variables beside, with optional members": Case(
        "roles.tf",
        tf('  for_each = var.roles\n  name = "${var.prefix}-${each.key}"\n  scope = each.value.scope\n  permissions {\n'
           "    actions = each.value.permissions.actions\n    not_actions = each.value.permissions.not_actions\n  }\n"
           '  assignable_scopes = [each.value.scope]'),
        (role("it-reader", READ, at=("/s",)),),
        beside={
            "variables.tf": 'variable "prefix" {\n  default = "xx"\n}\nvariable "roles" {\n  type = map(object({\n    scope = optional(string, "/s")\n'
            "    permissions = object({ actions = list(string), not_actions = optional(list(string), []) })\n  }))\n}\n",
            "terraform.tfvars": f'prefix = "it"\nroles = {{ reader = {{ permissions = {{ actions = ["{READ}"] }} }} }}\n',
        },
        seen="Azure/accelerator-bootstrap-modules: modules/azure/role_definitions.tf",
    ),
    "Terraform module without values": Case(
        "main.tf",
        tf("  for_each = var.custom_role_definitions\n  name = each.value.name\n  permissions {\n    actions = each.value.actions\n  }",
           'variable "custom_role_definitions" {\n  default = {}\n}'),
        refused=("`for_each`", "empty by default", "`var.custom_role_definitions`", "line "),
        seen="Azure/accelerator-bootstrap-modules",
    ),
    "Terraform roles of a local module": Case(
        "main.tf",
        tf(f'  name = "R"\n  permissions {{\n    actions = ["{READ}"]\n  }}', 'module "roles" {\n  source = "./modules/role"\n  actions = ["*"]\n}'),
        (role("R", READ), role("S", "*")),
        beside={"modules/role/main.tf": tf('  name = "S"\n  permissions {\n    actions = var.actions\n  }', 'variable "actions" {\n}')},
    ),
    "Terraform actions of a variable": Case(
        "main.tf",
        tf('  name = "R"\n  permissions {\n    actions     = var.actions\n    not_actions = []\n  }'),
        refused=("`actions` of role `R`", "`var.actions`", "line 5"),
        seen="htr-volker/azure-sandbox-provisioner: terraform/modules/role_definition/main.tf",
    ),
    "Terraform JSON files of a folder": Case(
        "main.tf",
        tf("  for_each = local.files\n  name = each.value.Name\n  description = try(each.value.Description, null)\n  permissions {\n"
           "    actions = each.value.Actions\n    data_actions = try(each.value.DataActions, [])\n  }\n  assignable_scopes = each.value.AssignableScopes",
           'locals {\n  files = { for f in fileset("${path.module}/roles", "*.json") : f => jsondecode(file("${path.module}/roles/${f}")) }\n}'),
        (role("R", READ, at=("/s",)),),
        beside={"roles/a.json": FLAT},
    ),
    "Terraform YAML beside": Case(
        "roles.tf",
        tf("  for_each = { for role in local.defs : role.name => role }\n  name = each.value.name\n  permissions {\n"
           "    actions = each.value.permissions.actions\n    data_actions = each.value.permissions.data_actions\n  }",
           'locals {\n  text = file("${path.cwd}/roles.yaml")\n  defs = yamldecode(local.text)\n}'),
        (role("R", READ, data=(BLOBS,)),),
        beside={"roles.yaml": f"- name: R\n  permissions:\n    actions: [{READ}]\n    data_actions:\n      - {BLOBS}\n"},
        seen="hmcts/dtspo-orphan-resources-cleanup: components/custom_roles/roles.tf",
    ),
    "Terraform file that is not there": Case(
        "main.tf",
        tf('  name = "R"\n  permissions {\n    actions = jsondecode(file("missing.json"))\n  }'),
        refused=("`actions` of role `R`", 'file("missing.json")'),
    ),
    "Terraform dynamic block": Case(
        "main.tf",
        tf('  name = "R"\n  dynamic "permissions" {\n    for_each = local.sets\n    iterator = one\n    content {\n'
           "      actions = [for a in one.value : \"Microsoft.${one.key}/${a}\"]\n    }\n  }",
           'locals {\n  sets = { Web = ["sites/read"], Compute = ["disks/read", "disks/write"] }\n}'),
        (("R", ("Microsoft.Compute/disks/read", "Microsoft.Compute/disks/write", "Microsoft.Web/sites/read"), (), (), ()),),
        seen="blinqas/station: role_definitions.tf",
    ),
    "Terraform before 0.12, with count": Case(
        "main.tf",
        tf('  count = "${length(var.roles)}"\n  name = "p-${lookup(var.roles[count.index], "suffix")}"\n'
           '  role_definition_id = "${element(random_id.ids.*.hex, count.index)}"\n  permissions {\n'
           '    actions = "${split(" ", lookup(var.roles[count.index], "actions"))}"\n  }',
           f'variable "roles" {{\n  default = [{{ suffix = "a", actions = "{READ} {WRITE}" }}, {{ suffix = "b", actions = "{START}" }}]\n}}'),
        (role("p-a", READ, WRITE), role("p-b", START)),
        seen="JamesDLD/terraform: module/Create-AzureRmRoleDefinition/main.tf",
    ),
    "Terraform switched off by default": Case(
        "main.tf",
        tf('  count = var.enabled ? 1 : 0\n  name = "R"\n  permissions {\n    actions = var.enabled ? ["*"] : ["' + READ + '"]\n  }',
           'variable "enabled" {\n  default = false\n}'),
        (role("R", "*"),),
    ),
    "Terraform JSON": Case(
        "main.tf.json",
        json.dumps({"locals": {"acts": [READ]}, "resource": {"azurerm_role_definition": {"r": {
            "for_each": "${toset([\"a\", \"b\"])}", "name": "R ${each.key}", "permissions": {"actions": "${local.acts}"}}}}}),
        (role("R a", READ), role("R b", READ)),
    ),
    "Terraform azapi": Case(
        "main.tf",
        f'resource "azapi_resource" "role_definitions" {{\n  type = "{ROLES}@${{var.version}}"\n  name = uuidv5("url", "x")\n'
        "  body = {\n    properties = {\n      roleName = \"R\"\n      assignableScopes = [azapi_resource.rg.id]\n"
        f"      permissions = [{{ actions = [\"{READ}\"] }}]\n    }}\n  }}\n}}\n",
        (role("R", READ, at=("${azapi_resource.rg.id}",)),),
    ),
    "Terraform azapi of an unknown type": Case(
        "main.tf",
        f'resource "azapi_resource" "r" {{\n  type = "${{var.kind}}@2022-04-01" # assignable_scopes\n  body = {{\n    properties = {{ permissions = [{{ actions = ["{READ}"] }}] }}\n  }}\n}}\n',
        refused=("`type` of a resource `azapi_resource` with permissions", "`var.kind`"),
    ),
    "Terraform azapi with encoded body": Case(
        "main.tf",
        f'resource "azapi_resource" "r" {{\n  type = "{ROLES}@2022-04-01"\n  body = jsonencode({{\n    properties = {{\n      roleName = "R"\n'
        f'      assignableScopes = [var.scope]\n      permissions = [{{ actions = ["{READ}"], notActions = [] }}]\n    }}\n  }})\n}}\n',
        (role("R", READ, at=("${var.scope}",)),),
    ),
    "Terraform state": Case(
        "terraform.tfstate",
        json.dumps({**STATE, "resources": [
            {"mode": "data", "type": "azurerm_role_definition", "name": "o", "instances": [{"attributes": {"name": "Owner", "permissions": [{"actions": ["*"]}]}}]},
            {"mode": "managed", "type": "azurerm_role_definition", "name": "r", "instances": [{"index_key": "a", "schema_version": 1, "attributes": TF_VALUES}]}]}),
        (role("R", READ, data=(BLOBS,), at=("/s",)),),
    ),
    "Terraform state of an old version": Case("terraform.tfstate", json.dumps({"version": 3, "terraform_version": "0.11.1", "modules": [{"resources": {"azurerm_role_definition.r": {"primary": {"attributes": {"permissions.0.actions.0": "*"}}}}}]}), refused=("before 4",)),
    "terraform show of a state": Case(
        "show.json",
        json.dumps({"format_version": "1.0", "values": {"root_module": {"child_modules": [{"resources": [{**PLANNED, "values": TF_VALUES}]}]}}}),
        (role("R", READ, data=(BLOBS,), at=("/s",)),),
    ),
    "terraform show of a plan": Case(
        "plan.json",
        json.dumps({"format_version": "1.2", "planned_values": {"root_module": {"resources": [{**PLANNED, "values": {**TF_VALUES, "assignable_scopes": None}}]}},
                    "resource_changes": [{"address": PLANNED["address"], "change": {"after_unknown": {"id": True, "permissions": [{"actions": [False]}]}}}]}),
        (role("R", READ, data=(BLOBS,)),),
    ),
    "terraform show with actions known after apply": Case(
        "plan.json",
        json.dumps({"format_version": "1.2", "planned_values": {"root_module": {"resources": [{**PLANNED, "values": {"name": "R", "permissions": [{"not_actions": []}]}}]}},
                    "resource_changes": [{"address": PLANNED["address"], "change": {"after_unknown": {"permissions": [{"actions": True}]}}}]}),
        refused=("`azurerm_role_definition.r`", "`permissions[0].actions`", "after apply"),
    ),
    # --- Bicep
    "Bicep parameters with defaults": Case(
        "main.bicep",
        bicep("concat(acts, [ '${provider}/sites/write' ])", f"@description('What it may do')\nparam acts string[] = [\n  '{READ}' // all\n]\n"
              "@allowed(['a', 'b'])\nparam env string = 'a'\nvar provider = 'Microsoft.Web'\n", "'R (${env})'"),
        (role("R (a)", READ, WRITE, at=HERE),),
    ),
    "Bicep loop over a literal": Case(
        "main.bicep",
        f"var roles = [\n  {{\n    name: 'R'\n    actions: [\n      '{READ}'\n    ]\n  }}\n  {{ name: 'S', actions: ['{WRITE}', '{START}'], off: true }}\n]\n"
        f"resource defs '{ROLES}@2022-04-01' = [\n  for (r, i) in roles: if (i < 5 && !(r.?off ?? false)) {{\n    name: guid(r.name)\n    properties: {{\n"
        "      roleName: '${r.name}${i}'\n      permissions: [{ actions: r.actions }]\n      assignableScopes: [subscription().id]\n    }\n  }\n]\n",
        (role("R0", READ, at=HERE),),
    ),
    "Bicep types of today": Case(
        "main.bicep",
        bicep("[for a in base: '${a}/read']", "type setT = {\n  name: 'x' | 'y'\n  more: string[]?\n}\nparam given setT = {\n  name: 'x'\n}\n"
              "func f(a string) string => '${a}x'\nvar base = [\n  ...['Microsoft.Web/sites']\n  'Microsoft.Web/plans'\n]\nassert ok = true\n", "given.name"),
        (role("x", "Microsoft.Web/sites/read", "Microsoft.Web/plans/read", at=HERE),),
    ),
    "Bicep with a JSON file": Case(
        "main.bicep",
        f"var one = json(loadTextContent('roles/one.json'))\nvar two = loadJsonContent('./roles/one.json')\nresource r '{ROLES}@2022-04-01' = {{\n"
        "  name: guid(one.Name, managementGroup().id)\n  properties: {\n    roleName: one.Name\n    permissions: [\n      {\n        actions: one.Actions\n"
        "        notActions: two.Actions\n      }\n    ]\n    assignableScopes: two.AssignableScopes\n  }\n}\n",
        (role("R", READ, but=(READ,), at=("/s",)),),
        beside={"roles/one.json": FLAT},
        seen="edm-ms/poc: prosimo/Bicep/mgt-deploy.bicep",
    ),
    "Bicep names and texts are not the same": Case(
        "main.bicep",
        bicep("env == 'prod' ? ['*'] : ['" + READ + "']", "var prod = 'test'\nvar env = 'test'\n"),
        (role("R", READ, at=HERE),),
    ),
    "Bicep verbatim text and existing role": Case(
        "main.bicep",
        bicep("[\n  #disable-next-line no-hardcoded-env-urls\n  'it\\'s/read'\n  '''a/${b}/read'''\n]", f"resource old '{ROLES}@2022-04-01' existing = {{\n  name: 'x'\n}}\n"),
        (role("R", "it's/read", "a/${b}/read", at=HERE),),
    ),
    "Bicep modules beside, called in a loop": Case(
        "main.bicep",
        f"var defs = [\n  {{ name: 'R', actions: ['{READ}'] }}\n  {{ name: 'S', actions: ['{WRITE}'] }}\n]\n"
        "module roles 'modules/role.bicep' = [for i in range(0, length(defs)): {\n  name: '${i}-role'\n  params: {\n    name: defs[i].name\n"
        "    actions: defs[i].actions\n  }\n}]\nmodule other 'modules/vault.bicep' = {\n  name: 'v'\n}\n",
        (role("R", READ, at=HERE), role("S", WRITE, at=HERE)),
        beside={"modules/role.bicep": bicep("actions", "param actions array = []\nparam name string\n", "name"), "modules/vault.bicep": "param a string\n"},
        seen="robertmc0/modules-test: modules/authorization/role-definitions/test/main.test.bicep",
    ),
    "Bicep words on one line and comments between": Case(
        "main.bicep",
        "@description('x') @secure() param a string\n@batchSize(1) " + bicep(f"['{READ}']").split("\n", 2)[2].replace("resource r", "resource /* a */ r // b\n"),
        (role("R", READ, at=HERE),),
    ),
    "Bicep module of a registry": Case(
        "main.bicep",
        bicep(f"['{READ}']", "module m 'br/public:avm/ptn/authorization/role-definition:0.1.0' = {\n  name: 'm'\n}\n"),
        refused=("avm/ptn/authorization/role-definition", "not here"),
    ),
    "Bicep module": Case(
        "role.bicep",
        bicep("actions", "param actions array\nparam name string\n", "name"),
        refused=("`actions` of role `${name}`", "`actions`", "line "),
        seen="Tommaso23/AMS-Environment: modules/rbacroledefinition.bicep",
    ),
    "Bicep loop empty by default": Case(
        "main.bicep",
        f"param roles array = []\nresource d '{ROLES}@2022-04-01' = [for r in roles: {{\n  name: r.id\n  properties: {{\n    roleName: r.name\n"
        "    permissions: [{ actions: r.actions }]\n  }\n}]\n",
        refused=("the loop over `roles`", "empty by default"),
    ),
}  # fmt: skip


def _meaning(found: RoleDefinition) -> Any:
    """The lists of all blocks together, in the order of the file."""
    lists = ("actions", "not_actions", "data_actions")
    joined = (tuple(text for block in found.permissions for text in getattr(block, name)) for name in lists)
    return found.role_name, *joined, found.assignable_scopes


@pytest.mark.parametrize("form", CASES)
def test_a_role_file_means_what_it_says_or_is_refused_by_name(form: str, tmp_path: Path) -> None:
    """Alone and in its folder, where files that are no roles are passed over."""
    case = CASES[form]
    for name, text in {**case.beside, case.name: case.text}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = tmp_path / case.name
    if case.refused:
        with pytest.raises(InputError) as caught:
            read_file(path)
        assert str(path) in caught.value.message
        assert all(said in caught.value.message for said in case.refused), caught.value.message
        assert read_folder(tmp_path).refused.keys() == {str(path)}
        return
    assert tuple(map(_meaning, read_file(path))) == case.roles
    (tmp_path / "policy.json").write_text(
        '{"properties": {"roleDefinitionIds": ["/x/roleDefinitions/y"]}}', encoding="utf-8"
    )
    found = read_folder(tmp_path)
    assert found.roles[str(path)] == read_file(path) and not found.refused


def test_there_are_thirty_forms_and_more() -> None:
    assert len(CASES) >= 30 and sum(bool(case.refused) for case in CASES.values()) >= 10
