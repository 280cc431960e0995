"""A role that a condition makes on one side alone is seen by gates, whatever decides the condition.

The forms are those of public modules with switches; the files are written here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.model.errors import InputError, UsageError
from rightsize.workflow.roles.compare import contains_pairs, read_role
from rightsize.workflow.roles.gates import no_new_access, not_granted
from rightsize.workflow.roles.sources import read_file

READ, WRITE = "Microsoft.Compute/virtualMachines/read", "Microsoft.Web/sites/write"
ROLES = "Microsoft.Authorization/roleDefinitions"
SCHEMA = "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#"


def bicep(permissions: str, before: str, *, loop: str = "", name: str = "'R'") -> str:
    start, end = (f"[for x in {loop}: ", "]") if loop else ("", "")
    return (
        f"{before}\nresource r '{ROLES}@2022-04-01' = {start}{{\n  name: guid('x')\n  properties: {{\n"
        f"    roleName: {name}\n    permissions: {permissions}\n    assignableScopes: [subscription().id]\n  }}\n}}{end}\n"
    )


def arm(properties: dict[str, object], variables: dict[str, object], **parts: object) -> str:
    resource = {"type": ROLES, "name": "x", "properties": {"roleName": "R", "assignableScopes": ["/s"], **properties}}
    parameters = {"skip": {"type": "bool", "defaultValue": True}}
    resources = [resource | parts]
    return json.dumps({"$schema": SCHEMA, "parameters": parameters, "variables": variables, "resources": resources})


def terraform(body: str, before: str) -> str:
    return f'{before}\nresource "azurerm_role_definition" "r" {{\n{body}\n}}\n'


ROLE_LIST = f"""var base = [ {{ name: 'R', actions: ['{READ}'] }} ]
var extra = skip ? [] : [
  {{ name: 'S', actions: ['{WRITE}'] }}
]"""
PER_ITEM = {"loop": "concat(base, extra)", "name": "x.name"}
ROLE_MAPS = f"""variable "skip" {{
  default = true
}}
locals {{
  base  = {{ R = ["{READ}"] }}
  extra = var.skip ? {{}} : {{ S = ["{WRITE}"] }}
}}"""
LOOPED = {"actions": "[variables('all')[copyIndex()].a]"}
ITEMS = {"base": [{"a": [READ]}], "extra": [{"a": [WRITE]}]}
FORMS = {
    "Bicep, a list of roles": ("m.bicep", bicep("[{ actions: x.actions }]", f"param skip bool = true\n{ROLE_LIST}", **PER_ITEM)),
    "Bicep, without a default": ("m.bicep", bicep("[{ actions: x.actions }]", f"param skip bool\n{ROLE_LIST}", **PER_ITEM)),
    "Bicep, by the place of the deployment": ("m.bicep", bicep("[{ actions: x.actions }]", f"var skip = subscription().id == 'a'\n{ROLE_LIST}", **PER_ITEM)),
    "Bicep, by a resource within another": ("m.bicep", bicep("[{ actions: x.actions }]", f"var skip = vault::key.properties.on\n{ROLE_LIST}", **PER_ITEM)),
    "Bicep, by the cloud": ("m.bicep", bicep("[{ actions: x.actions }]", f"var skip = az.environment().name == 'AzureChinaCloud'\n{ROLE_LIST}", **PER_ITEM)),
    "Bicep, actions": ("m.bicep", bicep(f"[{{ actions: concat(['{READ}'], skip ? [] : ['{WRITE}']) }}]", "param skip bool = true")),
    "Bicep, spread": ("m.bicep", bicep(f"[{{ actions: ['{READ}', ...(!skip ? ['{WRITE}'] : [])] }}]", "param skip bool = true")),
    "Bicep, a condition of a loop": ("m.bicep", bicep(f"[for a in ['{READ}', '{WRITE}']: {{ actions: [a] }}]", "param skip bool = true").replace("]: {", "]: if (!skip || contains(a, 'read')) {")),
    "Bicep, a filter": ("m.bicep", bicep(f"[{{ actions: filter(['{READ}', '{WRITE}'], a => !skip || contains(a, 'read')) }}]", "param skip bool = true")),
    "ARM, a list of roles": ("m.json", arm({"permissions": [LOOPED]}, {**ITEMS, "all": "[concat(variables('base'), if(parameters('skip'), createArray(), variables('extra')))]"}, copy={"name": "l", "count": "[length(variables('all'))]"})),
    "ARM, a property loop": ("m.json", arm({"copy": [{"name": "permissions", "count": "[if(parameters('skip'), 1, 2)]", "input": {"actions": ["[variables('all')[copyIndex('permissions')]]"]}}]}, {"all": [READ, WRITE]})),
    "ARM, by the cloud": ("m.json", arm({"permissions": [{"actions": f"[if(equals(environment().name, 'AzureCloud'), createArray('{READ}'), createArray('{WRITE}'))]"}]}, {})),
    "Terraform, maps": ("m.tf", terraform("for_each = merge(local.base, local.extra)\nname = each.key\npermissions {\nactions = each.value\n}", ROLE_MAPS)),
    "Terraform, actions": ("m.tf", terraform(f'name = "R"\npermissions {{\nactions = concat(["{READ}"], var.skip ? [] : ["{WRITE}"])\n}}', ROLE_MAPS)),
    "Terraform, a switch": ("m.tf", terraform(f'count = var.skip ? 0 : 1\nname = "R"\npermissions {{\nactions = var.skip ? ["{READ}"] : ["{WRITE}"]\n}}', ROLE_MAPS)),
    "Terraform, a dynamic block": ("m.tf", terraform(f'name = "R"\npermissions {{\nactions = ["{READ}"]\n}}\ndynamic "permissions" {{\nfor_each = var.skip ? [] : [1]\ncontent {{\nactions = ["{WRITE}"]\n}}\n}}', ROLE_MAPS)),
    "Terraform, a condition of a loop": ("m.tf", terraform(f'name = "R"\npermissions {{\nactions = [for a in ["{READ}", "{WRITE}"] : a if !var.skip || endswith(a, "read")]\n}}', ROLE_MAPS)),
    "Terraform, one condition after the other": ("m.tf", terraform(f'name = "R"\npermissions {{\nactions = var.skip ? ["{READ}"] : local.x ? [] : ["{WRITE}"]\n}}', ROLE_MAPS.replace("locals {", "locals {\n  x = data.a.b.c == 1"))),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_gate_sees_both_sides_of_a_condition(form: str, tmp_path: Path) -> None:
    """By default, or by what only a deployment knows, the write is left out; another value grants it."""
    name, text = FORMS[form]
    (tmp_path / name).write_text(text, encoding="utf-8")
    for place in (tmp_path, tmp_path / name):
        found = not_granted(place, [WRITE], "control")
        assert [row["operation"] for row in found.rows] == [WRITE] and not found.refused


def test_what_a_condition_takes_away_is_taken_on_its_side_alone(tmp_path: Path) -> None:
    """The not-actions of one side do not narrow the actions of the other, and one condition has one side at a time."""
    path = tmp_path / "m.bicep"
    rights = "[{ actions: full ? ['*'] : ['*/read'], notActions: !full ? [] : ['Microsoft.Web/*'] }]"
    path.write_text(bicep(rights, "param full bool = false"), encoding="utf-8")
    (role,) = read_file(path)
    assert {(block.actions, block.not_actions) for block in role.permissions} == {
        (("*",), ("Microsoft.Web/*",)),
        (("*/read",), ()),
    }
    assert not_granted(path, [WRITE], "control").rows == []
    remark = not_granted(path, [WRITE], "control").remarks[0]
    assert "conditions" in remark and "role `R`" in remark


def test_a_default_that_is_no_condition_stays_one(tmp_path: Path) -> None:
    """Names and scopes follow the defaults, and so do values without a condition."""
    path = tmp_path / "m.bicep"
    before = f"param env string = 'dev'\nparam acts array = ['{READ}']\n"
    path.write_text(bicep("[{ actions: acts }]", before, name="env == 'prod' ? 'P' : 'D'"), encoding="utf-8")
    (role,) = read_file(path)
    assert (role.role_name, role.permissions[0].actions, role.is_decided) == ("D", (READ,), True)


def test_a_call_decides_the_parameters_of_a_module(tmp_path: Path) -> None:
    """A module that is called with a value, or leaves one at its default, has one side."""
    (tmp_path / "role.bicep").write_text(
        bicep(f"[{{ actions: full ? ['*'] : ['{READ}'] }}]", "param full bool = true"), encoding="utf-8"
    )
    main = tmp_path / "main.bicep"
    main.write_text("module m 'role.bicep' = {\n  params: {\n    full: false\n  }\n}\n", encoding="utf-8")
    assert [block.actions for role in read_file(main) for block in role.permissions] == [(READ,)]
    main.write_text("module m 'role.bicep' = {\n}\n", encoding="utf-8")
    assert [block.actions for role in read_file(main) for block in role.permissions] == [("*",)]
    main.write_text("param f bool = false\nmodule m 'role.bicep' = {\n  params: { full: f }\n}\n", encoding="utf-8")
    assert {block.actions for role in read_file(main) for block in role.permissions} == {("*",), (READ,)}
    assert not_granted(tmp_path, ["*/write"], "control").roles == 1  # the module counts at its call alone


def test_a_side_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.bicep"
    path.write_text(
        bicep(f"[{{ actions: skip ? ['{READ}'] : given }}]", "param skip bool = true\nparam given array"),
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"`actions` of role `R` has an expression .* `given`"):
        read_file(path)


@pytest.mark.slow
def test_too_many_conditions_are_refused(tmp_path: Path) -> None:
    """Nine switches make 512 combinations, and ten more."""
    path = tmp_path / "m.tf"
    for count, fits in ((9, True), (10, False)):
        switches = ", ".join(f'var.s{number} ? ["a/b{number}/read"] : []' for number in range(count))
        path.write_text(
            terraform(f'name = "R"\npermissions {{\nactions = concat({switches})\n}}', "".join(f'variable "s{number}" {{\n}}\n' for number in range(count))),
            encoding="utf-8",
        )  # fmt: skip
        if fits:
            (role,) = read_file(path)
            assert [len(block.actions) for block in role.permissions] == [9]
        else:
            with pytest.raises(InputError, match="more than 512 combinations of conditions"):
                read_file(path)


def test_a_role_that_conditions_decide_is_neither_converted_nor_the_bigger_one(tmp_path: Path) -> None:
    """With both sides it would be said to grant what it may not."""
    path = tmp_path / "m.tf"
    path.write_text(FORMS["Terraform, actions"][1], encoding="utf-8")
    with pytest.raises(InputError, match="depends on conditions that its file does not decide"):
        read_role(str(path), must_be_decided=True)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"big": [{"actions": ["*/read"]}], "small": str(path)}), encoding="utf-8")
    assert [answer["contains"] for answer in contains_pairs(pairs)] == [False]
    pairs.write_text(json.dumps({"small": [{"actions": ["*/read"]}], "big": str(path)}), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 1 .*depends on conditions"):
        list(contains_pairs(pairs))


def test_files_of_variables_may_stand_in_another_folder(tmp_path: Path) -> None:
    """They decide conditions, as on the command line of Terraform; the last one wins."""
    (tmp_path / "env").mkdir()
    (tmp_path / "main").mkdir()
    path = tmp_path / "main" / "m.tf"
    path.write_text(FORMS["Terraform, actions"][1], encoding="utf-8")
    off, on = tmp_path / "env" / "off.tfvars", tmp_path / "env" / "on.tfvars.json"
    off.write_text("skip = true\n", encoding="utf-8")
    on.write_text('{"skip": false}', encoding="utf-8")
    assert not_granted(path, [WRITE], "control", variables=[off]).rows == []
    assert len(not_granted(path.parent, [WRITE], "control", variables=[off, on]).rows) == 1
    decided = read_role(str(path), variables=[on], must_be_decided=True)
    assert decided.permissions[0].actions == (READ, WRITE)
    off.write_text("skip = [\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"off.tfvars`: not valid Terraform"):
        not_granted(path, [WRITE], "control", variables=[off])
    flat = tmp_path / "r.json"
    flat.write_text("[]", encoding="utf-8")
    with pytest.raises(UsageError, match="takes no file of variables"):
        read_file(flat, (("on.tfvars", b"skip = true"),))


MODULE = """variable "roles" {
  type = map(object({ actions = list(string), not_actions = optional(list(string), []) }))
}
resource "azurerm_role_definition" "this" {
  for_each = var.roles
  name     = each.key
  permissions {
    actions     = each.value.actions
    not_actions = each.value.not_actions
  }
}
"""


@pytest.mark.parametrize(
    ("caller", "source"), [("main.tf", "./modules/roles"), ("modules/roles/examples/main.tf", "../")]
)
def test_roles_of_a_local_module_of_terraform_are_read_at_its_call(tmp_path: Path, caller: str, source: str) -> None:
    """The module alone has no values; in its folder it is no file that is refused, since the caller gives them."""
    place = tmp_path / "modules" / "roles"
    (place / "examples").mkdir(parents=True)
    (place / "main.tf").write_text(MODULE, encoding="utf-8")
    call = f'module "custom" {{\n  source = "{source}"\n  roles  = {{ R = {{ actions = local.acts }} }}\n}}\n'
    (tmp_path / caller).write_text(call + f'locals {{\n  acts = ["{WRITE}"]\n}}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"`var.roles`"):
        read_file(place / "main.tf")
    found = not_granted(tmp_path, [WRITE], "control")
    assert [Path(row["file"]) for row in found.rows] == [tmp_path / caller] and not found.refused
    (tmp_path / caller).write_text(call.replace("local.acts", "var.given"), encoding="utf-8")
    with pytest.raises(InputError, match=r"`actions` of role `R` has an expression .* `var.given`"):
        not_granted(tmp_path, [WRITE], "control")


def test_a_module_that_is_not_here_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "main.tf"
    path.write_text('module "custom" {\n  source = "./gone"\n}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"the module `custom` .*not here: `gone`"):
        read_file(path)


def test_one_file_of_a_library_that_cannot_be_read_is_refused_alone(tmp_path: Path) -> None:
    """The others are judged; a policy that names a role but makes none is no role file."""
    role = {"Name": "R", "IsCustom": True, "Actions": [WRITE], "AssignableScopes": ["/s"]}
    (tmp_path / "r.json").write_text(json.dumps(role), encoding="utf-8")
    details = {
        "roleDefinitionIds": ["/providers/Microsoft.Authorization/roleDefinitions/x"],
        "deployment": {"properties": {"template": {"resources": [{"type": "Microsoft.Insights/x"}]}}},
    }
    policy = {"properties": {"policyRule": {"then": {"effect": "deployIfNotExists", "details": details}}}}
    (tmp_path / "p.json").write_text(json.dumps(policy), encoding="utf-8")
    assert not_granted(tmp_path, ["*/delete"], "control").refused == ()
    (tmp_path / "q.json").write_text(json.dumps(policy).replace('"deployIfNotExists",', ""), encoding="utf-8")
    (tmp_path / "q.json").write_text(json.dumps(policy)[:-1], encoding="utf-8")
    found = not_granted(tmp_path, [WRITE], "control")
    assert [row["role"] for row in found.rows] == ["R"]
    assert [error.message.split(":")[0] for error in found.refused] == [f"`{tmp_path / 'q.json'}`"]
    compared = no_new_access(tmp_path, tmp_path)
    assert compared.rows == [] and len(compared.refused) == 2
    details["deployment"]["properties"]["template"]["resources"][0]["type"] = ROLES  # type: ignore[index]
    (tmp_path / "q.json").write_text(json.dumps(policy), encoding="utf-8")
    assert len(not_granted(tmp_path, [WRITE], "control").refused) == 1
