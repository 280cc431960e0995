"""Members of groups, role definitions and resources in the forms of PowerShell, the portal and Resource Graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.ingest.download_records import table
from tests.ingest.parsing import rejects_of, staged

GROUP = "50000000-0000-4000-8000-000000000000"
ANNA, DEPLOY, NESTED, PRINTER = (f"10000000-0000-4000-8000-00000000000{number}" for number in range(4))
KINDS = {ANNA: "user", DEPLOY: "servicePrincipal", NESTED: "group", PRINTER: "device"}
NAMES = {ANNA: "Anna Berg", DEPLOY: "=cmd|'/c calc'!A1", NESTED: "Team", PRINTER: "printer"}


def _of_graph(identifier: str) -> dict[str, Any]:
    named = {"userPrincipalName": "anna@contoso.example"} if identifier == ANNA else {}
    return {"@odata.type": f"#microsoft.graph.{KINDS[identifier]}", "displayName": NAMES[identifier], **named}


def _portal_row(identifier: str) -> list[str]:
    kind = {"servicePrincipal": "Service Principal"}.get(KINDS[identifier], KINDS[identifier].capitalize())
    return [identifier, "anna@contoso.example" if identifier == ANNA else "", NAMES[identifier], kind]


_POWERSHELL = [{"DeletedDateTime": None, "Id": one, "AdditionalProperties": _of_graph(one)} for one in KINDS]
_TYPE_NAME = "System.Collections.Generic.Dictionary`2[System.String,System.Object]"
FORMS = {
    "Graph.json": json.dumps([{"id": one, **_of_graph(one)} for one in KINDS]).encode(),
    "Get-MgGroupMember.json": json.dumps(_POWERSHELL).encode("utf-16"),
    "portal.csv": table(["Object ID", "User principal name", "Display name", "Member type"], map(_portal_row, KINDS)),
    "Excel.csv": b"\xef\xbb\xbfsep=;\r\n"
    + table(["Object ID", "User principal name", "Display name", "Member type"], map(_portal_row, KINDS), ";", 0),
}


def _loaded(path: Path, content: bytes) -> dict[str, Any]:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    db = path.parent.with_suffix(".duckdb")
    (row,) = load_paths(db, [path]).rows
    assert (row.source, row.read, row.rejected) == ("group_members", 4, 0)
    with open_store(db, read_only=True) as store:
        principals = store.table("principals").select("principal_id", "display_name", "user_principal_name")
        return {
            "members": sorted(store.table("group_members").rows()),
            "principals": sorted(principals.rows(), key=str),
            "complete": store.table("listings")["complete"].to_list(),
        }


@pytest.mark.nightly
@pytest.mark.parametrize("form", [form for form in FORMS if form != "Graph.json"])
def test_members_are_those_of_graph(form: str, tmp_path: Path) -> None:
    """The file's name has the group; a device is a member and no principal."""
    name = f"members-{GROUP}{Path(form).suffix}"
    found = _loaded(tmp_path / "a" / name, FORMS[form])
    assert found == _loaded(tmp_path / "b" / f"members-{GROUP}.json", FORMS["Graph.json"])
    assert [member for _, member, *_ in found["members"]] == list(KINDS) and len(found["principals"]) == 3


@pytest.mark.nightly
def test_a_table_of_powershell_has_the_ids_of_members(tmp_path: Path) -> None:
    rows = [["", one["Id"], _TYPE_NAME] for one in _POWERSHELL]
    found = _loaded(tmp_path / "a" / f"members-{GROUP}.csv", table(_POWERSHELL[0], rows))
    assert [(member, kind) for _, member, _, kind in found["members"]] == [(one, None) for one in KINDS]
    assert found["principals"] == []


