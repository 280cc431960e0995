"""The directory audit log: the same event from every shape, its required action, and PIM records."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.rules.tables import rows_of
from tests.ingest.parsing import events_of, events_of_records, rejects_of, row_of_each, staged, write_lines

ADMIN = "11111111-0000-4000-8000-000000000001"
TARGET = "22222222-0000-4000-8000-000000000002"
ROLE = "33333333-0000-4000-8000-000000000003"
UNIT = "44444444-0000-4000-8000-000000000004"
USER_ADMINISTRATOR = "fe930be7-5e62-47db-91af-98c3a49a38b1"


def graph_record(activity: str = "Delete user", **changes: Any) -> dict[str, Any]:
    return {
        "id": "Directory_1",
        "category": "UserManagement",
        "correlationId": "c-1",
        "result": "success",
        "resultReason": "",
        "activityDisplayName": activity,
        "activityDateTime": "2026-03-04T05:06:07.1234567Z",
        "loggedByService": "Core Directory",
        "operationType": "Delete",
        "initiatedBy": {"user": {"id": ADMIN, "userPrincipalName": "ada@example.org"}, "app": None},
        "targetResources": [{"id": TARGET, "type": "User", "modifiedProperties": []}],
        "additionalDetails": [],
    } | changes


def diagnostic_record(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": record["activityDateTime"],
        "resourceId": "/tenants/x/providers/Microsoft.aadiam",
        "operationName": record["activityDisplayName"],
        "category": "AuditLogs",
        "correlationId": record["correlationId"],
        "resultSignature": "None",
        "properties": record,
    }


def table_row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "TimeGenerated": record["activityDateTime"],
        "Type": "AuditLogs",
        "Id": record["id"],
        "OperationName": record["activityDisplayName"],
        "Category": record["category"],
        "CorrelationId": record["correlationId"],
        "LoggedByService": record["loggedByService"],
        "Result": record["result"],
        "InitiatedBy": json.dumps(record["initiatedBy"]),
        "TargetResources": json.dumps(record["targetResources"]),
        "AdditionalDetails": json.dumps(record["additionalDetails"]),
    }


def write_csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path = folder / "export.csv"
    path.write_text("\ufeff" + text.getvalue().replace("TimeGenerated", "TimeGenerated [UTC]", 1))
    return path


@pytest.mark.nightly
def test_every_shape_of_a_record_gives_the_same_event(tmp_path: Path) -> None:
    record = graph_record()
    page = tmp_path / "page.json"
    page.write_text(json.dumps({"@odata.context": "https://x/$metadata#auditLogs/directoryAudits", "value": [record]}))
    found = [
        events_of(page),
        events_of_records(tmp_path, diagnostic_record(record)),
        events_of_records(tmp_path, table_row(record)),
        events_of(write_csv(tmp_path, [table_row(record)])),
    ]
    assert all(events == found[0] for events in found[1:])
    (event,) = found[0]
    assert event["operation"] == "microsoft.directory/users/delete"
    assert (event["plane"], event["source"], event["scope"]) == ("directory", "entra_audit_log", "/")
    assert (event["principal_id"], event["principal_name"], event["outcome"]) == (ADMIN, "ada@example.org", "succeeded")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "actions"),
    [
        ([], ["users/basic/update"]),
        (["JobTitle"], ["users/basic/update"]),
        (["UserPrincipalName", "UsageLocation"], ["users/usageLocation/update", "users/userPrincipalName/update"]),
    ],
)
def test_changed_properties_decide_which_action_was_needed(
    tmp_path: Path, changed: list[str], actions: list[str]
) -> None:
    properties = [{"displayName": name, "newValue": "x"} for name in changed]
    targets = [{"id": TARGET, "type": "User", "modifiedProperties": properties}]
    events = events_of_records(tmp_path, graph_record("Update user", targetResources=targets))
    assert sorted(event["operation"] for event in events) == [f"microsoft.directory/{action}" for action in actions]


@pytest.mark.slow
def test_a_refusal_is_demand_and_any_other_failure_is_use(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"result": "failure", "resultReason": "Insufficient privileges to complete the operation."}, "denied"),
        ({"result": "failure", "resultReason": "Another object has the same value"}, "failed"),
        ({"result": "timeout"}, "started"),
        ({"initiatedBy": {"user": None, "app": None}}, "other"),
    ]
    found = row_of_each(tmp_path, [graph_record(**changes) for changes, _ in cases], "outcome")
    assert found == [(outcome,) for _, outcome in cases]


@pytest.mark.nightly
def test_one_request_for_two_objects_is_two_calls_and_two_records_of_one_role_change_are_one(tmp_path: Path) -> None:
    other = [{"id": ROLE, "type": "User", "modifiedProperties": []}]
    two = [graph_record(id="1"), graph_record(id="2", targetResources=other)]
    assert len(events_of_records(tmp_path, *two)) == 2
    twice = [
        graph_record("Add member to role", id="3", loggedByService="PIM"),
        graph_record(
            "Add member to role in PIM completed (permanent)", id="4", loggedByService="PIM", targetResources=other
        ),
    ]
    (event,) = events_of_records(tmp_path, *twice)
    assert event["operation"] == "microsoft.directory/roleAssignments/allProperties/allTasks"


@pytest.mark.slow
def test_the_unit_of_the_target_and_the_application_itself_are_the_scope(tmp_path: Path) -> None:
    in_unit = [{"id": TARGET, "type": "User", "administrativeUnits": [{"id": UNIT}]}]
    application = [{"id": TARGET, "type": "Application"}]
    events = events_of_records(
        tmp_path,
        graph_record(id="1", targetResources=in_unit),
        graph_record("Update application", id="2", targetResources=application),
    )
    assert sorted(event["scope"] for event in events) == [f"/{TARGET}", f"/administrativeUnits/{UNIT}"]


@pytest.mark.nightly
def test_what_no_rule_knows_is_kept_counted_and_told(tmp_path: Path) -> None:
    records = [
        graph_record("Tidy the shelf", id="1"),
        graph_record("Change user password", id="2", correlationId="c-2"),
    ]
    path = write_lines(tmp_path, records)
    _, report = staged(path)
    assert any("`Core Directory/Tidy the shelf`, which has no rule" in note for note in report.notes)
    assert {(event["operation"], event["outcome"]) for event in events_of(path)} == {
        ("unmapped/Core Directory/Tidy the shelf", "other"),
        ("Core Directory/Change user password", "other"),
    }


@pytest.mark.slow
def test_records_of_an_activation_are_kept_with_its_window(tmp_path: Path) -> None:
    details = [
        {"key": "RoleDefinitionOriginId", "value": USER_ADMINISTRATOR},
        {"key": "StartTime", "value": "2026-03-04T05:06:07Z"},
        {"key": "ExpirationTime", "value": "2026-03-04T09:06:07Z"},
        {"key": "Justification", "value": "On call."},
    ]
    record = graph_record(
        "Add member to role completed (PIM activation)",
        category="RoleManagement",
        loggedByService="PIM",
        additionalDetails=details,
    )
    con, _ = staged(write_lines(tmp_path, [diagnostic_record(record)]))
    columns = "step, plane, principal_id, role_definition_id, end_on - start_on, justified"
    (row,) = con.execute(f"SELECT {columns} FROM stage_pim_records").fetchall()
    assert row[:4] == ("activated", "directory", TARGET, USER_ADMINISTRATOR)
    assert (row[4].total_seconds(), row[5]) == (4 * 3600, True)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "broken",
    [
        {"activityDateTime": "yesterday", "time": None},
        {"activityDateTime": "0001-01-01T00:00:00Z"},
        {"correlationId": None, "id": None},
        {"activityDisplayName": None},
    ],
)
def test_a_record_that_cannot_be_used_is_rejected_and_the_others_count(tmp_path: Path, broken: dict[str, Any]) -> None:
    path = write_lines(tmp_path, [graph_record(**broken), graph_record(id="2")])
    assert [line for line, _, _ in rejects_of(path)] == [1]
    assert len(events_of(path)) == 1


NESTED = ("targetResources", "initiatedBy", "additionalDetails")
HOSTILE: tuple[Any, ...] = ("", "[[[", "{", 7, None, [], {}, [None], [7], [{"id": 7}], "\u202e")


@pytest.mark.nightly
def test_hostile_nested_values_lose_no_record(tmp_path: Path) -> None:
    """Each stands in a file of its own with a plain record, and of each file two records are events or rejects."""
    paths = []
    for number, (nested, value) in enumerate(itertools.product(NESTED, HOSTILE)):
        one = graph_record(**{nested: value}, id=f"{number}-1", correlationId=f"{number}-1")
        other = graph_record(id=f"{number}-2", correlationId=f"{number}-2")
        paths.append(write_lines(tmp_path, [one, other], f"{number}"))
    assert len(events_of(*paths)) + len(rejects_of(*paths)) == 2 * len(paths)
    con, _ = staged(*paths)
    kept = "SELECT file_id FROM stage_event_rows UNION ALL SELECT file_id FROM stage_rejects"
    records = con.execute(f"SELECT count(*) FROM ({kept}) GROUP BY file_id").fetchall()
    assert records == [(2,)] * len(paths)


def test_every_rule_says_an_action_or_why_there_is_none_and_where_that_comes_from() -> None:
    for row in rows_of("log_directory_audit"):
        assert bool(row["action"]) != bool(row["reason"])
        assert row["action"].startswith("microsoft.directory/") or not row["action"]
        assert row["source"].startswith("Microsoft Learn: ")


@pytest.mark.slow
def test_rules_name_actions_that_the_published_roles_have(shared_data: Path) -> None:
    path = shared_data / "entra" / "directory-roles.json"
    roles = json.loads(path.read_text())
    have = {action["AuthorizedResourceAction"] for role in roles for action in role["RolePermissions"]}
    assert {row["action"] for row in rows_of("log_directory_audit") if row["action"]} <= have


@pytest.mark.nightly
def test_the_real_audit_records_are_all_mapped(shared_data: Path) -> None:
    """Of 25 real records 22 need a resource action and three none."""
    paths = sorted((shared_data / "logs").glob("Azure_Audit__*.jsonl"))
    _, report = staged(*paths, shared_data / "logs" / "otrf_AADAuditEvents.json")
    assert any(
        "22 records needed a resource action, 3 needed none, 0 have an activity without a rule" in note
        for note in report.notes
    )


@pytest.mark.slow
def test_a_role_that_somebody_gave_is_known_with_its_holder(tmp_path: Path) -> None:
    """By the role's template, which listings name, too; a removal gives nothing."""
    properties = [
        {"displayName": "Role.ObjectID", "oldValue": None, "newValue": f'"{ROLE}"'},
        {"displayName": "Role.TemplateId", "oldValue": None, "newValue": f'"{USER_ADMINISTRATOR.upper()}"'},
    ]
    targets = [{"id": TARGET, "type": "User", "modifiedProperties": properties}, {"id": ROLE, "type": "Role"}]
    by_pim = [{"id": ROLE, "type": "Role"}, {"id": TARGET, "type": "User"}]
    records = [
        graph_record("Add member to role", id="1", correlationId="c-1", targetResources=targets),
        graph_record("Remove member from role", id="2", correlationId="c-2", targetResources=targets),
        graph_record(
            "Add member to role in PIM completed (permanent)", id="3", correlationId="c-3", loggedByService="PIM",
            targetResources=by_pim, additionalDetails=[{"key": "TemplateId", "value": USER_ADMINISTRATOR}],
        ),
    ]  # fmt: skip
    con, _ = staged(write_lines(tmp_path, records))
    rows = con.execute(
        "SELECT correlation_id, assigned_role_id, assigned_principal_id FROM stage_request_rows "
        "JOIN stage_event_rows USING (event_key) ORDER BY 1"
    ).fetchall()
    assert rows == [("c-1", USER_ADMINISTRATOR, TARGET), ("c-3", USER_ADMINISTRATOR, TARGET)]


