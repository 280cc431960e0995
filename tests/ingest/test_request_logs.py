"""Request logs: the used permission, scope and principal, and requests that something else allowed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.parsing import events_of, events_of_records, row_of_each, staged, write_lines
from tests.ingest.request_records import (
    APP,
    ASSIGNMENT,
    BUS,
    CALL,
    CLUSTER,
    COSMOS,
    HUBS,
    OID,
    REGISTRY,
    UPN,
    VAULT,
    audit_event,
    cluster_diagnostic,
    cluster_diagnostics_row,
    cluster_row,
    image_diagnostic,
    image_row,
    item_row,
    message_diagnostic,
    message_row,
    statement_row,
    vault_diagnostic,
    vault_diagnostics_row,
    vault_row,
)

SECRETS = "Microsoft.KeyVault/vaults/secrets"
KUBERNETES = "Microsoft.ContainerService/managedClusters"
SERVICES: dict[str, tuple[Callable[..., dict[str, Any]], ...]] = {
    "key_vault_log": (vault_diagnostic, vault_row, vault_diagnostics_row),
    "messaging_log": (message_diagnostic, message_row),
    "aks_audit_log": (cluster_diagnostic, cluster_row, cluster_diagnostics_row),
    "registry_log": (image_row, image_diagnostic),
}


ACCESS = ("operation", "outcome", "access", "plane")


def accesses(folder: Path, *records: Any) -> list[tuple[str, str, str | None, str]]:
    """Return operation, outcome, access and plane of the events of records."""
    con, _ = staged(write_lines(folder, records))
    return con.execute(f"SELECT {', '.join(ACCESS)} FROM stage_event_rows ORDER BY line, operation").fetchall()


def write_portal(folder: Path, row: dict[str, Any]) -> Path:
    """Write a row as the portal exports it: a byte-order mark, a time of its own, JSON in cells."""
    path = folder / "query_data.csv"
    told = {name: value for name, value in row.items() if name != "TimeGenerated"}
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["TimeGenerated [UTC]", *told])
        writer.writerow(["3/4/2025, 5:06:07.000 AM", *told.values()])
    return path


def write_tables(folder: Path, row: dict[str, Any]) -> Path:
    """Write a row as the query API of Log Analytics answers."""
    columns = [{"name": name, "type": "string"} for name in row]
    document = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [list(row.values())]}]}
    path = folder / "answer.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.nightly
@pytest.mark.parametrize("source", SERVICES)
def test_every_shape_of_a_record_is_the_same_call(source: str, tmp_path: Path) -> None:
    """Portal CSV, the answer of a query, lines of diagnostic settings and an envelope of Event Hubs: one event."""
    found = []
    for index, render in enumerate(SERVICES[source]):
        folder = tmp_path / str(index)
        folder.mkdir()
        row = render()
        files = [write_lines(folder, [row])]
        if "TimeGenerated" in row:
            files = [write_portal(folder, row), write_tables(folder, row)]
        else:
            envelope = folder / "envelope.json"
            envelope.write_text(json.dumps({"records": [row]}))
            files.append(envelope)
        for path in files:
            con, report = staged(path)
            assert [(file.source, file.read, file.rejected) for file in report.files] == [(source, 1, 0)]
            found += con.execute(
                "SELECT event_key, time::DATE, principal_id, principal_name, app_id, "
                "outcome, access, plane, ip, category, role_assignment_id FROM stage_event_rows"
            ).fetchall()
    assert len(found) == 2 * len(SERVICES[source])
    assert len(set(found)) == 1
    assert len(events_of(*(path for path in tmp_path.rglob("*") if path.is_file()))) == 1


@pytest.mark.slow
def test_a_secret_that_was_read_is_use_of_its_data_action_at_the_secret(tmp_path: Path) -> None:
    """Roles may be assigned at a single secret, so that is where it counts."""
    (event,) = events_of_records(tmp_path, vault_row(AppliedAssignmentId=ASSIGNMENT, IsRbacAuthorized=True))
    assert (event["operation"], event["scope"]) == (f"{SECRETS}/getSecret/action", f"{VAULT}/secrets/db-password")
    assert (event["principal_id"], event["principal_type"], event["app_id"]) == (OID, "User", APP)
    assert (event["outcome"], event["role_assignment_id"], event["plane"]) == ("succeeded", ASSIGNMENT, "data")


@pytest.mark.slow
def test_the_question_without_a_token_is_part_of_the_call_and_by_itself_nothing(tmp_path: Path) -> None:
    """A client asks once without a token to learn whom to ask for one; that is no refusal."""
    challenge = vault_diagnostic(
        identity={}, properties={"httpStatusCode": 401}, resultSignature="Unauthorized", time="2025-03-04T05:06:06Z"
    )
    (both,) = events_of_records(tmp_path, challenge, vault_diagnostic())
    assert (both["outcome"], both["principal_id"]) == ("succeeded", OID)
    assert accesses(tmp_path, challenge) == [(f"{SECRETS}/getSecret/action", "other", "none", "data")]


@pytest.mark.slow
def test_what_a_vault_answers_decides(tmp_path: Path) -> None:
    """Refused is demand, failed is use, and what an access policy let through is no use of a role."""
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"HttpStatusCode": 403, "IsAccessPolicyMatch": False, "IsRbacAuthorized": False}, "denied", "roles"),
        ({"HttpStatusCode": 404}, "failed", "roles"),
        ({"HttpStatusCode": 429}, "other", "roles"),
        ({"HttpStatusCode": 200, "IsAccessPolicyMatch": True}, "other", "access_policy"),
        ({"HttpStatusCode": None, "ResultSignature": "Forbidden"}, "denied", "roles"),
    ]
    found = row_of_each(tmp_path, [vault_row(**changes) for changes, _, _ in cases], *ACCESS)
    assert found == [(f"{SECRETS}/getSecret/action", outcome, access, "data") for _, outcome, access in cases]


@pytest.mark.slow
def test_operations_of_a_vault(tmp_path: Path) -> None:
    """What no rule maps stands as it is written, and says that it is not mapped."""
    cases = [
        ("SecretList", f"{SECRETS}/readMetadata/action", "", "roles"),
        ("secretset", f"{SECRETS}/setSecret/action", "/secrets/db-password", "roles"),
        ("VaultGet", "VaultGet", "", "none"),
        ("SecretNearExpiryEventGridNotification", "SecretNearExpiryEventGridNotification", "", "none"),
        ("SecretTeleport", "SecretTeleport", "", "unmapped"),
    ]
    records = [vault_row(OperationName=operation) for operation, *_ in cases]
    found = row_of_each(tmp_path, records, "operation", "scope", "access")
    assert found == [(action, VAULT + scope, access) for _, action, scope, access in cases]


@pytest.mark.slow
def test_messages_name_an_application(tmp_path: Path) -> None:
    """The log has no object id; who the application is, the directory says."""
    cases = [
        (HUBS, "SendMessage", "Microsoft.EventHub/namespaces/messages/send/action"),
        (BUS, "PeekLockMessage", "Microsoft.ServiceBus/namespaces/messages/receive/action"),
        (BUS, "ReceiveMessage", "Microsoft.ServiceBus/namespaces/messages/receive/action"),
    ]
    records = [message_row(_ResourceId=resource, ActivityName=operation) for resource, operation, _ in cases]
    found = row_of_each(tmp_path, records, "operation", "scope", "principal_id", "principal_name")
    assert found == [(action, resource, None, APP) for resource, _, action in cases]


@pytest.mark.nightly
def test_a_connection_uses_no_permission_and_a_policy_is_a_key(tmp_path: Path) -> None:
    """Shared access policies prove use of their key, and nobody's role."""
    rows = [
        message_row(ActivityName="ConnectionOpen"),
        message_row(AuthType="SAS", AuthKey="RootManageSharedAccessKey"),
    ]
    assert [(outcome, access) for _, outcome, access, _ in accesses(tmp_path, *rows)] == [
        ("other", "none"),
        ("other", "key"),
    ]
    assert all(event["principal_name"] != "RootManageSharedAccessKey" for event in events_of_records(tmp_path, *rows))


