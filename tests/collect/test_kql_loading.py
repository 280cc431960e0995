"""Use reduced in Log Analytics loads into the same store as the logs, alone and together with them."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.store.connection import Store, open_store
from rightsize.store.merging.loads import merge
from rightsize.store.merging.staging import create_staging
from rightsize.workflow.data.load import load_paths
from tests.collect.kql_twins import Row, export, insert, reduced_by_kql, workspace
from tests.collect.odd_requests import cluster_row, diagnostics_row, graph_row, object_row, sign_in_row, vault_row
from tests.collect.odd_rows import Maker, activity_row
from tests.examples import FEWEST
from tests.loopback.log_tables import COLUMNS, ensure_tables
from tests.loopback.server import Loopback

pytestmark = pytest.mark.slow

FIRST, END = dt.datetime(2026, 9, 1, tzinfo=dt.UTC), dt.datetime(2026, 9, 15, tzinfo=dt.UTC)
TABLES = ("AzureActivity", "StorageBlobLogs", "SigninLogs", "AADServicePrincipalSignInLogs")
SAME = (
    "usage_days",
    "sign_ins",
    "principal_aliases",
    "request_access",
    "unmapped_operations",
    "unknown_operations",
    "coverage",
    "graph_usage_days",
    "token_permissions",
)


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    def text(value: Any) -> Any:
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, dt.datetime) else value

    lines = [json.dumps({name: text(value) for name, value in row.items()}) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def exported(loopback_service: Loopback, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Two weeks of logs as whole rows, and reduced."""
    ensure_tables(loopback_service.content)
    folder = tmp_path_factory.mktemp("exported")
    con = duckdb.connect()
    con.execute("CREATE SCHEMA logs")
    content = loopback_service.content.cursor()
    bounds = [FIRST.replace(tzinfo=None), END.replace(tzinfo=None)]
    for table in COLUMNS:
        held = "TimeGenerated >= ? AND TimeGenerated < ?" if table in TABLES else "false AND ? < ?"
        frame = content.sql(f"SELECT * FROM logs.{table} WHERE {held}", params=bounds).to_arrow_table()
        con.register("frame", frame)
        con.execute(f"CREATE TABLE logs.{table} AS FROM frame")
    con.execute("SET search_path = 'logs'")
    whole = [export(con, table, folder / f"{table}.jsonl") for table in TABLES]
    reduced = [write_rows(folder / f"reduced-{table}.jsonl", reduced_by_kql(con, table)) for table in TABLES]
    return whole, reduced


def content_of(path: Path, names: Sequence[str] = SAME) -> dict[str, list[tuple[Any, ...]]]:
    with open_store(path, read_only=True) as store:
        return {name: sorted(store.table(name).rows(), key=repr) for name in names}


