"""Permission grants and the map of Graph, in every form in which they are exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.entities.graph_permissions import GRAPH_APP_ID, common_path
from rightsize.store.connection import open_store
from rightsize.workflow.data.catalog import import_catalogue, read_catalogue_status
from rightsize.workflow.data.load import load_paths

SHARED = Path(__file__).parents[3] / "shared" / "data" / "graph"
GUID = "dddddddd-0000-4000-8000-00000000000"
PAGE = "https://graph.microsoft.com/v1.0/$metadata#"


def rows(tmp_path: Path, table: str, *documents: object) -> list[dict[str, Any]]:
    paths = []
    for number, document in enumerate(documents):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(document))
    load_paths(tmp_path / "s.duckdb", paths)
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        return store.frame(f"SELECT * FROM {table} ORDER BY ALL").to_dicts()


ASSIGNMENT = {
    "id": "AbC-9_x", "principalId": f"{GUID}1", "principalType": "ServicePrincipal", "principalDisplayName": "App",
    "resourceId": f"{GUID}2", "resourceDisplayName": "Microsoft Graph", "appRoleId": f"{GUID}3".upper(),
    "createdDateTime": "2025-01-01T00:00:00Z",
}  # fmt: skip


@pytest.mark.nightly
@pytest.mark.parametrize(
    "document",
    [
        {"@odata.context": f"{PAGE}servicePrincipals('x')/appRoleAssignedTo", "value": [ASSIGNMENT]},
        [ASSIGNMENT],
        [{name[0].upper() + name[1:]: value for name, value in ASSIGNMENT.items()}],
    ],
    ids=["page", "az", "powershell"],
)
def test_an_app_role_assignment_keeps_the_capitals_of_its_id(document: object, tmp_path: Path) -> None:
    (found,) = rows(tmp_path, "app_role_assignments", document)
    assert (found["app_role_assignment_id"], found["app_role_id"]) == ("AbC-9_x", f"{GUID}3")


@pytest.mark.nightly
def test_a_delegated_grant_is_of_all_users_or_of_one(tmp_path: Path) -> None:
    grant = {"id": "G1", "clientId": f"{GUID}1", "consentType": "AllPrincipals", "principalId": None,
             "resourceId": f"{GUID}2", "scope": " User.Read  Mail.Read User.Read"}  # fmt: skip
    own = grant | {"id": "G2", "consentType": "Principal", "principalId": f"{GUID}5"}
    page = {"@odata.context": f"{PAGE}oauth2PermissionGrants", "value": [grant, own]}
    found = rows(tmp_path, "permission_grants", page)
    assert [(one["consent_type"], one["principal_id"]) for one in found] == [
        ("AllPrincipals", None), ("Principal", f"{GUID}5")
    ]  # fmt: skip
    assert found[0]["permissions"] == ["Mail.Read", "User.Read"]


@pytest.mark.slow
@pytest.mark.parametrize("context", ["servicePrincipals('x')/appRoleAssignedTo", "oauth2PermissionGrants"])
def test_an_empty_page_of_grants_is_known(context: str, tmp_path: Path) -> None:
    assert rows(tmp_path, "app_role_assignments", {"@odata.context": PAGE + context, "value": []}) == []


@pytest.mark.nightly
def test_a_service_principal_publishes_roles_and_delegated_permissions(tmp_path: Path) -> None:
    api = {
        "id": f"{GUID}1", "appId": f"{GUID}2", "displayName": "API", "servicePrincipalType": "Application",
        "appRoles": [{"id": f"{GUID}3", "value": "Thing.Read", "displayName": "Read", "isEnabled": True}],
        "oauth2PermissionScopes": [{"id": f"{GUID}4", "value": "Thing.Use", "adminConsentDisplayName": "Use"}],
    }  # fmt: skip
    found = rows(tmp_path, "api_permissions", {"@odata.context": f"{PAGE}servicePrincipals", "value": [api]})
    assert [(one["access"], one["permission"], one["api_app_id"]) for one in found] == [
        ("application", "Thing.Read", f"{GUID}2"), ("delegated", "Thing.Use", f"{GUID}2")
    ]  # fmt: skip


MAP = {
    "permissions": {
        "User.Read.All": {
            "schemes": {"Application": {"privilegeLevel": 3, "requiresAdminConsent": True}, "DelegatedPersonal": {}},
            "pathSets": [
                {
                    "schemeKeys": ["Application", "DelegatedWork"],
                    "methods": ["GET"],
                    "paths": {"/users/{id}": "least=DelegatedWork", "/users": "least=Application;AlsoRequires=B,A"},
                }
            ],
        },
        "Broken": {"pathSets": [{"methods": "GET"}]},
        "Odd": 7,
    }
}


@pytest.mark.nightly
def test_the_map_is_read_and_what_is_broken_in_it_is_counted(tmp_path: Path) -> None:
    found = rows(tmp_path, "graph_permission_paths", MAP)
    assert [(one["access"], one["path"], one["is_least"], one["also_requires"]) for one in found] == [
        ("application", "/users", True, ["A", "B"]),
        ("application", "/users/{id}", False, []),
        ("delegated", "/users", False, ["A", "B"]),
        ("delegated", "/users/{id}", True, []),
    ]
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        assert store.frame("SELECT count(*) AS n FROM rejects")["n"].item() == 2


@pytest.mark.nightly
def test_a_request_in_two_spellings_needs_any_of_what_either_needs_besides(tmp_path: Path) -> None:
    sets = [
        {"schemeKeys": ["Application"], "methods": ["GET"], "paths": {path: marks}}
        for path, marks in (
            ("/a/{id}", "AlsoRequires=B"), ("/a/{a-id}", "least=Application;AlsoRequires=A"),
            ("/b/{id}", "AlsoRequires=B"), ("/b/{b-id}", ""),
        )
    ]  # fmt: skip
    found = rows(tmp_path, "graph_permission_paths", {"permissions": {"X.Read.All": {"pathSets": sets}}})
    assert [(one["path"], one["is_least"], one["also_requires"]) for one in found] == [
        ("/a/{id}", True, ["A", "B"]),
        ("/b/{id}", False, []),
    ]


@pytest.mark.parametrize(
    ("path", "common"),
    [
        ("/Users/{user-id}", "/users/{id}"),
        ("/workflows({id})/run", "/workflows/{id}/run"),
        ("/reports/get(period='{period}')", "/reports/get(period={value})"),
        ("/a/ingest('{itemId}')", "/a/ingest/{id}"),
        ("/drive/root:/{item-path}:/content", "/drive/root:/{id}:/content"),
        ("/instances?$filter=card", "/instances"),
    ],
)
def test_paths_of_the_map_are_written_in_one_way(path: str, common: str) -> None:
    assert common_path(path) == common


@pytest.mark.nightly
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_the_real_map_is_imported_whole(tmp_path: Path) -> None:
    report = import_catalogue(tmp_path / "s.duckdb", sorted(SHARED.glob("*.json")))
    assert sum(row.rejected for row in report.rows) == 0
    found = read_catalogue_status(tmp_path / "s.duckdb")
    assert found.graph_permissions == 917
    assert found.graph_requests > 11_000
    assert found.permission_ids > 1_500
    assert found.first_party_apps > 4_000
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        named = store.frame(
            "SELECT permission_id FROM api_permissions WHERE permission = 'User.Read.All' AND access = 'application' "
            f"AND api_app_id = '{GRAPH_APP_ID}'"
        )
    assert named["permission_id"].to_list() == ["df021288-bdef-4463-88db-98f22de89214"]