@pytest.mark.slow
def test_a_consent_is_known_with_its_application_and_all_that_it_grants(tmp_path: Path) -> None:
    """The target is the resource; the application stands among the properties, in the form of a real record."""

    def consented(number: int, new: str | None, whom: str | None = "AllPrincipals") -> dict[str, Any]:
        properties = [
            {"displayName": "DelegatedPermissionGrant.Scope", "oldValue": '"User.Read"', "newValue": new},
            {"displayName": "DelegatedPermissionGrant.ConsentType", "newValue": whom and f'"{whom}"'},
            {"displayName": "ServicePrincipal.ObjectID", "oldValue": None, "newValue": f'"{TARGET.upper()}"'},
        ]
        targets = [{"id": ROLE, "type": "ServicePrincipal", "modifiedProperties": properties}]
        name = "Add delegated permission grant"
        return graph_record(name, id=f"{number}", correlationId=f"c-{number}", targetResources=targets)

    records = [consented(1, '" User.Read  Mail.ReadWrite User.Read"'), consented(2, '"User.Read"', "Principal")]
    records += [consented(3, None), consented(4, '"User.Read"', None)]
    con, _ = staged(write_lines(tmp_path, records))
    rows = con.execute(
        "SELECT correlation_id, assigned_role_id, assigned_principal_id FROM stage_request_rows "
        "JOIN stage_event_rows USING (event_key) ORDER BY 1"
    ).fetchall()
    assert rows == [
        ("c-1", "allprincipals mail.readwrite user.read", TARGET),
        ("c-2", "principal user.read", TARGET),
        ("c-3", None, TARGET),
        ("c-4", None, TARGET),
    ]