@pytest.fixture(scope="module")
def loaded(exported: tuple[list[Path], list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `whole.duckdb` and `reduced.duckdb`, each of its part of the logs. Read only: copied to write."""
    folder = tmp_path_factory.mktemp("loaded")
    whole, reduced = exported
    load_paths(folder / "whole.duckdb", whole)
    report = load_paths(folder / "reduced.duckdb", reduced)
    assert [(row.source, row.rejected, row.duplicate) for row in report.rows] == [
        ("reduced_usage", 0, 0),
        ("reduced_usage", 0, 0),
        ("reduced_sign_ins", 0, 0),
        ("reduced_sign_ins", 0, 0),
    ]
    return folder


@pytest.mark.nightly
def test_reduced_logs_make_the_same_store(loaded: Path) -> None:
    by_whole, by_reduced = content_of(loaded / "whole.duckdb"), content_of(loaded / "reduced.duckdb")
    assert len(by_whole["usage_days"]) > 100
    assert {row[2] for row in by_whole["request_access"]} == {"roles", "sas"}
    for name in SAME:
        assert by_reduced[name] == by_whole[name]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("table", "make"),
    [
        ("AzureActivity", activity_row),
        ("StorageBlobLogs", object_row),
        ("AZKVAuditLogs", vault_row),
        ("AKSAudit", cluster_row),
        ("MicrosoftGraphActivityLogs", graph_row),
        ("AzureDiagnostics", diagnostics_row),
        ("SigninLogs", sign_in_row),
        ("AADServicePrincipalSignInLogs", partial(sign_in_row, table="AADServicePrincipalSignInLogs")),
    ],
)
def test_odd_logs_make_the_same_store_reduced_and_beside_it(table: str, make: Maker, tmp_path: Path) -> None:
    """Requests by key, exported twice, of unknown outcome and by principals of several names among them."""
    con = workspace()
    choose = random.Random(11).choice  # noqa: S311  no secret
    rows = [make(choose) for _ in range(600)]
    insert(con, table, rows + rows[::10])
    whole = export(con, table, tmp_path / "whole.jsonl")
    reduced = write_rows(tmp_path / "reduced.jsonl", reduced_by_kql(con, table))
    load_paths(tmp_path / "whole.duckdb", [whole])
    (report,) = load_paths(tmp_path / "reduced.duckdb", [reduced]).rows
    # A row of AzureDiagnostics can be of a managed HSM, which is not read.
    assert report.new + report.rejected + report.unused_record == report.read
    expected = content_of(tmp_path / "whole.duckdb")
    assert len(expected["usage_days"]) + len(expected["sign_ins"]) > 50
    assert content_of(tmp_path / "reduced.duckdb") == expected
    load_paths(tmp_path / "reduced.duckdb", [whole])
    assert content_of(tmp_path / "reduced.duckdb") == expected


@pytest.mark.nightly
def test_what_both_show_counts_once(exported: tuple[list[Path], list[Path]], loaded: Path, tmp_path: Path) -> None:
    """Whole records and their reduction, in any order and again, are what the records alone are."""
    whole, reduced = exported
    expected = content_of(loaded / "whole.duckdb")
    for first, second in (("whole.duckdb", reduced), ("reduced.duckdb", whole)):
        store = Path(shutil.copy(loaded / first, tmp_path))
        load_paths(store, second)
        again = load_paths(store, reduced)
        assert sum(row.new for row in again.rows) == 0
        assert content_of(store) == expected


USER = "00000064-0000-4000-8000-000000000000"
ACCOUNT = "/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"


def use(**changes: Any) -> dict[str, Any]:
    """A reduced row."""
    row: dict[str, Any] = {
        "log": "activity_log",
        "category": "Administrative",
        "plane": "control",
        "principal_id": USER,
        "principal_name": "",
        "principal_type": "User",
        "app_id": "",
        "operation": "Microsoft.Web/sites/write",
        "scope": "/subscriptions/s",
        "role_assignment_id": "",
        "access": "",
        "day": dt.datetime(2026, 9, 7),
        "received": dt.datetime(2026, 9, 7, 10),
        "first_seen": dt.datetime(2026, 9, 7, 10, 5),
        "last_seen": dt.datetime(2026, 9, 7, 10, 30),
        "succeeded": 1,
        "failed": 0,
        "started": 0,
        "denied": 0,
        "other": 0,
    }
    return {name: changes.get(name, value) for name, value in row.items()}


def record(**changes: Any) -> dict[str, Any]:
    """A record of AzureActivity, of a call like that of `use`."""
    return {
        "TimeGenerated": "2026-09-07T10:05:00Z",
        "OperationNameValue": "Microsoft.Web/sites/write",
        "ActivityStatusValue": "Success",
        "CategoryValue": "Administrative",
        "Caller": USER,
        "CorrelationId": "c1",
        "_ResourceId": "/subscriptions/s",
        "Type": "AzureActivity",
        **changes,
    }


def counts_after(folder: Path, *files: Sequence[Row]) -> list[tuple[str | None, int, int]]:
    """Load files one after the other; return (assignment, succeeded, started) of each row of use."""
    store = folder / "s.duckdb"
    store.unlink(missing_ok=True)
    for number, rows in enumerate(files):
        load_paths(store, [write_rows(folder / f"{number}.jsonl", rows)])
    with open_store(store, read_only=True) as opened:
        rows = opened.frame(
            "SELECT role_assignment_id, succeeded, started FROM usage_days ORDER BY 1 NULLS FIRST"
        ).rows()
    return [tuple(row) for row in rows]  # type: ignore[misc]


A, B = "0000000a-0000-4000-8000-000000000000", "0000000b-0000-4000-8000-000000000000"


@pytest.mark.nightly
def test_a_later_answer_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    """A call that had only begun has ended since, under an assignment that its first row did not name."""
    early, late = [use(succeeded=0, started=1)], [use(role_assignment_id=A)]
    for files in itertools.permutations((early, late)):
        assert counts_after(tmp_path, *files) == [(A, 1, 0)]


@pytest.mark.nightly
def test_an_answer_says_more_than_one_of_an_older_query(tmp_path: Path) -> None:
    """Rows once came without what let requests through, and without those that are no use."""
    asked = {"log": "storage_log", "category": "StorageRead", "plane": "data", "scope": f"/subscriptions/s{ACCOUNT}"}
    older = {name: value for name, value in use(**asked).items() if name not in ("access", "other")}
    newer = [use(**asked, access="roles"), use(**asked, access="key", principal_id="", succeeded=0, other=7)]
    for number, files in enumerate(itertools.permutations(([older], newer))):
        for place, rows in enumerate(files):
            load_paths(tmp_path / f"{number}.duckdb", [write_rows(tmp_path / f"{place}.jsonl", rows)])
        found = content_of(tmp_path / f"{number}.duckdb", ("usage_days", "request_access"))
        assert [row[2:4] + row[6:7] for row in found["request_access"]] == [("key", None, 7), ("roles", USER, 1)]
        assert len(found["usage_days"]) == 1


@pytest.mark.nightly
def test_a_record_without_its_assignment_is_not_another_use(tmp_path: Path) -> None:
    """What the export of the Azure CLI leaves out, the workspace knows."""
    reduced, whole = [use(role_assignment_id=A)], [record()]
    for files in itertools.permutations((reduced, whole)):
        assert counts_after(tmp_path, *files) == [(A, 1, 0)]


@pytest.mark.nightly
def test_calls_that_name_no_assignment_stay_beside_those_that_do(tmp_path: Path) -> None:
    reduced = [use(role_assignment_id=A, succeeded=2), use(succeeded=3)]
    whole = [record(CorrelationId=f"c{number}") for number in range(4)]
    for files in itertools.permutations((reduced, whole)):
        assert counts_after(tmp_path, *files) == [(None, 3, 0), (A, 2, 0)]


@pytest.mark.nightly
def test_no_use_is_lost_that_only_one_side_shows(tmp_path: Path) -> None:
    evidence = {"action": "Microsoft.Web/sites/write", "scope": "/subscriptions/s", "evidence": {"roleAssignmentId": B}}
    reduced, whole = [use(role_assignment_id=A, succeeded=2)], [record(Authorization_d=evidence)]
    for files in itertools.permutations((reduced, whole)):
        assert counts_after(tmp_path, *files) == [(A, 2, 0), (B, 1, 0)]


def test_a_row_of_no_use_is_rejected(tmp_path: Path) -> None:
    """Each with what is wrong with it, and the row beside them is taken."""
    rows: list[tuple[dict[str, Any], str]] = [
        ({"day": "yesterday"}, "one of its times or counts cannot be read"),
        ({"succeeded": -1}, "one of its counts is below zero"),
        ({"last_seen": dt.datetime(2026, 9, 9)}, "its calls are not within its day"),
        ({"principal_id": "somebody"}, "one of its ids is not a GUID"),
        ({"scope": "everywhere"}, "it names no resource or scope"),
        ({"operation": None}, "it names no operation"),
        ({"log": "diary"}, "its log is unknown"),
        ({"access": "roles"}, "its way of access is unknown"),
        ({"log": "storage_log", "access": "magic"}, "its way of access is unknown"),
        ({"other": None}, "one of its times or counts cannot be read"),
    ]
    path = write_rows(tmp_path / "rows.jsonl", [use(), *(use(**changes) for changes, _ in rows)])
    report = load_paths(tmp_path / "s.duckdb", [path])
    assert [(row.read, row.new, row.rejected) for row in report.rows] == [(len(rows) + 1, 1, len(rows))]
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        found = store.table("rejects").sort("line").select("line", "reason").rows()
    assert found == [(line, reason) for line, (_, reason) in enumerate(rows, start=2)]


def fill(store: Store, files: Sequence[Sequence[Row]]) -> list[tuple[Any, ...]]:
    """Merge files of reduced rows through the staging tables; return the days of use."""
    for rows in files:
        create_staging(store.connection)
        blank = dict.fromkeys(("principal_name", "app_id", "access"))
        frame = pl.DataFrame(
            [{**row, **blank, "role_assignment_id": row["role_assignment_id"] or None} for row in rows]
        )
        store.connection.register("staged_frame", frame.with_row_index("line").with_columns(file_id=pl.lit(0)))
        store.connection.execute("INSERT INTO stage_reduced_usage BY NAME FROM staged_frame")
        store.connection.unregister("staged_frame")
        merge(store)
    return sorted(store.table("usage_days").rows(), key=repr)


snapshots = st.lists(
    st.builds(
        use,
        role_assignment_id=st.sampled_from(["", A, B]),
        received=st.sampled_from([dt.datetime(2026, 9, 7, 10), dt.datetime(2026, 9, 7, 11)]),
        succeeded=st.integers(0, 2),
        started=st.integers(0, 2),
        other=st.integers(0, 1),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda row: (row["role_assignment_id"], row["received"]),
)


@pytest.mark.nightly
@FEWEST
@given(st.lists(snapshots, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_answers_gives_the_same_use(files: list[list[Row]], random: Any) -> None:
    shuffled = [*files, random.choice(files)]
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        first, second = (open_store(Path(folder, name), read_only=False) for name in ("1.duckdb", "2.duckdb"))
        with first, second:
            assert fill(first, files) == fill(second, [random.sample(rows, len(rows)) for rows in shuffled])