@pytest.mark.slow
def test_the_failure_of_a_message_says_nothing(tmp_path: Path) -> None:
    """Runtime audit logs do not tell a refusal from another failure: neither use nor demand."""
    assert accesses(tmp_path, message_row(Status="Failure"))[0][1] == "other"


@pytest.mark.slow
def test_verbs_of_kubernetes_are_data_actions(tmp_path: Path) -> None:
    """Group, kind and verb make the action; the namespace is a scope below the cluster."""
    cases = [
        (audit_event(), "secrets/read", "/namespaces/shop"),
        (audit_event(verb="watch"), "secrets/read", "/namespaces/shop"),
        (audit_event(verb="deletecollection"), "secrets/delete", "/namespaces/shop"),
        (
            audit_event(verb="patch", objectRef={"resource": "deployments", "apiGroup": "apps", "namespace": "shop"}),
            "apps/deployments/write",
            "/namespaces/shop",
        ),
        (
            audit_event(verb="get", objectRef={"resource": "pods", "subresource": "exec", "namespace": "shop"}),
            "pods/exec/action",
            "/namespaces/shop",
        ),
        (
            audit_event(verb="get", objectRef={"resource": "pods", "subresource": "log", "namespace": "shop"}),
            "pods/read",
            "/namespaces/shop",
        ),
        (
            audit_event(verb="list", objectRef={"resource": "widgets", "apiGroup": "shop.example"}),
            "customresources/read",
            "",
        ),
        (audit_event(verb="get", objectRef=None, requestURI="/apis/apps?timeout=32s"), "apis/apps/read", ""),
        (
            audit_event(verb="bind", objectRef={"resource": "roles", "apiGroup": "rbac.authorization.k8s.io"}),
            "rbac.authorization.k8s.io/roles/bind/action",
            "",
        ),
        (audit_event(impersonatedUser={"username": "root"}), "users/impersonate/action", "/namespaces/shop"),
    ]
    records = [cluster_diagnostic(event, resourceId=CLUSTER) for event, _, _ in cases]
    found = row_of_each(tmp_path, records, "operation", "scope", "role_assignment_id", "principal_id")
    assert found == [(f"{KUBERNETES}/{action}", CLUSTER + scope, ASSIGNMENT, OID) for _, action, scope in cases]


