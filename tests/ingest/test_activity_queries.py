"""The queries of the reduction: their contract with other engines, and the laws of the merge."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.ingest.logs.projections import (
    PROJECTIONS,
    RAW_EVENT_COLUMNS,
    RAW_SIGN_IN_COLUMNS,
    create_reference_tables,
    raw_events,
)
from rightsize.ingest.logs.values import FIELDS, Fields, with_log
from rightsize.store.merging.staging import CALL_ROWS, EVENT_KEY, EVENT_TEXTS, create_staging
from rightsize.store.queries import query_text
from tests.examples import FEW, SOME

QUERIES = ("reduce/normalise", "reduce/collapse", "reduce/sign_ins")


@pytest.mark.parametrize("name", QUERIES)
def test_sqlglot_carries_them_to_spark(name: str) -> None:
    """Each parses as DuckDB's SQL, and what Spark gets parses as Spark's."""
    sqlglot = pytest.importorskip("sqlglot", reason="needs sqlglot")
    (carried,) = sqlglot.transpile(
        query_text(name), read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    assert sqlglot.parse_one(carried, read="spark").sql("spark") == carried


@pytest.mark.parametrize("name", QUERIES)
def test_they_use_nothing_that_engines_read_differently(name: str) -> None:
    """No back-reference, no arg_max, no order of rows, no clock, no Unicode folding of what may not be ASCII."""
    text = re.sub(r"--.*", "", query_text(name)).lower()
    assert not re.search(
        r"arg_max|arg_min|max_by|first\(|last\(|any_value|row_number|now\(|current_|random|\\\\\d|upper\(", text
    )


def test_raw_columns_and_staging_columns_are_all_there() -> None:
    """A projection's columns are what the queries read; what they give is what staging takes."""
    con = duckdb.connect()
    create_staging(con)
    create_reference_tables(con)
    for relation, columns in (("raw_events", RAW_EVENT_COLUMNS), ("raw_sign_ins", RAW_SIGN_IN_COLUMNS)):
        text = "VARCHAR"
        kinds = {"file_no": "INTEGER", "line": "BIGINT", "ordinal": "BIGINT"}
        declared = ", ".join(f"{name} {kinds.get(name, text)}" for name in columns)
        con.execute(f"CREATE TABLE {relation} ({declared})")
    events = f"SELECT *, {EVENT_KEY} AS event_key FROM ({query_text('reduce/normalise')})"
    taken_of_events = {*EVENT_TEXTS, "line", "event_key"}
    taken_of_sign_ins = {row[0] for row in con.execute("DESCRIBE stage_sign_in_rows").fetchall()} - {"file_id"}
    for query, taken in ((events, taken_of_events), (query_text("reduce/sign_ins"), taken_of_sign_ins)):
        given_columns = {row[0] for row in con.execute(f"DESCRIBE {query}").fetchall()}
        assert taken <= given_columns


@pytest.mark.slow
@pytest.mark.parametrize("log", ["activity", "storage"])
def test_what_a_log_never_has_is_null_among_its_raw_columns(log: str) -> None:
    """The two logs that one query normalises come to the same columns, each once."""
    con = duckdb.connect()
    con.execute(
        f"CREATE TABLE fields (file_no INTEGER, line BIGINT, {', '.join(f'{name} VARCHAR' for name in FIELDS)})"
    )
    found = con.execute(f"DESCRIBE {raw_events(log, PROJECTIONS[log](Fields('FROM fields')))}").fetchall()
    assert sorted(row[0] for row in found) == sorted(RAW_EVENT_COLUMNS)


_WORDS = st.sampled_from([None, "Write", "AzureActivity", "StorageRead", "/tenants/t/providers/microsoft.aadiam", "x"])


@pytest.mark.nightly
@given(
    record=st.dictionaries(st.sampled_from(FIELDS), _WORDS, max_size=8),
    place=st.sampled_from(["/subscriptions/s", "/SUBSCRIPTIONS/S", "/tenants/t/providers/microsoft.aadiam", None]),
    category=st.sampled_from(["Write", "Delete", "Action", "Administrative"]),
)
@SOME
def test_the_log_of_a_record_is_the_same_whatever_the_case_of_its_words(
    record: dict[str, str | None], place: str | None, category: str
) -> None:
    """Records that are as most are get told a shorter way, which comes to the same."""
    con = duckdb.connect()
    con.execute(f"CREATE TABLE fields ({', '.join(f'{name} VARCHAR' for name in FIELDS)})")
    for spelt in (category, category.upper()):
        values = record | {"resource_id": place, "category": spelt}
        con.execute(
            f"INSERT INTO fields ({', '.join(values)}) VALUES ({', '.join('?' for _ in values)})", [*values.values()]
        )
    told, told_longer = con.execute(f"SELECT log FROM ({with_log('FROM fields')})").fetchall()
    assert told == told_longer


def _collapse(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    con = duckdb.connect()
    create_staging(con)
    con.execute(f"CREATE TEMP TABLE event_rows AS {CALL_ROWS}")
    con.execute("ALTER TABLE event_rows ALTER key_correlation TYPE VARCHAR")
    for row in rows:
        names = ", ".join(row)
        con.execute(f"INSERT INTO event_rows ({names}) VALUES ({', '.join('?' for _ in row)})", list(row.values()))
    return con.execute(f"SELECT * FROM ({query_text('reduce/collapse')}) ORDER BY key_scope").fetchall()


_ROW = st.fixed_dictionaries(
    {
        "time": st.sampled_from([dt.datetime(2025, 1, 1, 0, 0, n, n * 100) for n in range(3)]),
        "rank": st.integers(0, 4),
        "principal_id": st.sampled_from([None, "a", "b"]),
        "role_assignment_id": st.sampled_from([None, "r1", "r2"]),
        "operation": st.sampled_from(["A/b/write", "a/B/write"]),
        "scope": st.sampled_from(["/S", "/s"]),
        "event_id": st.sampled_from([None, "1", "2"]),
        "key_correlation": st.just("c"),
        "key_operation": st.just("a/b/write"),
        "key_scope": st.sampled_from(["/s", "/t"]),
    }
)


@pytest.mark.slow
@FEW
@given(st.lists(_ROW, min_size=1, max_size=5))
def test_the_merge_is_commutative_and_idempotent(rows: list[dict[str, Any]]) -> None:
    """In any order and with rows repeated, one event comes out, the same one."""
    expected = _collapse(rows)
    assert len(expected) == len({row["key_scope"] for row in rows})
    assert _collapse(rows[::-1] + rows[:2]) == expected


@pytest.mark.slow
def test_a_field_comes_from_the_highest_row_that_has_it() -> None:
    """The end row decides; what it lacks comes from the begin row; the earliest row spells."""
    base = {"key_correlation": "c", "key_operation": "o", "key_scope": "s", "scope": "/s"}
    begin = base | {
        "time": dt.datetime(2025, 1, 1),
        "rank": 1,
        "principal_id": "p",
        "role_assignment_id": "old",
        "operation": "B/x/y",
    }
    end = base | {
        "time": dt.datetime(2025, 1, 2),
        "rank": 4,
        "principal_id": None,
        "role_assignment_id": "new",
        "operation": "b/x/y",
    }
    for rows in itertools.permutations([begin, end]):
        ((time, _, _, principal, *_, key_scope, _, rank, _),) = _collapse(list(rows))
        assert (time, principal, key_scope, rank) == (begin["time"], "p", "s", 4)
    (row,) = _collapse([begin, end])
    assert row[7:11] == ("B/x/y", "/s", "succeeded", "new")
