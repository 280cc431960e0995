"""A plan in the forms that teams deploy: each makes the same roles and assignments at the same scopes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import hcl2
import pytest
from pycep import BicepParser

from rightsize.iac.templates import Beside
from rightsize.iac.terraform import template_roles
from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import CUSTOM, Plan, PlannedAssignment, PlannedRole, Proof, Proposal
from rightsize.rbac.assignments import role_path
from rightsize.render.deploy.contents import DeployContents, Today, contents_of
from rightsize.render.deploy.files import PLAN_FORMS, deploy_files
from rightsize.workflow.roles.sources import roles_of_bytes
from tests.propose.small_tenant import guid

CHECKOV = Path(__file__).resolve().parents[2] / ".ci" / "checkov" / "bin" / "checkov"
SUB = f"/subscriptions/{guid(900)}"
OTHER = f"/subscriptions/{guid(901)}"
GROUP = "/providers/Microsoft.Management/managementGroups/platform"
HOSTILE = f"{SUB}/resourceGroups/it's-${{x}}[a]"
ACCOUNT = f"{HOSTILE}/providers/Microsoft.Storage/storageAccounts/data"
SCOPES = (
    "/",
    GROUP,
    SUB,
    OTHER,
    HOSTILE,
    ACCOUNT,
    f"{ACCOUNT}/blobServices/default/containers/c1",
    f"{ACCOUNT}/providers/Microsoft.Chaos/targets/t/capabilities/c",
)
CONDITION = "((!(ActionMatches{'N.A/t/write'})) OR (@Request[N:x] StringEquals '${y}'))"
ASSIGNED = "/providers/Microsoft.Authorization/roleAssignments/"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
TODAY = Today(types={guid(5): "ManagedIdentity"})


def _role(number: int, scope: str) -> PlannedRole:
    block = PermissionBlock((f"N.A/t{number}/write",), (), ("N.A/t/data/read",))
    definition = RoleDefinition(guid(number), f"Role {number}", (block,), "CustomRole", "d", (scope,))
    return PlannedRole(definition, f"role-{number}", {})


def _proposal(number: int, places: list[PlannedAssignment]) -> Proposal:
    numbers = dict.fromkeys(("excess_before", "excess_after", "risk_before", "risk_after"), 0.0)
    replaced = (guid(number),)
    return Proposal(
        guid(number + 1000), "control", (guid(5),), CUSTOM, replaced, tuple(places), "", {}, Proof(True, True),
        break_probability_30d=0.0, **numbers,
    )  # fmt: skip


def _plan() -> Plan:
    places = [PlannedAssignment(scope, guid(11), guid(5)) for scope in SCOPES]
    places.append(PlannedAssignment(SUB, READER, guid(6), CONDITION))
    eligible = PlannedAssignment(OTHER, guid(12), guid(5), state="eligible")
    return Plan(
        {}, (_proposal(1, places), _proposal(2, [places[2], eligible])), (_role(11, GROUP), _role(12, OTHER)), ()
    )


def test_what_other_planes_assign_is_no_role_assignment() -> None:
    """A directory role at `/` would become an assignment of an unknown role at the tenant's root."""
    beyond = replace(_proposal(3, [PlannedAssignment("/", guid(13), guid(5))]), plane="directory")
    assert contents_of(Plan({}, (beyond,), (), ()), Today()) == DeployContents((), (), 0)


def _contents(only: set[str] | None = None) -> DeployContents:
    return contents_of(_plan(), TODAY, only)


def _wanted() -> dict[str, tuple[str, str, str]]:
    return {one.id: (one.scope, one.role_path, one.condition or "") for one in _contents().assignments}


