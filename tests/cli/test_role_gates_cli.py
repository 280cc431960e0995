"""`roles no-new-access` and `roles not-granted`: every form of a role, witnesses, and unjudgeable roles."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run

START, READ = "Microsoft.Compute/virtualMachines/start/action", "Microsoft.Compute/virtualMachines/read"
GIVE = "Microsoft.Authorization/roleAssignments/write"
GUID = "c0000000-0000-0000-0000-000000000001"


def arm_role(*actions: str, name: str = "VM", **more: Any) -> str:
    block = {"actions": list(actions), "notActions": [], "dataActions": [], "notDataActions": []} | more
    return json.dumps(
        {"name": GUID, "properties": {"roleName": name, "permissions": [block], "assignableScopes": ["/s"]}}
    )


def az_input(*actions: str) -> str:
    return json.dumps({"Name": "VM", "IsCustom": True, "Actions": list(actions), "AssignableScopes": ["/s"]})


def arm_template(*actions: str) -> str:
    properties = {"roleName": "VM", "permissions": [{"actions": "[variables('acts')]"}], "assignableScopes": ["/s"]}
    role = {"type": "Microsoft.Authorization/roleDefinitions", "name": "[guid('x')]", "properties": properties}
    inner = {"variables": {"ACTS": list(actions)}, "resources": {"role": role}}
    options = {"expressionEvaluationOptions": {"scope": "inner"}}
    nested = {"type": "Microsoft.Resources/deployments", "properties": {"template": inner, **options}}
    return json.dumps({"$schema": "https://schema.example/deploymentTemplate.json#", "resources": [nested]})


def bicep(*actions: str) -> str:
    lines = "\n".join(f"  '{action}'" for action in actions)
    return f"""targetScope = 'subscription'
var acts = [
{lines}
]
resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {{
  name: guid(subscription().id, 'vm')
  properties: {{
    roleName: 'VM'
    permissions: [
      {{
        actions: acts
      }}
    ]
    assignableScopes: [
      subscription().id
    ]
  }}
}}
"""


def terraform(*actions: str) -> str:
    return f"""
