"""Downloads of the Activity Log are the events of the API, save for what they lack, and cover no day."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.entities.log_tables import PORTAL_COLUMNS
from rightsize.model.errors import InputError
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import digest_content
from rightsize.workflow.analysis.analyze import analyze_store
from rightsize.workflow.data.load import load_paths
from tests.ingest.download_records import (
    APPLICATION,
    CATALOGUE,
    SHOWN,
    portal_csv,
    portal_row,
    powershell_csv,
    powershell_event,
    provider,
    table,
)
from tests.ingest.parsing import events_of, rejects_of
from tests.ingest.renderings import STATUSES, Call, rest

CALLS = [
    Call(
        number,
        status,
        is_user=number % 2 == 0,
        time=dt.datetime(2025, 3, 4, 15, 6, number, 890000),
        has_evidence=False,
    )
    for number, status in enumerate([*STATUSES] * 2)
]
SAME = ("correlation_id", "source", "plane", "operation", "scope", "time")
OF_PERSON = (*SAME, "principal_type", "principal_name", "outcome")
WHOLE = (*OF_PERSON, "principal_id", "app_id", "event_id", "ip")


def _write(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def _api(folder: Path, calls: list[Call]) -> Path:
    return _write(folder, "api.json", json.dumps({"value": [rest(call) for call in calls]}).encode())


def _told(events: list[dict[str, Any]], names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return [tuple(event[name] for name in names) for event in events]


def _portal_saved(quoting: int, start: bytes) -> Callable[[list[Call]], bytes]:
    return lambda calls: start + table(PORTAL_COLUMNS, [portal_row(call) for call in calls], ";", quoting)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "form", [portal_csv, _portal_saved(csv.QUOTE_MINIMAL, b"\xef\xbb\xbf"), _portal_saved(csv.QUOTE_ALL, b"sep=;\r\n")]
)
def test_the_portal_shows_the_events_of_the_api(form: Callable[[list[Call]], bytes], tmp_path: Path) -> None:
    """It has no object ids, and of an application only a display name; a failure may be a refusal, so it is neither."""
    catalogue = _write(tmp_path, "catalogue.json", CATALOGUE)
    found = events_of(_write(tmp_path, "QueryResult.csv", form(CALLS)), catalogue)
    expected = events_of(_api(tmp_path, CALLS))
    assert _told(found, SAME) == _told(expected, SAME)
    for event, said in zip(found, expected, strict=True):
        if said["outcome"] in ("failed", "denied"):
            assert event["outcome"] == "other"
        elif said["principal_type"] == "User":
            assert _told([event], OF_PERSON) == _told([said], OF_PERSON)
        else:
            assert (event["principal_name"], event["principal_type"], event["principal_id"]) == (
                APPLICATION,
                None,
                None,
            )


@pytest.mark.slow
def test_a_row_that_was_accepted_shows_that_a_failure_was_no_refusal(tmp_path: Path) -> None:
    begun, refused = ("started", "accepted", "failed"), ("started", "failed")
    calls = [Call(2, status) for status in begun] + [Call(4, status) for status in refused]
    events = events_of(_write(tmp_path, "a.csv", portal_csv(calls)))
    assert [event["outcome"] for event in events] == ["failed", "other"]


@pytest.mark.nightly
def test_a_row_without_a_caller_or_of_another_category_is_no_use(tmp_path: Path) -> None:
    nobody = portal_row(CALLS[2])
    nobody[7] = ""
    policy = portal_row(Call(3, category="Policy"), "'audit' Policy action.")
    path = _write(tmp_path, "a.csv", table(PORTAL_COLUMNS, [nobody, policy]))
    (event,) = events_of(path)
    assert (event["outcome"], event["principal_name"], event["operation"]) == ("other", None, SHOWN)
    assert rejects_of(path) == []


FORMS: dict[str, Callable[[list[Call]], bytes]] = {
    "7.json": lambda calls: json.dumps([powershell_event(call) for call in calls]).encode("utf-8-sig"),
    "5.1.json": lambda calls: json.dumps(
        {"value": [powershell_event(call, windows=True) for call in calls], "Count": len(calls)}
    ).encode("utf-16"),
    "lines.json": lambda calls: b"\n".join(json.dumps(powershell_event(call)).encode() for call in calls),
    "table.csv": powershell_csv,
}


@pytest.mark.nightly
@pytest.mark.parametrize("form", FORMS)
def test_powershell_shows_the_events_of_the_api(form: str, tmp_path: Path) -> None:
    """It has claims, the permission and the code of an error; of a table the codes in its texts are read, too."""
    found = events_of(_write(tmp_path, form, FORMS[form](CALLS)))
    assert _told(found, WHOLE) == _told(events_of(_api(tmp_path, CALLS)), WHOLE)


@pytest.mark.nightly
def test_powershell_without_details_has_the_permission(tmp_path: Path) -> None:
    """Words with translations, values that a small depth cut off, and no claims."""
    event = powershell_event(CALLS[2])
    event |= {"Claims": {"Content": None}, "Properties": {"Content": "System.Collections.Generic.Dictionary`2"}}
    event["Status"] = {"Value": "Succeeded", "LocalizedValue": "Erfolgreich"}
    event["OperationName"] = {"Value": "", "LocalizedValue": "Virtuellen Computer erstellen"}
    event |= {"ResourceId": None, "EventDataId": None, "Id": None}
    (found,) = events_of(_write(tmp_path, "a.json", json.dumps(event).encode()))
    (said,) = events_of(_api(tmp_path, CALLS[2:3]))
    assert _told([found], OF_PERSON) == _told([said], OF_PERSON)


@pytest.mark.slow
def test_times_and_ids_that_excel_changed_are_rejected_with_their_form(tmp_path: Path) -> None:
    rows = [portal_row(call) for call in (*CALLS[:6], CALLS[2])]
    rows[6][2] = "Bem-sucedido"
    rows[1][5], rows[2][5], rows[3][5] = "28.11.2026 14:03", "11/28/2026 2:03:00 PM", "28-11-26"
    rows[4][0], rows[5][0] = "6,14E+35", ""
    path = _write(tmp_path, "a.csv", table(PORTAL_COLUMNS, rows, ";", csv.QUOTE_MINIMAL))
    assert [(line, reason) for line, reason, _ in rejects_of(path)] == [
        (2, "`Time` is a date in a local form (00.00.0000 00:00), not in ISO 8601"),
        (3, "`Time` is a date in a local form (00/00/0000 0:00:00 PM), not in ISO 8601"),
        (4, "`Time` is a date in a local form (00-00-00), not in ISO 8601"),
        (5, "`Correlation id` is a number as Excel writes it (form 0.00E+00), and no id"),
        (6, "it has no `Correlation id`"),
        (7, "its `Status` is no word that the Activity Log has in English"),
    ]
    local = powershell_csv(CALLS[:1]).replace(CALLS[0].stamp.encode(), b"3/4/2025 3:06:00 PM")
    ((_, reason, raw),) = rejects_of(_write(tmp_path, "b.csv", local))
    assert reason.startswith("`EventTimestamp` is a date in a local form (0/0/0000 0:00:00 PM)") and "3/4/2025" in raw


@pytest.mark.nightly
def test_the_order_of_loads_does_not_matter(tmp_path: Path) -> None:
    """A call is the same as in the API's record, also where the catalogue comes last."""
    calls = [call for call in CALLS if call.is_user and call.status in ("started", "accepted", "succeeded")]
    (tmp_path / "in").mkdir()
    files = [
        _write(tmp_path / "in", "QueryResult.csv", portal_csv(calls)),
        _write(tmp_path / "in", "catalogue.json", CATALOGUE),
        _api(tmp_path / "in", calls),
    ]
    found = set()
    for number, order in enumerate([files[:1] + files[:0:-1], *list(permutations(files))[2::3]]):
        for path in order:
            load_paths(tmp_path / f"{number}.duckdb", [path])
        with open_store(tmp_path / f"{number}.duckdb", read_only=True) as store:
            assert len(store.table("events")) == len(calls)
            found.add((digest_content(store), store.table("events").sort("correlation_id").write_json()))
    assert len(found) == 1