@pytest.mark.slow
def test_only_what_azure_decides_in_a_cluster_is_use_of_a_role(tmp_path: Path) -> None:
    """Bindings, certificates and service accounts of the cluster are its own affair."""
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"annotations": {"authorization.k8s.io/reason": "RBAC: allowed by RoleBinding"}}, "other", "own_roles"),
        ({"user": {"username": "masterclient"}, "annotations": {}}, "other", "own_roles"),
        ({"user": {"username": "system:serviceaccount:shop:web"}, "annotations": {}}, "other", "own_roles"),
        (
            {"annotations": {"authorization.k8s.io/decision": "forbid"}, "responseStatus": {"code": 403}},
            "denied",
            "roles",
        ),
        ({"verb": "teleport"}, "succeeded", "unmapped"),
        ({"objectRef": {"resource": "../../etc", "namespace": "shop"}}, "succeeded", "unmapped"),
    ]  # fmt: skip
    records = [cluster_diagnostic(audit_event(**changes)) for changes, _, _ in cases]
    assert row_of_each(tmp_path, records, "outcome", "access") == [tuple(told) for _, *told in cases]


@pytest.mark.slow
def test_a_registry_names_who_pulled_by_an_id_of_unknown_kind(tmp_path: Path) -> None:
    """Names that are no ids are accounts of the registry itself."""
    cases: list[tuple[dict[str, Any], str, str, str]] = [
        ({}, "pull/read", "succeeded", "roles"),
        ({"OperationName": "Push"}, "push/write", "succeeded", "roles"),
        ({"OperationName": "Untag"}, "artifacts/delete", "succeeded", "roles"),
        ({"Identity": UPN, "ResultDescription": "401"}, "pull/read", "denied", "roles"),
        ({"Identity": "acr-admin"}, "pull/read", "other", "key"),
        ({"Identity": None}, "pull/read", "other", "anonymous"),
    ]
    found = row_of_each(tmp_path, [image_row(**changes) for changes, *_ in cases], *ACCESS, "scope", "principal_name")
    for row, (changes, operation, outcome, access) in zip(found, cases, strict=True):
        named = changes.get("Identity", OID) if access == "roles" else None
        action = f"Microsoft.ContainerRegistry/registries/{operation}"
        assert row == (action, outcome, access, "control", REGISTRY, named)


@pytest.mark.slow
def test_a_login_to_a_registry_needs_nothing_and_shows_who_comes_by_its_own_account(tmp_path: Path) -> None:
    table = {"Type": "ContainerRegistryLoginEvents", "Category": "ContainerRegistryLoginEvents"}
    identities = {OID: "none", UPN: "none", "acr-admin": "key"}
    logins = [image_row(OperationName="Login", Identity=one, Repository=None, **table) for one in identities]
    assert row_of_each(tmp_path, logins, *ACCESS) == [("Login", "other", one, "data") for one in identities.values()]


@pytest.mark.nightly
def test_databases_have_roles_of_their_own(tmp_path: Path) -> None:
    """They are flagged and not mapped: no Azure role let these through."""
    assert accesses(tmp_path, item_row(), statement_row(), item_row(AuthTokenType="PrimaryMasterKey")) == [
        ("Query", "other", "own_roles", "data"),
        ("BATCH COMPLETED", "other", "own_roles", "data"),
        ("Query", "other", "key", "data"),
    ]
    (event,) = events_of_records(tmp_path, item_row())
    assert (event["scope"], event["principal_id"], event["correlation_id"]) == (COSMOS, OID, CALL)


@pytest.mark.slow
def test_one_id_for_many_requests_does_not_make_them_one(tmp_path: Path) -> None:
    """What was asked for tells them apart."""
    other = vault_row(RequestUri="https://kv.vault.azure.net/secrets/other?api-version=7.4")
    assert len(events_of_records(tmp_path, vault_row(), vault_row(), other)) == 2
