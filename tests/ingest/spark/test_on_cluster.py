"""Logs reduced on a real Spark of several processes give the same store as DuckDB."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

pytest.importorskip("sqlglot", reason="needs sqlglot")
# Spark Connect warns of its versions of other packages, and lacks its functions where a warning is an error.
with suppress(ImportError), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    importlib.import_module("pyspark.sql.connect.functions")

from rightsize.ingest.logs.projections import RAW_EVENT_COLUMNS, RAW_SIGN_IN_COLUMNS, create_reference_tables
from rightsize.ingest.logs.values import READ_COLUMNS, with_readings
from rightsize.ingest.spark.carry import to_spark
from rightsize.ingest.spark.reduce import create_references
from rightsize.ingest.spark.session import spark_session
from rightsize.model.errors import InputError, ServiceError
from rightsize.store.connection import open_store
from rightsize.store.queries import query_text
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.data.load_spark import load_on_spark
from tests.ingest.spark.cluster import Cluster, spark_cluster
from tests.ingest.spark.hostile import EVENTS, SIGN_INS, odd_values, rows_of
from tests.ingest.test_storage_logs import record as storage_record

pytestmark = pytest.mark.filterwarnings("ignore")  # Spark and its parts warn of one another

SUBSCRIPTION = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"
OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_USAGE = "SELECT * FROM usage_days ORDER BY ALL"
_SIGN_INS = "SELECT * FROM sign_ins ORDER BY ALL"
_ASSIGNED = "SELECT * FROM role_assignment_requests ORDER BY ALL"
_OF_DAYS = tuple(
    f"SELECT * FROM {name} ORDER BY ALL"
    for name in ("request_access", "unmapped_operations", "unknown_operations", "coverage", "principal_aliases")
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with spark_cluster(tmp_path_factory.mktemp("spark")) as running:
        yield running


def _guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def made_up(number: int, *, status: str = "Success", **changes: Any) -> dict[str, Any]:
    """Return a record of the Activity Log; half of all calls are those of one service principal."""
    caller = _guid(1) if number % 2 else _guid(2 + number // 2 % 41)
    operation = ("Microsoft.Compute/virtualMachines/write", "Microsoft.Web/sites/restart/action")[number // 5 % 2]
    return {
        "time": f"2025-03-{1 + number % 9:02}T{number % 24:02}:{number % 60:02}:07.{number % 1000:03}4567Z",
        "resourceId": f"{SUBSCRIPTION}/resourceGroups/rg{number % 7}/providers/Microsoft.Web/sites/s{number % 11}",
        "operationName": operation.upper() if number % 3 else operation,
        "category": "Administrative",
        "resultType": status,
        "correlationId": _guid(10_000 + number),
        "callerIpAddress": "203.0.113.7",
        "identity": {
            "authorization": {"action": operation, "evidence": {"roleAssignmentId": f"{5 + number % 4:032x}"}},
            "claims": {OID: caller, "appid": _guid(9), "name": "Zoë İstanbul"},
        },
    } | changes


def _assigned(number: int, *, status: str = "Success", **body: Any) -> dict[str, Any]:
    """Return a record of a call that makes a role assignment, or whose body only speaks of that."""
    action = "Microsoft.Authorization/roleAssignments/write"
    record = made_up(number, status=status, operationName=action.upper(), properties={"requestbody": json.dumps(body)})
    record["identity"]["authorization"]["action"] = action
    return record


def assignments() -> list[Any]:
    """Return calls on role assignments, begin and end, with bodies as text within text; and one that mentions them."""
    asked = {
        "Properties": {"RoleDefinitionId": f"/x/{_guid(70)}", "PrincipalType": "Group", "PrincipalId": _guid(71)},
    }
    about = made_up(8100, status="Start", properties={"requestbody": "{}/roleAssignments/write"})
    return [
        _assigned(8000, status="Start", **asked),
        _assigned(8000),
        _assigned(8001, status="Failure"),
        _assigned(8002, time="nonsense"),
        about,
        made_up(8100),
    ]


def _odd_lines() -> list[Any]:
    """Return what no exporter should write, and some do."""
    return [
        "not JSON",
        '{"cut": ',
        "[1, 2]",
        json.dumps(made_up(1)) + " trailing",
        '{"time": "2025-03-01T00:00:00Z", "time": "2025-03-01T00:00:00Z"}',
        "   ",
        made_up(7001, time="2025-02-30T01:02:03Z"),
        made_up(7002, time="2025-03-01T24:00:00Z"),
        made_up(7003, time="2025-03-01 04:00:00 +05:30"),
        made_up(7004, time=None),
        made_up(7005, resourceId=f"{SUBSCRIPTION}/resourceGroups/ß\n"),
        made_up(7006, identity=json.dumps(made_up(7006)["identity"])),
        made_up(7007, identity="no JSON"),
        made_up(7010, identity={key: json.dumps(value) for key, value in made_up(7010)["identity"].items()}),
        made_up(7011, identity=made_up(7011)["identity"] | {"claims": json.dumps(made_up(7011)["identity"]["claims"])}),
        made_up(7012, properties=json.dumps({"eventCategory": "Policy"})),
        made_up(7013, callerIpAddress="[2001:db8::1]:443", correlationId=None),
        {key.upper(): value for key, value in made_up(7008).items()},
        made_up(7009, operationName="MICROSOFT.WEB/SITES/İ/write", identity={}),
        {"unknown": "record"},
    ]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of logs of three kinds: begin and end rows of a call in different files, odd lines among them."""
    folder = tmp_path_factory.mktemp("lake")
    begun = [made_up(number, status="Start") for number in range(0, 600, 2)]
    ended = [made_up(number) for number in range(600)]
    (folder / "one").mkdir()
    (folder / "one" / "PT1H.json").write_text(line_texts(begun + _odd_lines() + assignments()), encoding="utf-8")
    with gzip.open(folder / "two.json.gz", "wt", encoding="utf-8") as file:
        file.write(line_texts(ended + ended[:100]))
    storage = [
        storage_record(correlationId=_guid(number), time=f"2025-03-04T{number % 24:02}:00:00Z") for number in range(40)
    ]
    storage += [
        storage_record(correlationId=_guid(90), identity={"type": "SAS"}),
        storage_record(correlationId=_guid(91), statusCode=403, statusText="AuthorizationPermissionMismatch"),
        storage_record(correlationId=_guid(92), time="2025-03-07T05:00:00Z", identity={"type": "AccountKey"}),
        storage_record(correlationId=_guid(93), operationName="Unheard", identity={"type": "OAuth"}),
    ]
    (folder / "storage.jsonl").write_text(line_texts(storage), encoding="utf-8")
    signed = [
        {
            "time": f"2025-03-0{1 + number % 5}T01:02:03Z",
            "category": "SignInLogs",
            "correlationId": _guid(number),
            "properties": {
                "id": _guid(500 + number // 2),
                "userId": _guid(number % 3),
                "userPrincipalName": "Zoë@example.com",
                "appId": _guid(9),
                "resourceId": _guid(8),
                "status": {"errorCode": 0 if number % 4 else 50126},
            },
        }
        for number in range(60)
    ]
    (folder / "signins.jsonl").write_text(line_texts(signed), encoding="utf-8")
    return folder


def line_texts(records: list[Any]) -> str:
    return "".join(
        (record if isinstance(record, str) else json.dumps(record, ensure_ascii=False)) + "\n" for record in records
    )


def answers(db: Path, *questions: str) -> list[pl.DataFrame]:
    with open_store(db, read_only=True) as store:
        return [store.frame(question) for question in questions]


@pytest.mark.external
def test_spark_and_duckdb_agree_row_for_row_though_an_executor_dies(
    cluster: Cluster, lake: Path, tmp_path: Path
) -> None:
    """Skewed, late and dirty rows of three logs: the same use, the same sign-ins, the same records refused.

    Spark does again what was lost with an executor that was killed at its work.
    """
    killed: list[int] = []
    killer = threading.Thread(target=lambda: killed.append(cluster.kill_executor_at_work(4.0)))
    killer.start()
    on_spark = load_on_spark(tmp_path / "spark.duckdb", [str(lake)], cluster.url)
    killer.join()
    here = load_paths(tmp_path / "here.duckdb", [lake])
    reduced = answers(tmp_path / "spark.duckdb", _USAGE, _SIGN_INS, _ASSIGNED)
    whole = answers(tmp_path / "here.duckdb", _USAGE, _SIGN_INS, _ASSIGNED)
    assert killed
    assert reduced[0].height > 100
    assert reduced[0].equals(whole[0])
    assert reduced[1].equals(whole[1])
    assert whole[2].height > 1
    assert reduced[2].equals(whole[2])
    by_day, by_whole_day = (answers(tmp_path / f"{name}.duckdb", *_OF_DAYS) for name in ("spark", "here"))
    assert {"roles", "sas", "key", "unmapped"} <= set(by_whole_day[0]["access"])
    assert all(frame.equals(other) for frame, other in zip(by_day, by_whole_day, strict=True))
    refused = {note.partition(": ")[2] for note in on_spark.notes if "rejected" in note}
    assert refused == {note for note in here.notes if "rejected" in note}
    kept = "SELECT reason, raw FROM rejects ORDER BY ALL"
    assert answers(tmp_path / "spark.duckdb", kept)[0].equals(answers(tmp_path / "here.duckdb", kept)[0])


@pytest.mark.external
def test_lines_that_are_all_records_are_read_as_by_duckdb(cluster: Cluster, tmp_path: Path) -> None:
    """Each is parsed once, into a struct whose members are texts; values of other kinds mean the same as on DuckDB.

    The plain records before them are more than the samples that decide which fields are read as objects.
    """
    plain: list[Any] = [made_up(number, properties={"statusCode": "OK"}) for number in range(250)]
    (tmp_path / "lines.jsonl").write_text(line_texts(plain + odd_values(made_up)), encoding="utf-8")
    on_spark = load_on_spark(tmp_path / "spark.duckdb", [str(tmp_path / "lines.jsonl")], cluster.url)
    here = load_paths(tmp_path / "here.duckdb", [tmp_path / "lines.jsonl"])
    kept = "SELECT reason, raw FROM rejects ORDER BY ALL"
    reduced, whole = (answers(tmp_path / f"{name}.duckdb", _USAGE, kept, *_OF_DAYS) for name in ("spark", "here"))
    assert whole[0].height > 100
    assert whole[1].height > 1
    assert all(frame.equals(other) for frame, other in zip(reduced, whole, strict=True))
    refused = {note.partition(": ")[2] for note in on_spark.notes if "rejected" in note}
    assert refused == {note for note in here.notes if "rejected" in note}


@pytest.mark.external
def test_a_delta_table_is_read_by_the_files_of_its_newest_version(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that a later version took out are not; values of partitions come from its log; results land in a folder.

    Rows that a deletion vector deletes are not read. Calls on role assignments come whole, to the microsecond.
    """
    deltalake = pytest.importorskip("deltalake", reason="needs the extra `spark`")
    from tests.ingest.spark.test_deletion_vectors import delete_rows  # noqa: PLC0415  it needs `deltalake`, too

    table = tmp_path / "Azure Activity"
    deltalake.write_deltalake(table, _rows(range(50, 90)))
    deltalake.write_deltalake(
        table, _rows(range(50)), mode="overwrite", partition_by=["CategoryValue"], schema_mode="overwrite"
    )
    delete_rows(table, list(range(40, 50)))
    (tmp_path / "results").mkdir()
    load_on_spark(tmp_path / "spark.duckdb", [str(table)], cluster.url, results=str(tmp_path / "results"))
    _rows(range(40)).write_parquet(tmp_path / "plain.parquet")
    load_paths(tmp_path / "here.duckdb", [tmp_path / "plain.parquet"])
    reduced, whole = (answers(tmp_path / f"{name}.duckdb", _USAGE, _ASSIGNED) for name in ("spark", "here"))
    assert whole[0].height > 10
    assert reduced[0].equals(whole[0])
    assert whole[1]["assigned_principal_id"].to_list() == [_guid(71)] * 4
    assert reduced[1].equals(whole[1])


def _rows(numbers: range) -> pl.DataFrame:
    asked = {"properties": {"roleDefinitionId": _guid(70), "principalType": "User", "principalId": _guid(71)}}
    records = [_assigned(number, **asked) if number % 10 == 0 else made_up(number) for number in numbers]
    return pl.DataFrame(
        {
            "TimeGenerated": [record["time"] for record in records],
            "CategoryValue": [record["category"] for record in records],
            "OperationNameValue": [record["operationName"] for record in records],
            "_ResourceId": [record["resourceId"] for record in records],
            "ActivityStatusValue": [record["resultType"] for record in records],
            "CorrelationId": [record["correlationId"] for record in records],
            "Authorization_d": [json.dumps(record["identity"]["authorization"]) for record in records],
            "Claims_d": [json.dumps(record["identity"]["claims"]) for record in records],
            "Properties_d": [json.dumps(record.get("properties", {})) for record in records],
        }
    ).with_columns(pl.col("TimeGenerated").str.strptime(pl.Datetime("us", "UTC"), "%Y-%m-%dT%H:%M:%S%.fZ"))


def _raw(con: duckdb.DuckDBPyConnection, columns: Sequence[str], texts: dict[str, Sequence[str | None]]) -> None:
    """Fill `raw` with hostile rows; what has no texts is null."""
    rows = rows_of(texts, 3000, seed=len(texts))
    others = {column: None for column in columns if column not in texts}
    found = [{**others, **row, "file_no": 0, "line": n, "source": ("activity_log", "storage_log")[n % 2]}
             for n, row in enumerate(rows)]  # fmt: skip
    kinds = {"file_no": pl.Int32, "line": pl.Int64, "ordinal": pl.Int64}
    frame = pl.DataFrame(found, schema={column: kinds.get(column, pl.String) for column in columns})
    con.register("rows", frame.to_arrow())
    con.execute("CREATE OR REPLACE TABLE raw AS FROM rows")


@pytest.mark.external
def test_hostile_texts_mean_the_same_on_both(cluster: Cluster, tmp_path: Path) -> None:
    """Spaces and digits of other scripts, times that are none, line breaks: every column of every row is equal."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    create_reference_tables(con)
    raw = [column for column in RAW_EVENT_COLUMNS if column not in READ_COLUMNS]
    cases = (
        ("normalise", "raw_events", raw, EVENTS, with_readings("SELECT * FROM raw", ())),
        ("sign_ins", "raw_sign_ins", RAW_SIGN_IN_COLUMNS, SIGN_INS, "SELECT * FROM raw"),
    )
    with spark_session(cluster.url) as session:
        create_references(session)
        for query, relation, columns, texts, read in cases:
            _raw(con, columns, texts)
            con.execute(f"CREATE OR REPLACE VIEW {relation} AS {read}")
            con.execute(f"COPY raw TO '{tmp_path / query}.parquet' (FORMAT parquet)")
            session.read.parquet(f"{tmp_path / query}.parquet").createOrReplaceTempView("raw")
            session.sql(to_spark(read)).createOrReplaceTempView(relation)
            sql = query_text(f"reduce/{query}")
            found = con.execute(sql)
            names = [column[0] for column in found.description]
            here = {row[names.index("line")]: dict(zip(names, row, strict=True)) for row in found.fetchall()}
            there = {row["line"]: row.asDict() for row in session.sql(to_spark(sql)).collect()}
            assert len(here) > 1500
            assert here == there


@pytest.mark.external
def test_a_session_leaves_the_process_as_it_was(cluster: Cluster) -> None:
    """So that another session of it may be one of a master."""
    before = dict(os.environ)
    with spark_session(cluster.url) as session:
        assert session.sql("SELECT 1").collect() == [(1,)]
    assert dict(os.environ) == before


@pytest.mark.external
def test_what_is_not_there_is_said(cluster: Cluster, tmp_path: Path) -> None:
    """A path without logs, and a server that does not listen, are errors and leave no store."""
    store = tmp_path / "spark.duckdb"
    with pytest.raises(InputError, match="there is nothing at"):
        load_on_spark(store, [str(tmp_path / "nowhere")], cluster.url)
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="none of the columns or keys of a known log"):
        load_on_spark(store, [str(tmp_path / "other.jsonl")], cluster.url)
    with spark_session(cluster.url) as session:
        session.sql("CREATE TABLE told AS SELECT current_timestamp() AS TimeGenerated, 1 AS a, 2 AS b")
    with pytest.raises(InputError, match=r"the table `told`: .*`dya` cannot be resolved"):
        load_on_spark(store, [], cluster.url, tables=["told"], where="dya > 3")
    with pytest.raises(ServiceError, match="cannot reach Spark"):
        load_on_spark(store, [str(tmp_path)], "sc://127.0.0.1:1")
    assert not store.exists()
