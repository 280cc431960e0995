"""Merging staged log rows into the store, against a bare group-by of the same rows in DuckDB."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from rightsize.store.connection import Store, open_store
from rightsize.store.merging.loads import merge
from rightsize.store.merging.staging import EVENT_TEXTS, create_staging, stage_events

SLOW = True
ROWS = 100_000
RUNS = 3


def run() -> Iterator[tuple[str, str, str]]:
    """Merge begin and end rows of calls at many scopes; then a group-by on the call's key, medians."""
    merged, again, bare = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(RUNS):
            with open_store(Path(folder) / f"{number}.duckdb", read_only=False) as store:
                stage_calls(store, ROWS)
                merged.append(_seconds(store))
                again.append(_seconds(store))
                bare.append(_seconds_of_group_by(store.connection))
    base = statistics.median(bare)
    yield f"group-by of {ROWS} rows on the key of the call", f"{base * 1000:.0f} ms", ""
    for what, measured in (("merge into an empty store", merged), ("the same rows again", again)):
        median = statistics.median(measured)
        yield what, f"{median * 1000:.0f} ms", f"{median / base:.0f} x a bare group-by"
        yield f"{what}, a second", f"{ROWS / median:,.0f} rows", ""


def stage_calls(store: Store, rows: int, scopes: int = 1 << 30) -> None:
    """Stage `rows` rows, two a call, at up to `scopes` resources, in the upper case of storage exports."""
    con = store.connection
    create_staging(con)
    con.execute("INSERT INTO stage_files VALUES (1, 'calls', 'activity_log_storage', 'cafe', $rows, 0)", {"rows": rows})
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE made_up_rows AS
        WITH calls AS (
            SELECT i, i % 2 AS is_end, i // 2 AS call, hash(i // 2) AS h, hash(i // 2 % $scopes) AS place
            FROM range($rows) AS r(i)
        ), named AS (
            SELECT *, format('/SUBSCRIPTIONS/{:08x}-0000-4000-8000-000000000000/RESOURCEGROUPS/RG{}/PROVIDERS/'
                    'MICROSOFT.COMPUTE/TYPE{}/VM{}',
                    place % 20, place // 20 % 100, place // 2000 % 9, place // 18000 % 50) AS scope,
                format('Microsoft.Compute/type{}/write', h % 300) AS operation
            FROM calls
        )
        SELECT 1 AS file_id, i AS line,
            TIMESTAMP '2026-01-01' + to_seconds((h % 15000000 + is_end)::BIGINT) AS time,
            'activity_log' AS source, 'control' AS plane,
            format('{:08x}-1111-4222-8333-444444444444', h // 7 % 2000) AS principal_id,
            'User' AS principal_type, operation, scope,
            CASE is_end WHEN 1 THEN 'succeeded' ELSE 'started' END AS outcome,
            format('{:08x}-5555-4666-8777-888888888888', h // 11 % 5000) AS role_assignment_id,
            format('{:08x}-aaaa-4bbb-8ccc-dddddddddddd', call) AS correlation_id, '192.0.2.1' AS ip,
            md5_number(format('{:08x}', call)) AS event_key, 'Administrative' AS category,
            CASE is_end WHEN 1 THEN 4 ELSE 1 END AS rank
        FROM named""",
        {"rows": rows, "scopes": scopes},
    )
    absent = set(EVENT_TEXTS) - {name for name, *_ in con.execute("DESCRIBE made_up_rows").fetchall()}
    stage_events(con, f"SELECT *, {', '.join(f'CAST(NULL AS VARCHAR) AS {name}' for name in absent)} FROM made_up_rows")


def _seconds(store: Store) -> float:
    start = time.perf_counter()
    merge(store)
    return time.perf_counter() - start


def _seconds_of_group_by(con: duckdb.DuckDBPyConnection) -> float:
    start = time.perf_counter()
    con.execute("""
        SELECT count(*), max(time) FROM (
            SELECT min(time) AS time, max(rank) AS rank, min(principal_id), min(role_assignment_id), min(ip)
            FROM stage_event_rows GROUP BY event_key)""").fetchall()
    return time.perf_counter() - start
