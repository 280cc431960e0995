"""The content of a listing decides its kind: exactly one shape matches, in any capitalisation of keys."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.entities import ENTITY_SHAPES
from rightsize.ingest.entities.shape import Context, look_at
from rightsize.ingest.logs.values import family_of
from rightsize.model.errors import InputError
from tests.ingest.entity_records import DOCUMENTS, GROUP, USER, Staged, guid, page, stage_document, stage_files


def _first(document: Any) -> tuple[Mapping[str, Any], str]:
    if isinstance(document, list):
        return document[0], ""
    if "value" in document:
        return (document["value"] or [{}])[0], document.get("@odata.context", "")
    return document, ""


def _recognising(record: Mapping[str, Any], context: Context) -> list[str]:
    return [shape.name for shape in ENTITY_SHAPES if shape.recognises(look_at(record), context)]


def _recased(value: Any, recase: Any) -> Any:
    if isinstance(value, dict):
        return {recase(key): _recased(item, recase) for key, item in value.items()}
    return [_recased(item, recase) for item in value] if isinstance(value, list) else value


def test_shapes_of_one_name_are_one_source() -> None:
    """A listing may come in two shapes, as from Azure and from PowerShell."""
    sources: dict[str, set[str]] = {}
    for shape in ENTITY_SHAPES:
        sources.setdefault(shape.name, set()).add(shape.source)
    assert all(len(found) == 1 for found in sources.values())
    assert len(ENTITY_SHAPES) - len(sources) == 1


@pytest.mark.parametrize("form", DOCUMENTS)
def test_exactly_one_shape_takes_a_record(form: str) -> None:
    name, source, document = DOCUMENTS[form]
    record, said = _first(document)
    found = [shape for shape in ENTITY_SHAPES if shape.recognises(look_at(record), Context(name, said))]
    assert [shape.source for shape in found] == [source]


@pytest.mark.parametrize("form", DOCUMENTS)
def test_no_log_takes_a_listing(form: str) -> None:
    record, _ = _first(DOCUMENTS[form][2])
    assert family_of(record) is None


Rows = dict[str, list[Any]]
Spelling = Callable[[str], str]


@pytest.fixture(scope="module")
def respelled(tmp_path_factory: pytest.TempPathFactory) -> dict[Spelling, dict[str, tuple[str, Rows]]]:
    """For each spelling of keys the source and the rows of each document, all of them staged at once."""
    return {recase: _said(recase, tmp_path_factory.mktemp("spelt")) for recase in (str, str.lower, str.upper)}


def _said(recase: Spelling, folder: Path) -> dict[str, tuple[str, Rows]]:
    paths = []
    for number, (name, _, document) in enumerate(DOCUMENTS.values()):
        # The keys around the records are the reader's, and Graph spells them in one way.
        is_page = isinstance(document, dict) and "value" in document
        inner = _recased(document["value"] if is_page else document, recase)
        # The name of a file may say whose listing it is, so that each stands in a folder of its own.
        paths.append(folder / str(number) / name)
        paths[-1].parent.mkdir()
        paths[-1].write_text(json.dumps({**document, "value": inner} if is_page else inner), encoding="utf-8")
    staged = stage_files(*paths)
    sources = {Path(file.path): file.source for file in staged.report.files}
    numbers = dict(staged.con.execute("SELECT path, file_id FROM stage_files").fetchall())
    rows = _rows_of_files(staged)
    return {form: (sources[path], rows[numbers[str(path)]]) for form, path in zip(DOCUMENTS, paths, strict=True)}


def _rows_of_files(staged: Staged) -> dict[int, Rows]:
    """Return all that was staged, by the number of its file and by table."""
    tables = staged.con.execute(
        "SELECT table_name FROM duckdb_columns() WHERE column_name = 'file_id' AND starts_with(table_name, 'stage_') "
        "AND table_name NOT IN ('stage_files', 'stage_names') ORDER BY table_name"
    ).fetchall()
    found: dict[int, Rows] = defaultdict(dict)
    for (table,) in tables:
        for number, *row in staged.con.execute(
            f"SELECT file_id, * EXCLUDE (file_id) FROM {table} ORDER BY ALL"
        ).fetchall():
            found[number].setdefault(table, []).append(row)
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("form", DOCUMENTS)
def test_capitals_of_keys_change_neither_shape_nor_rows(
    respelled: dict[Spelling, dict[str, tuple[str, Rows]]], form: str
) -> None:
    source, expected = respelled[str][form]
    assert source == DOCUMENTS[form][1]
    assert "stage_rejects" not in expected
    assert respelled[str.lower][form] == respelled[str.upper][form] == (source, expected)


_FOREIGN: dict[str, dict[str, Any]] = {
    "application": {"id": guid(1), "appId": guid(2), "displayName": "app", "signInAudience": "AzureADMyOrg"},
    "managed identity resource": {
        "id": "/subscriptions/x/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i",
        "name": "i",
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "principalId": guid(1),
        "tenantId": guid(2),
    },
    "resource of a graph query": {"id": "/subscriptions/x/resourceGroups/g", "subscriptionId": "x", "type": "t"},
    "eligibility schedule": {
        "id": "x",
        "type": "Microsoft.Authorization/roleEligibilitySchedules",
        "properties": {"principalId": guid(1), "roleDefinitionId": "r", "scope": "/"},
    },
    "sign-in": {"id": guid(1), "userPrincipalName": "a@b.c", "userDisplayName": "A", "appId": guid(2)},
    "nothing": {},
}


@pytest.mark.parametrize("kind", _FOREIGN)
def test_what_only_looks_alike_is_not_taken(kind: str) -> None:
    assert _recognising(_FOREIGN[kind], Context("export.json")) == []


@pytest.mark.parametrize(
    "said",
    ["auditLogs/signIns", "applications", "users('x')/memberOf", "users('x')/licenseDetails", "groups('x')/owners", ""],
)
def test_an_empty_page_of_something_else_is_not_taken(said: str) -> None:
    context = page(said)["@odata.context"]
    assert _recognising({}, Context("export.json", context)) == []


def test_owners_in_a_file_named_after_a_group_are_not_members() -> None:
    context = page("directoryObjects")["@odata.context"]
    record = {"@odata.type": "#microsoft.graph.user", **USER}
    for name in (f"owners-{guid(11)}.json", f"{guid(11)}.json", f"memberOf-{guid(11)}.json"):
        assert _recognising(record, Context(name, context)) == ["directory_objects"]


def test_a_list_of_mixed_objects_is_no_list_of_users() -> None:
    records = [{"@odata.type": "#microsoft.graph.user", **USER}, {"@odata.type": "#microsoft.graph.group", **GROUP}]
    assert _recognising(records[0], Context("export.json")) == ["directory_objects"]


def test_a_named_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot recognise"):
        stage_document(tmp_path, [_FOREIGN["application"]])


def _shared_records(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted((folder / "arm").glob("*.json")):
        record, _ = _first(json.loads(path.read_text(encoding="utf-8")))
        yield path.name, record
    yield "built-in-roles.json", json.loads((folder / "catalog/built-in-roles.json").read_bytes())[0]
    with (folder / "catalog/operations.csv").open(encoding="utf-8", newline="") as file:
        yield "operations.csv", next(csv.DictReader(file))


@pytest.mark.slow
def test_real_exports_have_one_shape_each(shared_data: Path) -> None:
    found = {name: _recognising(record, Context(name)) for name, record in _shared_records(shared_data)}
    assert {len(shapes) for shapes in found.values()} == {1}
    assert len(found) == 7


@pytest.mark.slow
def test_the_catalogue_of_graph_is_known_by_its_records(shared_data: Path) -> None:
    for name, shape in (
        ("graph/GraphAppRoles.json", "graph_app_roles"),
        ("graph/GraphDelegateRoles.json", "graph_scopes"),
        ("graph/MicrosoftApps.json", "first_party_apps"),
    ):
        records = json.loads((shared_data / name).read_text(encoding="utf-8-sig"))
        assert _recognising(records[0], Context("renamed.json")) == [shape], name
