"""Role assignments as `Get-AzRoleAssignment` writes them, as JSON and CSV, also saved again by Excel."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.model.errors import InputError
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths

SUB = "/subscriptions/60000000-0000-4000-8000-000000000000"
ID = "c0000000-0000-4000-8000-00000000000{}"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def _record(number: int, **columns: Any) -> dict[str, Any]:
    id_ = ID.format(number)
    return {
        "RoleAssignmentName": id_,
        "RoleAssignmentId": f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{id_}",
        "Scope": SUB,
        "DisplayName": "Anna Berg",
        "SignInName": "anna@contoso.example",
        "RoleDefinitionName": "Reader",
        "RoleDefinitionId": READER,
        "ObjectId": "10000000-0000-4000-8000-000000000000",
        "ObjectType": "User",
        "CanDelegate": False,
        "Description": None,
        "ConditionVersion": None,
        "Condition": None,
    } | columns


RECORDS = [
    _record(1),
    _record(2, SignInName=None, DisplayName="=cmd|'/c calc'!A1; \"x\"", ObjectType="ServicePrincipal"),
    _record(3, ObjectType="Unknown", DisplayName=None, SignInName=None),
    _record(4, Condition="((!(ActionMatches{'x'})))", ConditionVersion="2.0", Description="a, b\n<b>c</b>"),
    _record(5, Scope=None),
]


def _csv(delimiter: str, quoting: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\r\n")
    writer.writerow(RECORDS[0])
    writer.writerows(["" if value is None else str(value) for value in one.values()] for one in RECORDS)
    return text.getvalue().encode()


# The portal's download has the same columns; where its user may not read the directory, names and types are empty.
_PORTAL = [{name: "" if value is None else value for name, value in one.items()} for one in RECORDS]
_PORTAL[2] |= {"ObjectType": ""}

FORMS = {
    "portal.json": json.dumps(_PORTAL).encode(),
    "ConvertTo-Json.json": json.dumps(RECORDS).encode("utf-8-sig"),
    "Export-Csv.csv": _csv(",", csv.QUOTE_ALL),
    "Excel.csv": b"\xef\xbb\xbf" + _csv(";", csv.QUOTE_MINIMAL),
}


@pytest.fixture(params=sorted(FORMS))
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / request.param).write_bytes(FORMS[request.param])
    (row,) = load_paths(tmp_path / "s.duckdb", [str(tmp_path / request.param)]).rows
    assert (row.source, row.read, row.new, row.rejected) == ("role_assignments", 5, 4, 1)
    return tmp_path / "s.duckdb"


@pytest.mark.nightly
def test_each_form_gives_the_same_assignments(loaded: Path) -> None:
    """A name that nobody could read is none, and a type that Azure calls unknown is none."""
    with open_store(loaded, read_only=True) as store:
        rows = store.table("role_assignments").sort("role_assignment_id").to_dicts()
        reasons = store.table("rejects")["reason"].to_list()
    assert [row["role_assignment_id"] for row in rows] == [ID.format(number) for number in (1, 2, 3, 4)]
    assert {(row["state"], row["scope"], row["role_definition_id"]) for row in rows} == {("active", SUB, READER)}
    assert [row["principal_name"] for row in rows] == [
        "anna@contoso.example",
        "=cmd|'/c calc'!A1; \"x\"",
        None,
        "anna@contoso.example",
    ]
    assert [row["principal_type"] for row in rows] == ["User", "ServicePrincipal", None, "User"]
    assert [row["condition"] for row in rows] == [None, None, None, "((!(ActionMatches{'x'})))"]
    assert rows[3]["description"] == "a, b\n<b>c</b>"
    assert len(reasons) == 1 and "scope" in reasons[0].lower()


@pytest.mark.slow
def test_an_assignment_of_synapse_is_none_of_azure(tmp_path: Path) -> None:
    """It has the same ids, and a scope of its own."""
    path = tmp_path / "synapse.json"
    record = {"RoleAssignmentId": "x", "RoleDefinitionId": "y", "ObjectId": "z", "Scope": "workspaces/w"}
    path.write_text(json.dumps([record]), encoding="utf-8")
    with pytest.raises(InputError, match="cannot recognise"):
        load_paths(tmp_path / "s.duckdb", [str(path)])
