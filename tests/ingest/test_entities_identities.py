"""References of resources, the identities attached to them, and owners of objects that can act."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.ingest.entity_records import (
    CREDENTIAL,
    DOCUMENTS,
    FLAT_TRUST,
    SUB,
    TRUSTED_POD,
    TRUSTING_APPS,
    UNIT,
    guid,
    page,
    stage_document,
    typed,
)

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


@pytest.mark.slow
def test_a_resource_refers_to_what_its_record_names(tmp_path: Path) -> None:
    """Properties, identities and the manager; not itself, its children, or text that holds an id."""
    nic = f"{GROUP}/providers/Microsoft.Network/networkInterfaces/NIC1"
    subnet = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    region = f"{SUB}/providers/Microsoft.Web/locations/westeurope/managedApis/slack"
    properties = {
        "networkProfile": {
            "networkInterfaces": [{"id": nic}, {"id": nic.upper().replace("/SUBSCRIPTIONS", "/subscriptions")}]
        },
        "extension": f"{MACHINE}/extensions/e",
        "api": {"id": f"{region}/"},
        "note": f"see {subnet}",
        "group": GROUP,
        "vnet": subnet,
    }
    record = resource(
        MACHINE,
        "Microsoft.Compute/virtualMachines",
        properties=properties,
        managedBy=f"{GROUP}/providers/Microsoft.Contoso/managers/m'; DROP TABLE x",
        identity={"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
    )
    staged = stage_document(tmp_path, [record])
    expected = [nic, subnet, region, IDENTITY, f"{GROUP}/providers/Microsoft.Contoso/managers/m'; DROP TABLE x"]
    assert sorted(staged.rows("resource_references", "scope", "target")) == sorted(
        (MACHINE.lower(), target.lower()) for target in expected
    )
    assert staged.rejects == []


@pytest.mark.slow
def test_nodes_of_a_cluster_have_an_identity_of_their_own(tmp_path: Path) -> None:
    cluster = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/aks"
    profile = {"kubeletidentity": {"resourceId": IDENTITY, "objectId": guid(2), "clientId": guid(3)}}
    record = resource(cluster, "Microsoft.ContainerService/managedClusters", properties={"identityProfile": profile})
    staged = stage_document(tmp_path, [record])
    assert staged.rows("resource_identities", *COLUMNS) == [(cluster, "user", IDENTITY.lower(), guid(2))]


@pytest.mark.slow
def test_a_user_assigned_identity_names_its_principal(tmp_path: Path) -> None:
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    staged = stage_document(tmp_path, [resource(IDENTITY, kind, properties={"principalId": guid(2)})])
    assert staged.rows("resource_identities", *COLUMNS) == [(IDENTITY, "self", IDENTITY.lower(), guid(2))]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize("identity", [None, {}, {"type": "None"}, {"userAssignedIdentities": None}, "text", [1]])
def test_odd_identities_are_no_identities_and_lose_no_resource(identity: object, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [resource(MACHINE, "Microsoft.Compute/virtualMachines", identity=identity)])
    assert staged.rows("resource_identities", "scope") == []
    assert staged.rows("resources", "scope") == [MACHINE]


@pytest.mark.slow
@pytest.mark.parametrize("listing", ["applications(id,appId,owners(id))", "servicePrincipals(id,owners(id))"])
def test_owners_stand_beside_what_they_own(listing: str, tmp_path: Path) -> None:
    record = {"id": guid(20), "appId": guid(13), "owners": [{"id": guid(10)}, {"id": guid(11).upper()}, {"x": 1}]}
    staged = stage_document(tmp_path, page(listing, record))
    assert sorted(staged.rows("object_owners", "object_id", "owner_id", "app_id")) == [
        (guid(20), guid(10), guid(13)),
        (guid(20), guid(11), guid(13)),
    ]
    assert [reject[1] for reject in staged.rejects] == ["one of its owners has no `id`"]


@pytest.mark.slow
def test_a_listing_of_owners_is_no_listing_of_service_principals(tmp_path: Path) -> None:
    """Taken for one, its end would prove that whoever is not on it is gone."""
    staged = stage_document(tmp_path, page("servicePrincipals(id,owners(id))", {"id": guid(20), "owners": []}))
    assert staged.rows("listings", "listing", "of") == [("owners", "serviceprincipals")]
    assert staged.rows("principals", "principal_id") == []


TRUST = ("object_id", "app_id", "name", "issuer", "subject", "is_expression")


@pytest.mark.slow
def test_an_application_trusts_the_subjects_of_its_credentials(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, TRUSTING_APPS)
    assert staged.rows("federated_credentials", *TRUST) == [
        (guid(20), guid(13), "main", CREDENTIAL["issuer"], CREDENTIAL["subject"], False)
    ]
    assert (staged.rejects, staged.rows("listings", "listing")) == ([], [])


@pytest.mark.slow
def test_a_credential_may_match_an_expression(tmp_path: Path) -> None:
    said = "claims['sub'] matches 'repo:contoso/*'"
    flexible = CREDENTIAL | {"subject": None, "claimsMatchingExpression": {"value": said, "languageVersion": 1}}
    broken: list[object] = [CREDENTIAL | {"issuer": ""}, "text", None]
    record = {"id": guid(20), "appId": guid(13), "federatedIdentityCredentials": [flexible, *broken]}
    staged = stage_document(tmp_path, page("applications(id,appId,federatedIdentityCredentials())", record))
    assert staged.rows("federated_credentials", "subject", "is_expression") == [(said, True)]
    assert len(staged.rejects) == len(broken)


@pytest.mark.slow
def test_all_that_makes_a_credential_again_is_kept(tmp_path: Path) -> None:
    """An older version of the interface hides an expression: then the subject is not known."""
    said = {"value": "claims['sub'] matches 'repo:contoso/*'", "languageVersion": 1}
    flexible = CREDENTIAL | {"name": "Flex", "subject": None, "claimsMatchingExpression": said, "description": "why"}
    hidden = CREDENTIAL | {"name": "old", "subject": None}
    record = {"id": guid(20), "appId": guid(13), "signInAudience": "AzureADMyOrg"}
    record["federatedIdentityCredentials"] = [flexible, hidden]  # type: ignore[assignment]
    staged = stage_document(tmp_path, page("applications(id,appId,federatedIdentityCredentials())", record))
    columns = ("name", "spelling", "credential_id", "subject", "is_expression", "description", "language_version")
    assert staged.rows("federated_credentials", *columns, "audiences", "sign_in_audience") == [
        ("flex", "Flex", guid(40), said["value"], True, "why", 1, CREDENTIAL["audiences"], "AzureADMyOrg"),
        ("old", "old", guid(40), None, True, None, None, CREDENTIAL["audiences"], "AzureADMyOrg"),
    ]
    assert staged.rejects == []


OBSERVED = {"iss": "https://gitlab.com/", "sub": "project_path:g/p:ref_type:branch:ref:main", "aud": "api://x"}


@pytest.mark.slow
@pytest.mark.parametrize("record", [OBSERVED, {"issuer": OBSERVED["iss"], "subject": OBSERVED["sub"]}])
def test_subjects_of_runs_are_read(record: dict[str, object], tmp_path: Path) -> None:
    """The claims of a token, or a table; a row without a time is no observation."""
    staged = stage_document(
        tmp_path, [record | {"time": "2026-03-02T09:00:00+02:00", "run": "1"}, record | {"time": ""}]
    )
    columns = ("issuer", "subject", "time", "app_id", "run")
    assert staged.rows("observed_subjects", *columns) == [
        ("https://gitlab.com", OBSERVED["sub"], dt.datetime(2026, 3, 2, 7), "", "1")
    ]
    assert len(staged.rejects) == 1


@pytest.mark.slow
@pytest.mark.parametrize("record", [TRUSTED_POD, FLAT_TRUST])
def test_an_identity_trusts_what_stands_below_it(record: dict[str, object], tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [record])
    subject = "system:serviceaccount:shop:worker"
    assert staged.rows("federated_credentials", *TRUST) == [
        (IDENTITY.lower(), None, "pod", "https://oidc.example/cluster/", subject, False)
    ]


@pytest.mark.slow
def test_a_unit_says_whether_its_members_are_restricted(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("directory/administrativeUnits", UNIT))
    assert staged.rows("administrative_units", "unit_id", "display_name", "is_restricted") == [
        (guid(30), "Wards", True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["unit members", "unit members by file"])
def test_members_of_a_unit_are_members_of_no_group(form: str, tmp_path: Path) -> None:
    name, _, document = DOCUMENTS[form]
    staged = stage_document(tmp_path, document, name)
    assert staged.rows("administrative_unit_members", "unit_id", "member_id", "member_type") == [
        (guid(30), guid(10), "User")
    ]
    assert staged.rows("group_members", "group_id") == []
    assert staged.rows("listings", "listing", "of", "complete") == [("unitMembers", guid(30), True)]


@pytest.mark.slow
def test_a_device_in_a_unit_is_no_principal(tmp_path: Path) -> None:
    device = typed("device", {"id": guid(31)})
    context = f"directory/administrativeUnits('{guid(30)}')/members"
    staged = stage_document(tmp_path, page(context, device))
    assert staged.rows("administrative_unit_members", "member_id", "member_type") == [(guid(31), "Device")]
    assert staged.rows("principals", "principal_id") == []
