"""The proof of edits of Terraform: every planted wrong edit is refused, with the reason."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rightsize.iac.patch import proof
from rightsize.iac.patch.grants import Edit, Offer
from rightsize.iac.patch.proof import Subject, refutation
from rightsize.model.errors import UsageError
from tests.iac.code_repository import DEPLOYER, ROLES, assignment, change, group, guid, patch, repository, state

pytest.importorskip("hcl2")

CODE = """locals {
  holder = "HOLDER"
}

resource "azurerm_role_assignment" "web" {
  scope                = azurerm_resource_group.app.id
  role_definition_name = "Contributor"
  principal_id         = local.holder
}

resource "azurerm_role_assignment" "ops" {
  scope                = azurerm_resource_group.app.id
  role_definition_name = "Owner"
  principal_id         = data.azuread_group.ops.object_id
}

resource "azurerm_storage_account" "app" {
  name = "stapp"
}
""".replace("HOLDER", guid("app"))
OPS_BLOCK = CODE[CODE.index('resource "azurerm_role_assignment" "ops"') : CODE.index('resource "azurerm_st')]
WEB, OPS = assignment("azurerm_role_assignment.web"), assignment("azurerm_role_assignment.ops", "Owner", "ops")
CHANGE = change(WEB, "Reader")
RIGHT = patch({"main.tf": CODE}, {"s": state(WEB, OPS, group())}, CHANGE)[0].offers[0]


def subject() -> Subject:
    """Return what the edits are of."""
    found = repository({"main.tf": CODE}, {"s": state(WEB, OPS, group())})
    return Subject(found.code, found.bound, ROLES, {DEPLOYER.role_definition_id: DEPLOYER})


def at(text: str, new: str) -> Edit:
    """Return the edit that puts a text in the place of another one."""
    start = CODE.index(text)
    return Edit("main.tf", start, start + len(text), new)


def changed(old: str, new: str) -> Offer:
    """Return the right edits with another text in both phases."""
    add, both = (
        tuple(replace(one, text=one.text.replace(old, new)) for one in edits) for edits in (RIGHT.add, RIGHT.both)
    )
    assert add != RIGHT.add
    return Offer(RIGHT.changes, add, both)


def beside(*edits: Edit) -> Offer:
    """Return the right edits with others in both phases."""
    return Offer(RIGHT.changes, (*RIGHT.add, *edits), (*RIGHT.both, *edits))


def test_the_right_edit_is_proved() -> None:
    assert refutation(subject(), [RIGHT]) is None


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        (changed('"Reader"', '"Owner"'), "not those of the plan: 1 grant something else, 1 are missing"),
        (changed('"Reader"', '"Nobody"'), "not decided by the code and its state"),
        (changed("local.holder", "data.azuread_group.ops.object_id"), "1 grant something else, 1 are missing"),
        (changed("local.holder", "data.azuread_group.other.object_id"), "not decided"),
        (changed("azurerm_resource_group.app.id", '"/subscriptions/1"'), "1 grant something else, 1 are missing"),
        (changed('"web_reader"', '"ops"'), "two blocks"),
        (changed("scope ", 'condition = "1"\n  scope '), "1 grant something else, 1 are missing"),
        (changed("scope ", "count = 2\n  scope "), "not those of the plan"),
        (beside(at('"stapp"', '"stother"')), "`azurerm_storage_account.app` changes, too"),
        (beside(at('"Owner"', '"Reader"')), "`azurerm_role_assignment.ops` is not as it was"),
        (beside(at(guid("app"), guid("else"))), "is not as it was"),
        (beside(Edit("main.tf", 0, 0, 'resource "null_resource" "x" {}\n')), "`null_resource.x` changes, too"),
        (beside(Edit("main.tf", 0, 0, 'module "x" {\n  source = "./x"\n}\n')), "`module.x` makes more"),
        (beside(Edit("main.tf", 0, 0, "locals {\n")), "not valid Terraform"),
        (replace(RIGHT, add=()), "is gone"),
        (replace(RIGHT, both=RIGHT.add), "`azurerm_role_assignment.web` is gone"),
        (replace(RIGHT, both=(*RIGHT.both, at(OPS_BLOCK, ""))), "is gone"),
        (replace(RIGHT, both=(*RIGHT.both, at('"Contributor"', '"Reader"'))), "changes the same place"),
    ],
)  # fmt: skip
def test_a_planted_wrong_edit_is_refused(offer: Offer, why: str) -> None:
    found = refutation(subject(), [offer])
    assert found is not None
    assert why in found


def test_an_edit_that_other_code_depends_on_is_refused() -> None:
    """A local that a resource uses, too, must not change, even where no assignment changes by it."""
    text = CODE.replace('"stapp"', "local.name").replace("locals {", 'locals {\n  name   = "stapp"')
    found = repository({"main.tf": text}, {"s": state(WEB, OPS, group())})
    start = text.index('"stapp"')
    edit = Edit("main.tf", start, start + 7, '"stother"')
    offer = patch({"main.tf": text}, {"s": state(WEB, OPS, group())}, CHANGE)[0].offers[0]
    wrong = Offer(offer.changes, (*offer.add, edit), (*offer.both, edit))
    why = refutation(Subject(found.code, found.bound, ROLES, {}), [wrong])
    assert why == "`azurerm_storage_account.app` also uses `local.name`"


def test_what_json_beside_the_code_uses_is_not_known() -> None:
    files = {"main.tf": CODE, "more.tf.json": "{}"}
    made, added, _ = patch(files, {"s": state(WEB, OPS, group())}, CHANGE)
    assert not added
    assert made.refused[0].why == "`more.tf.json` is JSON, and may use what changes"


def test_a_role_of_other_permissions_is_no_role_of_the_plan() -> None:
    one = change(WEB, "App Deployer")
    right = patch({"main.tf": CODE}, {"s": state(WEB, OPS, group())}, one)[0].offers[0]
    wrong = [
        tuple(replace(edit, text=edit.text.replace("sites/write", "*")) for edit in edits)
        for edits in (right.add, right.both)
    ]
    assert refutation(subject(), [right]) is None
    assert "is not a role of the plan" in str(refutation(subject(), [Offer(right.changes, *wrong)]))


def test_a_second_reader_must_see_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What our own parser alone understands is not offered."""
    other: dict[str, Any] = {
        "resource": [{"azurerm_role_assignment": {"web_reader": {"role_definition_name": '"Owner"'}}}]
    }
    monkeypatch.setattr(proof, "second_reader", lambda: SimpleNamespace(loads=lambda _: other))
    assert "python-hcl2 reads the edit of `main.tf` in another way" in str(refutation(subject(), [RIGHT]))

    def refuse(_: str) -> None:
        raise ValueError("unexpected token")

    monkeypatch.setattr(proof, "second_reader", lambda: SimpleNamespace(loads=refuse))
    assert refutation(subject(), [RIGHT]) == "python-hcl2 cannot read the edit of `main.tf`: unexpected token"


def test_without_the_second_reader_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hcl2", None)
    with pytest.raises(UsageError, match="second parser, which is not installed"):
        refutation(subject(), [RIGHT])


def test_edits_that_hold_are_offered_beside_one_that_does_not() -> None:
    """One wrong edit does not take the others with it."""
    found = repository({"main.tf": CODE}, {"s": state(WEB, OPS, group())})
    assert found.bound[0].instances.keys() == {"azurerm_role_assignment.web", "azurerm_role_assignment.ops"}
    text = CODE + 'output "ops" {\n  value = azurerm_role_assignment.ops.id\n}\n'
    made, added, _ = patch({"main.tf": text}, {"s": state(WEB, OPS, group())}, CHANGE, change(OPS, "Reader"))
    assert len(made.offers) == len(made.refused) == 1
    assert "web_reader" in added["main.tf"]
    assert "ops_reader" not in added["main.tf"]
