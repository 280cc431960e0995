"""Answers of every form become lines; anything that is no answer is recognised."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.azure.wire import BadAnswerError
from rightsize.collect import listing
from tests.examples import MANY, SOME

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.nightly
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4), st.sampled_from([None, 2]))
@MANY
def test_a_page_is_kept_as_it_came_on_one_line(records: list[dict[str, Any]], indent: int | None) -> None:
    """However it was laid out, it says the same afterwards."""
    document = {"@odata.context": "c", "value": records, "nextLink": "https://x/y"}
    content = json.dumps(document, indent=indent).encode()
    page = listing.read_pages(content)
    assert page.lines.endswith(b"\n")
    assert page.lines.count(b"\n") == 1
    assert json.loads(page.lines) == document
    assert (page.rows, page.next_link) == (len(records), "https://x/y")
    assert json.loads(page.envelope) == {**document, "value": []}


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4))
@MANY
def test_records_of_logs_become_a_line_each(records: list[dict[str, Any]]) -> None:
    page = listing.read_records(json.dumps({"value": records}).encode())
    assert [json.loads(line) for line in page.lines.split(b"\n")[:-1]] == records
    assert page.next_link == ""


@pytest.mark.parametrize(
    "form", [listing.read_pages, listing.read_records, listing.read_graph_query, listing.read_tables]
)
@pytest.mark.parametrize(
    "content", [b"", b"half{", b"[]", b"7", b'{"value": {}}', b'{"value": null}', b"\xff", b"<html></html>", b"{}"]
)
def test_what_is_no_answer_is_told(form: listing.Form, content: bytes) -> None:
    with pytest.raises(BadAnswerError):
        form(content)


@pytest.mark.parametrize("key", ["nextLink", "@odata.nextLink", "odata.nextLink"])
def test_the_next_link_is_found_in_each_spelling(key: str) -> None:
    assert listing.read_pages(json.dumps({"value": [], key: "https://x"}).encode()).next_link == "https://x"
    with pytest.raises(BadAnswerError):
        listing.read_pages(json.dumps({"value": [], key: ["https://x"]}).encode())
    assert listing.read_pages(json.dumps({"value": [], key: None}).encode()).next_link == ""


def tables(rows: list[list[Any]], **more: Any) -> bytes:
    columns = [{"name": "TimeGenerated", "type": "datetime"}, {"name": "Claims_d", "type": "dynamic"}]
    return json.dumps({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}], **more}).encode()


def test_rows_of_tables_become_records_by_column() -> None:
    page = listing.read_tables(tables([["2026-01-01T00:00:00Z", '{"a": 1}'], ["2026-01-02T00:00:00Z", None]]))
    assert [json.loads(line) for line in page.lines.splitlines()] == [
        {"TimeGenerated": "2026-01-01T00:00:00Z", "Claims_d": '{"a": 1}'},
        {"TimeGenerated": "2026-01-02T00:00:00Z", "Claims_d": None},
    ]
    assert not page.is_partial


def test_an_answer_with_an_error_is_partial_whatever_else_it_has() -> None:
    assert listing.read_tables(tables([], error={"code": "PartialError"})).is_partial
    assert listing.read_tables(json.dumps({"error": {"code": "PartialError"}}).encode()).is_partial


def test_an_answer_of_the_most_rows_is_taken_for_a_partial_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_ROWS", 2)
    assert not listing.read_tables(tables([["a", None]])).is_partial
    assert listing.read_tables(tables([["a", None]] * 2)).is_partial


@pytest.mark.parametrize("rows", [[["a"]], [["a", "b", "c"]], ["a"], None])
def test_a_table_of_another_width_is_none(rows: Any) -> None:
    with pytest.raises(BadAnswerError):
        listing.read_tables(tables(rows))


@given(
    st.lists(st.tuples(JSON, st.sampled_from(["],[", "[", '"],["', "\\", "a"])), max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.booleans(),
)
@SOME
def test_an_answer_that_is_read_in_parts_says_what_it_says_whole(
    rows: list[tuple[Any, str]], indent: int | None, others: bool, has_error: bool
) -> None:
    """Brackets in texts and lists in rows part nothing, and neither do other tables and statistics behind the rows."""
    document = json.loads(tables([list(row) for row in rows], statistics={"a": [[1], [2], [[3], [4]]]}))
    document["tables"] += [{"name": "other", "columns": [], "rows": [[7], [8], [9]]}] * others
    document |= {"error": {"code": "PartialError"}} if has_error else {}
    content = json.dumps(document, indent=indent).encode()
    whole = listing.read_tables(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "ROWS_BYTES", 1)
        assert listing.read_tables(content) == whole
    assert [json.loads(line)["Claims_d"] for line in whole.lines.splitlines()] == [row[1] for row in rows]
    assert whole.is_partial == has_error


@pytest.mark.nightly
def test_a_long_answer_is_never_there_as_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken beside the answer and the lines made of it is a part of the rows, not all of them."""
    content = tables([[f"2026-01-01T00:00:{number % 60:02}Z", "value " * 5] for number in range(20_000)])
    peaks = []
    for size in (len(content) // 40, len(content)):
        monkeypatch.setattr(listing, "ROWS_BYTES", size)
        tracemalloc.start()
        page = listing.read_tables(content)
        peaks.append(tracemalloc.get_traced_memory()[1] - len(page.lines))
        tracemalloc.stop()
    assert page.rows == 20_000
    assert peaks[0] < peaks[1] / 3


def test_resource_graph_goes_on_with_a_token() -> None:
    page = listing.read_graph_query(json.dumps({"data": [{}], "$skipToken": "t", "resultTruncated": "true"}).encode())
    assert (page.skip_token, page.is_partial) == ("t", False)
    assert listing.read_graph_query(json.dumps({"data": [], "resultTruncated": "true"}).encode()).is_partial


def test_a_blob_ends_with_a_newline() -> None:
    assert listing.read_blob(b'{"a":1}\n{"b":2}') == listing.CollectedPage(b'{"a":1}\n{"b":2}\n', 2)
    assert listing.read_blob(b'{"a":1}\n') == listing.CollectedPage(b'{"a":1}\n', 1)
    assert listing.read_blob(b"").rows == 0
