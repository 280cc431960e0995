"""Make repositories of Terraform with their states, and the changes of a plan for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rightsize.iac.patch.grants import Change, Code, Grant, Roles, Wanted
from rightsize.iac.patch.repository import Repository, read_repository
from rightsize.iac.patch.terraform_patch import Patch, patch_terraform
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import Folded
from rightsize.render.deploy.terraform import role_terraform
from rightsize.render.escape import for_terraform

SUBSCRIPTION = "/subscriptions/00000000-0000-4000-8000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg-app"
NAMES = {name: str(uuid5(NAMESPACE_URL, name)) for name in ("Contributor", "Reader", "Owner", "App Deployer")}
ROLES = Roles({name.lower(): id_ for name, id_ in NAMES.items()})
DEPLOYER = RoleDefinition(
    Folded(NAMES["App Deployer"]),
    "App Deployer",
    (PermissionBlock(actions=("Microsoft.Web/sites/write",)),),
    description="Deploys ${apps}",
    assignable_scopes=(SUBSCRIPTION,),
)


def guid(text: str) -> str:
    """Return a GUID made of a text."""
    return str(uuid5(NAMESPACE_URL, text))


def role_id(name: str) -> str:
    """Return the path of a role."""
    return f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{NAMES[name]}"


def assignment(address: str, role: str = "Contributor", holder: str = "app", scope: str = GROUP) -> dict[str, Any]:
    """Return an assignment of a state; the address is that of Terraform."""
    module, _, own = address.rpartition("azurerm_role_assignment.")
    name, _, key = own.partition("[")
    instance: dict[str, Any] = {
        "attributes": {
            "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{guid(address)}",
            "scope": scope,
            "principal_id": guid(holder),
            "role_definition_id": role_id(role),
            "condition": None,
        }
    }
    if key:
        instance["index_key"] = int(key[:-1]) if key[:-1].isdigit() else key[1:-2]
    return resource("azurerm_role_assignment", name, instance, module.rstrip("."))


def resource(
    kind: str, name: str, instance: Mapping[str, Any], module: str = "", mode: str = "managed"
) -> dict[str, Any]:
    """Return a resource of a state with one instance."""
    made = {"mode": mode, "type": kind, "name": name, "instances": [instance]}
    return {"module": module, **made} if module else made


def group(name: str = "app", scope: str = GROUP) -> dict[str, Any]:
    """Return a resource group of a state."""
    return resource("azurerm_resource_group", name, {"attributes": {"id": scope}})


def state(*resources: dict[str, Any]) -> dict[str, Any]:
    """Return a state."""
    return {"version": 4, "terraform_version": "1.9.0", "resources": list(resources)}


def change(one: dict[str, Any], *roles: str, scope: str = "", kind: str = "active") -> Change:
    """Return the change of an assignment of a state into others."""
    values = one["instances"][0]["attributes"]
    place, holder = values["scope"], values["principal_id"]
    today = Grant(place.lower(), values["role_definition_id"].rsplit("/", 1)[-1], holder)
    wanted = tuple(
        Wanted(
            Grant((scope or place).lower(), NAMES[role], holder, state=kind),
            scope or place,
            role,
            role_id(role),
            role == "App Deployer",
            role.lower().replace(" ", "_"),
            role.lower().replace(" ", "_"),
        )
        for role in roles
    )
    old = values["id"].rsplit("/", 1)[-1]
    return Change(f"proposal-{old[:8]}", old, today, wanted, f"{holder} gets {roles}")


def repository(files: Mapping[str, str], states: Mapping[str, Any]) -> Repository:
    """Return the configurations of files, each state with the folder before its `=`, if it has one."""
    given = {name: (document, name.partition("=")[0] if "=" in name else None) for name, document in states.items()}
    return read_repository(Code({path: text.encode() for path, text in files.items()}), given, ROLES)


def patch(
    files: Mapping[str, str], states: Mapping[str, Any], *changes: Change
) -> tuple[Patch, dict[str, str], dict[str, str]]:
    """Return the patch of a repository, and its changed files after each of the two phases."""
    found = repository(files, states)
    definitions = {DEPLOYER.role_definition_id: DEPLOYER}
    blocks = {str(DEPLOYER.role_definition_id): role_terraform(DEPLOYER)}
    made = patch_terraform(found, changes, ROLES, definitions, blocks, for_terraform)
    add = [edit for offer in made.offers for edit in offer.add]
    both = [edit for offer in made.offers for edit in offer.both]
    return made, *(
        {path: text.decode() for path, text in code.files.items() if text != found.code.files.get(path)}
        for code in (found.code.edited(add), found.code.edited(both))
    )