locals {{
  acts = {json.dumps(list(actions))}
}}
resource "azurerm_role_definition" "vm" {{
  name  = "VM"
  scope = data.azurerm_subscription.primary.id
  permissions {{
    actions     = local.acts
    not_actions = []
  }}
}}
"""


def terraform_json(*actions: str) -> str:
    body = {"name": "VM", "scope": "${var.scope}", "permissions": [{"actions": list(actions)}]}
    return json.dumps({"resource": {"azurerm_role_definition": {"vm": body}}})


FORMS: dict[str, Callable[..., str]] = {
    "arm.json": arm_role,
    "input.json": az_input,
    "template.json": arm_template,
    "main.bicep": bicep,
    "main.tf": terraform,
    "main.tf.json": terraform_json,
}

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*arguments: str | Path) -> tuple[int, str, str]:
        code = run(["roles", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return asked


def _file(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _operations(text: str) -> set[tuple[str, str, str]]:
    return {(row["change"], row["operation"], row["plane"]) for row in json.loads(text)}


@pytest.mark.parametrize("name", FORMS)
def test_a_role_that_grants_more_is_refused_with_a_witness(ask: Ask, tmp_path: Path, name: str) -> None:
    """In every form that teams write roles in."""
    old = _file(tmp_path / "old", name, FORMS[name](START, READ))
    new = _file(tmp_path / "new", name, FORMS[name](READ, GIVE))
    code, out, err = ask("no-new-access", old, new, "-o", "json")
    assert code == 3 and _operations(out) == {("grants more", GIVE, "control")}
    assert f"role `VM` now grants `{GIVE}`" in err


@pytest.mark.parametrize("name", FORMS)
def test_a_role_that_grants_less_passes(ask: Ask, tmp_path: Path, name: str) -> None:
    old = _file(tmp_path / "old", name, FORMS[name]("Microsoft.Compute/*"))
    new = _file(tmp_path / "new", name, FORMS[name](START.upper()))
    code, out, err = ask("no-new-access", old, new)
    assert (code, out) == (0, "") and "1 role grants no more than before" in err


def test_forms_compare_with_one_another(ask: Ask, tmp_path: Path) -> None:
    """A team that moves from JSON to Bicep is told whether the move grants anything."""
    old = _file(tmp_path / "old", "arm.json", arm_role(START))
    assert ask("no-new-access", old, _file(tmp_path / "new", "main.bicep", bicep(START)))[0] == 0
    assert ask("no-new-access", old, _file(tmp_path / "new", "main.tf", terraform(START, GIVE)))[0] == 3


def test_an_exception_that_goes_is_new_access(ask: Ask, tmp_path: Path) -> None:
    """Fewer not-actions grant more, and only the algebra over all strings sees how much.

    What the old not-action may have taken out, by one reading of `/*/`, is a part of its own.
    """
    old = _file(tmp_path / "old", "r.json", arm_role("*", notActions=["Microsoft.Authorization/*/write"]))
    new = _file(tmp_path / "new", "r.json", arm_role("*", notActions=["Microsoft.Authorization/*/delete"]))
    code, out, _ = ask("no-new-access", old, new, "-o", "json")
    (change, operation, _), (doubtful, other, _) = sorted(_operations(out))
    assert (code, change) == (3, "grants more")
    assert operation.lower().startswith("microsoft.authorization/")
    assert operation.lower().endswith("/write")
    assert (doubtful, other) == ("grants more, by one reading of `/*/`", "Microsoft.Authorization/write")


def test_a_condition_that_goes_is_new_access(ask: Ask, tmp_path: Path) -> None:
    old = _file(tmp_path / "old", "r.json", arm_role(GIVE, condition="x", conditionVersion="2.0"))
    assert ask("no-new-access", old, _file(tmp_path / "new", "r.json", arm_role(GIVE)))[0] == 3


def test_a_new_role_is_new_access_unless_it_is_let_in(ask: Ask, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    _file(old, "a.json", arm_role(READ, name="A"))
    _file(new, "a.json", arm_role(READ, name="A"))
    _file(new, "b.tf", terraform(START))
    code, out, _ = ask("no-new-access", old, new, "-o", "json")
    assert code == 3 and _operations(out) == {("new role", START, "control")}
    code, _, err = ask("no-new-access", old, new, "--allow-new-roles")
    assert code == 0 and "role `VM` of" in err


def test_a_renamed_role_is_the_same_by_its_guid(ask: Ask, tmp_path: Path) -> None:
    old = _file(tmp_path / "old", "r.json", arm_role(READ, name="Before"))
    assert ask("no-new-access", old, _file(tmp_path / "new", "r.json", arm_role(READ, name="After")))[0] == 0


def test_a_role_without_a_guid_is_the_same_by_its_name_in_any_case(ask: Ask, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, text in ((old, az_input(READ)), (new, az_input(READ).replace('"VM"', '"vM"'))):
        _file(folder, "other.json", arm_role(START, name="Other"))
        _file(folder, "role.json", text)
    assert ask("no-new-access", old, new)[0] == 0


def test_more_places_are_said_and_not_refused(ask: Ask, tmp_path: Path) -> None:
    old = _file(tmp_path / "old", "r.json", arm_role(READ))
    wider = _file(tmp_path / "new", "r.json", arm_role(READ).replace('["/s"]', '["/s", "/more"]'))
    code, _, err = ask("no-new-access", old, wider)
    assert code == 0 and "may be assigned at more places: /more" in err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "main.bicep",
            bicep(START).replace("actions: acts", "actions: given").replace("var acts", "param given array\nvar acts"),
        ),
        ("main.bicep", bicep(START).replace("actions: acts", "actions: concat(acts, split(deployment().name, ','))")),
        ("main.bicep", bicep("${subscription().displayName}/roleAssignments/write")),
        ("main.tf", terraform(START).replace("local.acts", "var.acts")),
        ("main.tf", terraform("${local.x}/write")),
        ("main.tf", terraform(START).replace("permissions {", 'dynamic "permissions" {')),
        (
            "main.tf",
            'resource "azapi_resource" "r" {\n type = "Microsoft.Authorization/roleDefinitions@2022-04-01"\n}\n',
        ),
        ("main.tf.json", terraform_json("${var.action}")),
        ("template.json", arm_template(START).replace("variables('acts')", "parameters('acts')")),
        (
            "template.json",
            arm_template(START).replace("variables('acts')", "concat(variables('acts'), createArray(guid('x')))"),
        ),
        ("template.json", arm_template("[variables('other')]")),
        ("main.bicep", "resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {{"),
        ("main.tf", 'resource "azurerm_role_definition" {{{'),
        ("main.json", '{"assignableScopes": '),
    ],
)
def test_what_only_a_deployment_knows_is_not_judged(ask: Ask, tmp_path: Path, name: str, text: str) -> None:
    """A gate that guessed would let an attacker write actions that it does not read."""
    old = _file(tmp_path / "old", "r.json", arm_role("*"))
    code, _, err = ask("no-new-access", old, _file(tmp_path / "new", name, text))
    assert code == 5 and name in err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.json", '{"$schema": "x", "resources": []}'),
        ("t.json", "[]"),
        ("main.tf", 'resource "azurerm_resource_group" "a" {\n  name = "a"\n}\n'),
        ("main.bicep", "param a string = 'assignableScopes'\n"),
        ("policy.json", '{"roleDefinitionIds": ["/providers/Microsoft.Authorization/roleDefinitions/x"]}'),
    ],
)
def test_no_gate_opens_for_a_file_or_folder_without_a_role(ask: Ask, tmp_path: Path, name: str, text: str) -> None:
    """A wrong path would pass for ever; `--allow-new-roles` would accept everything against an empty side."""
    empty, role = _file(tmp_path / "empty", name, text), _file(tmp_path / "role", "r.json", arm_role(READ))
    for place in (empty, empty.parent):
        for arguments in (
            ("not-granted", place, "--operation", GIVE),
            ("no-new-access", role, place),
            ("no-new-access", place, role, "--allow-new-roles"),
        ):
            code, _, err = ask(*arguments)
            assert code == 5 and str(place) in err


def test_a_folder_passes_over_files_that_define_no_role(ask: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    _file(folder, "package.json", '{"name": "x", "version": "1"}')
    _file(folder, "broken.json", "{")
    _file(folder, "role.json", arm_role(READ))
    assert ask("not-granted", folder, "--operation", GIVE)[0] == 0


@pytest.mark.parametrize(
    ("operation", "plane", "code"),
    [
        (GIVE.lower(), "both", 3),
        ("Microsoft.Authorization/*/write", "control", 3),
        ("*/write", "control", 3),
        (GIVE, "data", 0),
        (START, "both", 0),
        ("Microsoft.Authorization/roleDefinitions/write", "both", 0),
    ],
)
def test_what_must_not_be_granted_is_found(ask: Ask, tmp_path: Path, operation: str, plane: str, code: int) -> None:
    """An operation in any case, or a pattern of them; on the plane that is meant."""
    role = _file(tmp_path, "r.json", arm_role("Microsoft.Authorization/roleAssignments/*", condition="x"))
    assert ask("not-granted", role, "--operation", operation, "--plane", plane)[0] == code


def test_what_is_taken_out_again_is_not_granted(ask: Ask, tmp_path: Path) -> None:
    role = _file(tmp_path, "r.json", arm_role("*", notActions=["Microsoft.Authorization/*"]))
    assert ask("not-granted", role, "--operation", GIVE)[0] == 0
    assert ask("not-granted", role, "--operation", "*/write")[0] == 3


@pytest.mark.parametrize(
    "arguments",
    [("not-granted", "r.json"), ("no-new-access", "one.json"), ("no-new-access", "--since", "HEAD^{no}", "x")],
)
def test_what_makes_no_sense_is_said(ask: Ask, arguments: tuple[str, ...]) -> None:
    assert ask(*arguments)[0] == 2


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    _file(tmp_path, "role.json", arm_role(READ))
    _file(tmp_path, "other.json", "{}")
    git("add", ".")
    git("commit", "-q", "-m", "before")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_compare_with_a_revision(ask: Ask, repository: Path) -> None:
    """As a hook does: the files of a commit, whichever of them define roles."""
    paths = ("role.json", "other.json", "main.tf", "gone.bicep", "README.md")
    _file(repository, "role.json", arm_role(READ))
    assert ask("no-new-access", "--since", "HEAD", *paths)[0] == 0
    _file(repository, "role.json", arm_role(READ, START))
    code, out, _ = ask("no-new-access", "--since", "HEAD", *paths, "-o", "json")
    assert code == 3 and _operations(out) == {("grants more", START, "control")}
    assert ask("no-new-access", "--since", "HEAD", repository / "role.json")[0] == 3


def test_a_changed_value_counts_for_the_role_that_reads_it(ask: Ask, repository: Path) -> None:
    """A hook gives the changed files alone; the role stands in a file that did not change."""
    role = terraform(READ).replace("local.acts", 'concat(local.acts, var.more, yamldecode(file("x/more.yaml")))')
    _file(repository, "main.tf", role)
    variables = 'variable "more" {\n  default = ["%s"]\n}\n'
    _file(repository, "variables.tf", variables % READ)
    _file(repository / "x", "more.yaml", f"- {READ}\n")
    for command in (("add", "."), ("-c", "user.name=t", "-c", "user.email=t@e.org", "commit", "-q", "-m", "more")):
        subprocess.run(["git", *command], cwd=repository, check=True, capture_output=True)
    assert ask("no-new-access", "--since", "HEAD", "variables.tf", "x/more.yaml")[0] == 0
    for changed, name, text in (
        (repository, "variables.tf", variables % GIVE),
        (repository / "x", "more.yaml", f"[{START}]"),
    ):
        _file(changed, name, text)
        path = (changed / name).relative_to(repository)
        code, out, _ = ask("no-new-access", "--since", "HEAD", path, "-o", "json")
        assert code == 3 and {row["file"] for row in json.loads(out)} == {"main.tf"}


def test_a_new_file_is_a_new_role(ask: Ask, repository: Path) -> None:
    _file(repository, "main.tf", terraform(START))
    code, out, _ = ask("no-new-access", "--since", "HEAD", "main.tf", "-o", "json")
    assert code == 3 and _operations(out) == {("new role", START, "control")}


@pytest.mark.slow
def test_a_file_of_variables_decides_what_a_gate_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it both sides of a condition count, and the gate says so."""
    monkeypatch.chdir(tmp_path)
    Path("main.tf").write_text(
        'variable "full" {\n  default = false\n}\nresource "azurerm_role_definition" "r" {\n  name = "R"\n'
        f'  permissions {{\n    actions = var.full ? ["*"] : ["{READ}"]\n  }}\n}}\n',
        encoding="utf-8",
    )
    Path("env").mkdir()
    Path("env/prod.tfvars").write_text("full = false\n", encoding="utf-8")
    asked = ["roles", "not-granted", "main.tf", "--operation", "*/write"]
    assert run(asked) == 3
    assert "conditions of `main.tf` decide what role `R` grants" in capsys.readouterr().err
    assert run([*asked, "--var-file", "env/prod.tfvars"]) == 0
    assert run(["roles", "convert", "main.tf", "--to", "json"]) == 5
    assert "--var-file" in capsys.readouterr().err
    assert run(["roles", "convert", "main.tf", "--to", "json", "--var-file", "env/prod.tfvars"]) == 0


