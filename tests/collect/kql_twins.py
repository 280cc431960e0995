"""Run both definitions of the reduction over the same rows: KQL by duckdb-kql, and the SQL of `queries/reduce/`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from rightsize.collect.kql import Asked, Span
from rightsize.ingest.pipeline import stage
from rightsize.store.merging.staging import CALL_ROWS, create_staging
from rightsize.store.queries import query_text
from rightsize.store.sql import folded
from tests.loopback.log_tables import columns_of, create_tables
from tests.loopback.monitor import translate

EVER = (dt.datetime(2009, 1, 1, tzinfo=dt.UTC), dt.datetime(2060, 1, 1, tzinfo=dt.UTC))
Row = Mapping[str, Any]
COUNTS = ("succeeded", "failed", "started", "denied", "other")


def workspace() -> duckdb.DuckDBPyConnection:
    """Return a connection with the empty tables of a workspace."""
    con = duckdb.connect()
    create_tables(con)
    con.execute("SET search_path = 'logs'")
    return con


@cache
def reduction_sql(table: str, first: dt.datetime, end: dt.datetime) -> str:
    """Return the KQL that reduces a table, translated; that takes longer than to run it on a few rows."""
    return translate(workspace(), Asked(table, reduced=True).text(Span(first, end), is_within=False))


def reduced_by_kql(
    con: duckdb.DuckDBPyConnection, table: str, first: dt.datetime = EVER[0], end: dt.datetime = EVER[1]
) -> list[Row]:
    """Return the rows of a reduction over the connection's tables."""
    result = con.execute(reduction_sql(table, first, end))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    """Add rows to a table; what they do not name is null. Objects stand as JSON."""
    columns = columns_of(table)
    names = ", ".join(f'"{name}"' for name in columns)
    places = ", ".join("?" for _ in columns)
    values = [
        [json.dumps(row[name]) if isinstance(row.get(name), (dict, list)) else row.get(name) for name in columns]
        for row in rows
    ]
    if values:
        con.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", values)


def export(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> Path:
    """Write a table as JSON lines, as a query's rows are exported."""
    items = [
        f'"{name}" := strftime("{name}", \'%Y-%m-%dT%H:%M:%S.%fZ\')' if kind == "datetime" else f'"{name}"'
        for name, kind in columns_of(table).items()
    ]
    texts = con.execute(f"SELECT to_json(struct_pack({', '.join(items)}))::VARCHAR FROM {table}").fetchall()
    path.write_text("".join(f"{text}\n" for (text,) in texts), encoding="utf-8")
    return path


def reduced_by_sql(paths: Sequence[Path]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return what `load` makes of exported rows: key to (first seen, last seen, and each of `COUNTS`)."""
    con = duckdb.connect()
    create_staging(con)
    stage(con, paths)
    con.execute(f"CREATE TEMP VIEW event_rows AS {CALL_ROWS}")
    con.execute(f"CREATE TEMP VIEW calls AS {query_text('reduce/collapse')}")
    rows = con.execute(f"""
        SELECT CASE WHEN principal_id IS NOT NULL THEN 'i' || principal_id
                ELSE 'n' || coalesce({folded("coalesce(principal_name, app_id)")}, '') END,
            {folded("operation")}, {folded("scope")}, plane, coalesce(role_assignment_id, ''),
            coalesce(access, ''), day, min(first_seen), max(last_seen), {", ".join(f"sum({name})" for name in COUNTS)}
        FROM ({query_text("reduce/summarise")}) GROUP BY ALL""").fetchall()
    con.close()
    return {row[:7]: row[7:] for row in rows}


def summed(rows: Sequence[Row]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the rows of a reduction in the same form; the hours in which calls were received are summed over."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        key = (
            _actor(row), _fold(row["operation"]), _fold(row["scope"]), row["plane"], row["role_assignment_id"],
            row["access"], row["day"].date(),
        )  # fmt: skip
        counts = tuple(row[name] for name in COUNTS)
        first, last, *others = found.get(key, (row["first_seen"], row["last_seen"], *(0 for _ in COUNTS)))
        added = (count + other for count, other in zip(counts, others, strict=True))
        found[key] = (min(first, row["first_seen"]), max(last, row["last_seen"]), *added)
    return found


def _actor(row: Row) -> str:
    return f"i{row['principal_id']}" if row["principal_id"] else f"n{_fold(row['principal_name'] or row['app_id'])}"


def _fold(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def sign_ins_by_sql(paths: Sequence[Path]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return what `load` makes of exported sign-ins: key to (resource name, succeeded, failed, last seen)."""
    con = duckdb.connect()
    create_staging(con)
    stage(con, paths)
    rows = con.execute(f"""
        SELECT coalesce(principal_id, ''), coalesce({folded("principal_name")}, ''), coalesce(app_id, ''),
            coalesce(resource_id, ''), kind, time::DATE, max(coalesce(resource_name, '')),
            count(*) FILTER (succeeded), count(*) FILTER (NOT succeeded), max(time)
        FROM stage_sign_in_rows GROUP BY ALL""").fetchall()
    con.close()
    return {row[:6]: row[6:] for row in rows}


def sign_ins_by_kql(rows: Sequence[Row]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the rows of the reduction in the same form; the hours are summed over."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        names = ("principal_id", "principal_name", "app_id", "resource_id", "sign_in_kind")
        key = (*(row[name] for name in names), row["day"].date())
        name, succeeded, failed, last = found.get(key, ("", 0, 0, row["last_seen"]))
        found[key] = (
            max(name, row["resource_name"]),
            succeeded + row["succeeded"],
            failed + row["failed"],
            max(last, row["last_seen"]),
        )
    return found
