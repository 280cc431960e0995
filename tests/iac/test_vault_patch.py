"""Edits of code that makes key vaults: roles beside the vault first, then its model, and all else as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rightsize.iac.patch.grants import Change, Code, Grant, Wanted
from rightsize.iac.patch.proof import Subject
from rightsize.iac.patch.terraform_patch import Patch
from rightsize.iac.patch.vault_templates import patch_vault_resources, patch_vault_templates
from rightsize.iac.patch.vault_terraform import patch_vault_blocks
from rightsize.render.deploy.bicep import role_bicep
from rightsize.render.deploy.terraform import role_terraform
from rightsize.render.escape import for_bicep, for_terraform
from tests.iac.code_repository import DEPLOYER, GROUP, NAMES, ROLES, guid, repository, resource, role_id, state

pytest.importorskip("pycep")
pytest.importorskip("hcl2")

KV = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-app"
VAULT = KV.lower()
TERRAFORM = """resource "azurerm_key_vault" "app" {
  name                       = "kv-app"
  tenant_id                  = var.tenant
  enabled_for_deployment     = true
  enable_rbac_authorization  = false # decides by policies

  access_policy {
    object_id          = "x"
    secret_permissions = ["Get"]
  }
}
"""
AZAPI = """resource "azapi_resource" "app" {
  type = "Microsoft.KeyVault/vaults@2023-07-01"
  name = "kv-app"
  body = {
    properties = {
      enabledForDeployment = true
    }
  }
}
"""
BICEP = """param name string

