"""Edits of Terraform: each pattern that teams write, what is edited in it, and what is left to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.iac.code_repository import (
    DEPLOYER,
    GROUP,
    SUBSCRIPTION,
    assignment,
    change,
    group,
    guid,
    patch,
    resource,
    state,
)

pytest.importorskip("hcl2")

SINGLE = """# The web app deploys itself.
resource "azurerm_role_assignment" "web" {
  scope                = azurerm_resource_group.app.id # its group
  role_definition_name = "Contributor"
  principal_id         = azurerm_user_assigned_identity.web.principal_id
}

resource "azurerm_role_assignment" "ops" {
  scope                = azurerm_resource_group.app.id
  role_definition_name = "Owner"
  principal_id         = data.azuread_group.ops.object_id
}
"""
WEB, OPS = assignment("azurerm_role_assignment.web"), assignment("azurerm_role_assignment.ops", "Owner", "ops")
MAP = """locals {
  apps = {
    web = { role = "Contributor", principal = var.web } # the site
    api = { role = "Reader", principal = var.api }
  }
}

variable "web" {}
variable "api" {}

resource "azurerm_role_assignment" "apps" {
  for_each             = local.apps
  scope                = azurerm_resource_group.app.id
  role_definition_name = each.value.role
  principal_id         = each.value.principal
}
"""
MAP_WEB = assignment('azurerm_role_assignment.apps["web"]')
MAP_API = assignment('azurerm_role_assignment.apps["api"]', "Reader", "api")
SET = """resource "azurerm_role_assignment" "ops" {
  for_each             = toset(["a", "b", "c"])
  scope                = azurerm_resource_group.app.id
  role_definition_name = "Contributor"
  principal_id         = data.azuread_group.all[each.key].object_id
}
"""
SETS = [assignment(f'azurerm_role_assignment.ops["{key}"]', holder=key) for key in "abc"]
GROUPS = [
    resource("azuread_group", "all", {"index_key": key, "attributes": {"object_id": guid(key)}}, mode="data")
    for key in "abc"
]
MODULE = """variable "principal" {}
variable "scope" {}
variable "role" { default = "Contributor" }

