"""Answers of tables are paged by time until each is under the limits, wherever the tables are."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from rightsize.azure.wire import BadAnswerError
from rightsize.collect.kql import REDUCED_TABLES, Asked, Span, reduction_text, span_of, timespan
from rightsize.collect.listing import read_tables
from rightsize.collect.pages import Run
from rightsize.collect.sources.logs import read_place
from rightsize.model.errors import InternalError, UsageError
from tests.collect.collecting import UNTIL, Collect, row_of
from tests.loopback.log_tables import ensure_tables
from tests.loopback.server import Loopback

LIMIT = 1000
TABLE = "StorageTableLogs"
ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"
HOUR = dt.timedelta(hours=1)
TICK = dt.timedelta(microseconds=1)
PLACES = ("{0}", "search:{0}", "lake:soc-{0}", "{1}/logs")


def edges() -> Iterator[dt.datetime]:
    """Yield times of more rows than an answer has, on both sides of each edge at which a slice can be cut."""
    day = UNTIL.replace(tzinfo=None) - dt.timedelta(days=2)
    for hour in range(40):
        start = day + HOUR * hour
        yield from (start - TICK, start, start + TICK)
    # One hour has more rows than an answer, at each place where halving cuts it.
    for step in range(2**11):
        yield day + HOUR * 30 + HOUR * step / 2**11


@pytest.fixture
def filled(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Rows of a table, of many principals, in answers of at most `LIMIT` rows; returns their ids."""
    ensure_tables(loopback.content)
    con = loopback.content.cursor()
    con.execute("SET search_path = 'logs'")
    con.execute(
        f"""
        INSERT INTO {TABLE} BY NAME
        SELECT time AS TimeGenerated, 'c' || number AS CorrelationId, 'GetEntity' AS OperationName,
            'OAuth' AS AuthenticationType, printf('00000000-0000-4000-8000-%012d', number) AS RequesterObjectId,
            '200' AS StatusCode, 'https://a.table.core.windows.net/t' AS Uri, '{ACCOUNT}' AS _ResourceId,
            '{TABLE}' AS Type
        FROM (SELECT unnest($times::TIMESTAMP[]) AS time, generate_subscripts($times::TIMESTAMP[], 1) AS number)""",
        {"times": (times := list(edges()))},
    )
    monkeypatch.setattr(loopback.monitor, "record_limit", LIMIT)
    yield [f"c{number}" for number in range(1, len(times) + 1)]
    con.execute(f"DELETE FROM {TABLE}")


def place_of(loopback: Loopback, form: str) -> str:
    return form.format(loopback.content.workspace_id, loopback.url)


@pytest.mark.nightly
@pytest.mark.parametrize("form", PLACES)
def test_each_row_comes_once_wherever_slices_are_cut(
    loopback: Loopback, collect: Collect, filled: list[str], form: str
) -> None:
    report = collect(workspaces=[place_of(loopback, form)], sources=[TABLE], raw=True, days=3)
    row = row_of(report, TABLE)
    assert (row.state, row.rows) == ("complete", len(filled))
    assert row.pages > 3
    found = [record["CorrelationId"] for record in Run.read(report.folder).records(TABLE)]
    assert Counter(found) == Counter(filled)


@pytest.mark.nightly
@pytest.mark.parametrize("form", PLACES)
def test_an_hour_of_many_principals_is_cut_by_principals(
    loopback: Loopback, collect: Collect, filled: list[str], form: str
) -> None:
    """Rows of a reduction have an hour in their key, so an hour is never cut by time."""
    report = collect(workspaces=[place_of(loopback, form)], sources=[f"reduced_{TABLE}"], days=3)
    row = row_of(report, f"reduced_{TABLE}")
    assert (row.state, row.rows) == ("complete", len(filled))
    records = list(Run.read(report.folder).records(f"reduced_{TABLE}"))
    assert len({record["RequesterObjectId"] for record in records}) == len(filled)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["throttle", "cut"])
