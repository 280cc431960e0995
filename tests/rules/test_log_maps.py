"""The maps from log operations to permissions are complete, by the documentation and by the catalogue."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from rightsize.model.text import fold
from rightsize.rules.operations import annotate, first_match
from rightsize.rules.tables import rows_of

OPERATIONS = Path(__file__).resolve().parents[3] / "shared/data/catalog/operations.csv"
LOGS = ("storage_log", "key_vault_log", "messaging_log", "aks_audit_log", "registry_log")

# Microsoft Learn, "Azure Key Vault logging", operation names table.
VAULT = {
    "Key": "Create Get Import Delete Sign Verify Wrap Unwrap Encrypt Decrypt Update List ListVersions Purge Backup "
    "Restore Recover GetDeleted ListDeleted NearExpiryEventGridNotification ExpiredEventGridNotification",
    "Secret": "Set Get Update Delete List ListVersions Purge Backup Restore Recover GetDeleted ListDeleted "
    "NearExpiryEventGridNotification ExpiredEventGridNotification",
    "Certificate": "Get Create Import Update List ListVersions Delete Purge Backup Restore Recover GetDeleted "
    "ListDeleted PolicyGet PolicyUpdate PolicySet ContactsGet ContactsSet ContactsDelete IssuerGet IssuerSet "
    "IssuerUpdate IssuerDelete IssuersList Enroll Renew PendingGet PendingMerge PendingUpdate PendingDelete "
    "NearExpiryEventGridNotification ExpiredEventGridNotification",
    "Vault": "Get Put Delete Patch List Purge Recover GetDeleted ListDeleted AccessPolicyChangedEventGridNotification",
    "Authentication": "",
}
# Microsoft Learn, monitoring data references of Service Bus, Event Hubs and Container Registry.
MESSAGES = "ConnectionOpen Authorization SendMessage ReceiveMessage PeekLockMessage"
IMAGES = "Pull Push Untag Delete PurgeTag PurgeManifest"


def is_ruled(service: str, operation: str) -> bool:
    """Tell whether a rule answers for an operation of a log."""
    patterns = [row["operation"] for row in rows_of("log_request_operations") if row["service"] == service]
    return first_match(pl.Series([fold(operation)]), patterns).item() is not None


@pytest.mark.parametrize("kind", VAULT)
def test_every_documented_operation_of_a_vault_has_a_rule(kind: str) -> None:
    names = [kind + verb for verb in VAULT[kind].split() or [""]]
    assert [name for name in names if not is_ruled("key_vault", name)] == []


def test_every_documented_operation_of_messages_and_images_has_a_rule() -> None:
    for service, names in (("service_bus", MESSAGES), ("event_hubs", MESSAGES), ("registry", IMAGES)):
        assert [name for name in names.split() if not is_ruled(service, name)] == []


def test_services_with_roles_of_their_own_are_declared_as_such() -> None:
    declared = {row["service"]: row["access"] for row in rows_of("log_request_operations") if row["operation"] == "*"}
    assert declared == {"cosmos": "own_roles", "sql": "own_roles"}


def test_a_rule_says_either_which_permission_or_why_none() -> None:
    for row in rows_of("log_request_operations"):
        assert bool(row["action"]) == (row["access"] == "roles")
        assert row["plane"] in (("control", "data") if row["action"] else ("",))
        assert row["level"] in ("object", "resource")


@pytest.fixture(scope="module")
def catalogue() -> pl.DataFrame:
    if not OPERATIONS.exists():
        pytest.skip("the catalogue of operations is not beside the project")
    with OPERATIONS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    flags = [{"true": True, "false": False}.get(row["is_data_action"].lower()) for row in rows]
    return pl.DataFrame(
        {"operation": [row["operation"] for row in rows], "is_data_action": flags},
        schema_overrides={"is_data_action": pl.Boolean},
    )


def _mapped() -> set[str]:
    names = [row["action"] for name in ("log_request_operations", "log_storage_operations") for row in rows_of(name)]
    return {fold(name) for name in (*names, *(row["alternative"] for row in rows_of("log_alternatives"))) if name}


def _is_of_kubernetes(action: str) -> bool:
    """Tell whether some verb of Kubernetes makes a data action of a cluster."""
    steps = action.split("/")[2:]
    suffix = "/".join(steps[-2:]) if steps[-1] == "action" else steps[-1]
    suffixes = {row["suffix"] for row in rows_of("log_kubernetes_verbs")}
    groups = {row["api_group"] for row in rows_of("log_kubernetes_groups")}
    return (suffix in suffixes or steps[-3:] == ["pods", "exec", "action"]) and (
        "." not in steps[0] or steps[0] in groups
    )


@pytest.mark.slow
def test_what_a_log_is_said_to_show_some_operation_of_it_maps_to(catalogue: pl.DataFrame) -> None:
    """Else it would be called unused though no record could ever show it."""
    shown = annotate(catalogue).filter(pl.col("observable_by").is_in(LOGS))
    lost = [
        operation
        for operation, log in shown.select("operation", "observable_by").iter_rows()
        if (not _is_of_kubernetes(fold(operation)) if log == "aks_audit_log" else fold(operation) not in _mapped())
    ]
    assert shown.height > 300
    assert lost == []


def test_the_maps_name_only_permissions_that_azure_has(catalogue: pl.DataFrame) -> None:
    known = {fold(name) for name in catalogue["operation"]}
    assert sorted(_mapped() - known) == []


def test_what_a_resource_logs_is_said_of_every_operation_that_its_log_shows(catalogue: pl.DataFrame) -> None:
    """The two rule files that speak of it agree."""
    annotated = annotate(catalogue).filter(pl.col("observable_by").is_in(LOGS))
    for plane in ("control", "data"):
        rows = [row for row in rows_of("resource_logs") if row["plane"] == plane]
        of_plane = annotated.filter(pl.col("is_data_action") == (plane == "data"))
        names = pl.Series([fold(name) for name in of_plane["operation"]])
        found = first_match(names, [row["pattern"] for row in rows])
        logs = pl.Series([row["log"] for row in rows]).gather(found)
        assert of_plane.filter(logs.ne_missing(of_plane["observable_by"]))["operation"].to_list() == []