resource kv 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  properties: {
    enabledForTemplateDeployment: true
    enableRbacAuthorization: false
  }
}
"""


def vault(kind: str = "azurerm_key_vault", scope: str = KV, **more: Any) -> dict[str, Any]:
    """Return a vault of a state."""
    values = {"id": scope, "name": scope.rpartition("/")[2], "type": "Microsoft.KeyVault/vaults@2023-07-01"}
    return resource(kind, "app", {"attributes": values | more})


def change(role: str = "Reader", item: str = "", scope: str = KV) -> Change:
    """Return the change of a policy into a role."""
    place = f"{scope}{item}"
    word = role.lower().replace(" ", "_")
    holder = guid("app")
    wanted = Wanted(
        Grant(place.lower(), NAMES[role], holder), place, role, role_id(role), role == "App Deployer", word, word
    )
    old = Grant(scope.lower(), "", holder)
    return Change("p", f"{scope}/accessPolicies/{holder}", old, (wanted,) if role else (), "", scope.lower())


def terraform(
    files: Mapping[str, str], states: Mapping[str, Any], *changes: Change
) -> tuple[Patch, list[dict[str, str]]]:
    """Return the patch of vaults in Terraform, and the files after each of the two phases."""
    found = repository(files, states)
    vaults: dict[str, list[Change]] = {}
    for one in changes:
        vaults.setdefault(one.vault, []).append(one)
    subject = Subject(found.code, found.bound, ROLES, {DEPLOYER.role_definition_id: DEPLOYER})
    blocks = {str(DEPLOYER.role_definition_id): role_terraform(DEPLOYER)}
    made = patch_vault_blocks(found, vaults, subject, blocks, for_terraform, ())
    return made, _phases(made, found.code)


def bicep(files: Mapping[str, str], *changes: Change, deployments: Any = ()) -> tuple[Patch, list[dict[str, str]]]:
    """Return the patch of vaults in Bicep, and the files after each of the two phases."""
    code = Code({path: text.encode() for path, text in files.items()})
    roles = {str(DEPLOYER.role_definition_id): role_bicep(DEPLOYER)}
    made = patch_vault_resources(code, {VAULT: list(changes)}, ROLES, roles, deployments, for_bicep, ())
    return made, _phases(made, code)


def _phases(made: Patch, code: Code) -> list[dict[str, str]]:
    edits = [[edit for offer in made.offers for edit in getattr(offer, phase)] for phase in ("add", "both")]
    return [{path: text.decode() for path, text in code.edited(some).files.items()} for some in edits]


def why(made: Patch) -> str:
    """Return the only reason of a patch."""
    (reason,) = {one.why for one in made.refused}
    return reason


def test_roles_come_beside_a_vault_of_terraform_and_then_its_model() -> None:
    """Policies, switches and comments stay; at a secret the scope says so."""
    made, (added, final) = terraform({"main.tf": TERRAFORM}, {"s": state(vault())}, change(), change(item="/secrets/a"))
    assert not made.refused and not made.missing
    assert added["main.tf"].startswith(TERRAFORM.rstrip("\n"))
    assert "scope                = azurerm_key_vault.app.id" in added["main.tf"]
    assert 'scope                = "${azurerm_key_vault.app.id}/secrets/a"' in added["main.tf"]
    assert 'role_definition_name = "Reader"' in added["main.tf"]
    assert final["main.tf"] == added["main.tf"].replace(
        "enable_rbac_authorization  = false #", "enable_rbac_authorization  = true #"
    )


def test_a_new_role_stands_in_a_file_of_its_own() -> None:
    _, (added, final) = terraform({"main.tf": TERRAFORM}, {"s": state(vault())}, change("App Deployer"))
    assert added["role_app_deployer.tf"] == role_terraform(DEPLOYER) == final["role_app_deployer.tf"]
    assert "azurerm_role_definition.app_deployer.role_definition_resource_id" in added["main.tf"]


@pytest.mark.parametrize(
    ("more", "name"),
    [({}, "enable_rbac_authorization"), ({"rbac_authorization_enabled": None}, "rbac_authorization_enabled")],
)
def test_an_absent_setting_is_written_as_the_provider_of_the_state_calls_it(more: dict[str, Any], name: str) -> None:
    text = TERRAFORM.replace("  enable_rbac_authorization  = false # decides by policies\n", "")
    text = text.replace("= true\n", "= true # machines read it\n")
    made, (_, final) = terraform({"main.tf": text}, {"s": state(vault(**more))}, change())
    assert made.refused == []
    assert f"= true # machines read it\n\n  {name} = true\n" in final["main.tf"]


@pytest.mark.parametrize(
    "text",
    [AZAPI, AZAPI.replace("enabledForDeployment", "enableRbacAuthorization = false\n      enabledForDeployment"),
     AZAPI.replace("body = {", "body = jsonencode({").replace("  }\n}", "  })\n}")],
    ids=["absent", "false", "jsonencode"],
)  # fmt: skip
def test_a_vault_of_azapi_has_its_model_in_the_body(text: str) -> None:
    made, (_, final) = terraform({"main.tf": text}, {"s": state(vault("azapi_resource"))}, change())
    assert not made.refused and not made.missing
    assert "enableRbacAuthorization = true" in final["main.tf"]
    assert "enabledForDeployment = true" in final["main.tf"]


def test_what_terraform_cannot_prove_is_left_with_its_reason() -> None:
    def refused(text: str, *more: dict[str, Any]) -> str:
        made, _ = terraform({"main.tf": text}, {"s": state(vault(), *more)}, change())
        assert made.offers == []
        return why(made)

    given = TERRAFORM.replace("= false", "= var.by_roles")
    assert refused(given).startswith("`enable_rbac_authorization` is `var.by_roles`")
    ignored = TERRAFORM.replace(
        "  access_policy {", "  lifecycle {\n    ignore_changes = all\n  }\n\n  access_policy {"
    )
    assert refused(ignored) == "its `lifecycle` ignores changes of the model"
    several = {"id": f"{KV}2", "name": "kv-app2"}
    each = TERRAFORM.replace('name                       = "kv-app"', "for_each = var.all\n  name = each.key")
    two = state({**vault(), "instances": [{"index_key": "a", "attributes": vault()["instances"][0]["attributes"]},
                                          {"index_key": "b", "attributes": several}]})  # fmt: skip
    made, _ = terraform({"main.tf": each}, {"s": two}, change())
    assert why(made) == "the resource makes other vaults, too, which stay as they are"
    made, _ = terraform({"main.tf": TERRAFORM}, {"s": state(vault())}, change(scope=f"{KV}9"))
    assert len(made.missing) == 1 and not made.offers and not made.refused


def test_roles_come_beside_a_vault_of_bicep_and_then_its_model() -> None:
    """A deployment says the name of the vault; all else stays."""
    deployment = {"properties": {"parameters": {"name": {"value": "KV-app"}}}}
    made, (added, final) = bicep(
        {"main.bicep": BICEP}, change("App Deployer", "/secrets/a"), change(), deployments=[deployment]
    )
    assert not made.refused and not made.missing
    assert added["main.bicep"].startswith(BICEP.rstrip("\n"))
    assert "scope: kvSecretsA\n" in added["main.bicep"] and "parent: kv\n" in added["main.bicep"]
    assert final["main.bicep"] == added["main.bicep"].replace(
        "enableRbacAuthorization: false", "enableRbacAuthorization: true"
    )
    assert final["role-app-deployer.bicep"] == role_bicep(DEPLOYER)
    assert made.notes == ["deploy `role-app-deployer.bicep` before `main.bicep`, which assigns the role by its id"]


def test_what_bicep_cannot_prove_is_left_with_its_reason() -> None:
    def patched(text: str, *names: str) -> Patch:
        given = [{"properties": {"parameters": {"name": {"value": name}}}} for name in names]
        return bicep({"main.bicep": text}, change(), deployments=given)[0]

    assert why(patched(BICEP, "kv-app", "kv-other")) == "the resource makes other vaults, too, which stay as they are"
    assert why(patched(BICEP.replace(": false", ": byRoles"), "kv-app")).startswith("`enableRbacAuthorization` is")
    assert len(patched(BICEP, "kv-other").missing) == 1
    absent = bicep(
        {
            "main.bicep": BICEP.replace("    enableRbacAuthorization: false\n", "").replace(
                "name: name", "name: 'kv-app'"
            )
        },
        change(),
    )
    assert "    enableRbacAuthorization: true\n    enabledForTemplateDeployment: true\n" in absent[1][1]["main.bicep"]


TEMPLATE: dict[str, Any] = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "parameters": {"name": {"type": "string", "defaultValue": "kv-none"}},
    "resources": [
        {
            "type": "Microsoft.KeyVault/vaults",
            "name": "[parameters('name')]",
            "properties": {"enabledForDeployment": True, "enableRbacAuthorization": False, "accessPolicies": []},
        }
    ],
}


def arm(text: str, *changes: Change, name: str = "kv-app") -> tuple[Patch, list[dict[str, Any]]]:
    """Return the patch of vaults in a template, and the template after each of the two phases."""
    code = Code({"main.json": text.encode()})
    deployment = {"properties": {"parameters": {"name": {"value": name}}}}
    made = patch_vault_templates(code, {VAULT: list(changes)}, [deployment])
    return made, [json.loads(one["main.json"]) for one in _phases(made, code)]


@pytest.mark.parametrize("is_said", [True, False])
def test_roles_come_into_a_template_and_then_the_model_of_its_vault(is_said: bool) -> None:
    text = json.dumps(TEMPLATE, indent=2)
    text = text if is_said else text.replace('        "enableRbacAuthorization": false,\n', "")
    made, (added, final) = arm(text, change(item="/secrets/a"))
    assert not made.refused and not made.missing
    entry, vault_ = added["resources"]
    assert (entry["scope"], entry["properties"]["roleDefinitionId"]) == (
        "Microsoft.KeyVault/vaults/kv-app/secrets/a", role_id("Reader"),
    )  # fmt: skip
    assert vault_["properties"].get("enableRbacAuthorization") is (False if is_said else None)
    assert final["resources"][0] == entry
    assert final["resources"][1]["properties"] == TEMPLATE["resources"][0]["properties"] | {
        "enableRbacAuthorization": True
    }


def test_what_a_template_cannot_prove_is_left_with_its_reason() -> None:
    def patched(text: str, name: str = "kv-app") -> Patch:
        return arm(text, change(), name=name)[0]

    text = json.dumps(TEMPLATE)
    assert why(patched(text.replace("false", "\"[parameters('roles')]\""))).startswith("`enableRbacAuthorization` is")
    assert why(patched(text.replace('"resources": [', '"x": {"resources": []}, "resources": ['))) == (
        "it has several lists of resources"
    )
    assert len(patched(text, "kv-other").missing) == 1
    compiled = text.replace('"parameters"', '"metadata": {"_generator": {"name": "bicep"}}, "parameters"', 1)
    assert len(patched(compiled).missing) == 1


@pytest.mark.parametrize("item", ["/secrets/a'b", "/secrets/${a}", "/secrets/[a]", "/other/a", "/secrets/a/b"])
def test_names_of_outsiders_are_not_written_into_code(item: str) -> None:
    """Secrets have names of letters, digits and dashes; whatever else a log says is no place for a role in code."""
    reasons = {
        why(terraform({"main.tf": TERRAFORM}, {"s": state(vault())}, change(item=item))[0]),
        why(bicep({"main.bicep": BICEP.replace("name: name", "name: 'kv-app'")}, change(item=item))[0]),
        why(arm(json.dumps(TEMPLATE), change(item=item))[0]),
    }
    assert reasons == {"a holder has no GUID, or a role is for no secret, key or certificate"}
