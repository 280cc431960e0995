"""Records of one call become one event, in any order and any number of repetitions."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.store.connection import Store
from rightsize.store.merging.staging import CALL_ROWS
from rightsize.store.queries import query_text
from tests.examples import FEWEST
from tests.store.staged import RANKS, VM, calls, content, guid, load, record, rows_of, sign_in

FRESH = Callable[[], Store]

BEGIN = record("started", "2026-01-05T10:00:00", ip="192.0.2.1", event_id="begin")
ACCEPT = record("started", "2026-01-05T10:00:01", event_id="accept")
END = record("succeeded", "2026-01-05T10:00:09", event_id="end", role_assignment_id=guid(9))
EVENT = ("time", "outcome", "ip", "event_id", "role_assignment_id")
MERGED = [(BEGIN["time"], "succeeded", "192.0.2.1", "end", guid(9))]


@pytest.mark.nightly
def test_begin_accept_and_end_are_one_call(store: Store) -> None:
    """The earliest time, the highest outcome, each field from the highest row that has it; in any order."""
    orders = list(itertools.permutations((BEGIN, ACCEPT, END)))
    for step in range(3):
        load(store, calls(*(order[step] | {"key_correlation": f"apart {n}"} for n, order in enumerate(orders))))
    load(store, calls(*(row | {"key_correlation": f"together {n}"} for n, order in enumerate(orders) for row in order)))
    assert rows_of(store, "events", *EVENT) == MERGED * 12
    assert rows_of(store, "usage_days", "succeeded", "started") == [(12, 0)]


@pytest.mark.slow
def test_rows_that_move_the_call_are_new_and_those_that_add_nothing_are_duplicates(store: Store) -> None:
    """Begin then end are both new; an accept in between has nothing that begin lacks but a greater id."""
    (merged,) = load(store, calls(BEGIN, END, record("started", "2026-01-05T10:00:01", event_id="z")))
    assert (merged.read, merged.new, merged.duplicate) == (3, 2, 1)


@pytest.mark.slow
def test_a_file_that_is_sorted_newest_first_counts_the_rows_that_still_say_something(store: Store) -> None:
    """End first; begin moves the time back and brings the address."""
    (merged,) = load(store, calls(END, BEGIN, BEGIN))
    assert (merged.new, merged.duplicate) == (2, 1)


@pytest.mark.nightly
def test_counts_add_up_and_a_second_load_has_nothing_new(store: Store) -> None:
    """Read = new + duplicate + rejected, for every file of a load."""
    files = (
        {"event_rows": [BEGIN, END], "rejects": [{"reason": "it has no time", "raw": "{}"}]},
        calls(END, record(correlation_id="c2")),
        {"sign_in_rows": [sign_in(), sign_in()]},
    )
    first = load(store, *files)
    assert [(f.read, f.new, f.duplicate, f.rejected) for f in first] == [(3, 2, 0, 1), (2, 1, 1, 0), (2, 1, 1, 0)]
    before = content(store)
    again = load(store, *files)
    assert [(f.new, f.duplicate, f.rejected) for f in again] == [(0, 2, 1), (0, 2, 0), (0, 2, 0)]
    assert content(store) == before
    assert len(rows_of(store, "rejects", "line")) == 1


@pytest.mark.nightly
def test_a_row_of_a_lower_rank_does_not_change_what_a_higher_one_said(store: Store) -> None:
    """The principal of the end row stays, though the begin row that comes later names another."""
    load(store, calls(record("succeeded", principal_id=guid(1))))
    load(store, calls(record("started", principal_id=guid(0))))
    assert rows_of(store, "events", "principal_id", "outcome") == [(guid(1), "succeeded")]


@pytest.mark.nightly
def test_ids_that_differ_in_case_only_are_one_call(store: Store) -> None:
    """Correlation id, operation and scope compare folded."""
    load(store, calls(record("started")))
    load(
        store, calls(record(correlation_id="C1", operation="MICROSOFT.COMPUTE/virtualmachines/WRITE", scope=VM.upper()))
    )
    assert rows_of(store, "events", "outcome") == [("succeeded",)]


@pytest.mark.slow
def test_denied_calls_are_no_use_and_outcomes_that_say_nothing_are_not_in_the_usage(store: Store) -> None:
    """A refusal is counted as denied; `other` is an event only."""
    load(store, calls(record("denied"), record("other", correlation_id="c2"), record("failed", correlation_id="c3")))
    assert rows_of(store, "usage_days", "succeeded", "failed", "started", "denied") == [(0, 1, 0, 1)]
    assert len(rows_of(store, "events", "outcome")) == 3


@pytest.mark.nightly
def test_a_call_whose_earliest_time_moves_to_the_day_before_takes_its_usage_along(store: Store) -> None:
    """The day it leaves keeps the other calls only; a day that is empty then has no row."""
    day, other = dt.date(2026, 1, 5), dt.date(2026, 1, 4)
    load(store, calls(record(time="2026-01-05T00:00:01"), record(time="2026-01-05T12:00:00", correlation_id="c2")))
    assert rows_of(store, "usage_days", "day", "succeeded") == [(day, 2)]
    load(store, calls(record("started", time="2026-01-04T23:59:59")))
    assert rows_of(store, "usage_days", "day", "succeeded") == [(other, 1), (day, 1)]
    load(store, calls(record("started", time="2026-01-04T01:00:00", correlation_id="c2")))
    assert rows_of(store, "usage_days", "day", "succeeded") == [(other, 2)]


@pytest.mark.nightly
def test_usage_of_days_that_a_load_did_not_touch_stays_as_it_is(store: Store) -> None:
    """A mark put on another day's usage survives; one on the touched day does not."""
    load(store, calls(record(), record(time="2026-01-09T10:00:00", correlation_id="c2")))
    store.connection.execute("UPDATE base.usage_days SET suspect = 77")
    load(store, calls(record(correlation_id="c3")))
    assert rows_of(store, "usage_days", "day", "suspect") == [(dt.date(2026, 1, 5), 0), (dt.date(2026, 1, 9), 77)]


