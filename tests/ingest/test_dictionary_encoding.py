"""Equal texts of records are normalised once, with the same result as for each record alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from rightsize.ingest.logs import batches
from rightsize.ingest.logs import dictionary_encoding as alike
from rightsize.ingest.logs.projections import RAW_EVENT_COLUMNS, create_reference_tables
from rightsize.ingest.logs.values import READ_COLUMNS
from rightsize.store.merging.staging import CONTEXT_COLUMNS, EVENT_KEY, create_staging
from tests.ingest.parsing import staged, told, write_lines
from tests.ingest.renderings import Call, diagnostic
from tests.ingest.spark.hostile import EVENTS, rows_of

RAW = [name for name in RAW_EVENT_COLUMNS if name not in (*READ_COLUMNS, "source")]
SAID = (
    "time",
    *CONTEXT_COLUMNS,
    "operation",
    "scope",
    "outcome",
    "correlation_id",
    "event_id",
    "token_id",
    "session_id",
)
BETWEEN = "\x1f"
SOUND = {"time": "2025-01-15T09:30:45Z", "auth_action": "a/b", "auth_scope": "/s"}


@pytest.fixture
def packed_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads a single record as a million are."""
    monkeypatch.setattr(alike, "LEAST_RECORDS", 0)


def _raw(rows: Sequence[dict[str, str | None]]) -> duckdb.DuckDBPyConnection:
    """Return a connection with raw rows of the Activity Log in `raw`, each in a file of its own."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    create_staging(con)
    create_reference_tables(con)
    kinds = {"file_no": pl.Int32, "line": pl.Int64, "ordinal": pl.Int64}
    found = [
        {**dict.fromkeys(RAW), **{name: text or None for name, text in row.items() if name in RAW}, "file_no": number}
        for number, row in enumerate(rows)
    ]
    frame = pl.DataFrame(found, schema={name: kinds.get(name, pl.String) for name in RAW})
    con.register("rows", frame.to_arrow())
    con.execute("CREATE TABLE raw AS SELECT * REPLACE ('activity' AS log) FROM rows")
    return con


def _each(rows: Sequence[dict[str, str | None]]) -> tuple[dict[int, tuple[Any, ...]], set[int]]:
    """Return what each row says, and the rows with problems."""
    con = _raw(rows)
    con.execute("CREATE TEMP TABLE ingest_raw AS FROM raw")
    problems = batches.normalise_rows(con, "activity")
    found = con.execute(
        f"SELECT file_no, {EVENT_KEY}, {', '.join(SAID)} FROM ingest_rows WHERE problem IS NULL"
    ).fetchall()
    return {number: tuple(more) for number, *more in found}, problems


def _alike(rows: Sequence[dict[str, str | None]]) -> tuple[dict[int, tuple[Any, ...]], set[int]]:
    """Return the same of packed rows."""
    con = _raw(rows)
    con.execute(f"CREATE TEMP TABLE ingest_raw AS {alike.packed('FROM raw')}")
    batches.number_rows(con, "activity")
    odd = alike.stage_alike(con, "file_no")
    found = con.execute(f"SELECT file_id, event_key, {', '.join(SAID)} FROM stage_event_rows").fetchall()
    problems = odd | {
        number for (number,) in con.execute("SELECT file_id FROM stage_events WHERE time IS NULL").fetchall()
    }
    return {number: tuple(more) for number, *more in found if number not in problems}, problems


@pytest.mark.nightly
@pytest.mark.parametrize(("seed", "least"), [(0, 0), (1, 0), (2, 0), (0, 1 << 40)])
def test_hostile_rows_say_what_they_say_by_themselves(seed: int, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every column of every row, other categories left out, and the same rows have problems; few rows or many."""
    monkeypatch.setattr(alike, "LEAST_RECORDS", least)
    # Without an id a call is told by its time and who made it; such a file is never read packed.
    rows = [{**row, "correlation_id": row["correlation_id"] or "C"} for row in rows_of(EVENTS, 3000, seed)]
    rows = [{**row, **(SOUND if number % 2 else {})} for number, row in enumerate(rows)]
    each, problems = _each(rows)
    assert len(each) > 700
    assert len(problems) > 500
    assert len(each) + len(problems) < len(rows)
    assert any(said[SAID.index("operation") + 1] == "m/n/join/action" for said in each.values())
    assert _alike(rows) == (each, problems)


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize("least", [0, 1 << 40])
@pytest.mark.parametrize("column", [name for names in alike.PACKED.values() for name in names])
def test_no_text_passes_for_two(column: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands between packed texts makes a file with it within a text one that is read again as it stands."""
    monkeypatch.setattr(alike, "LEAST_RECORDS", least)
    rows: list[dict[str, str | None]] = [
        {**SOUND, "correlation_id": "c", column: text}
        for text in ("x", f"x{BETWEEN}", BETWEEN, f"{BETWEEN}x", f"x{BETWEEN}y")
    ]
    assert _alike(rows)[1] >= {1, 2, 3, 4}
    assert 0 not in _alike(rows)[1]


def _odd_records() -> list[Any]:
    linked = json.dumps({"error": {
        "code": "LinkedAuthorizationFailed",
        "message": "The client has permission to perform action 'a/b/write'; however, it does not have permission to "
        "perform action(s) 'm/n/join/action' on the linked scope(s) '/subscriptions/z' or the linked scope(s) are "
        "invalid."}})  # fmt: skip
    records: list[Any] = [diagnostic(Call(number)) for number in range(6)]
    refused = diagnostic(Call(7)) | {"resultType": "Failure", "properties": {"statusMessage": linked}}
    return [
        *records,
        refused,
        refused | {"operationName": "", "correlationId": "other"},
        records[0] | {"category": "Policy", "properties": {}},
        records[1] | {"resultType": "Perhaps", "correlationId": "another"},
        records[2] | {"resultType": {"value": ""}},
    ]


ODD = {
    "as it should be": [],
    "a time that is none": [diagnostic(Call(8)) | {"time": "yesterday"}],
    "no operation": [{**diagnostic(Call(8)), "operationName": "", "identity": {}}],
    "no id": [{**diagnostic(Call(8)), "correlationId": ""}],
    "what stands between texts": [diagnostic(Call(8)) | {"callerIpAddress": f"1.2.3.4{BETWEEN}Administrative"}],
    "a link to what is no operation": [
        diagnostic(Call(8)) | {"resultType": "Failure", "properties": {"statusMessage": json.dumps({
            "code": "LinkedAuthorizationFailed",
            "message": "does not have permission to perform action 'x' on the linked scope '/s'"})}}
    ],
    "no record": ["{", "null", "7"],
}  # fmt: skip


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize("name", ODD)
def test_a_file_says_the_same_read_packed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows, its rejects and what is told of its words."""
    path = write_lines(tmp_path, [*_odd_records(), *ODD[name], *_odd_records()])
    found = []
    for least in (1 << 40, 0):
        monkeypatch.setattr(alike, "LEAST_RECORDS", least)
        con, report = staged(path)
        found.append((told(con, {0: "file"}), report.notes))
    assert found[0] == found[1]
    assert len(found[0][0]["stage_event_rows"]) >= 14
    assert any("Policy" in note for note in found[0][1])


@pytest.mark.nightly
def test_numbers_go_on_from_batch_to_batch(packed_always: None, tmp_path: Path) -> None:
    """Files of two forms are two batches; the same texts are the same operations and places."""
    first = write_lines(tmp_path, [diagnostic(Call(number)) for number in range(4)], "lines")
    second = tmp_path / "array"
    second.write_text(json.dumps([diagnostic(Call(number)) for number in range(2, 6)]))
    con, _ = staged(first, second)
    for name in ("operation", "scope"):
        counts = con.execute(f"SELECT count(*), count(DISTINCT {name}) FROM stage_event_{name}s").fetchall()
        assert counts[0][0] == counts[0][1] > 0
    ((rows, contexts),) = con.execute(
        "SELECT (SELECT count(*) FROM stage_event_rows), (SELECT count(DISTINCT context_no) FROM stage_event_contexts)"
    ).fetchall()
    assert rows == 8
    assert contexts == con.execute("SELECT count(*) FROM stage_event_contexts").fetchall()[0][0]
