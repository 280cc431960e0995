"""Role and principal of an assignment, from the bodies of the calls that make and delete it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.model.text import fold
from tests.ingest.entity_records import stage_files
from tests.ingest.renderings import SHAPES, Call, diagnostic, write

ASSIGNMENT = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/Rg-1/providers/"
    "Microsoft.Authorization/roleAssignments/5c3d8b2f-0a1e-4b4c-9f32-7d8e3a2b1c44"
)
READER, SOMEBODY = "acdd72a7-3385-48ef-bd42-f606fba81ae7", "abcdabcd-1111-2222-3333-eeeeeeeeeeee"
WRITE = "Microsoft.Authorization/roleAssignments/write"


def body(role: object = READER, kind: object = "ServicePrincipal", **more: object) -> str:
    properties = {
        "PrincipalId": SOMEBODY.upper(),
        "PrincipalType": kind,
        "RoleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role}",
        **more,
    }
    return json.dumps({"Id": "5c3d8b2f", "Properties": properties})


def call(text: str, number: int = 1, **more: Any) -> Call:
    return Call(number, "started", operation=WRITE, resource=ASSIGNMENT, body=text, **more)


def staged(*paths: Path) -> list[tuple[Any, ...]]:
    return (
        stage_files(*paths)
        .con.execute(
            "SELECT lower(scope), assigned_role_id, assigned_type, assigned_principal_id FROM stage_request_rows "
            "JOIN stage_event_rows USING (file_id, line, event_key) ORDER BY file_id, line"
        )
        .fetchall()
    )


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_shows_what_was_asked_for(shape: str, tmp_path: Path) -> None:
    """The begin row has the body; the end row and calls of other operations give nothing."""
    calls = [
        call(body()),
        Call(1, "succeeded", operation=WRITE, resource=ASSIGNMENT),
        Call(2, body=body()),
    ]
    path = write(tmp_path, shape, calls)
    assert staged(path) == [(fold(ASSIGNMENT), READER, "ServicePrincipal", SOMEBODY)]


@pytest.mark.slow
def test_bodies_are_found_under_their_other_names(tmp_path: Path) -> None:
    """Answers write their keys small."""
    answer = {"properties": {"roleDefinitionId": f"/x/{READER.upper()}", "principalType": "user"}}
    paths = []
    for number, (spelling, as_text) in enumerate(
        [("requestBody", True), ("responseBody", False), ("responseBody", True)]
    ):
        record = diagnostic(call("", number))
        properties = record["properties"] | {spelling: json.dumps(answer)}
        record["properties"] = json.dumps(properties) if as_text else properties
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_text(json.dumps(record) + "\n", encoding="utf-8")
    assert staged(*paths) == [(fold(ASSIGNMENT), READER, "User", None)] * 3


@pytest.mark.slow
def test_only_a_request_names_the_type_that_a_condition_looks_at(tmp_path: Path) -> None:
    """The answer says when the assignment was made, and its type whether anybody asked for it or not."""
    answer = {"properties": {"roleDefinitionId": f"/x/{READER}", "principalType": "User", "createdOn": "2026-01-01"}}
    path = write(tmp_path, "diagnostic-lines", [call(body()), call(json.dumps(answer), 2)])
    rows = stage_files(path).rows("request_rows", "assigned_type", "asked_type")
    assert sorted(rows, key=str) == [("ServicePrincipal", "ServicePrincipal"), ("User", None)]


@pytest.mark.slow
def test_what_is_no_role_and_no_type_shows_nothing(tmp_path: Path) -> None:
    """Bodies are chosen by callers, so only a GUID and a known word are taken from them."""
    cases = [
        (body("not-a-guid"), (None, "ServicePrincipal")),
        (body(kind="Robot"), (READER, None)),
        (body(kind={"x": 1}), (READER, None)),
        (body(f"{READER}'}} OR true"), (None, "ServicePrincipal")),
        (json.dumps({"Properties": []}), (None, None)),
    ]
    path = write(tmp_path, "diagnostic-lines", [call(text, number) for number, (text, _) in enumerate(cases)])
    assert [row[1:3] for row in staged(path)] == [shown for _, shown in cases]


@pytest.mark.slow
def test_a_body_that_is_no_object_is_no_harm(tmp_path: Path) -> None:
    """The record itself counts as any other."""
    texts = ["{", "[]", "null", '"text"', "\\u0000"]
    rows = stage_files(write(tmp_path, "diagnostic-lines", [call(text, number) for number, text in enumerate(texts)]))
    assert {*rows.rows("request_rows", "assigned_role_id", "assigned_type")} <= {(None, None)}
    assert len(rows.rows("event_rows", "operation")) == len(texts)


@pytest.mark.slow
@pytest.mark.many(1)
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_show_the_identity_of_a_resource(shape: str, tmp_path: Path) -> None:
    """Of other calls only the principal of the resource's own identity is kept, and it is no holder of a role."""
    made = json.dumps({"identity": {"type": "SystemAssigned", "principalId": SOMEBODY.upper()}, "properties": {}})
    plain = json.dumps({"identity": {"type": "None"}, "properties": {"principalId": SOMEBODY}})
    machine = ASSIGNMENT.partition("/providers/")[0] + "/providers/Microsoft.Compute/virtualMachines/vm"
    kinds = {"operation": "Microsoft.Compute/virtualMachines/write", "resource": machine}
    path = write(tmp_path, shape, [Call(1, "started", body=made, **kinds), Call(2, "started", body=plain, **kinds)])
    con = stage_files(path).con
    assert con.execute("SELECT activity, object_id FROM stage_changed_objects").fetchall() == [
        ("microsoft.compute/virtualmachines/write", SOMEBODY)
    ]
    assert con.execute("SELECT count(*) FROM stage_request_rows").fetchall() == [(0,)]