@pytest.mark.nightly
def test_a_name_of_two_operations_or_of_none_stays_a_name(tmp_path: Path) -> None:
    """The notes count them; a name of the provider that only one operation has is that operation's."""
    vm = "Microsoft.Compute/virtualMachines"
    two = [(f"{vm}/write", SHOWN), (f"{vm}/update/action", SHOWN), (f"{vm}/extensions/write", "Add extension")]
    catalogue = _write(tmp_path, "catalogue.json", json.dumps([provider(*two)]).encode())
    rows = [portal_row(CALLS[2], name) for name in (SHOWN, "Paint it black", "add extension")]
    path = _write(tmp_path, "a.csv", table(PORTAL_COLUMNS, rows))
    report = load_paths(tmp_path / "s.duckdb", [path, catalogue])
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        named = set(store.table("events")["operation"])
    assert named == {SHOWN, "Paint it black", f"{vm}/extensions/write"}
    notes = " ".join(report.notes)
    assert "1 record has only the display name of an operation, and no operation of the catalogue has it" in notes
    assert "1 record has only the display name of an operation, and it may mean more than one" in notes


@pytest.mark.nightly
def test_a_download_covers_no_day(tmp_path: Path) -> None:
    """A row on each of forty days is use, and no absence of it: nothing is judged unused."""
    first = dt.datetime(2025, 3, 4, 5, 6, 7)
    calls = [Call(2 + 14 * day, time=first + dt.timedelta(days=day)) for day in range(40)]
    sub = "/".join(calls[0].resource.split("/")[:3])
    role = {
        "name": "b24988ac-6180-42a0-ab88-20f7382dd24c", "roleName": "Contributor", "roleType": "BuiltInRole",
        "assignableScopes": ["/"], "permissions": [{"actions": ["*"]}],
    }  # fmt: skip
    assignment = {
        "RoleAssignmentId": f"{sub}/providers/Microsoft.Authorization/roleAssignments/{calls[0].correlation}",
        "Scope": sub, "DisplayName": "", "SignInName": "", "RoleDefinitionName": "Contributor",
        "RoleDefinitionId": role["name"], "ObjectId": calls[0].oid, "ObjectType": "",
    }  # fmt: skip
    user = {"id": calls[0].oid, "displayName": "A", "userPrincipalName": calls[0].upn}
    files = [
        _write(tmp_path, name, content if isinstance(content, bytes) else json.dumps([content]).encode())
        for name, content in {
            "roles.json": role, "assignments.json": assignment, "users.json": user, "catalogue.json": CATALOGUE,
            "QueryResult.csv": portal_csv(calls),
        }.items()
    ]  # fmt: skip
    report = load_paths(tmp_path / "s.duckdb", files)
    assert sum(row.rejected for row in report.rows) == 0
    assert any("shows use and covers no day" in note for note in report.notes)
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        assert store.table("coverage").is_empty() and store.table("usage")["days"].to_list() == [40]
        assert store.table("role_assignments")["principal_name"].to_list() == [None]
    rows = analyze_store(tmp_path / "s.duckdb").rows
    (row,) = [row for row in rows if row["plane"] == "control"]
    assert (row["used"], row["unused"]) == (1, 0) and row["out_of_coverage"] > 0


@pytest.mark.slow
def test_a_download_in_another_language_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Its columns and words are translated, and nobody can list all languages."""
    columns = ["ID de Correlação", "Nome da operação", "Status", "Categoria do evento", "Nível", "Hora", "Assinatura",
               "Evento iniciado por", "Tipo de recurso", "Grupo de recursos", "Recurso"]  # fmt: skip
    path = _write(tmp_path, "QueryResult.csv", table(columns, [portal_row(CALLS[2])]))
    with pytest.raises(InputError) as caught:
        load_paths(tmp_path / "s.duckdb", [path])
    assert "another language" in caught.value.message and "English" in str(caught.value.hint)
