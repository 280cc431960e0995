"""Pruning deletes the rows of old days and no results of them; late rows change nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import Store, open_store
from rightsize.store.pruning import compact, plan_pruning, prune
from rightsize.workflow.data.load import load_paths
from tests.store.staged import CONTENT, GROUP, File, Row, calls, content, guid, load, record, rows_of, sign_in

pytestmark = pytest.mark.slow

ROWS = ("events", "sign_in_events", "token_calls", "loads", "rejects")
DAYS = tuple(name for name in CONTENT if name not in ROWS)
ASSIGN = "Microsoft.Authorization/roleAssignments/write"


def day(number: int, **fields: object) -> Row:
    return record(time=f"2026-01-{number:02}T10:00:00", correlation_id=f"c{number}", **fields)


HISTORY: tuple[File, ...] = (
    calls(
        *(day(number, role_assignment_id=f"a{number % 2}") for number in range(1, 11)),
        day(2, operation=ASSIGN, scope=f"{GROUP}/providers/{ASSIGN.rsplit('/', 1)[0]}/x"),
        day(3, principal_id=None, principal_name="ann@example.com"),
        day(3, principal_type="User", principal_name="ann@example.com", key_correlation="alias"),
        day(4, plane="graph", source="graph_activity_log", operation="GET /users", scope="/", app_id=guid(7)),
        day(4, plane="data", source="storage_log", category="StorageRead", access="unmapped", operation="Odd/Thing"),
    ),
    {"sign_in_rows": [sign_in(f"2026-01-{number:02}T09:00:00", sign_in_id=f"s{number}") for number in range(1, 11)]},
)


def pruned(store: Store, keep_days: int = 3) -> Store:
    planned = plan_pruning(store, keep_days)
    assert planned is not None
    prune(store, planned)
    store.close()
    compact(store.path)
    return open_store(store.path, read_only=False)


@pytest.fixture
def whole(store: Store) -> Store:
    load(store, *HISTORY)
    return store


@pytest.mark.nightly
def test_what_is_concluded_of_pruned_days_stays(whole: Store) -> None:
    """Usage, aliases, coverage, sign-ins by day, ways of access: only single rows of calls and sign-ins go."""
    before = content(whole, DAYS)
    with pruned(whole) as store:
        assert content(store, DAYS) == before
        assert {time.day for (time,) in rows_of(store, "sign_in_events", "time")} == {8, 9, 10}
        assert {time.day for (time,) in rows_of(store, "events", "time")} == {2, 8, 9, 10}


@pytest.mark.nightly
def test_calls_that_give_access_stay(whole: Store) -> None:
    """The history of role assignments is made of them."""
    with pruned(whole) as store:
        assert [operation for (operation,) in rows_of(store, "role_assignment_requests", "operation")] == [ASSIGN]


@pytest.mark.nightly
def test_rows_that_come_for_sealed_days_are_late_and_change_nothing(whole: Store) -> None:
    """Whether they were counted before, nobody can tell any more; those of open days are as new as ever."""
    with pruned(whole) as store:
        before = content(store)
        again = load(store, *HISTORY)
        assert [(file.read, file.new, file.late) for file in again] == [(15, 0, 12), (10, 0, 7)]
        assert content(store) == before
        (more,) = load(store, calls(day(7, key_correlation="other"), day(11)))
        assert (more.new, more.duplicate, more.late) == (1, 0, 1)


@pytest.mark.nightly
def test_usage_of_sealed_days_survives_a_call_that_ends_on_an_open_one(whole: Store) -> None:
    """The begin of a call that gives access is kept though its day is sealed; its end does not take the day along."""
    with pruned(whole) as store:
        kept = rows_of(store, "usage_days", "day", "operation", "succeeded")
        scope = f"{GROUP}/providers/{ASSIGN.rsplit('/', 1)[0]}/x"
        end = day(9, operation=ASSIGN, scope=scope, key_correlation="c2")
        load(store, calls(end | {"correlation_id": "c2"}))
        assert rows_of(store, "usage_days", "day", "operation", "succeeded") == kept


@pytest.mark.nightly
def test_a_sealed_day_stays_sealed(whole: Store) -> None:
    """Asking for more days than are there brings none back."""
    with pruned(whole) as store:
        planned = plan_pruning(store, 30)
        assert planned is not None
        assert (planned.before, planned.events, planned.sign_ins) == (dt.date(2026, 1, 8), 0, 0)


def test_an_empty_store_has_nothing_to_prune(store: Store) -> None:
    assert plan_pruning(store, 30) is None


@pytest.mark.nightly
def test_the_order_of_loads_before_a_pruning_does_not_matter(fresh: Callable[[], Store], whole: Store) -> None:
    other = fresh()
    for file in reversed(HISTORY):
        load(other, file)
    with pruned(whole) as one, pruned(other) as two:
        assert content(one) == content(two)


@pytest.mark.nightly
def test_prune_says_what_would_go_and_does_it_when_told(whole: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--yes` the file stays byte for byte."""
    path: Path = whole.path
    whole.close()
    before = path.read_bytes()
    assert run(["prune", "--keep-days", "3", "--db", str(path), "-o", "csv"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[1].startswith("2026-01-08,10,7,1,")
    assert "nothing was deleted" in told.err
    assert path.read_bytes() == before
    assert run(["prune", "--keep-days", "3", "--yes", "--db", str(path), "-o", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("2026-01-08,10,7,1,")
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.glob(f"{path.name}*")] == [path.name]
    assert run(["prune", "--keep-days", "0", "--db", str(path)]) == 2


@pytest.mark.nightly
def test_each_record_of_real_logs_is_counted_once_where_days_are_sealed(store: Store, shared_data: Path) -> None:
    """A late sign-in may name an application that nobody knew: it is late all the same, and no count goes negative."""
    load(store, calls(day(1), record(time="2026-12-01T10:00:00", correlation_id="last")))
    with pruned(store, 1) as sealed:
        path = sealed.path
    files = load_paths(path, sorted((shared_data / "logs").glob("Azure_Audit__*.jsonl"))).rows
    assert sum(file.late for file in files) > 0
    for file in files:
        parts = (file.new, file.duplicate, file.rejected, file.unused_record, file.late)
        assert min(parts) >= 0
        assert sum(parts) == file.read
