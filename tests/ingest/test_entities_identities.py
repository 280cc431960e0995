"""Identities that are attached to resources, and owners of what can act: where escalation begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest.entity_records import SUB, guid, page, stage_document

GROUP = f"{SUB}/resourceGroups/rg"
MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/VM1"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Id1"
COLUMNS = ("scope", "kind", "identity_scope", "principal_id")


def resource(scope: str, kind: str, **more: object) -> dict[str, object]:
    return {"id": scope, "name": scope.rsplit("/", 1)[-1], "type": kind, "location": "westeurope", **more}


def test_a_machine_has_the_identities_that_its_listing_attaches(tmp_path: Path) -> None:
    attached = {
        "type": "SystemAssigned, UserAssigned",
        "principalId": guid(1).upper(),
        "userAssignedIdentities": {IDENTITY: {"principalId": guid(2), "clientId": guid(3)}},
    }
    staged = stage_document(tmp_path, [resource(MACHINE, "Microsoft.Compute/virtualMachines", identity=attached)])
    assert sorted(staged.rows("resource_identities", *COLUMNS)) == [
        (MACHINE, "system", "", guid(1)),
        (MACHINE, "user", IDENTITY.lower(), guid(2)),
    ]
    assert staged.rejects == []


def test_nodes_of_a_cluster_have_an_identity_of_their_own(tmp_path: Path) -> None:
    cluster = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/aks"
    profile = {"kubeletidentity": {"resourceId": IDENTITY, "objectId": guid(2), "clientId": guid(3)}}
    record = resource(cluster, "Microsoft.ContainerService/managedClusters", properties={"identityProfile": profile})
    staged = stage_document(tmp_path, [record])
    assert staged.rows("resource_identities", *COLUMNS) == [(cluster, "user", IDENTITY.lower(), guid(2))]


def test_a_user_assigned_identity_names_its_principal(tmp_path: Path) -> None:
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    staged = stage_document(tmp_path, [resource(IDENTITY, kind, properties={"principalId": guid(2)})])
    assert staged.rows("resource_identities", *COLUMNS) == [(IDENTITY, "self", IDENTITY.lower(), guid(2))]


@pytest.mark.parametrize("identity", [None, {}, {"type": "None"}, {"userAssignedIdentities": None}, "text", [1]])
def test_odd_identities_are_no_identities_and_lose_no_resource(identity: object, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [resource(MACHINE, "Microsoft.Compute/virtualMachines", identity=identity)])
    assert staged.rows("resource_identities", "scope") == []
    assert staged.rows("resources", "scope") == [MACHINE]


@pytest.mark.parametrize("listing", ["applications(id,appId,owners(id))", "servicePrincipals(id,owners(id))"])
def test_owners_stand_beside_what_they_own(listing: str, tmp_path: Path) -> None:
    record = {"id": guid(20), "appId": guid(13), "owners": [{"id": guid(10)}, {"id": guid(11).upper()}, {"x": 1}]}
    staged = stage_document(tmp_path, page(listing, record))
    assert sorted(staged.rows("object_owners", "object_id", "owner_id", "app_id")) == [
        (guid(20), guid(10), guid(13)),
        (guid(20), guid(11), guid(13)),
    ]
    assert [reject[1] for reject in staged.rejects] == ["an owner of it has no `id`"]


def test_a_listing_of_owners_is_no_listing_of_service_principals(tmp_path: Path) -> None:
    """Taken for one, its end would prove that whoever is not on it is gone."""
    staged = stage_document(tmp_path, page("servicePrincipals(id,owners(id))", {"id": guid(20), "owners": []}))
    assert staged.rows("listings", "listing") == []
    assert staged.rows("principals", "principal_id") == []
