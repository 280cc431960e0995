"""Edits of Bicep: what `guid()` proves to be an address, and the resource beside today's."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid5

import pytest

from rightsize.iac.patch import bicep_patch
from rightsize.iac.patch.bicep_assignments import Loaded
from rightsize.iac.patch.bicep_patch import patch_bicep
from rightsize.iac.patch.grants import Change, Code, Grant, Wanted
from rightsize.iac.patch.terraform_patch import Patch
from rightsize.render.deploy.bicep import role_bicep
from rightsize.render.escape import for_bicep
from tests.iac.code_repository import DEPLOYER, GROUP, NAMES, ROLES, SUBSCRIPTION, guid, role_id

pytest.importorskip("pycep")

# learn.microsoft.com, "String functions for Bicep": what `guid` makes is named in this namespace.
NAMESPACE = UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/stapp"
CONTRIBUTOR, READER = NAMES["Contributor"], NAMES["Reader"]
APP = guid("app")
KIND = "'Microsoft.Authorization/roleAssignments@2022-04-01'"
PATH = "subscriptionResourceId('Microsoft.Authorization/roleDefinitions', "


def loaded(role: str, scope: str, *parts: str, holder: str = APP) -> Loaded:
    """Return an assignment whose name is the guid of texts."""
    return Loaded(str(uuid5(NAMESPACE, "-".join(parts))), Grant(scope.lower(), NAMES[role], holder), scope)


def change(one: Loaded, *roles: str, scope: str = "") -> Change:
    """Return the change of an assignment into others."""
    wanted = tuple(
        Wanted(
            Grant((scope or one.scope).lower(), NAMES[role], one.grant.principal_id),
            scope or one.scope,
            role,
            role_id(role),
            role == "App Deployer",
            role.lower().replace(" ", "_"),
            role.lower().replace(" ", "_"),
        )
        for role in roles
    )
    return Change(f"proposal-{one.id[:8]}", one.id, one.grant, wanted, "")


def patch(text: str, tenant: Sequence[Loaded], *changes: Change, **more: object) -> tuple[Patch, str, str]:
    """Return the patch of `main.bicep`, and the file after each of the two phases."""
    files = {"main.bicep": text.encode(), **{str(name): str(one).encode() for name, one in more.items()}}
    code = Code({name.replace("_", "."): content for name, content in files.items()})
    roles = {str(DEPLOYER.role_definition_id): role_bicep(DEPLOYER)}
    made = patch_bicep(code, changes, tenant, ROLES, roles, [], for_bicep)
    edits = [[edit for offer in made.offers for edit in getattr(offer, phase)] for phase in ("add", "both")]
    return made, *(code.edited(some).files["main.bicep"].decode() for some in edits)


def resource(symbol: str, name: str, role: str, scope: str = "", loop: str = "", holder: str = "principalId") -> str:
    """Return a resource that makes an assignment."""
    head, foot = (f"[{loop}: {{", "}]") if loop else ("{", "}")
    scope = f"  scope: {scope}\n" if scope else ""
    return (
        f"resource {symbol} {KIND} = {head}\n  name: {name}\n{scope}  properties: {{\n"
        f"    roleDefinitionId: {role}\n    principalId: {holder} // the app\n  }}\n{foot}\n"
    )


HEAD = f"""param principalId string
// The roles that this file assigns.
var contributor = '{CONTRIBUTOR}'

resource account 'Microsoft.Storage/storageAccounts@2022-09-01' existing = {{
  name: 'stapp'
}}

