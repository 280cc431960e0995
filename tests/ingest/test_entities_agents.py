"""Agent identities, agent users, blueprint principals and unknown types are principals, never absent ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import classify_holders
from rightsize.model.errors import InputError
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.ingest.entity_records import (
    APP,
    FLAT_ASSIGNMENT,
    GROUP,
    SUB,
    USER,
    guid,
    page,
    stage_document,
    stage_files,
    typed,
)
from tests.ingest.test_entities_directory import write_pages

AGENT = {
    "id": guid(60),
    "displayName": "Claims agent",
    "servicePrincipalType": "ServiceIdentity",
    "agentIdentityBlueprintId": guid(61).upper(),
    "createdByAppId": guid(62),
    "accountEnabled": True,
    "tags": [],
}
AGENT_USER = USER | {"id": guid(63), "userPrincipalName": "agent@contoso.com", "identityParentId": guid(60)}
BLUEPRINT = APP | {"id": guid(64), "appId": guid(61)}
COLUMNS = ("principal_id", "principal_type", "object_type", "blueprint_app_id", "parent_id", "listed")


def agents_page(*records: dict[str, Any], cast: str = "agentIdentity", more: str = "") -> dict[str, Any]:
    return page(f"servicePrincipals/microsoft.graph.{cast}{more}", *records)


def test_agents_in_a_listing_of_service_principals_are_service_principals(tmp_path: Path) -> None:
    blueprint = typed("agentIdentityBlueprintPrincipal", BLUEPRINT)
    staged = stage_document(tmp_path, page("servicePrincipals", APP, typed("agentIdentity", AGENT), blueprint))
    assert staged.rejects == []
    assert staged.rows("principals", *COLUMNS) == [
        (guid(12), "ServicePrincipal", None, None, None, True),
        (guid(60), "ServicePrincipal", "agentIdentity", guid(61), None, True),
        (guid(64), "ServicePrincipal", "agentIdentityBlueprintPrincipal", None, None, True),
    ]
    assert staged.rows("listings", "listing", "complete", "rejected") == [("servicePrincipals", True, 0)]


@pytest.mark.slow
def test_an_agent_user_is_a_user(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("users", USER, typed("agentUser", AGENT_USER)))
    assert staged.rejects == []
    assert staged.rows("principals", *COLUMNS)[1] == (guid(63), "User", "agentUser", None, guid(60), True)


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", "(owners())", "(id,displayName,owners())", "(id,displayName)"])
def test_a_page_with_a_cast_lists_principals_of_one_type(more: str, tmp_path: Path) -> None:
    """Such a page used to be read as a catalogue of Microsoft's applications, or for its owners alone."""
    record = AGENT | {"appId": guid(60), "appDisplayName": "x", "appOwnerOrganizationId": guid(99)}
    staged = stage_document(tmp_path, agents_page(record, more=more))
    assert [file.source for file in staged.report.files] == ["service_principals"]
    assert staged.rows("principals", "principal_id", "object_type", "listed") == [(guid(60), "agentIdentity", True)]
    # The end of the list of one type is not the end of the list of all.
    of_owners = [("owners", "serviceprincipals/microsoft.graph.agentidentity", True)] if "owners" in more else []
    assert staged.rows("listings", "listing", "of", "complete") == [*of_owners, ("servicePrincipals", "", False)]


@pytest.mark.slow
def test_owners_on_a_page_with_a_cast_are_owners(tmp_path: Path) -> None:
    owned = AGENT | {"owners": [{"id": guid(10)}, {"displayName": "nobody"}]}
    staged = stage_document(tmp_path, agents_page(owned, more="(owners())"))
    assert staged.rows("principals", "principal_id") == [guid(60)]
    assert staged.rows("object_owners", "object_id", "owner_id") == [(guid(60), guid(10))]
    assert staged.rejects == [(1, "one of its owners has no `id`")]


@pytest.mark.slow
def test_owners_of_all_service_principals_are_no_listing_of_them(tmp_path: Path) -> None:
    owned = {"id": guid(12), "appId": guid(13), "owners": [{"id": guid(10)}]}
    staged = stage_document(tmp_path, page("servicePrincipals(id,appId,owners())", owned))
    assert staged.rows("object_owners", "owner_id") == [guid(10)]
    assert staged.rows("principals", "principal_id") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("context", "kind", "listed"),
    [
        ("directoryObjects", None, True),
        ("directory/deletedItems/microsoft.graph.servicePrincipal", "ServicePrincipal", False),
        (f"groups('{guid(11)}')/members", None, False),
    ],
)
def test_a_type_that_no_rule_knows_is_a_principal_of_unknown_kind(
    context: str, kind: str | None, listed: bool, tmp_path: Path
) -> None:
    unheard = {"@odata.type": "#microsoft.graph.quantumAgent", "id": guid(70), "displayName": "q"}
    staged = stage_document(tmp_path, page(context, typed("user", USER), unheard))
    assert staged.rejects == []
    found = staged.rows("principals", "principal_id", "principal_type", "object_type", "listed")
    assert (guid(70), kind, "quantumAgent", listed) in found
    if "members" in context:
        assert (guid(70), None) in staged.rows("group_members", "member_id", "member_type")


