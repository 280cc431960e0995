"""The explanation of one principal, and the names by which users ask for it."""

from __future__ import annotations

import pytest

from rightsize.analyze.principals import principal_names, resolve_principal
from rightsize.model.errors import InputError, UsageError
from tests.analyze.explained import explain_tiny
from tests.analyze.tiny import RG, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"
DELETE = "Microsoft.Compute/virtualMachines/delete"


@pytest.fixture
def known(tiny: Tiny) -> Tiny:
    tiny.role("vm", "Microsoft.Compute/*").role("net", "Microsoft.Network/*").cover()
    tiny.member("inner", "p").member("outer", "inner", "p").member("far", "p")
    for group, member in (("inner", "p"), ("outer", "inner")):
        tiny.add("group_members", group_id=group, member_id=member, listing="members")
    tiny.add("principals", principal_id="p", principal_type="User", display_name="Pat", user_principal_name="pat@x.com")
    tiny.add("principals", principal_id="q", principal_type="User", display_name="Twin", app_id="app-q")
    tiny.add("principals", principal_id="r", principal_type="User", display_name="Twin")
    tiny.add("principal_aliases", kind="mail", alias="pat.mail@x.com", principal_id="p")
    tiny.assign("direct", "p", "vm", condition="@Resource[x] StringEquals 'y'").assign("through", "outer", "net", RG)
    tiny.use("p", START, succeeded=4).use("p", DELETE, succeeded=0, denied=2).use("p", "Contoso.X/y/write")
    return tiny.use("other", START).sign_in("p")


@pytest.mark.nightly
def test_groups_come_with_the_way_to_them(known: Tiny) -> None:
    ways = {group["group_id"]: group["via"] for group in explain_tiny(known)["groups"]}
    assert ways == {"inner": [], "outer": ["inner"], "far": []}


@pytest.mark.slow
def test_assignments_come_with_their_way_condition_and_verdicts(known: Tiny) -> None:
    found = {item["role_assignment_id"]: item for item in explain_tiny(known)["assignments"]}
    assert found["through"]["via"] == ["inner", "outer"]
    assert found["direct"]["condition"].startswith("@Resource")
    assert {"plane": "control", "verdict": "used", "reason": "elimination", "operations": 1} in found["direct"][
        "verdicts"
    ]


@pytest.mark.slow
def test_use_refusals_and_unexplained_calls_are_apart(known: Tiny) -> None:
    answer = explain_tiny(known)
    assert [(row["operation"], row["events"], row["reason"]) for row in answer["used"]] == [(START, 4, "elimination")]
    assert [(row["operation"], row["denied"]) for row in answer["denied"]] == [(DELETE, 2)]
    assert [(row["operation"], row["reason"]) for row in answer["unexplained"]] == [("Contoso.X/y/write", "no_grant")]
    assert [row["kind"] for row in answer["sign_ins"]] == ["interactive"]


@pytest.mark.slow
def test_verdict_counts_are_those_of_the_scores(known: Tiny) -> None:
    answer = explain_tiny(known)
    counted = sum(row["operations"] for row in answer["verdicts"])
    assert counted == sum(row["granted"] for row in answer["scores"])
    assert all(row["meaning"] for row in answer["verdicts"])


@pytest.mark.slow
def test_the_use_of_members_is_shown_for_a_group(known: Tiny) -> None:
    known.use("p", "Microsoft.Network/networkInterfaces/write", RG)
    used = explain_tiny(known, "outer")["used"]
    assert [(row["principal_id"], row["role_assignment_id"]) for row in used] == [("p", "through")]


@pytest.mark.slow
def test_findings_about_its_assignments_are_its_own(known: Tiny) -> None:
    known.role("owner", "*").assign("own", "outer", "owner")
    assert ("standing_privilege", "own") in {
        (row["control"], row["subject"]) for row in explain_tiny(known)["findings"]
    }


@pytest.mark.slow
def test_a_principal_that_only_an_assignment_names_has_the_name_of_the_export(tiny: Tiny) -> None:
    tiny.role("vm", "*").assign("a", "x", "vm", principal_name="x@contoso.com")
    assert explain_tiny(tiny, "x")["identity"]["display_name"] == "x@contoso.com"
    assert dict(principal_names(tiny.inputs()).select("principal_id", "name").iter_rows()) == {"x": "x@contoso.com"}


@pytest.mark.parametrize("name", ["p", "P", "PAT@x.com", "pat.mail@X.com", "Pat"])
def test_a_principal_is_found_by_id_upn_mail_and_unique_name(known: Tiny, name: str) -> None:
    assert resolve_principal(known.inputs(), name) == "p"


def test_a_principal_is_found_by_its_application_id(known: Tiny) -> None:
    assert resolve_principal(known.inputs(), "APP-Q") == "q"


def test_a_name_that_two_principals_share_is_refused_with_their_ids(known: Tiny) -> None:
    with pytest.raises(UsageError, match="names 2 principals") as raised:
        resolve_principal(known.inputs(), "twin")
    assert raised.value.hint == "give one of the ids q (Twin), r (Twin)"


def test_a_name_that_nothing_bears_is_refused(known: Tiny) -> None:
    with pytest.raises(InputError, match="is called `nobody`"):
        resolve_principal(known.inputs(), "nobody")