"""
ON_ACCOUNT = loaded("Contributor", ACCOUNT, ACCOUNT, APP, CONTRIBUTOR)
ON_GROUP = loaded("Contributor", GROUP, GROUP, APP, CONTRIBUTOR)
SHARED = (
    HEAD
    + "// The app writes.\n@description('of the app')\n"
    + resource("one", "guid(account.id, principalId, contributor)", f"{PATH}contributor)", "account")
    + "\n"
    + resource("two", "guid(resourceGroup().id, principalId, contributor)", f"{PATH}contributor)")
)


def test_a_shared_variable_gets_a_sibling() -> None:
    """The variable itself stays: another resource uses it."""
    made, added, final = patch(SHARED, [ON_ACCOUNT, ON_GROUP], change(ON_ACCOUNT, "Reader"))
    assert not made.refused
    assert f"var contributor = '{CONTRIBUTOR}'\nvar readerRoleId = '{READER}'\n" in added
    assert "name: guid(account.id, principalId, readerRoleId)" in added
    assert "resource one " in added
    assert "resource one " not in final
    assert final.count("@description('of the app')") == 1
    assert final.endswith(SHARED[SHARED.index("resource two") :])


def test_a_name_without_the_role_gets_it() -> None:
    """Azure refuses another role under the name of an assignment that is there."""
    text = HEAD + resource("one", "guid(resourceGroup().id, principalId)", f"{PATH}contributor)")
    made, added, _ = patch(text, [plain := loaded("Contributor", GROUP, GROUP, APP)], change(plain, "Reader"))
    assert not made.refused
    assert "name: guid(guid(resourceGroup().id, principalId), readerRoleId)" in added


def test_a_literal_stays_a_literal() -> None:
    text = HEAD + resource("one", f"guid(resourceGroup().id, principalId, '{CONTRIBUTOR}')", f"{PATH}'{CONTRIBUTOR}')")
    made, added, _ = patch(text, [ON_GROUP], change(ON_GROUP, "Reader"))
    assert not made.refused
    assert added.count(f"'{READER}'") == 2


def test_a_new_role_is_a_file_that_is_deployed_first() -> None:
    made, added, _ = patch(SHARED, [ON_ACCOUNT, ON_GROUP], change(ON_ACCOUNT, "App Deployer"))
    assert made.notes == ["deploy `role-app-deployer.bicep` before `main.bicep`, which assigns the role by its id"]
    assert made.offers[0].add[1].path == "role-app-deployer.bicep"
    assert f"var appDeployerRoleId = '{DEPLOYER.role_definition_id}'" in added


LOOP = (
    f"param ids array = [\n  '{guid('a')}'\n  '{guid('b')}'\n]\nvar roles = {{\n  contributor: '{CONTRIBUTOR}'\n}}\n\n"
    + resource(
        "all", "guid(subscription().id, id, roles.contributor)", f"{PATH}roles.contributor)", "", "for id in ids", "id"
    )
)
TURNS = [loaded("Contributor", SUBSCRIPTION, SUBSCRIPTION, guid(name), CONTRIBUTOR, holder=guid(name)) for name in "ab"]


@pytest.mark.slow
@pytest.mark.parametrize("agree", [True, False])
def test_a_loop_is_edited_where_all_its_turns_agree(agree: bool) -> None:
    changed = TURNS if agree else TURNS[:1]
    made, added, _ = patch(LOOP, TURNS, *(change(one, "Reader") for one in changed))
    assert (added != LOOP, bool(made.refused)) == (agree, not agree)
    assert added.count("[for id in ids: {") == 1 + agree


def test_a_loop_with_a_turn_that_the_tenant_does_not_have_is_left_to_people() -> None:
    made, _, _ = patch(LOOP, TURNS[:1], change(TURNS[0], "Reader"))
    assert made.refused[0].why == "the loop makes assignments that are not found in the tenant"


def test_a_name_that_does_not_come_out_is_no_address() -> None:
    """Same holder, role and place are no proof: another file may make the assignment."""
    other = loaded("Contributor", GROUP, "something", "else")
    made, added, _ = patch(SHARED, [other], change(other, "Reader"))
    assert (added, made.missing) == (SHARED, [change(other, "Reader")])


def test_a_file_that_is_deployed_twice_is_edited_where_both_agree() -> None:
    second = GROUP.replace("rg-app", "rg-test")
    test = loaded("Contributor", second, second, APP, CONTRIBUTOR)
    text = HEAD + resource("two", "guid(resourceGroup().id, principalId, contributor)", f"{PATH}contributor)")
    made, _, _ = patch(text, [ON_GROUP, test], change(ON_GROUP, "Reader"))
    assert made.refused[0].why == "the resource makes other assignments, too, which stay as they are"
    made, _, _ = patch(text, [ON_GROUP, test], change(ON_GROUP, "Reader"), change(test, "Reader"))
    assert (len(made.offers), made.refused) == (1, [])


def test_the_role_of_a_module_is_not_guessed() -> None:
    text = "param principalId string\nparam role string\n\n" + resource(
        "one", "guid(resourceGroup().id, principalId, role)", f"{PATH}role)"
    )
    made, added, _ = patch(text, [ON_GROUP], change(ON_GROUP, "Reader"))
    assert added == text
    assert made.refused[0].why == "the role is given by the callers of this module"


def test_files_of_parameters_give_values() -> None:
    text = HEAD.replace("param principalId string", "param principalId string\nparam prefix string") + resource(
        "one", "guid(prefix, principalId, contributor)", f"{PATH}contributor)"
    )
    one = loaded("Contributor", GROUP, "prod", APP, CONTRIBUTOR)
    assert patch(text, [one], change(one, "Reader"))[0].missing
    parameters = f"using 'main.bicep'\nparam prefix = 'prod'\nparam principalId = '{APP}'\n"
    made, _, _ = patch(text, [one], change(one, "Reader"), prod_bicepparam=parameters)
    assert (len(made.offers), made.refused) == (1, [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SHARED + "output id string = one.id\n", "`one` is used elsewhere in the file"),
        (SHARED.replace("@description('of the app')", "@description('''\nof\n''')"), "decorators cannot be read"),
    ],
)
def test_a_resource_that_others_need_is_left_to_people(text: str, why: str) -> None:
    made, added, _ = patch(text, [ON_ACCOUNT, ON_GROUP], change(ON_ACCOUNT, "Reader"))
    assert added == text
    assert why in made.refused[0].why


def test_another_scope_is_left_to_people() -> None:
    made, _, _ = patch(SHARED, [ON_ACCOUNT, ON_GROUP], change(ON_GROUP, "Reader", scope=ACCOUNT))
    assert made.refused[0].why == "the new assignment has another scope or holder"


def test_a_second_reader_must_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def parse(self, text: str) -> dict[str, object]:
            """Return every resource as its own text."""
            return {
                "resources": {name: {"text": text} for name in ("one", "oneReader")},
                "variables": {"readerRoleId": {}},
            }

    monkeypatch.setattr(bicep_patch, "second_bicep_reader", Other)
    made, _, _ = patch(SHARED, [ON_ACCOUNT, ON_GROUP], change(ON_ACCOUNT, "Reader"))
    assert made.refused[0].why == "pycep reads the new resource in another way"


def test_entries_of_verified_modules_are_copied_and_deleted() -> None:
    """They are named by guid(scope, holder, id of the role)."""
    entry = "      {{\n        roleDefinitionIdOrName: '{}'\n        principalId: {}\n      }}\n"
    text = (
        "module st 'br/public:avm/res/storage/storage-account:0.9.0' = {\n  name: 'st'\n  params: {\n"
        + "    roleAssignments: [\n"
        + entry.format("Contributor", "principalId")
        + entry.format("Reader", f"'{APP}'")
        + "    ]\n  }\n}\n"
    )
    one, two = (loaded(role, ACCOUNT, ACCOUNT, APP, role_id(role)) for role in ("Contributor", "Reader"))
    made, added, final = patch(text, [one, two], change(one, "Owner"), change(two))
    assert not made.refused
    assert added == text.replace("      {\n", entry.format("Owner", "principalId") + "      {\n", 1)
    assert final.count("roleDefinitionIdOrName") == 1