resource "azurerm_role_assignment" "this" {
  scope                = var.scope
  role_definition_name = var.role
  principal_id         = var.principal
}
"""


def call(name: str, more: str = "") -> str:
    """Return a call of the module."""
    scope = "azurerm_resource_group.app.id"
    return (
        f'module "{name}" {{\n  source    = "./assign"\n  scope     = {scope}\n  principal = "{guid(name)}"\n{more}}}\n'
    )


def of_module(name: str, role: str = "Contributor") -> dict[str, Any]:
    """Return the assignment that a call of the module makes."""
    return assignment(f"module.{name}.azurerm_role_assignment.this", role, holder=name)


def without_new(before: str, after: str) -> bool:
    """Return whether every line of a file is still there, in its order."""
    lines = iter(after.splitlines())
    return all(line in lines for line in before.splitlines())


def test_a_block_is_copied_and_then_takes_the_place_of_todays() -> None:
    """The copy keeps comments and expressions, has the new role, and stands below the comment of the old one."""
    made, added, final = patch({"main.tf": SINGLE}, {"s": state(WEB, OPS, group())}, change(WEB, "Reader"))
    assert not made.refused
    assert without_new(SINGLE, added["main.tf"])
    old = SINGLE.partition("\n\n")[0]
    new = old.replace('"web"', '"web_reader"').replace("Contributor", "Reader")
    assert added["main.tf"] == SINGLE.replace(old, new + "\n\n" + old.partition("\n")[2])
    assert final["main.tf"] == SINGLE.replace(old, new)


def test_a_new_role_stands_in_a_file_of_its_own() -> None:
    """The assignment refers to its block, so that Terraform makes the role first."""
    made, added, final = patch({"main.tf": SINGLE}, {"s": state(WEB, OPS, group())}, change(WEB, "App Deployer"))
    assert not made.refused
    assert not made.notes
    assert f'role_definition_id = "{DEPLOYER.role_definition_id}"' in added["role_app_deployer.tf"]
    assert "azurerm_role_definition.app_deployer.role_definition_resource_id" in final["main.tf"]


def test_what_is_only_removed_goes_with_its_comment_in_the_second_phase() -> None:
    made, added, final = patch({"main.tf": SINGLE}, {"s": state(WEB, OPS, group())}, change(WEB), change(OPS))
    assert not made.refused
    assert not added
    assert final == {"main.tf": ""}


def test_a_narrower_scope_is_named_by_the_resource_that_has_it() -> None:
    subscription = SINGLE.replace("azurerm_resource_group.app.id # its group", f'"{SUBSCRIPTION}"')
    wide = assignment("azurerm_role_assignment.web", scope=SUBSCRIPTION)
    _, added, _ = patch(
        {"main.tf": subscription}, {"s": state(wide, OPS, group())}, change(wide, "Reader", scope=GROUP)
    )
    assert added["main.tf"].count("azurerm_resource_group.app.id") == 2


def test_eligible_access_is_a_resource_of_its_own() -> None:
    made, added, final = patch(
        {"main.tf": SINGLE}, {"s": state(WEB, OPS, group())}, change(OPS, "Owner", kind="eligible")
    )
    assert not made.refused
    assert 'resource "azurerm_pim_eligible_role_assignment" "ops_owner"' in added["main.tf"]
    assert 'resource "azurerm_role_assignment" "ops"' not in final["main.tf"]


def test_the_entry_of_a_map_that_names_the_role_is_copied() -> None:
    made, added, final = patch({"main.tf": MAP}, {"s": state(MAP_WEB, MAP_API, group())}, change(MAP_WEB, "Owner"))
    assert not made.refused
    entry = '    web = { role = "Contributor", principal = var.web } # the site\n'
    new = '    web_owner = { role = "Owner", principal = var.web }'
    assert added["main.tf"] == MAP.replace(entry, f"{new}\n{entry}")
    assert final["main.tf"] == MAP.replace(entry, f"{new} # the site\n")


def test_an_entry_that_something_else_uses_is_left_to_people() -> None:
    """Another resource over the same map would lose an instance."""
    files = {"main.tf": MAP + 'output "apps" {\n  value = local.apps\n}\n'}
    made, added, _ = patch(files, {"s": state(MAP_WEB, MAP_API, group())}, change(MAP_WEB, "Owner"))
    assert not added
    assert made.refused[0].why == "`output apps` also uses `local.apps`"
    assert (made.refused[0].path, made.refused[0].line) == ("main.tf", 11)


def test_all_keys_of_a_set_change_alike_in_one_block() -> None:
    made, added, _ = patch({"main.tf": SET}, {"s": state(*SETS, group())}, *(change(one, "Reader") for one in SETS))
    assert not made.refused
    assert added["main.tf"].count('for_each             = toset(["a", "b", "c"])') == 2


def test_a_set_is_split_where_its_keys_change_otherwise() -> None:
    made, added, final = patch(
        {"main.tf": SET},
        {"s": state(*SETS, *GROUPS, group())},
        change(SETS[0], "Reader"),
        change(SETS[2]),
    )
    assert not made.refused
    assert 'toset(["a"])' in added["main.tf"]
    assert final["main.tf"].count('toset(["b"])') == 1


def test_a_set_is_not_split_where_a_holder_is_known_for_todays_keys_alone() -> None:
    """The state does not say what the same expression is under another loop."""
    made, added, _ = patch({"main.tf": SET}, {"s": state(*SETS, group())}, change(SETS[0], "Reader"))
    assert not added
    assert made.refused


def test_places_of_a_count_are_never_shifted() -> None:
    text = SET.replace("for_each             = toset", "count                = length").replace(
        "each.key", "count.index"
    )
    counted = [assignment(f"azurerm_role_assignment.ops[{place}]", holder=str(place)) for place in range(3)]
    made, added, _ = patch({"main.tf": text}, {"s": state(*counted, group())}, change(counted[0], "Reader"))
    assert (added, len(made.refused)) == ({}, 1)
    made, added, _ = patch(
        {"main.tf": text}, {"s": state(*counted, group())}, *(change(one, "Reader") for one in counted)
    )
    assert (len(added), made.refused) == (1, [])


@pytest.mark.parametrize(
    ("changed", "edited"),
    [(("a", "b"), True), (("a",), False)],
    ids=["callers that agree", "callers that do not"],
)
def test_a_module_is_edited_only_where_all_its_callers_agree(changed: tuple[str, ...], edited: bool) -> None:
    files = {"main.tf": call("a") + call("b"), "assign/main.tf": MODULE}
    states = {"s": state(of_module("a"), of_module("b"), group())}
    made, added, _ = patch(files, states, *(change(of_module(name), "Reader") for name in changed))
    assert (bool(added), bool(made.refused)) == (edited, not edited)


def test_a_module_that_a_configuration_without_state_calls_is_not_edited() -> None:
    files = {"one/main.tf": call("a").replace("./", "../"), "assign/main.tf": MODULE}
    states = {"one=": state(of_module("a"), group())}
    made, added, _ = patch(files, states, change(of_module("a"), "Reader"))
    assert added
    files["two/main.tf"] = call("c").replace("./", "../")
    made, added, _ = patch(files, states, change(of_module("a"), "Reader"))
    assert not added
    assert made.refused[0].why == "`two` uses this code, too, and no state of it was given"


def test_a_call_that_names_the_role_is_copied() -> None:
    """By the name of the new role, since the module takes a name."""
    files = {"main.tf": call("a", '  role      = "Contributor"\n') + call("b"), "assign/main.tf": MODULE}
    states = {"s": state(of_module("a"), of_module("b"), group())}
    made, added, final = patch(files, states, change(of_module("a"), "App Deployer"))
    assert not made.refused
    assert 'module "a_app_deployer"' in added["main.tf"]
    assert "azurerm_role_definition.app_deployer.name" in added["main.tf"]
    assert 'module "a" {' not in final["main.tf"]


def test_a_call_of_a_module_that_makes_more_is_not_copied() -> None:
    more = MODULE + 'resource "azurerm_storage_account" "this" {\n  name = var.scope\n}\n'
    files = {"main.tf": call("a", '  role      = "Contributor"\n') + call("b"), "assign/main.tf": more}
    states = {"s": state(of_module("a"), of_module("b"), group())}
    made, added, _ = patch(files, states, change(of_module("a"), "Reader"))
    assert not added
    assert "makes more than assignments" in made.refused[0].why


TEAMS = """variable "teams" {
  type = map(object({ role = string, principal = string }))
}

