"""Blueprints of agents and what agents inherit from them, in every form that Microsoft's documents have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import guid, page, stage_document, stage_files, typed
from tests.ingest.test_entities_agents import AGENT, agents_page
from tests.ingest.test_entities_directory import write_pages

BLUEPRINT_APP = {
    "id": guid(65),
    "appId": guid(61).upper(),
    "displayName": "Claims blueprint",
    "createdDateTime": "2026-02-01T08:00:00Z",
    "disabledByMicrosoftStatus": None,
    "verifiedPublisher": {"displayName": "Contoso"},
}
GRAPH_API = "00000003-0000-0000-c000-000000000000"
INHERITED = ("blueprint_id", "resource_app_id", "access", "mode", "permissions")
CAST = "applications/microsoft.graph.agentIdentityBlueprint"
OF_ONE = f"applications('{guid(65)}')/inheritablePermissions"


def api(scopes: Any = None, roles: Any = None, of: str = GRAPH_API) -> dict[str, Any]:
    said = {"inheritableScopes": scopes, "inheritableRoles": roles}
    return {"resourceAppId": of} | {key: value for key, value in said.items() if value is not None}


def modes(folder: Path, **record: Any) -> dict[str, tuple[str, list[str]]]:
    staged = stage_document(folder, page(OF_ONE, api(**record)))
    assert staged.rejects == []
    rows = staged.rows("inheritable_permissions", "access", "mode", "permissions")
    return {access: (mode, permissions) for access, mode, permissions in rows}


@pytest.mark.parametrize(
    "document",
    [
        page(CAST, BLUEPRINT_APP),
        page(f"{CAST}(id,appId,owners(),sponsors())", BLUEPRINT_APP),
        [typed("agentIdentityBlueprint", BLUEPRINT_APP)],
        page("applications", typed("agentIdentityBlueprint", BLUEPRINT_APP)),
    ],
)
def test_a_blueprint_is_an_application_and_no_principal(document: Any, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, document)
    assert [file.source for file in staged.report.files] == ["agent_blueprints"]
    columns = ("blueprint_app_id", "object_id", "display_name", "publisher", "disabled_status")
    assert staged.rows("agent_blueprints", *columns) == [(guid(61), guid(65), "Claims blueprint", "Contoso", None)]
    assert staged.rows("principals", "principal_id") == []


@pytest.mark.slow
def test_owners_and_sponsors_stand_beside_blueprints_and_agents(tmp_path: Path) -> None:
    people = {"owners": [{"id": guid(10)}], "sponsors": [{"id": guid(11).upper()}, {"displayName": "nobody"}]}
    blueprint = write_pages(tmp_path, "b.json", page(f"{CAST}(owners())", BLUEPRINT_APP | people))
    agent = write_pages(tmp_path, "a.json", agents_page(AGENT | people, more="(owners(),sponsors())"))
    staged = stage_files(blueprint, agent)
    assert staged.rows("object_owners", "object_id", "owner_id", "app_id") == [
        (guid(65), guid(10), guid(61)),
        (guid(60), guid(10), None),
    ]
    assert staged.rows("object_sponsors", "object_id", "sponsor_id") == [(guid(65), guid(11)), (guid(60), guid(11))]
    assert staged.rejects == [(1, "one of its sponsors has no `id`")] * 2


@pytest.mark.slow
def test_the_page_says_whose_permissions_are_inherited(tmp_path: Path) -> None:
    """The records themselves name the API only."""
    staged = stage_document(
        tmp_path, page(OF_ONE, api({"kind": "allAllowed"}, {"kind": "none"}), api({"kind": "none"}, of=guid(90)))
    )
    assert [file.source for file in staged.report.files] == ["inheritable_permissions"]
    assert staged.rows("inheritable_permissions", *INHERITED) == [
        (guid(65), GRAPH_API, "application", "none", []),
        (guid(65), GRAPH_API, "delegated", "allAllowed", []),
        (guid(65), guid(90), "application", "unsaid", []),
        (guid(65), guid(90), "delegated", "none", []),
    ]
    assert staged.rows("listings", "listing", "of", "complete") == [("inheritablePermissions", guid(65), True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "context",
    [
        f"applications('{guid(65)}')/microsoft.graph.agentIdentityBlueprint/inheritablePermissions",
        f"{CAST}('{guid(65)}')/inheritablePermissions",
    ],
)
def test_a_blueprint_that_lets_nothing_be_inherited_is_listed_wholly(context: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page(context))
    assert staged.rows("listings", "listing", "of", "complete") == [("inheritablePermissions", guid(65), True)]
    assert staged.rows("inheritable_permissions", "mode") == []


@pytest.mark.slow
def test_a_list_without_a_page_is_named_after_its_blueprint(tmp_path: Path) -> None:
    assert stage_document(tmp_path, [api({"kind": "none"})]).rejects[0][1].startswith("the blueprint of these")
    named = stage_document(tmp_path, [api({"kind": "none"})], f"inheritablePermissions-{guid(65)}.json")
    assert set(named.rows("inheritable_permissions", "blueprint_id")) == {guid(65)}


@pytest.mark.nightly
def test_scopes_and_roles_of_every_documented_form(tmp_path: Path) -> None:
    graph = "#microsoft.graph."
    by_type = modes(tmp_path, scopes={"@odata.type": f"{graph}noScopes"}, roles={"@odata.type": f"{graph}noRoles"})
    assert by_type == {"delegated": ("none", []), "application": ("none", [])}
    every = {"@odata.type": "microsoft.graph.allAllowedScopes"}, {"@odata.type": "microsoft.graph.allAllowedRoles"}
    assert modes(tmp_path, scopes=every[0], roles=every[1]) == dict.fromkeys(
        ("delegated", "application"), ("allAllowed", [])
    )
    # The concept page knows no lists; the reference of v1.0 does, and one tool writes several names as one text.
    listed = {"@odata.type": f"{graph}enumeratedScopes", "scopes": ["User.Read Mail.Read", "User.Read"]}
    assert modes(tmp_path, scopes=listed)["delegated"] == ("enumerated", ["Mail.Read", "User.Read"])
    roles = {"kind": "enumerated", "roles": ["User.Read.All"]}
    assert modes(tmp_path, roles=roles) == {
        "delegated": ("unsaid", []),
        "application": ("enumerated", ["User.Read.All"]),
    }


@pytest.mark.slow
def test_a_mode_that_no_document_knows_stays_as_it_is_written(tmp_path: Path) -> None:
    found = modes(tmp_path, scopes={"kind": "unknownFutureValue"}, roles={"@odata.type": "#microsoft.graph.someRoles"})
    assert found == {"delegated": ("unknownFutureValue", []), "application": ("some", [])}


@pytest.mark.slow
@pytest.mark.parametrize("broken", [{"resourceAppId": "graph"}, {"inheritableScopes": [1]}])
def test_a_damaged_record_leaves_its_listing_open(broken: dict[str, Any], tmp_path: Path) -> None:
    good = api({"kind": "none"}, of=guid(91))
    staged = stage_document(tmp_path, page(OF_ONE, good, api({"kind": "allAllowed"}) | broken))
    assert len(staged.rejects) == 1
    assert staged.rows("listings", "rejected") == [1]
    assert staged.rows("inheritable_permissions", "resource_app_id") == [guid(91)] * 2


@pytest.mark.slow
def test_permissions_may_stand_within_their_blueprint(tmp_path: Path) -> None:
    nested = BLUEPRINT_APP | {"inheritablePermissions": [api({"kind": "allAllowed"}), {"resourceAppId": "x"}]}
    staged = stage_document(tmp_path, page(CAST, nested))
    assert staged.rows("inheritable_permissions", "blueprint_id", "access", "mode") == [
        (guid(65), "application", "unsaid"),
        (guid(65), "delegated", "allAllowed"),
    ]
    assert staged.rows("listings", "of", "complete", "rejected") == [(guid(65), True, 1)]
    assert len(staged.rejects) == 1


CREDENTIAL = {
    "id": guid(80),
    "name": "ci",
    "issuer": "https://token.actions.githubusercontent.com",
    "subject": "repo:contoso/agents:ref:refs/heads/main",
    "audiences": ["api://AzureADTokenExchange"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("context", "record", "source"),
    [
        (f"{CAST}(federatedIdentityCredentials())", BLUEPRINT_APP, "agent_blueprints"),
        ("applications(federatedIdentityCredentials())", typed("agentIdentityBlueprint", BLUEPRINT_APP),
         "application_federated_credentials"),
    ],
)  # fmt: skip
def test_a_blueprint_with_its_credentials_is_both(
    context: str, record: dict[str, Any], source: str, tmp_path: Path
) -> None:
    """A page may expand the credentials of blueprints, or list the credentials of all applications."""
    app = {"id": guid(66), "appId": guid(67), "displayName": "shop", "federatedIdentityCredentials": [CREDENTIAL]}
    more = [] if CAST in context else [app]
    blueprint = record | {
        "federatedIdentityCredentials": [CREDENTIAL, {"name": "broken"}],
        "owners": [{"id": guid(10)}],
    }
    staged = stage_document(tmp_path, page(context, blueprint, *more))
    assert [file.source for file in staged.report.files] == [source]
    assert staged.rows("agent_blueprints", "blueprint_app_id", "object_id") == [(guid(61), guid(65))]
    assert staged.rows("object_owners", "object_id", "owner_id") == [(guid(65), guid(10))]
    trusted = [(guid(65), guid(61), "ci"), *([(guid(66), guid(67), "ci")] if more else [])]
    assert staged.rows("federated_credentials", "object_id", "app_id", "name") == trusted
    assert [reason for _, reason in staged.rejects] == [
        "one of its federated credentials lacks a name, issuer or subject"
    ]


@pytest.mark.slow
def test_pages_that_expand_owners_or_sponsors_list_them(tmp_path: Path) -> None:
    """An object without an owner has none only if a page listed owners, and the last page was read without a reject."""
    blueprint = page(f"{CAST}(id,appId,owners(id),sponsors(id))", BLUEPRINT_APP | {"owners": [], "sponsors": []})
    begun = agents_page(AGENT | {"owners": []}, more="(owners())") | {"@odata.nextLink": "https://graph/next"}
    rejected = page("groups(id,owners(id))", {"id": guid(90), "owners": [{"displayName": "nobody"}]})
    files = [
        write_pages(tmp_path, name, document)
        for name, document in (("b.json", blueprint), ("a.json", begun), ("g.json", rejected))
    ]
    staged = stage_files(*files)
    found = [row for row in staged.rows("listings", "listing", "of", "complete") if row[0] in ("owners", "sponsors")]
    assert sorted(found) == [
        ("owners", "applications/microsoft.graph.agentidentityblueprint", True),
        ("owners", "groups", False),
        ("owners", "serviceprincipals/microsoft.graph.agentidentity", False),
        ("sponsors", "applications/microsoft.graph.agentidentityblueprint", True),
    ]