@pytest.mark.slow
def test_a_gate_stays_shut_over_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other files of the folder are judged first: what they grant is the answer, if they grant it."""
    monkeypatch.chdir(tmp_path)
    Path("roles").mkdir()
    Path("roles/a.json").write_text(arm_role(READ), encoding="utf-8")
    Path("roles/b.json").write_text(arm_role(READ)[:-2], encoding="utf-8")
    assert run(["roles", "not-granted", "roles", "--operation", "*/read"]) == 3
    assert "not read: `roles/b.json`: no valid JSON" in capsys.readouterr().err
    assert run(["roles", "not-granted", "roles", "--operation", "*/write"]) == 5
    said = capsys.readouterr().err
    assert "`roles/b.json`: no valid JSON" in said and "the roles of all other files pass" in said


@pytest.mark.slow
def test_a_changed_file_of_variables_or_module_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Since a revision: the role files that use it, with the values that it had."""
    monkeypatch.chdir(tmp_path)
    Path("main.tf").write_text(
        'variable "acts" {\n}\nmodule "m" {\n  source = "./m"\n  acts = var.acts\n}\n', encoding="utf-8"
    )
    Path("m").mkdir()
    Path("m/main.tf").write_text(
        'variable "acts" {\n}\nresource "azurerm_role_definition" "r" {\n  name = "R"\n  permissions {\n'
        "    actions = var.acts\n  }\n}\n",
        encoding="utf-8",
    )
    Path("prod.tfvars").write_text(f'acts = ["{READ}"]\n', encoding="utf-8")
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *arguments], check=True)
    asked = ["roles", "no-new-access", "--since", "HEAD", "--var-file", "prod.tfvars"]
    assert run([*asked, "prod.tfvars"]) == 0
    Path("prod.tfvars").write_text(f'acts = ["{START}"]\n', encoding="utf-8")
    assert run([*asked, "prod.tfvars"]) == 3
    Path("prod.tfvars").write_text(f'acts = ["{READ}"]\n', encoding="utf-8")
    changed = Path("m/main.tf")
    changed.write_text(changed.read_text(encoding="utf-8").replace("var.acts", f'["{START}"]'), encoding="utf-8")
    assert run([*asked, "m/main.tf"]) == 3
    assert capsys.readouterr().out.count(START) == 2