@pytest.mark.slow
@pytest.mark.parametrize("form", [form for form in FORMS if form != "Graph.json"])
def test_members_of_no_named_group_are_rejected(form: str, tmp_path: Path) -> None:
    (tmp_path / form).write_bytes(FORMS[form])
    reasons = {reason for _, reason, _ in rejects_of(tmp_path / form)}
    assert len(reasons) == 1 and "name the file members-ID" in reasons.pop()


@pytest.mark.slow
def test_ids_and_times_that_excel_changed_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / f"members-{GROUP}.csv"
    path.write_bytes(table(["Object ID", "Member type"], [["1,23E+35", "User"], [ANNA, "User"]], ";", 0))
    assert [reason for _, reason, _ in rejects_of(path)] == [
        "`Object ID` is a number as Excel writes it (form 0.00E+00), and no id"
    ]
    path = tmp_path / "users.csv"
    columns = ["id", "displayName", "userPrincipalName", "createdDateTime"]
    path.write_bytes(table(columns, [[ANNA, "A", "a@b.example", "28.11.2026 14:03"], [DEPLOY, "D", "d@b.example", ""]]))
    assert [reason for _, reason, _ in rejects_of(path)] == [
        "`createdDateTime` is a date in a local form (00.00.0000 00:00), not in ISO 8601"
    ]


@pytest.mark.slow
def test_definitions_are_read_from_json_and_refused_in_a_table(tmp_path: Path) -> None:
    """Windows PowerShell wraps a list in an object with its length; a table has the types of lists in their place."""
    role = {
        "Name": "Key Reader", "Id": "21090545-7ca7-4776-b22c-e363652d74d2", "IsCustom": False, "Description": "",
        "Actions": ["Microsoft.KeyVault/*/read"], "NotActions": [], "DataActions": ["Microsoft.KeyVault/vaults/*/read"],
        "NotDataActions": [], "AssignableScopes": ["/"], "Condition": None, "ConditionVersion": None,
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps({"value": [role], "Count": 1}), encoding="utf-16")
    (tmp_path / "b.csv").write_bytes(
        b"#TYPE Microsoft.Azure.Commands.Resources.Models.Authorization.PSRoleDefinition\r\n"
        + table(
            role, [["System.Collections.Generic.List`1[System.String]" if x == [] else str(x) for x in role.values()]]
        )
    )
    con, report = staged(tmp_path / "a.json", tmp_path / "b.csv")
    assert [(file.source, file.read, file.rejected) for file in report.files] == [
        ("role_definitions", 1, 0),
        ("role_definitions", 1, 1),
    ]
    assert con.execute("SELECT role_name FROM stage_role_definitions").fetchall() == [("Key Reader",)]
    ((reason,),) = con.execute("SELECT reason FROM stage_rejects").fetchall()
    assert "ConvertTo-Json" in reason


@pytest.mark.slow
def test_an_answer_of_resource_graph_and_its_rows_are_the_same_resources(tmp_path: Path) -> None:
    """`az graph query` has its rows under `data`; with `--query data` it has the rows alone."""
    sub = "/subscriptions/60000000-0000-4000-8000-000000000000/resourceGroups/rg/providers"
    rows = [
        {"id": f"{sub}/Microsoft.KeyVault/vaults/v{number}", "name": f"v{number}", "location": "westeurope",
         "type": "microsoft.keyvault/vaults", "properties": {"enableRbacAuthorization": True}}
        for number in range(2)
    ]  # fmt: skip
    answer = {"count": 2, "data": rows, "skip_token": None, "total_records": 2}
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    con, report = staged(tmp_path / "answer.json", tmp_path / "rows.json")
    assert [(file.source, file.read, file.rejected) for file in report.files] == [("resources", 2, 0)] * 2
    names = [name for name, *_ in con.execute("DESCRIBE stage_resources").fetchall() if name != "file_id"]
    found = con.execute(f"SELECT {', '.join(names)}, count(*) FROM stage_resources GROUP BY ALL").fetchall()
    assert [row[-1] for row in found] == [2, 2]