def _of_arm(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(template: dict[str, Any], base: str) -> None:
        for one in template["resources"]:
            if one["type"].endswith("/deployments"):
                sub = f"/subscriptions/{one['subscriptionId']}" if "subscriptionId" in one else ""
                scope = "" if one.get("scope") == "/" else "/providers/" + one.get("scope", "")
                group = f"/resourceGroups/{one['resourceGroup']}" if "resourceGroup" in one else ""
                walk(one["properties"]["template"], sub + group if sub else scope)
            elif one["type"].endswith("/roleAssignments"):
                below = f"/providers/{one['scope']}" if "scope" in one else ""
                said = one["properties"]
                found[one["name"]] = (base + below or "/", said["roleDefinitionId"], said.get("condition", ""))

    walk(json.loads(files["arm/template.json"]), "")
    return found


def _plain(text: str, parameters: dict[str, str] | None = None) -> str:
    filled = re.sub(r"(?<!\\)\$\{(\w+)\}", lambda found: (parameters or {})[found[1]], text)
    return re.sub(r"\\(['$])", r"\1", filled)


def _of_bicep(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    parser = BicepParser()
    main = parser.parse(text=files["bicep/main.bicep"])
    for module in main["modules"].values():
        document = parser.parse(text=files[f"bicep/{module['detail']['path']}"])
        base = re.search(r"^// (.*)\n", files[f"bicep/{module['detail']['path']}"])
        ways = {"": "" if base is None or base[1] == "/" else base[1]}
        for symbol, one in document["resources"].items():
            config = one["config"]
            if one["existing"]:
                provider, *types = one["type"].split("/")
                pairs = zip(types, config["name"].split("/"), strict=True)
                way = "/".join((provider, *(part for pair in pairs for part in pair)))
                ways[symbol] = f"{ways[config.get('scope', '')]}/providers/{way}"
            elif one["type"].endswith("/roleAssignments"):
                said = config["properties"]
                scope = ways[config.get("scope", "")] or "/"
                given = {name: one["default"] for name, one in document.get("parameters", {}).items()}
                condition = _plain(said.get("condition", ""))
                found[config["name"]] = (scope, _plain(said["roleDefinitionId"], given), condition)
    return found


def _read_hcl(files: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the bodies of variables and resources as python-hcl2 reads them, by their two labels."""
    found = {}
    for name, text in files.items():
        if name.endswith(".tf"):
            document = hcl2.loads(text)
            for block in document.get("variable", []):
                found.update({("variable", label.strip('"')): body for label, body in block.items()})
            for block in document.get("resource", []):
                for kind, bodies in block.items():
                    found.update({(kind.strip('"'), label.strip('"')): body for label, body in bodies.items()})
    return found


def _of_terraform(files: dict[str, str]) -> dict[str, Any]:
    blocks = _read_hcl(files)

    def value(text: str) -> str:
        named = re.fullmatch(r"\$\{azurerm_role_definition\.(\w+)\.role_definition_resource_id\}", text)
        if named:
            role = blocks["azurerm_role_definition", named[1]]
            return role_path(value(role["scope"]), value(role["role_definition_id"]))
        filled = re.sub(r"(?<!\$)\$\{var\.(\w+)\}", lambda found: value(blocks["variable", found[1]]["default"]), text)
        return str(json.loads(filled)).replace("$${", "${") if filled.startswith('"') else filled

    found = {}
    for (kind, _), body in blocks.items():
        if kind == "azurerm_role_assignment":
            said = {name: value(text) for name, text in body.items() if isinstance(text, str)}
            found[said["name"]] = (said["scope"], said["role_definition_id"], said.get("condition", ""))
    return found


def _of_az(files: dict[str, str]) -> dict[str, Any]:
    found = {}
    for line in files["az/deploy.sh"].splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["put"] and ASSIGNED in words[1]:
            scope, _, rest = unquote(words[1]).partition(ASSIGNED)
            said = json.loads(words[2])["properties"]
            found[rest.partition("?")[0]] = (scope or "/", said["roleDefinitionId"], said.get("condition", ""))
    return found


def _of_powershell(files: dict[str, str]) -> dict[str, Any]:
    found = {}
    for path, body in re.findall(r"^Send-Put '((?:[^']|'')*)' '((?:[^']|'')*)'$", files["powershell/deploy.ps1"], re.M):
        scope, _, rest = unquote(path).partition(ASSIGNED)
        said = json.loads(body.replace("''", "'"))["properties"]
        found[rest.partition("?")[0]] = (scope or "/", said["roleDefinitionId"], said.get("condition", ""))
    return found


READERS = {
    "arm": _of_arm,
    "az": _of_az,
    "powershell": _of_powershell,
    "bicep": _of_bicep,
    "terraform": _of_terraform,
}


@pytest.mark.slow
@pytest.mark.parametrize("form", PLAN_FORMS)
def test_every_form_makes_the_same_assignments(form: str) -> None:
    """Same ids, places, roles and conditions, whatever the resource group is called."""
    wanted = _wanted()
    if form == "terraform":  # names a new role by its resource, whose id is that of the place where it is made
        new = role_path(GROUP, guid(11))
        wanted = {id_: (scope, role if READER in role else new, c) for id_, (scope, role, c) in wanted.items()}
    assert len(wanted) == len(SCOPES) + 1
    assert READERS[form](deploy_files(_contents(), [form])) == wanted


def test_the_docs_have_every_form() -> None:
    text = (Path(__file__).parents[2] / "docs" / "role-files.md").read_text(encoding="utf-8")
    assert [form for form in PLAN_FORMS if f"| `{form}` |" not in text] == []


def test_what_becomes_eligible_is_counted_and_left_out() -> None:
    contents = _contents()
    assert contents.managed == 1
    assert len(contents.roles) == 2
    assert {one.principal_type for one in contents.assignments} == {"ServicePrincipal", "User"}


def test_only_what_is_brought_in_is_made() -> None:
    """One assignment that two proposals make has the same id, and is made once."""
    contents = _contents({guid(1002)})
    assert [role.slug for role in contents.roles] == ["role-11", "role-12"]
    assert [one.scope for one in contents.assignments] == [SUB]
    assert contents.assignments[0].id in _wanted()


def test_the_roles_of_each_form_are_the_plans() -> None:
    wanted = {role.definition for role in _plan().roles}
    files = deploy_files(_contents(), PLAN_FORMS)
    assert set(template_roles(json.loads(files["arm/template.json"])) or ()) == wanted
    for form, ending in (
        ("az", "json"),
        ("powershell", "permissions.json"),
        ("bicep", "bicep"),
        ("terraform", "tf"),
    ):
        names = [f"{form}/{role.slug}.{ending}" for role in _plan().roles]
        assert {
            role for name in names for role in roles_of_bytes(files[name].encode(), name, beside(files, form))
        } == wanted


def beside(files: dict[str, str], form: str) -> Beside:
    """Return the files of a form as those beside one of them."""
    own = {name.removeprefix(f"{form}/"): text.encode() for name, text in files.items() if name.startswith(f"{form}/")}
    return Beside(own.get, lambda _: sorted(own))


def test_a_scope_that_ends_in_the_middle_is_refused() -> None:
    """A template for it would assign at another place."""
    plan = Plan({}, (_proposal(1, [PlannedAssignment(f"{HOSTILE}/providers/N.A", READER, guid(5))]),), (), ())
    with pytest.raises(InputError, match="no scope that a template can assign at"):
        deploy_files(contents_of(plan, Today()), ["bicep"])


def _run_with_az(folder: Path, az: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a program in the place of `az`."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    (folder / "deploy.sh").write_text(deploy_files(_contents(), ["az"])["az/deploy.sh"], encoding="utf-8")
    (folder / "az").write_text(f"#!/bin/sh\n{az}\n", encoding="utf-8")
    (folder / "az").chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run(
        ["bash", str(folder / "deploy.sh")], env=environment, check=False, capture_output=True, text=True
    )


def test_bash_takes_the_script(tmp_path: Path) -> None:
    """`az` is what bash makes of each line: it is called with the same words, quotes and dollars included."""
    assert _run_with_az(tmp_path, 'printf "%s\\n" "$@" >> "$(dirname "$0")/called"').returncode == 0
    called = (tmp_path / "called").read_text(encoding="utf-8")
    assert all(f"--url\n{quote(scope.rstrip('/'))}{ASSIGNED}" in called for scope in SCOPES)
    assert json.dumps(CONDITION) in called


def test_an_assignment_that_exists_stops_no_script_and_another_error_does(tmp_path: Path) -> None:
    there = 'echo "Conflict({\\"error\\":{\\"code\\":\\"RoleAssignmentExists\\"}})" >&2; exit 1'
    assert _run_with_az(tmp_path, there).returncode == 0
    refused = _run_with_az(tmp_path, "echo AuthorizationFailed >&2; exit 1")
    assert (refused.returncode, refused.stderr) == (1, "AuthorizationFailed\n")


@pytest.mark.nightly
@pytest.mark.external
def test_checkov_reads_every_template(tmp_path: Path) -> None:
    """It parses all of them, sees the roles, and finds nothing to say against them."""
    if not CHECKOV.exists():
        pytest.skip("needs checkov: python3 -m venv .ci/checkov && .ci/checkov/bin/pip install checkov")
    files = deploy_files(_contents(), ["arm", "bicep", "terraform"])
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [str(CHECKOV), "-d", str(tmp_path), "--framework", "arm", "bicep", "terraform"]
    done = subprocess.run(
        [*command, "-o", "json", "--compact", "--quiet", "--skip-download"],
        check=False,
        capture_output=True,
        timeout=900,
    )
    found = {one["check_type"]: one["summary"] for one in json.loads(done.stdout)}
    assert set(found) == {"arm", "bicep", "terraform"}, done.stderr
    for summary in found.values():
        assert (summary["passed"], summary["failed"], summary["parsing_errors"]) == (2, 0, 0)


def test_what_ends_by_itself_is_counted_and_left_out() -> None:
    """A file would make it for ever."""
    bound = PlannedAssignment(SUB, guid(12), guid(5), end_on="2027-01-01T00:00:00Z")
    plan = Plan({}, (_proposal(1, [bound]),), (_role(12, SUB),), ())
    contents = contents_of(plan, Today())
    assert (contents.assignments, contents.managed, len(contents.roles)) == ((), 1, 1)


TERRAFORM_FILE = """\
resource "azurerm_role_definition" "role_12" {
  name               = "Role 12"
  role_definition_id = "00000000-0000-4000-8000-000000000012"
  scope              = "/subscriptions/${var.subscription_production}"
  description        = "d"

  permissions {
    actions = [
      "N.A/t12/write",
    ]
    data_actions = [
      "N.A/t/data/read",
    ]
  }

  assignable_scopes = [
    "/subscriptions/${var.subscription_production}",
  ]
}

# Mei ${x}\\u000a}: Role 12 at Production/rg-web
resource "azurerm_role_assignment" "role_12_at_rg_web_ID8" {
  name               = "ID"
  scope              = "/subscriptions/${var.subscription_production}/resourceGroups/rg-web"
  role_definition_id = azurerm_role_definition.role_12.role_definition_resource_id
  principal_id       = var.principal_mei_x
  principal_type     = "User"
  description        = "rightsize 00000000-0000-4000-8000-000000001001"
}
"""
VARIABLES_FILE = """\
variable "principal_mei_x" {
  description = "User Mei $${x}\\u000a}"
  type        = string
  default     = "00000000-0000-4000-8000-000000000005"
}

variable "subscription_production" {
  description = "Subscription Production"
  type        = string
  default     = "00000000-0000-4000-8000-000000000901"
}
"""
NAMES = {guid(5): "Mei ${x}\n}", OTHER: "Production"}


def _small(names: dict[str, str], role: PlannedRole, existing: tuple[str, ...] = ()) -> DeployContents:
    place = PlannedAssignment(
        f"{OTHER.upper().replace('SUBSCRIPTIONS', 'subscriptions')}/resourcegroups/rg-web", guid(12), guid(5)
    )
    return contents_of(Plan({}, (_proposal(1, [place]),), (role,), ()), Today({}, names, existing))


def test_terraform_is_what_a_person_would_write() -> None:
    """It has the layout of `terraform fmt`, names of roles and places, and each id once, as a variable."""
    contents = _small(NAMES, _role(12, OTHER))
    files = deploy_files(contents, ["terraform"])
    id_ = contents.assignments[0].id
    assert files["terraform/role-12.tf"] == TERRAFORM_FILE.replace("ID8", id_[:8]).replace('"ID"', f'"{id_}"')
    assert files["terraform/variables.tf"] == VARIABLES_FILE


def test_a_new_name_of_a_holder_makes_nothing_again() -> None:
    """Terraform removes and makes again what gets another address."""
    labels = [
        {
            label
            for label in _read_hcl(deploy_files(_small(names, _role(12, OTHER)), ["terraform"]))
            if label[0] != "variable"
        }
        for names in (NAMES, {**NAMES, guid(5): "Mei Tan", OTHER: "Old production"})
    ]
    assert labels[0] == labels[1]


@pytest.mark.parametrize(("form", "own"), [("terraform", "variables.tf"), ("bicep", "main.bicep")])
def test_no_role_takes_the_file_of_another(form: str, own: str) -> None:
    """A role may be called as a file of its own is."""
    role = replace(_role(12, OTHER), slug=own.partition(".")[0])
    names = set(deploy_files(_small(NAMES, role), [form]))
    assert f"{form}/{own}" in names
    assert len([name for name in names if name.startswith(f"{form}/{role.slug}-")]) == 1


def test_holders_of_one_name_are_two_variables() -> None:
    places = [PlannedAssignment(SUB, READER, guid(number)) for number in (5, 6)]
    plan = Plan({}, (_proposal(1, places),), (), ())
    files = deploy_files(contents_of(plan, Today(names={guid(5): "Mei", guid(6): "mei"})), ["terraform"])
    values = {body["default"] for (kind, _), body in _read_hcl(files).items() if kind == "variable"}
    assert values == {f'"{guid(5)}"', f'"{guid(6)}"', f'"{guid(900)}"'}


def test_terraform_takes_over_what_azure_has() -> None:
    """Making it again would be refused, also where it was made from `.tf.json` files."""
    role = _role(12, OTHER)
    assert "terraform/existing.tf" not in deploy_files(_small(NAMES, role), ["terraform"])
    id_ = _small(NAMES, role).assignments[0].id
    text = deploy_files(_small(NAMES, role, (guid(12).upper(), id_)), ["terraform"])["terraform/existing.tf"]
    found = hcl2.loads(text)
    assert [one["id"].strip('"') for one in found["import"]] == [
        f"{OTHER}/providers/Microsoft.Authorization/roleDefinitions/{guid(12)}|{OTHER}",
        f"{OTHER}/resourceGroups/rg-web{ASSIGNED}{id_}",
    ]
    assert [one["from"] for one in found["moved"]] == [
        "${azurerm_role_definition.rightsize_role_" + guid(12).replace("-", "_") + "}",
        "${azurerm_role_assignment.rightsize_assignment_" + id_.replace("-", "_") + "}",
    ]


@pytest.mark.parametrize("form", ["terraform", "bicep"])
def test_what_older_code_makes_is_listed(form: str) -> None:
    """What an eligible assignment replaces waits for it; what two proposals replace goes with both alone."""
    evidence = {"role": READER, "scope": SUB, "state": "active"}
    first = replace(_proposal(1, []), evidence=evidence)
    second = replace(_proposal(2, [PlannedAssignment(SUB, READER, guid(5), state="eligible")]), evidence=evidence)
    both = replace(second, id=guid(1003), replaces=(guid(1), guid(2)))
    page = f"{form}/take-out.md"
    today = Today(names={READER: "Reader", guid(5): "A | B"})
    text = deploy_files(contents_of(Plan({}, (first, second), (), ()), today), [form])[page]
    rows = [line for line in text.splitlines() if line.startswith("| Reader")]
    assert rows == [
        f"| Reader | {SUB[-8:]} | A \\| B | {SUB}{ASSIGNED}{guid(1)} |  |",
        f"| Reader | {SUB[-8:]} | A \\| B | {SUB}{ASSIGNED}{guid(2)} | waits |",
    ]
    assert page not in deploy_files(contents_of(Plan({}, (first, both), (), ()), today, {first.id}), [form])


def test_bicep_has_no_more_parameters_than_a_template_takes() -> None:
    places = [PlannedAssignment(SUB, READER, guid(number)) for number in range(1, 258)]
    files = deploy_files(contents_of(Plan({}, (_proposal(1, places),), (), ()), Today()), ["bicep"])
    assert not [name for name, text in files.items() if re.search("^param ", text, re.MULTILINE)]
    assert f"principalId: '{guid(257)}'" in "".join(files.values())


def test_a_scope_is_spelled_as_the_store_has_it() -> None:
    """Terraform would make an assignment again where the next plan spells its scope otherwise."""
    made = []
    for scope in (f"{SUB}/resourceGroups/rg-web", f"{SUB}/resourcegroups/RG-WEB"):
        plan = Plan({}, (_proposal(1, [PlannedAssignment(scope, READER, guid(5))]),), (), ())
        today = Today(scopes={f"{SUB}/resourcegroups/rg-web": f"{SUB}/resourceGroups/RG-Web"})
        made.append(contents_of(plan, today).assignments[0])
    assert made[0] == made[1]
    assert made[0].scope == f"{SUB}/resourceGroups/RG-Web"