resource "azurerm_role_assignment" "teams" {
  for_each             = var.teams
  scope                = azurerm_resource_group.app.id
  role_definition_name = each.value.role
  principal_id         = each.value.principal
}

resource "azurerm_role_assignment" "all" {
  scope                = azurerm_resource_group.app.id
  role_definition_name = "Contributor"
  principal_id         = var.all
}
"""
DEV = "/subscriptions/00000000-0000-4000-8000-00000000000d/resourceGroups/rg-dev"


def environments() -> tuple[dict[str, str], dict[str, Any], dict[str, dict[str, Any]]]:
    """Return a configuration with two environments, their states, and their assignments."""
    files = {"main.tf": TEAMS}
    states, found = {}, {}
    for name, scope, role in (("prod", GROUP, "Contributor"), ("dev", DEV, "Owner")):
        principal = guid(f"web {name}")
        files[f"env/{name}.tfvars"] = (
            f'teams = {{\n  web = {{\n    role      = "{role}"\n    principal = "{principal}"\n  }}\n}}\n'
        )
        web = assignment('azurerm_role_assignment.teams["web"]', role, f"web {name}", scope)
        every = assignment("azurerm_role_assignment.all", holder="all", scope=scope)
        for one in (web, every):
            values = one["instances"][0]["attributes"]
            values["id"] = f"{values['id'].rpartition('/')[0]}/{guid(values['id'])}"
        states[name] = state(web, every, group(scope=scope))
        found |= {f"web {name}": web, f"all {name}": every}
    return files, states, found


def test_the_file_of_variables_of_one_environment_is_edited_alone() -> None:
    files, states, found = environments()
    made, added, final = patch(files, states, change(found["web prod"], "Reader"))
    assert not made.refused
    assert set(added) == set(final) == {"env/prod.tfvars"}


@pytest.mark.parametrize("agree", [True, False])
def test_a_block_of_several_environments_is_edited_where_they_agree(agree: bool) -> None:
    files, states, found = environments()
    changed = ["all prod", "all dev"] if agree else ["all prod"]
    made, added, _ = patch(files, states, *(change(found[name], "Reader") for name in changed))
    assert (set(added), bool(made.refused)) == ({"main.tf"} if agree else set(), not agree)


def test_a_block_of_an_environment_without_state_is_left_to_people() -> None:
    files, states, found = environments()
    made, added, _ = patch(files, {"prod": states["prod"]}, change(found["all prod"], "Reader"))
    assert not added
    assert made.refused[0].why == "`env/dev.tfvars` uses this code, too, and no state of it was given"


VERIFIED = """module "vault" {
  source  = "Azure/avm-res-keyvault-vault/azurerm"
  version = "0.9.1"
  name    = "kv"
  role_assignments = {
    deploy = {
      role_definition_id_or_name = "Contributor"
      principal_id               = azurerm_user_assigned_identity.web.principal_id
    }
    "read-all" = {
      role_definition_id_or_name = "Reader"
      principal_id               = var.ops
    }
  }
}
"""


def test_entries_of_verified_modules_are_copied_and_deleted() -> None:
    one = assignment('module.vault.azurerm_role_assignment.this["deploy"]', holder="web")
    two = assignment('module.vault.azurerm_role_assignment.this["read-all"]', "Reader", "ops")
    made, added, final = patch({"main.tf": VERIFIED}, {"s": state(one, two)}, change(one, "App Deployer"), change(two))
    assert not made.refused
    assert "deploy_app_deployer = {" in added["main.tf"]
    assert '"read-all"' in added["main.tf"]
    assert '"read-all"' not in final["main.tf"]
    assert "    deploy = {" not in final["main.tf"]


def test_the_argument_of_a_foreign_module_is_no_vocabulary_of_ours() -> None:
    """A module of a registry that calls its roles otherwise is not read, so nothing in it is an address."""
    text = VERIFIED.replace("role_definition_id_or_name", "role").replace("role_assignments", "permissions")
    one = assignment('module.vault.azurerm_role_assignment.this["deploy"]', holder="web")
    made, added, _ = patch({"main.tf": text + SINGLE}, {"s": state(one, WEB, OPS, group())}, change(one, "Reader"))
    assert (added, made.missing) == ({}, [change(one, "Reader")])


def test_an_address_in_two_states_is_nobodys() -> None:
    files = {"a/main.tf": SINGLE, "b/main.tf": SINGLE}
    states = {"a=": state(WEB, OPS, group()), "b=": state(WEB, OPS, group())}
    made, added, _ = patch(files, states, change(WEB, "Reader"))
    assert not added
    assert made.refused[0].why.startswith("it could be `azurerm_role_assignment.web` and")


def test_a_state_that_fits_two_folders_belongs_to_neither() -> None:
    files = {"a/main.tf": SINGLE, "b/main.tf": SINGLE}
    made, added, _ = patch(files, {"s": state(WEB, OPS, group())}, change(WEB, "Reader"))
    assert (added, made.missing) == ({}, [change(WEB, "Reader")])


def test_a_state_that_grants_something_else_than_the_code_is_not_believed() -> None:
    """Code that was changed by hand since has no addresses."""
    drifted = {"main.tf": SINGLE.replace("Contributor", "Reader")}
    made, added, _ = patch(drifted, {"s": state(WEB, OPS, group())}, change(WEB, "Reader"))
    assert (added, made.missing) == ({}, [change(WEB, "Reader")])


def test_what_is_loaded_must_be_what_the_state_says() -> None:
    moved = assignment("azurerm_role_assignment.web", scope=SUBSCRIPTION)
    made, added, _ = patch({"main.tf": SINGLE}, {"s": state(WEB, OPS, group())}, change(moved, "Reader"))
    assert not added
    assert "grants something else than what is loaded" in made.refused[0].why


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            'output "id" {\n  value = azurerm_role_assignment.web.id\n}\n',
            "`output id` also uses `azurerm_role_assignment.web`",
        ),
        ("", "must not be destroyed"),
    ],
    ids=["an output", "prevent_destroy"],
)
def test_a_block_that_others_need_is_left_to_people(more: str, why: str) -> None:
    text = SINGLE + more
    if not more:
        text = SINGLE.replace("principal\n}", "principal\n  lifecycle {\n    prevent_destroy = true\n  }\n}", 1)
        text = text.replace(
            "web.principal_id\n}", "web.principal_id\n\n  lifecycle {\n    prevent_destroy = true\n  }\n}", 1
        )
    made, added, _ = patch({"main.tf": text}, {"s": state(WEB, OPS, group())}, change(WEB, "Reader"))
    assert not added
    assert why in made.refused[0].why


def test_plans_of_terraform_tell_addresses_as_states_do() -> None:
    values = {"root_module": {"resources": [shown(one) for one in (WEB, OPS, group())]}}
    for document in (
        {"format_version": "1.0", "values": values},
        {"format_version": "1.2", "prior_state": {"values": values}},
    ):
        made, added, _ = patch({"main.tf": SINGLE}, {"s": document}, change(WEB, "Reader"))
        assert (len(made.offers), set(added)) == (1, {"main.tf"})


def shown(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource of a state as `terraform show -json` has it."""
    return {"mode": one["mode"], "type": one["type"], "name": one["name"], "values": one["instances"][0]["attributes"]}


def test_line_ends_and_a_mark_of_the_byte_order_stay() -> None:
    text = "\ufeff" + SINGLE.replace("\n", "\r\n")
    made, added, _ = patch({"main.tf": text}, {"s": state(WEB, OPS, group())}, change(WEB, "Reader"))
    assert not made.refused
    assert added["main.tf"].startswith("\ufeff#")
    assert added["main.tf"].count("\n") == added["main.tf"].count("\r\n")
