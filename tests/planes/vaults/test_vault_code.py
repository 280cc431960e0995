"""Code that writes key vaults: a policy is judged by what it adds, and a switch by whom it lets in and locks out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from rightsize.iac.deployed.documents import read_deployment
from rightsize.store.connection import Store
from rightsize.workflow.answers.vaults import is_about_vaults, vault_notes
from tests.planes.vaults.vault_world import GET, SET, SUBSCRIPTION, World

_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def _notes(world: World, document: Mapping[str, Any] | str) -> list[str]:
    is_text = isinstance(document, str)
    content = document if isinstance(document, str) else json.dumps(document)
    found = read_deployment(content.encode(), "main.bicep" if is_text else "main.json")
    return vault_notes(cast(Store, world), [one for one in found.changes if is_about_vaults(one)])


def _template(kind: str = "", name: str = "kv", **properties: Any) -> dict[str, Any]:
    one = {"type": f"Microsoft.KeyVault/vaults{kind}", "apiVersion": "2023-07-01", "name": name}
    return {"$schema": _SCHEMA, "resources": [one | {"properties": properties}]}


def _plan(kind: str, **values: Any) -> dict[str, Any]:
    change = {"actions": ["create"], "before": None, "after": values}
    one = {"address": f"{kind}.x", "mode": "managed", "type": kind, "name": "x", "change": change}
    return {"format_version": "1.2", "resource_changes": [one]}


def test_a_policy_in_code_is_judged_by_what_it_adds() -> None:
    """What its holder has already is no gain, in whatever case it is written."""
    world = World().holds("u", "User", secrets=["get", "list"])
    entry = {"objectId": "u", "permissions": {"secrets": ["Get"], "keys": ["Sign"]}}
    added = _template("/accessPolicies", "kv/add", accessPolicies=[entry])
    assert _notes(world, added) == [
        "kv: the code gives u more by its access policy: keys sign (it uses or changes keys)"
    ]
    same = _template("/accessPolicies", "kv/add", accessPolicies=[entry | {"permissions": {"secrets": ["LIST"]}}])
    assert _notes(world, same) == []
    lists = World().holds("u", "User", secrets=["get"])
    same = _template(
        "/accessPolicies", "kv/add", accessPolicies=[entry | {"permissions": {"secrets": ["get", "list"]}}]
    )
    assert _notes(lists, same) == ["kv: the code gives u more by its access policy: secrets list"]
    stranger = _plan(
        "azurerm_key_vault_access_policy", key_vault_id=f"{SUBSCRIPTION}/resourceGroups/rg/providers/"
        "Microsoft.KeyVault/vaults/kv", object_id="other", secret_permissions=["All"],
    )  # fmt: skip
    assert _notes(world, stranger) == [
        "kv: the code gives other by an access policy: secrets all (it reads secret values)"
    ]


def test_policies_that_a_template_leaves_out_go() -> None:
    """Resource Manager replaces the list; Terraform's blocks beside policies of their own do not say so."""
    world = World().holds("u", "User", secrets=["get"]).holds("v", secrets=["get"])
    entry = {"objectId": "u", "permissions": {"secrets": ["get"]}}
    assert _notes(world, _template(accessPolicies=[entry])) == [
        "kv: the code takes the access policies of v away, which it does not list"
    ]


@pytest.mark.parametrize(
    "code",
    [
        _template(enableRbacAuthorization=True),
        _plan("azurerm_key_vault", name="kv", resource_group_name="rg", rbac_authorization_enabled=True),
        "resource kv 'Microsoft.KeyVault/vaults@2023-07-01' = {\n  name: 'kv'\n  location: 'x'\n  properties: {\n"
        "    enableRbacAuthorization: true\n  }\n}\n",
    ],
    ids=["arm", "terraform", "bicep"],
)
def test_a_switch_to_roles_tells_whom_it_lets_in_and_locks_out(code: Any) -> None:
    """Whoever has a role for what it used is not locked out, and who used nothing is not told."""
    world = World().holds("u", "User", secrets=["all"]).uses("u", GET).uses("u", SET)
    world.holds("served", "User", secrets=["get"]).uses("served", GET).holds("idle", "User", secrets=["get"])
    secrets_user = "00000000-0000-4000-8000-000000000000"
    world.assignments = [
        {"role_assignment_id": who, "principal_id": who, "scope": SUBSCRIPTION, "state": "active",
         "role_definition_id": secrets_user}
        for who in ("served", "sleeper")
    ]  # fmt: skip
    woken, lost = _notes(world, code)
    assert woken == (
        "kv: the switch to roles wakes up data roles that grant nothing there today: served (Key Vault Secrets User), "
        "sleeper (Key Vault Secrets User)"
    )
    assert lost == (
        "kv: the switch to roles locks out who used a policy and holds no role for it: "
        "u (secrets/getsecret/action, secrets/setsecret/action)"
    )


def test_policies_in_code_give_nothing_where_roles_decide() -> None:
    entry = {"objectId": "u", "permissions": {"secrets": ["get"]}}
    assert _notes(World(), _template(enableRbacAuthorization=True, accessPolicies=[entry])) == [
        "kv: roles decide there, so the access policies of the code give nothing"
    ]


def test_without_a_log_any_holder_may_be_locked_out() -> None:
    world = World().holds("u", "User", secrets=["all"])
    world.covered = []
    assert _notes(world, _template(enableRbacAuthorization=True)) == [
        "kv: no log covers it, so any of its 1 holders of policies may be locked out"
    ]
