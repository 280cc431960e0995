"""`rightsize catalog`: only catalogues are accepted, and their state is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import open_store
from tests.ingest.entity_records import FLAT_ASSIGNMENT, FLAT_ROLE, OPERATION_ROW, PROVIDER, ROLE_INPUT


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RIGHTSIZE_DB", str(tmp_path / "s.duckdb"))
    folder = tmp_path / "files"
    folder.mkdir()
    guessed = OPERATION_ROW | {"operation": "Contoso.Boxes/lids/read", "is_data_action_source": "sibling-inferred"}
    unknown = {"operation": "Contoso.Boxes/labels/read", "is_data_action": None, "is_data_action_source": "unknown"}
    for name, document in {
        "roles.json": [FLAT_ROLE, ROLE_INPUT],
        "providers.json": [PROVIDER],
        "table.json": [OPERATION_ROW, guessed, unknown],
        "assignments.json": [FLAT_ASSIGNMENT],
        "notes.json": {"subject": "notes"},
    }.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def _status(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["catalog", "status", "-o", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_status_counts_planes_and_roles(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("roles.json", "providers.json", "table.json")
    assert run(["catalog", "import", *(str(files / name) for name in names)]) == 0
    found = _status(capsys)
    # Azure itself was never asked.
    assert [found.pop(name) for name in ("refreshed_at", "age_days", "graph_map_refreshed_at")] == [None] * 3
    assert len(found.pop("catalogue_hash")) == 64
    assert found == {
        "operations": 5,
        "control": 2,
        "data": 1,
        "guessed": 1,
        "unknown": 1,
        "built_in_roles": 1,
        "custom_roles": 1,
        "directory_roles": 0,
        "graph_permissions": 0,
        "graph_requests": 0,
        "permission_ids": 0,
        "first_party_apps": 0,
    }


@pytest.mark.slow
def test_import_prints_each_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "import", str(files / "roles.json"), str(files / "table.json"), "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["source"], row["read"], row["new"]) for row in rows] == [
        ("role_definitions", 2, 2),
        ("operations", 3, 3),
    ]


@pytest.mark.nightly
def test_the_hash_is_of_the_content_alone(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["catalog", "import", str(files / "providers.json"), str(files / "table.json")])
    together = _status(capsys)["catalogue_hash"]
    monkeypatch.setenv("RIGHTSIZE_DB", str(tmp_path / "other.duckdb"))
    run(["catalog", "import", str(files / "table.json")])
    part = _status(capsys)["catalogue_hash"]
    run(["catalog", "import", str(files / "providers.json")])
    assert part != together
    assert _status(capsys)["catalogue_hash"] == together


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("assignments.json", "holds role assignments, not operations or role definitions"),
        ("notes.json", "cannot recognise"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_kept(
    name: str, said: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["catalog", "import", str(files / "roles.json")]) == 0
    capsys.readouterr()
    assert run(["catalog", "import", str(files / "table.json"), str(files / name)]) == 5
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert _status(capsys)["operations"] == 0


@pytest.mark.slow
def test_status_of_no_store_is_an_input_error(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "status"]) == 5


@pytest.mark.nightly
def test_status_is_a_table_too(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["catalog", "import", str(files / "roles.json")])
    capsys.readouterr()
    assert run(["catalog", "status"]) == 0
    captured = capsys.readouterr()
    assert "built_in_roles" in captured.out
    assert "no operations are loaded" in captured.err


@pytest.mark.nightly
def test_the_shared_catalogue_is_imported(files: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("operations.csv", "built-in-roles.json")
    assert run(["catalog", "import", *(str(shared_data / "catalog" / name) for name in names)]) == 0
    found = _status(capsys)
    assert found["built_in_roles"] == 928
    planes = found["control"] + found["data"] + found["guessed"] + found["unknown"]
    assert planes == found["operations"]
    assert 25_000 < found["operations"] <= 25_118
    with open_store(Path(files.parent / "s.duckdb"), read_only=True) as store:
        assert (
            store.frame("SELECT count(*) AS n FROM operations WHERE provider IS NULL OR verb IS NULL")["n"].item() == 0
        )