@pytest.mark.slow
def test_members_of_a_type_that_no_rule_knows_do_not_end_the_list_of_all(tmp_path: Path) -> None:
    cast = f"groups('{guid(11)}')/members/microsoft.graph.quantumAgent"
    staged = stage_document(tmp_path, page(cast, {"id": guid(70)}))
    assert staged.rows("listings", "listing", "of", "complete") == [("members", guid(11), False)]
    assert staged.rows("group_members", "member_id") == [guid(70)]


@pytest.mark.slow
def test_a_list_of_objects_of_another_part_of_graph_is_no_list_of_principals(tmp_path: Path) -> None:
    place = {"@odata.type": "#microsoft.graph.ipNamedLocation", "id": guid(71), "displayName": "office"}
    for document in ([place], page("identity/conditionalAccess/namedLocations", place)):
        with pytest.raises(InputError, match="cannot recognise"):
            stage_document(tmp_path, document)


@pytest.mark.slow
@pytest.mark.parametrize("broken", [{"id": None}, {"accountEnabled": "perhaps"}, {"@odata.type": 7}])
def test_a_listing_with_a_reject_is_not_complete(broken: dict[str, Any], tmp_path: Path) -> None:
    first = write_pages(tmp_path, "1.json", page("servicePrincipals", APP, AGENT | broken, more=True))
    last = write_pages(tmp_path, "2.json", page("servicePrincipals", BLUEPRINT))
    staged = stage_files(first, last)
    assert staged.rows("listings", "complete", "rejected") == [(False, 1), (True, 0)]
    note = "listing of servicePrincipals incomplete: 1 record rejected"
    assert any(note in one for one in staged.report.notes)


@pytest.mark.slow
def test_what_is_no_record_spoils_each_listing_of_its_file(tmp_path: Path) -> None:
    damaged = page("users", USER) | {"value": [USER, 7]}
    path = write_pages(tmp_path, "all.json", damaged, page("groups", GROUP))
    assert stage_files(path).rows("listings", "listing", "rejected") == [("users", 1), ("groups", 1)]


@pytest.mark.slow
def test_a_reject_on_one_page_leaves_another_listing_of_the_file_alone(tmp_path: Path) -> None:
    path = write_pages(tmp_path, "all.json", page("users", USER | {"id": 7}), page("groups", GROUP))
    assert stage_files(path).rows("listings", "listing", "rejected") == [("users", 1), ("groups", 0)]


def holders_of(folder: Path, *documents: Any) -> dict[str, str]:
    """Load documents with the assignments of principals 60 and 80; return how each holder stands."""
    assigned = [
        FLAT_ASSIGNMENT
        | {
            "id": f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{guid(number)}",
            "name": guid(number),
            "principalName": None,
        }
        | {"principalId": guid(number), "principalType": "ServicePrincipal"}
        for number in (60, 80)
    ]
    folder.mkdir(exist_ok=True)
    paths = [write_pages(folder, f"{place}.json", one) for place, one in enumerate((assigned, *documents))]
    load_paths(folder / "s.duckdb", paths)
    with open_store(folder / "s.duckdb", read_only=True) as store:
        return dict(classify_holders(Inputs.read(store.table)).select("principal_id", "holder").iter_rows())


@pytest.mark.nightly
def test_an_agent_is_no_orphan_and_who_is_absent_is_one_only_by_a_listing_without_rejects(tmp_path: Path) -> None:
    agent = typed("agentIdentity", AGENT)
    assert holders_of(tmp_path / "1", page("servicePrincipals", APP, agent)) == {guid(60): "known", guid(80): "orphan"}
    spoilt = page("servicePrincipals", APP, agent, {"displayName": "no id"})
    assert holders_of(tmp_path / "2", spoilt)[guid(80)] == "unresolved"
    # Neither the page nor the order in which it comes matters.
    pages = page("servicePrincipals", {"displayName": "no id"}, more=True), page("servicePrincipals", APP)
    assert set(holders_of(tmp_path / "3", *pages).values()) == {"unresolved"}
    assert set(holders_of(tmp_path / "4", *reversed(pages)).values()) == {"unresolved"}
    # What is lost in the list of one type is missing in the list of all.
    lost = agents_page({"displayName": "no id"})
    assert holders_of(tmp_path / "5", page("servicePrincipals", APP), lost)[guid(60)] == "unresolved"


@pytest.mark.slow
def test_no_type_however_odd_makes_a_principal_absent(tmp_path: Path) -> None:
    """A record with an id is a principal, of no kind that holds access, or a reject: it never vanishes."""
    said = random.Random(7)  # noqa: S311  odd types, not secrets
    words = ["#microsoft.graph.", "user", "agentIdentity", ".", "", "#", "'", "\\", "{}", "\u0130", " ", "x" * 300]
    types = ["".join(said.choices(words, k=said.randint(0, 4))) for _ in range(200)]
    records = [{"@odata.type": text, "id": guid(1000 + place)} for place, text in enumerate(types)]
    for context in ("servicePrincipals", "directoryObjects"):
        staged = stage_document(
            tmp_path, page(context, APP | {"@odata.type": "#microsoft.graph.servicePrincipal"}, *records)
        )
        assert len(staged.rows("principals", "principal_id")) + len(staged.rejects) == 201
        if context == "servicePrincipals":
            assert staged.rejects == []
