"""The tables of a plan's evidence: same rows, same bytes and hash, and nothing else is taken for them."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rightsize.analyze.inputs import schema_of_columns
from rightsize.analyze.plan_evidence import (
    EvidenceFile,
    content_hash,
    files_of,
    read_tables,
    stays_inline,
    take_rows,
    write_table,
)
from rightsize.model.errors import InputError
from rightsize.model.plan_file import OPERATIONS, PAGE_TABLES, file_of
from rightsize.model.tables import EVIDENCE_TABLES
from tests.examples import MANY, SOME

HOSTILE = '"\\\n\t\x00\x1f\x7f\u202e\u2028é😀'
USE: dict[str, Any] = {
    "operation": "Microsoft.Compute/virtualMachines/start/action",
    "plane": "control",
    "events": 3,
    "days": 2,
    "first_seen": "2026-01-02T03:04:05.000006Z",
    "last_seen": dt.datetime(2026, 3, 1),
    "attributed_by": ["evidence"],
    "principals": 1,
    "principal_ids": [HOSTILE],
    "scopes": 1,
    "scope_ids": ["/subscriptions/a"],
}
DIRECTORY_USE: dict[str, Any] = {
    "operation": "microsoft.directory/users/create",
    "scope": "/",
    "principal_id": "u",
    "events": 1,
    "days": 1,
    "first_seen": "2026-01-02T03:04:05Z",
    "last_seen": "2026-01-02T03:04:05Z",
    "attribution": "activation",
}
LISTING = {"kind": "resources", "reader_id": "r", "subscriptions": 2, "read_from": dt.datetime(2026, 4, 1)}
ABSENT: list[dict[str, Any]] = [
    {
        "reason": "no_such_resource",
        "operations": 3,
        "resource_types": {"Microsoft.Web/sites": 2, "Microsoft.Web/serverFarms": 1},
        "subscriptions": 2,
        "listings": [LISTING | {"read_to": "2026-04-02T00:00:00Z"}],
        "log_days": 90,
        "window_days": 90,
    },
    {"reason": "provider_not_registered", "operations": 1, "resource_types": {"A.B/c": 1}, "proof": "at another type"},
]
CHANCE: dict[str, Any] = {
    "expected": 0.0001,
    "bound": 0.0297,
    "basis": "used",
    "operations": 2,
    "new_weeks": 0,
    "active_days": 52,
    "tested_days": 30,
    "counts": {"measured": [69, 1280], "basis": [2, 28]},
    "seasonal": "month_end",
    "new_types": {"bound": 1.0, "expected": 0.5, "came": 3},
}
PROPOSALS: list[tuple[str, str, dict[str, Any]]] = [
    ("p1", "control", {"operations": [USE], "used_before": [USE | {"days_ago": 93}], "absent": ABSENT, "used": 1}),
    ("p2", "graph", {"comes": [], "break_probability": CHANCE, "removed": {}, "kept_unseen": {"arm_read": 1}}),
    ("p3", "directory", {"operations": [DIRECTORY_USE]}),
]


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return take_rows(PROPOSALS)


@pytest.fixture(scope="module")
def files(tables: dict[str, pl.DataFrame]) -> dict[str, bytes]:
    return {file_of(table): write_table(tables[table.name]) for table in EVIDENCE_TABLES}


def test_rows_are_taken_out_of_every_plane(tables: dict[str, pl.DataFrame]) -> None:
    uses = tables["operations"]
    assert uses.select("proposal_id", "period", "plane", "days_ago").rows() == [
        ("p1", "window", "control", None),
        ("p1", "before", "control", 93),
        ("p3", "window", "directory", None),
    ]
    assert uses["first_seen"][0] == dt.datetime(2026, 1, 2, 3, 4, 5, 6)
    assert uses.select("principal_ids", "scope_ids", "attributed_by").row(2) == (["u"], ["/"], ["activation"])
    assert tables["absent"].select("resource_type", "operations").rows() == [
        ("Microsoft.Web/sites", 2), ("Microsoft.Web/serverFarms", 1), ("A.B/c", 1),
    ]  # fmt: skip
    proofs = tables["absence-proofs"]
    assert proofs.select("reader_id", "of_subscriptions", "proof").rows() == [
        ("r", 2, None),
        (None, None, "at another type"),
    ]
    assert proofs["read_to"][0] == dt.datetime(2026, 4, 2)


def test_a_proposal_keeps_counts_in_place_of_rows() -> None:
    assert stays_inline(PROPOSALS[0][2]) == {"used": 1, "used_before": 1}
    assert stays_inline({"used_before": 4, "removed": {"covered": 2}}) == {"used_before": 4, "removed": {"covered": 2}}


def test_a_proposal_keeps_the_bound_of_its_chance() -> None:
    """The expected chance is a key of the proposal itself."""
    left = {"comes": [], "break_probability": {"bound": 0.0297}, "kept_unseen": {"arm_read": 1}}
    assert stays_inline(PROPOSALS[1][2]) == left


def test_a_chance_has_a_row_with_the_counts_behind_it(tables: dict[str, pl.DataFrame]) -> None:
    (row,) = tables["chances"].to_dicts()
    assert {name: value for name, value in row.items() if value is not None} == {
        "proposal_id": "p2", "expected": 0.0001, "bound": 0.0297, "basis": "used", "operations": 2, "new_weeks": 0,
        "active_days": 52, "tested_days": 30, "measured_came": 69, "measured_of": 1280, "basis_came": 2, "basis_of": 28,
        "seasonal": "month_end", "beyond_the_sample": False, "types_bound": 1.0, "types_expected": 0.5, "types_came": 3,
    }  # fmt: skip


@pytest.mark.parametrize("chance", ["often", {"bound": "high"}, {"counts": [1]}, {"counts": {"basis": 1}}])
def test_a_chance_of_another_form_is_refused(chance: object) -> None:
    with pytest.raises(InputError, match="evidence"):
        take_rows([("p1", "control", {"break_probability": chance})])


def test_tables_are_read_back(tables: dict[str, pl.DataFrame], files: dict[str, bytes]) -> None:
    found = read_tables(files_of(tables), files)
    for name, frame in tables.items():
        assert_frame_equal(found[name], frame)


def test_tables_for_pages_alone_are_not_read_without_pages(
    tables: dict[str, pl.DataFrame], files: dict[str, bytes]
) -> None:
    """A damaged table that only pages show stops nothing that shows none of them."""
    damaged = files | {file_of(one): b"" for one in PAGE_TABLES}
    found = read_tables(files_of(tables), damaged, with_pages=False)
    assert found.keys() == tables.keys() - {one.name for one in PAGE_TABLES}


def test_a_table_without_rows_has_no_file() -> None:
    assert files_of(take_rows([])) == []
    assert [frame.height for frame in read_tables([], {}).values()] == [0] * len(EVIDENCE_TABLES)


def test_the_hash_is_of_lines_of_json(tables: dict[str, pl.DataFrame]) -> None:
    """Whoever has the rows can compute it, with any JSON writer."""
    for frame in tables.values():
        rows = frame.with_columns(pl.selectors.temporal().dt.epoch("us")).to_dicts()
        lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        assert content_hash(frame) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_hash_stays_as_it_is(tables: dict[str, pl.DataFrame]) -> None:
    """Plans that people hold name it: a change of this value would refuse all of them."""
    assert content_hash(tables["operations"]) == "8d155d3981ae7dfbd7cd7f85a1c346cfe54b3e423a4ffee273c463873a33007b"


@pytest.mark.nightly
@MANY
@given(st.lists(st.text(), min_size=1))
def test_any_text_is_hashed_as_json_has_it(texts: list[str]) -> None:
    frame = pl.DataFrame({"a": texts, "b": [[text] for text in texts], "n": [None] * len(texts)})
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in frame.to_dicts()]
    assert content_hash(frame) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_same_rows_make_the_same_bytes(tables: dict[str, pl.DataFrame]) -> None:
    """However the frame came about: in parts, filtered or sorted."""
    rows = pl.concat([tables["operations"]] * 400).with_columns(events=pl.int_range(pl.len()))
    parts = pl.concat([rows[:7], rows[7:901], rows[901:]], rechunk=False)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1).sort("events")
    filtered = pl.concat([rows, rows]).with_row_index("i").filter(pl.col("i") >= rows.height).drop("i")
    assert {write_table(one) for one in (parts, shuffled, filtered)} == {write_table(rows)}
    assert {content_hash(one) for one in (parts, shuffled, filtered)} == {content_hash(rows)}


def _refused(listed: list[EvidenceFile], files: dict[str, bytes]) -> str:
    with pytest.raises(InputError) as raised:
        read_tables(listed, files)
    assert "rightsize propose" in (raised.value.hint or "")
    return raised.value.message


def test_a_wrong_file_is_refused(tables: dict[str, pl.DataFrame], files: dict[str, bytes]) -> None:
    """Missing, cut, empty, of another table, of other rows, or another order of them."""
    listed, name = files_of(tables), file_of(OPERATIONS)
    rows = tables["operations"]
    others = {one: content for one, content in files.items() if one != name}
    assert _refused(listed, others) == f"evidence files of the plan are missing: `{name}`"
    for damaged in (b"", b"PAR1", files[name][:-1], files[name][:200], b"{}"):
        assert "cannot be read as Parquet" in _refused(listed, files | {name: damaged})
    changed = [
        tables["absent"],
        rows[:-1],
        rows[::-1],
        rows.with_columns(events=pl.col("events") + 1),
        rows.select(rows.columns[::-1]),
        rows.with_columns(more=1),
    ]
    for other in changed:
        assert _refused(listed, files | {name: write_table(other)}) == f"`{name}` differs from the plan"
    forged = [replace(one, content="0" * 64) for one in listed]
    assert "differs from the plan" in _refused(forged, files)


def test_notes_beside_the_rows_do_not_count(tables: dict[str, pl.DataFrame], files: dict[str, bytes]) -> None:
    """Not even those that are no text."""
    name, stream = file_of(OPERATIONS), io.BytesIO()
    rows = pq.read_table(io.BytesIO(files[name]))
    noted = [one.with_metadata({b"\xff": b"\xff"}) for one in rows.schema]
    pq.write_table(rows.cast(pa.schema(noted)), stream)
    found = read_tables(files_of(tables), files | {name: stream.getvalue()})
    assert_frame_equal(found["operations"], tables["operations"])


@SOME
@given(st.data())
def test_a_damaged_file_is_refused_or_has_the_same_rows(
    tables: dict[str, pl.DataFrame], files: dict[str, bytes], data: st.DataObject
) -> None:
    """It is never a crash, and never other rows."""
    name = file_of(OPERATIONS)
    content = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.sampled_from([len(content), len(content), len(content) // 2]))]
    try:
        found = read_tables(files_of(tables), files | {name: bytes(content)})
    except InputError:
        return
    assert_frame_equal(found["operations"], tables["operations"])


@pytest.mark.parametrize(
    "use",
    [
        {},
        USE | {"events": "many"},
        USE | {"events": 2**70},
        USE | {"first_seen": "yesterday"},
        USE | {"operation": "\ud800"},
        "text",
        None,
    ],
)
def test_rows_of_another_form_are_refused(use: Any) -> None:
    """A plan of format version 1 may come from anybody."""
    with pytest.raises(InputError, match="evidence"):
        take_rows([("p1", "control", {"operations": [use]})])


def test_early_plans_lack_some_values() -> None:
    (row,) = take_rows([("p1", "data", {"operations": [{"operation": "x"}]})])["operations"].to_dicts()
    assert {name: value for name, value in row.items() if value is not None} == {
        "proposal_id": "p1", "period": "window", "plane": "data", "operation": "x",
    }  # fmt: skip


def test_types_are_those_that_the_model_declares(files: dict[str, bytes]) -> None:
    """Also for others who read the files."""
    for table in EVIDENCE_TABLES:
        assert dict(pl.read_parquet_schema(io.BytesIO(files[file_of(table)]))) == schema_of_columns(table.columns)
