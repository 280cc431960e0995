"""Directory roles, their assignments, and requests to Privileged Identity Management."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import (
    AZURE_REQUEST,
    DIRECTORY_GRANT,
    DIRECTORY_ROLE,
    DOCUMENTS,
    PUBLISHED_ROLE,
    arm,
    guid,
    stage_document,
)


def _rows(folder: Path, form: str, table: str, columns: str) -> list[tuple[Any, ...]]:
    name, _, document = DOCUMENTS[form]
    return stage_document(folder, document, name).con.execute(f"SELECT {columns} FROM stage_{table}").fetchall()


@pytest.mark.parametrize(
    ("form", "state", "identifier"),
    [
        ("directory assignments", "active", "aB-1"),
        ("directory eligibilities", "eligible", "aB-1"),
        ("directory activations", "activated", "xY-2"),
    ],
)
def test_an_assignment_says_its_state_and_keeps_the_capitals_of_its_id(
    tmp_path: Path, form: str, state: str, identifier: str
) -> None:
    rows = _rows(tmp_path, form, "directory_role_assignments", "state, role_assignment_id, principal_id, scope")
    assert rows == [(state, identifier, guid(2), "/")]


@pytest.mark.slow
def test_actions_that_hold_of_some_objects_only_are_kept_apart(tmp_path: Path) -> None:
    columns = "directory_role_id, actions, conditional_actions, inherits, is_enabled"
    assert _rows(tmp_path, "directory roles", "directory_roles", columns) == [
        (
            guid(3),
            ["microsoft.directory/users/delete"],
            ["microsoft.directory/users/basic/update"],
            [guid(4)],
            True,
        )
    ]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("form", "plane", "asks_for", "scope"),
    [
        ("activation requests", "control", "assignment", "/subscriptions/11111111-1111-4111-8111-111111111111"),
        ("eligibility requests", "control", "eligibility", "/subscriptions/11111111-1111-4111-8111-111111111111"),
        ("directory activation requests", "directory", "assignment", "/"),
        ("directory eligibility requests", "directory", "eligibility", "/"),
        ("group activation requests", "group", "assignment", f"/groups/{guid(11)}"),
        ("group eligibility requests", "group", "eligibility", f"/groups/{guid(11)}"),
    ],
)
def test_a_request_says_what_it_asks_for_and_how_long(
    tmp_path: Path, form: str, plane: str, asks_for: str, scope: str
) -> None:
    rows = _rows(tmp_path, form, "schedule_requests", "plane, asks_for, scope, principal_id, end_on - start_on")
    ((*known, lasts),) = rows
    assert known == [plane, asks_for, scope, guid(2)]
    assert lasts.total_seconds() == 4 * 3600


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("duration", "hours"),
    [("PT8H", 8), ("P1DT30M", 24.5), ("PT90M", 1.5), ("P1D", 24), ("PT5S", 5 / 3600), ("8 hours", None), ("", None)],
)
def test_durations_are_read_as_iso_8601_writes_them(tmp_path: Path, duration: str, hours: float | None) -> None:
    schedule = {"startDateTime": "2026-01-05T08:00:00Z", "expiration": {"duration": duration}}
    document = arm("roleAssignmentScheduleRequests", guid(6), AZURE_REQUEST | {"scheduleInfo": schedule})
    staged = stage_document(tmp_path, document)
    ((lasts,),) = staged.con.execute("SELECT end_on - start_on FROM stage_schedule_requests").fetchall()
    assert (None if lasts is None else lasts.total_seconds() / 3600) == (
        None if hours is None else pytest.approx(hours)
    )


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    "broken",
    [
        {**DIRECTORY_GRANT, "principalId": None},
        {**DIRECTORY_GRANT, "roleDefinitionId": 7},
        {**DIRECTORY_ROLE, "rolePermissions": [7]},
        {**DIRECTORY_ROLE, "isBuiltIn": "yes"},
        {**PUBLISHED_ROLE, "RolePermissions": [{"AuthorizedResourceAction": 7}]},
        {**PUBLISHED_ROLE, "RoleId": ""},
        arm("roleAssignmentScheduleRequests", guid(6), {**AZURE_REQUEST, "principalId": ""}),
    ],
)
def test_a_record_of_no_use_is_rejected(tmp_path: Path, broken: dict[str, Any]) -> None:
    assert len(stage_document(tmp_path, [broken]).con.execute("SELECT * FROM stage_rejects").fetchall()) == 1


@pytest.mark.slow
def test_the_published_roles_are_all_read(shared_data: Path, tmp_path: Path) -> None:
    con = stage_document(tmp_path, json.loads((shared_data / "entra" / "directory-roles.json").read_text())).con
    assert con.execute("SELECT count(*), count(DISTINCT directory_role_id) FROM stage_directory_roles").fetchall() == [
        (145, 145)
    ]