@pytest.mark.nightly
def test_every_shape_names_the_same_objects(tmp_path: Path) -> None:
    """The member, the group and the changed properties are kept of changes that may leave access behind."""
    changed = [{"displayName": "Group.ObjectID", "oldValue": None, "newValue": f'"{UNIT}"'}]
    targets = [
        {"id": TARGET.upper(), "type": "User", "userPrincipalName": "eve@x.example", "modifiedProperties": changed},
        {"id": UNIT, "type": "Group", "displayName": "Owners", "modifiedProperties": []},
    ]
    record = graph_record("Add member to group", targetResources=targets)
    page = tmp_path / "page.json"
    page.write_text(json.dumps({"@odata.context": "https://x/$metadata#auditLogs/directoryAudits", "value": [record]}))
    paths = [page, write_lines(tmp_path, [diagnostic_record(record), graph_record("Update user")], "lines"),
             write_csv(tmp_path, [table_row(record)])]  # fmt: skip
    columns = "activity, object_id, object_type, object_name, other_id, other_type, other_name, properties"
    found = [staged(path)[0].execute(f"SELECT {columns} FROM stage_changed_objects").fetchall() for path in paths]
    assert found[1:] == found[:1] * 2
    ((*named, properties),) = found[0]
    assert named == ["add member to group", TARGET, "User", "eve@x.example", UNIT, "Group", "Owners"]
    assert json.loads(properties) == [{"name": "Group.ObjectID", "old": None, "new": f'"{UNIT}"'}]