@pytest.mark.parametrize("form", PLACES[2:])
def test_throttling_and_faults_lose_no_row(
    loopback: Loopback, collect: Collect, filled: list[str], form: str, kind: str
) -> None:
    loopback.faults.add(kind, "rest/query", times=2)
    row = row_of(collect(workspaces=[place_of(loopback, form)], sources=[TABLE], raw=True, days=3), TABLE)
    assert (row.state, row.rows) == ("complete", len(filled))


@pytest.mark.nightly
@pytest.mark.parametrize("form", PLACES)
def test_fewer_rows_than_were_counted_are_not_all(
    loopback: Loopback, collect: Collect, filled: list[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Rows only arrive: what is missing was lost on its way, and the same command asks again."""
    run, answer = {"days": 3, "raw": True, "workspaces": [place_of(loopback, form)]}, loopback.monitor.run

    def losing(con: Any, text: str, limit: int) -> bytes:
        document = json.loads(answer(con, text, limit))
        if "count()" not in text:
            document["tables"][0]["rows"] = document["tables"][0]["rows"][1:]
        return json.dumps(document).encode()

    monkeypatch.setattr(loopback.monitor, "run", losing)
    lost = row_of(collect(sources=[TABLE], **run), TABLE)
    assert lost.state == "incomplete"
    assert f"of {len(filled):,} counted rows arrived" in lost.reason
    monkeypatch.setattr(loopback.monitor, "run", answer)
    again = collect(sources=[TABLE], **run)
    assert again.resumed
    assert row_of(again, TABLE).rows == len(filled)


@pytest.mark.parametrize("table", REDUCED_TABLES)
def test_a_reduction_stays_within_what_a_basic_table_allows(table: str) -> None:
    """One table, no functions of its own, and no range of time."""
    text = "\n".join(line for line in reduction_text(table).splitlines() if not line.startswith("//"))
    assert text.startswith(f"{table}\n")
    for word in ("let ", "join", "lookup", "union", "datatable", "externaldata", "TimeGenerated >", "ago("):
        assert word not in text


def test_a_query_says_its_span_and_its_halves_are_the_whole() -> None:
    asked = Asked("AzureActivity", reduced=True)
    first = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
    whole = Span(first, first + 5 * HOUR)
    assert span_of(asked.text(whole, is_within=False)) == whole
    one, other = asked.smaller(whole)
    assert (one.first, one.last, other.last) == (whole.first, other.first, whole.last)
    hour = Span(first, first + HOUR)
    assert [(part.part, part.parts) for part in asked.smaller(hour)] == [(1, 2), (2, 2)]
    with pytest.raises(InternalError):
        span_of("AzureActivity")


def test_a_timespan_ends_before_the_next_begins() -> None:
    first = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
    assert timespan(first, first + HOUR) == "2026-09-01T00:00:00Z/2026-09-01T00:59:59.9999999Z"


@pytest.mark.parametrize("text", ["", "somewhere", "http://cluster/db", "https://cluster", "lake:name", "search:x"])
def test_a_place_that_cannot_be_asked_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_place(text)


def frames(rows: list[Any], **end: Any) -> bytes:
    columns = [{"ColumnName": "a", "ColumnType": "long"}]
    table = {"FrameType": "DataTable", "TableKind": "PrimaryResult", "Columns": columns, "Rows": rows}
    return json.dumps([table, {"FrameType": "DataSetCompletion", "HasErrors": False, **end}]).encode()


def test_frames_become_records() -> None:
    page = read_tables(frames([[1], [2]]))
    assert (page.lines, page.rows, page.is_partial) == (b'{"a":1}\n{"a":2}\n', 2, False)


def test_frames_that_were_cut_are_partial() -> None:
    error = {"error": {"code": "LimitsExceeded", "message": "E_QUERY_RESULT_SET_TOO_LARGE"}}
    assert read_tables(frames([[1]], HasErrors=True, OneApiErrors=[error])).is_partial
    assert read_tables(frames([[1], {"OneApiErrors": [error]}])).is_partial


def test_frames_with_another_error_or_without_an_end_are_no_answer() -> None:
    with pytest.raises(BadAnswerError):
        read_tables(frames([[1]], HasErrors=True, OneApiErrors=[{"error": {"code": "Internal"}}]))
    with pytest.raises(BadAnswerError):
        read_tables(json.dumps(json.loads(frames([[1]]))[:1]).encode())
