"""Role assignments, PIM instances, definitions and deny assignments: their rows, and the rejected records."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.ingest.entities import ENTITY_SHAPES
from tests.examples import FEW
from tests.ingest.entity_records import (
    ACTIVATION,
    BLOCK,
    DENY,
    DOCUMENTS,
    ELIGIBILITY,
    FLAT_ASSIGNMENT,
    FLAT_ROLE,
    GRANT,
    ROLE_INPUT,
    SUB,
    arm,
    guid,
    stage_document,
    stage_files,
)

_GRANT_COLUMNS = ("role_assignment_id", "state", "principal_id", "role_definition_id", "scope")


def _changed(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    properties = record["properties"] | {key: value for key, value in changes.items() if value is not ...}
    for key, value in changes.items():
        if value is ...:
            properties.pop(key)
    return record | {"properties": properties}


@pytest.mark.slow
def test_flat_and_nested_assignments_give_the_same_grant(tmp_path: Path) -> None:
    nested = arm("roleAssignments", guid(1), GRANT)
    for document in ([FLAT_ASSIGNMENT], {"value": [nested]}):
        staged = stage_document(tmp_path, document)
        assert staged.rows("role_assignments", *_GRANT_COLUMNS) == [(guid(1), "active", guid(2), guid(3), SUB)]


@pytest.mark.slow
def test_times_lose_their_offset_by_conversion(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [FLAT_ASSIGNMENT])
    assert staged.rows("role_assignments", "created_on") == [dt.datetime(2025, 3, 1, 8)]


@pytest.mark.slow
def test_a_time_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [FLAT_ASSIGNMENT | {"createdOn": "some day"}])
    assert staged.rows("role_assignments", "created_on") == [None]


@pytest.mark.slow
def test_an_empty_name_stays_empty_and_an_absent_one_null(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [FLAT_ASSIGNMENT | {"principalName": ""}, {"id": "x", **GRANT}])
    assert staged.rows("role_assignments", "principal_name") == ["", None]


@pytest.mark.slow
@pytest.mark.many(2)
@pytest.mark.parametrize(
    ("key", "column", "written", "kept"),
    [
        ("scope", "scope", "/", "/"),
        ("scope", "scope", f"{SUB}/", SUB),
        ("scope", "scope", f" {SUB}/resourceGroups/RG ", f"{SUB}/resourceGroups/RG"),
        ("scope", "scope", "//", "/"),
        ("principalId", "principal_id", guid(2).upper(), guid(2)),
        ("principalId", "principal_id", guid(2).replace("-", ""), guid(2)),
        ("principalId", "principal_id", "principalId1", "principalid1"),
        ("principalId", "principal_id", "ÄB", "Äb"),
    ],
)
def test_scopes_keep_their_spelling_and_ids_are_folded_and_dashed(
    key: str, column: str, written: str, kept: str, tmp_path: Path
) -> None:
    """A scope loses its slash at the end."""
    staged = stage_document(tmp_path, [FLAT_ASSIGNMENT | {key: written}])
    assert staged.rows("role_assignments", column) == [kept]


@pytest.mark.slow
@pytest.mark.many(5)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"principalId": None}, "it has no `principalId`"),
        ({"principalId": "  "}, "it has no `principalId`"),
        ({"principalId": 5}, "`principalId` is not a string"),
        ({"principalId": {"a": 1}}, "`principalId` is not a string"),
        ({"roleDefinitionId": None}, "it has no `roleDefinitionId`"),
        ({"roleDefinitionId": "/"}, "it has no `roleDefinitionId`"),
        ({"scope": None}, "it has no `scope`"),
        ({"scope": ""}, "it has no `scope`"),
        ({"scope": "everywhere"}, "`scope` is not a resource id"),
        ({"scope": [SUB]}, "`scope` is not a resource id"),
        ({"name": None, "id": None}, "it has no `name`"),
        ({"condition": ["a"]}, "`condition` is not a string"),
        ({"createdOn": 12}, "`createdOn` is not a string"),
    ],
)
def test_an_assignment_that_lacks_something_is_rejected(change: Any, reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [FLAT_ASSIGNMENT, FLAT_ASSIGNMENT | change, FLAT_ASSIGNMENT])
    assert staged.rejects == [(2, reason)]
    assert len(staged.rows("role_assignments", "line")) == 2
    assert [(file.read, file.rejected) for file in staged.report.files] == [(3, 1)]


@pytest.mark.slow
def test_a_rejected_record_is_kept_as_text(tmp_path: Path) -> None:
    bad = FLAT_ASSIGNMENT | {"scope": None, "description": "x" * 100_000}
    staged = stage_document(tmp_path, [FLAT_ASSIGNMENT, bad])
    (raw,) = staged.rows("rejects", "raw")
    assert raw.startswith("{") and len(raw) == 65_536


@pytest.mark.slow
def test_an_eligibility_goes_by_the_name_of_its_instance(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [ELIGIBILITY]})
    assert staged.rows("role_assignments", *_GRANT_COLUMNS) == [(guid(6), "eligible", guid(2), guid(3), SUB)]
    assert staged.rows("role_assignments", "start_on", "end_on") == [(dt.datetime(2025, 1, 1), None)]


@pytest.mark.slow
def test_an_activation_goes_by_its_assignment_and_names_its_eligibility(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [ACTIVATION]})
    columns = ("role_assignment_id", "state", "eligibility_id", "end_on", "member_type")
    assert staged.rows("role_assignments", *columns) == [
        (guid(70), "activated", guid(6), dt.datetime(2025, 1, 1, 16), "Direct")
    ]


@pytest.mark.slow
def test_an_instance_of_a_standing_assignment_is_active(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [_changed(ACTIVATION, assignmentType="assigned")]})
    assert staged.rows("role_assignments", "role_assignment_id", "state", "eligibility_id") == [
        (guid(70), "active", None)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"assignmentType": "Borrowed"}, "`assignmentType` is not one of: activated, assigned"),
        ({"assignmentType": ...}, "it has no `assignmentType`"),
        ({"endDateTime": "never"}, "`endDateTime` is not a time"),
    ],
)
def test_an_instance_that_could_be_misread_is_rejected(change: Any, reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [ACTIVATION, _changed(ACTIVATION, **change)]})
    assert staged.rejects == [(2, reason)]
    assert len(staged.rows("role_assignments", "line")) == 1


@pytest.mark.nightly
def test_role_definitions_of_all_forms_have_canonical_blocks(tmp_path: Path) -> None:
    nested = arm("roleDefinitions", guid(3), {"roleName": "Reader", "type": "BuiltInRole", "permissions": [BLOCK]})
    expected = json.dumps([{**BLOCK, "condition": None, "conditionVersion": None}], separators=(",", ":"))
    columns = ("role_definition_id", "role_name", "role_type", "permissions")
    for document in ([FLAT_ROLE], {"value": [nested]}, nested):
        staged = stage_document(tmp_path, document)
        assert staged.rows("role_definitions", *columns) == [(guid(3), "Reader", "BuiltInRole", expected)]
    staged = stage_document(tmp_path, ROLE_INPUT)
    assert staged.rows("role_definitions", *columns) == [(guid(4), "Mine", "CustomRole", expected)]


@pytest.mark.slow
@pytest.mark.many(2)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": None}, "neither its `name` nor its `id` identifies the role"),
        ({"permissions": "all"}, "are a string, not a list of permission blocks"),
        ({"permissions": [{"actions": [1]}]}, "is a number, not a string"),
        ({"updatedOn": 5}, "`updatedOn` is not a string"),
    ],
)
def test_a_damaged_definition_is_rejected_alone(change: Any, reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [FLAT_ROLE, FLAT_ROLE | change])
    ((line, said),) = staged.rejects
    assert line == 2 and reason in said
    assert staged.rows("role_definitions", "role_definition_id") == [guid(3)]


@pytest.mark.slow
def test_a_deny_assignment_has_sorted_principals(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [DENY]})
    columns = ("deny_assignment_id", "scope", "principal_ids", "exclude_principal_ids")
    assert staged.rows("deny_assignments", *columns) == [(guid(5), SUB, [guid(8), guid(9)], [])]
    flags = ("does_not_apply_to_child_scopes", "is_system_protected", "condition")
    assert staged.rows("deny_assignments", *flags) == [(True, False, None)]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scope": None}, "it has no `scope`"),
        ({"scope": "x"}, "`scope` is not a resource id"),
        ({"principals": [{"type": "User"}]}, "`principals` has a principal without an `id`"),
        ({"principals": "all"}, "`principals` is not a list of principals"),
        ({"doNotApplyToChildScopes": "no"}, "`donotapplytochildscopes` is not true or false"),
        ({"permissions": {}}, "not a list of permission blocks"),
    ],
)
def test_a_damaged_deny_is_rejected(change: Any, reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [DENY, _changed(DENY, **change)]})
    ((line, said),) = staged.rejects
    assert line == 2 and reason in said


@pytest.mark.slow
def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    name = '\'); DROP TABLE stage_principals; --\u0000\u202e<script>\n"$.x"'
    documents = [
        FLAT_ASSIGNMENT | {"principalName": name, "roleDefinitionName": name, "k\"e'y$[*]": name},
        FLAT_ASSIGNMENT,
    ]
    staged = stage_document(tmp_path, documents)
    assert staged.rows("role_assignments", "principal_name", "role_name")[0] == (name, name)
    staged = stage_document(tmp_path, [FLAT_ROLE | {"roleName": name}])
    assert staged.rows("role_definitions", "role_name") == [name]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "name", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_RECORDS = [record for _, _, document in DOCUMENTS.values() for record in [document] if isinstance(document, list)]


@pytest.mark.nightly
@given(data=st.data())
@FEW
def test_no_value_of_any_field_crashes_and_none_vanishes(data: st.DataObject, tmp_path_factory: Any) -> None:
    """Any JSON in any field of any flat listing: the record is staged or rejected, and the one before it always."""
    paths = []
    folder = tmp_path_factory.mktemp("fuzz")
    for number in range(10):
        (record,) = data.draw(st.sampled_from(_RECORDS))
        key = data.draw(st.sampled_from(sorted(record)))
        paths.append(folder / str(number) / f"members-{guid(11)}.json")
        paths[-1].parent.mkdir()
        paths[-1].write_text(json.dumps([record, record | {key: data.draw(_JSON)}]), encoding="utf-8")
    staged = stage_files(*paths)
    tables = {shape.source for shape in ENTITY_SHAPES}
    assert len(staged.report.files) == len(paths)
    for file in staged.report.files:
        assert file.read == 2
        assert file.source != "unknown"
        assert file.source in tables
    assert not [line for line, _ in staged.rejects if line == 1]


@pytest.mark.nightly
def test_real_access_files_are_read_whole(shared_data: Path) -> None:
    staged = stage_files(shared_data / "arm", shared_data / "catalog" / "built-in-roles.json")
    assert staged.rejects == []
    sources = {file.source for file in staged.report.files}
    assert sources == {
        "deny_assignments",
        "role_assignment_instances",
        "role_assignments",
        "role_definitions",
        "role_eligibility_instances",
        "unknown",
    }
    assert staged.con.execute(
        "SELECT state, count(*) FROM stage_role_assignments GROUP BY 1 ORDER BY 1"
    ).fetchall() == [
        ("active", 2),
        ("eligible", 1),
    ]
    assert len(staged.rows("role_definitions", "role_definition_id")) == 929
    assert staged.rows("deny_assignments", "principal_ids") == [["principalid1"]]