@pytest.mark.nightly
def test_a_sign_in_is_what_its_id_says_else_what_it_holds(store: Store) -> None:
    """Two exports of one sign-in are one; without an id each content is a sign-in of its own."""
    load(store, {"sign_in_rows": [sign_in(sign_in_id="A"), sign_in(sign_in_id="a", resource_name="Azure")]})
    load(store, {"sign_in_rows": [sign_in("2026-01-05T11:00:00"), sign_in("2026-01-05T11:00:00")]})
    load(store, {"sign_in_rows": [sign_in("2026-01-05T12:00:00", succeeded=False)]})
    assert rows_of(store, "sign_ins", "succeeded", "failed", "resource_name") == [(2, 1, "Azure")]


TIMES = st.sampled_from([dt.datetime(2026, 1, day, 23, 59, second) for day in (4, 5) for second in (0, 1)])
TEXTS = st.none() | st.sampled_from(["a", "B", "é"])
CASES = st.sampled_from([str, str.lower, str.upper])


@st.composite
def log_records(draw: st.DrawFn) -> dict[str, object]:
    """A record of one of a few calls; calls share days, names, scopes and spellings that differ in case."""
    scope = draw(st.sampled_from([VM, f"{VM}2", "/", f"{VM}/extensions/e/providers/Microsoft.Insights/x/y"]))
    names = ("principal_type", "principal_name", "app_id", "role_definition_id", "event_id", "ip")
    return record(
        draw(st.sampled_from(list(RANKS))),
        draw(TIMES),
        correlation_id=draw(st.sampled_from(["c1", "c2", "c3"])),
        operation=draw(CASES)("Microsoft.Compute/virtualMachines/write"),
        scope=draw(CASES)(scope),
        principal_id=draw(st.none() | st.sampled_from([guid(100), guid(101)])),
        role_assignment_id=draw(st.none() | st.sampled_from([guid(9), guid(10)])),
        **{name: draw(TEXTS) for name in names},
    )


@pytest.mark.nightly
@given(
    rows=st.lists(log_records(), min_size=4, max_size=30),
    chance=st.randoms(use_true_random=False),
    names=st.lists(TEXTS, min_size=1, max_size=3),
)
@FEWEST
def test_loads_commute(
    fresh: FRESH, rows: list[dict[str, object]], chance: random.Random, names: list[str | None]
) -> None:
    """The same records, split over loads in any order and with some of them twice, give the same store."""
    more = {
        "principals": [
            {"principal_id": guid(102), "display_name": name, "user_principal_name": name} for name in names
        ],
        "scope_listings": [{"scope": "/subscriptions/" + guid(1).upper(), "display_name": name} for name in names],
        "role_assignments": [
            {
                "role_assignment_id": guid(9),
                "state": "active",
                "principal_id": guid(102),
                "scope": VM,
                "description": name,
            }
            for name in names
        ],
        "operations": [{"operation": "Microsoft.Compute/VirtualMachines/Write", "description": name} for name in names],
        "sign_in_rows": [sign_in(sign_in_id="s", principal_name=name) for name in names],
    }
    once = fresh()
    load(once, {"event_rows": rows, **more})
    pieces = [("event_rows", row) for row in rows] + [(name, row) for name, many in more.items() for row in many]
    pieces += chance.sample(pieces, len(pieces) // 3)
    chance.shuffle(pieces)
    apart = fresh()
    cuts = sorted(chance.choices(range(len(pieces)), k=2))
    for first, last in itertools.pairwise((0, *cuts, len(pieces))):
        file: dict[str, list[dict[str, object]]] = {}
        for name, row in pieces[first:last]:
            file.setdefault(name, []).append(row)
        load(apart, file)
    assert content(apart) == content(once)
    assert rows_of(apart, "events", "time", "scope") == rows_of(once, "events", "time", "scope")


@pytest.mark.nightly
@given(rows=st.lists(log_records(), min_size=4, max_size=40))
@FEWEST
def test_merging_into_the_store_is_the_merge_of_rows_at_hand(fresh: FRESH, rows: list[dict[str, object]]) -> None:
    """`collapse.sql` over all rows gives the events that loads give; spellings are the tenant's, so folded."""
    store = fresh()
    load(store, calls(*rows))
    columns = "time, source, plane, principal_id, principal_type, principal_name, app_id, outcome, role_assignment_id, "
    columns += "role_definition_id, evidence_principal_id, correlation_id, event_id, ip, lower(operation), lower(scope)"
    store.connection.execute(f"CREATE OR REPLACE TEMP VIEW event_rows AS {CALL_ROWS}")
    collapsed = store.connection.execute(f"SELECT {columns} FROM ({query_text('reduce/collapse')})").fetchall()
    half = len(rows) // 2
    again = fresh()
    for part in (rows[half:], rows[:half]):
        if part:
            load(again, calls(*part))
    for loaded in (store, again):
        logged = columns.replace(" principal_id,", " logged_principal_id,", 1)
        stored = loaded.connection.execute(f"SELECT {logged} FROM main.events").fetchall()
        assert sorted(stored, key=repr) == sorted(collapsed, key=repr)
