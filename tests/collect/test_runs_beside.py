"""Which run is resumed, what a later run fetches of a log, and which days a run covers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure.wire import WireRequest
from rightsize.collect.known import RunKnown
from rightsize.collect.listing import CollectionRequest, CollectionUnit
from rightsize.collect.pages import Run, State
from rightsize.collect.runs import (
    covered_days,
    find_runs,
    new_folder,
    open_loadable,
    question_answer,
    read_earlier,
    read_question,
    unfinished_run,
)
from rightsize.model.errors import InputError
from rightsize.model.times import Declaration

UNTIL = dt.datetime(2026, 10, 1, 0, 0, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 10, 3, 12, 0, tzinfo=dt.UTC)
SUB = "/subscriptions/a"
KNOWN = ("users", "activity_log")


def day(number: int, month: int = 9) -> dt.datetime:
    return dt.datetime(2026, month, number, tzinfo=dt.UTC)


def asked(question: CollectionRequest, started: dt.datetime = LATER, **more: Any) -> dict[str, Any]:
    fixed = {"cloud": "public", "tenant_id": "t", "started": started.isoformat()}
    return {**fixed, "question": question_answer(question), **more}


def run_of(
    folder: Path,
    windows: list[tuple[str, str, dt.datetime, dt.datetime, State]],
    *,
    until: dt.datetime = UNTIL,
    started: dt.datetime = LATER,
    finished: bool = True,
) -> Run:
    question = CollectionRequest(until, 30)
    run = Run.create(new_folder(folder, question), asked(question, started))
    for stream, scope, first, last, state in windows:
        unit = CollectionUnit(f"{stream}#{first}", (WireRequest("arm", "/x"),), scope, first, last)
        run.write(run.progress("activity_log", unit), b"", rows=0, pages=0, pending=[], state=state)
    if finished:
        run.manifest["finished"] = started.isoformat()
        run.save()
    run.close()
    return run


def covered(run: Run, retention: int = 90) -> list[tuple[str, int, int]]:
    found = covered_days(run, {"activity_log": "activity_log"}, {"activity_log": retention})
    assert all(isinstance(item, Declaration) and item.source == "activity_log" for item in found)
    return [(item.scope, item.first.day, item.last.day) for item in found]


def test_slices_that_follow_each_other_are_one_window(tmp_path: Path) -> None:
    windows: Any = [(SUB, SUB, day(1), day(11), "complete"), (SUB, SUB, day(11), UNTIL, "complete")]
    assert covered(run_of(tmp_path, windows)) == [(SUB, 1, 30)]


def test_an_incomplete_slice_leaves_a_gap(tmp_path: Path) -> None:
    windows: Any = [
        (SUB, SUB, day(1), day(11), "complete"),
        (SUB, SUB, day(11), day(21), "incomplete"),
        (SUB, SUB, day(21), UNTIL, "complete"),
    ]
    assert covered(run_of(tmp_path, windows)) == [(SUB, 1, 10), (SUB, 21, 30)]


def test_days_that_are_not_whole_do_not_count(tmp_path: Path) -> None:
    half = dt.timedelta(hours=12)
    windows: Any = [(SUB, SUB, day(1) + half, day(5) + half, "complete")]
    assert covered(run_of(tmp_path, windows)) == [(SUB, 2, 4)]


def test_a_day_whose_rows_may_still_come_does_not_count(tmp_path: Path) -> None:
    """The log of a day is not all there at midnight."""
    windows: Any = [(SUB, SUB, day(1), UNTIL, "complete")]
    assert covered(run_of(tmp_path, windows, started=UNTIL + dt.timedelta(hours=1))) == [(SUB, 1, 29)]
    later = run_of(tmp_path / "b", windows, started=UNTIL + dt.timedelta(hours=4))
    assert covered(later) == [(SUB, 1, 30)]


def test_what_azure_no_longer_keeps_does_not_count(tmp_path: Path) -> None:
    windows: Any = [(SUB, SUB, day(1), UNTIL, "complete")]
    assert covered(run_of(tmp_path, windows), retention=8) == [(SUB, 24, 30)]


def test_a_management_group_is_covered_only_where_everything_is(tmp_path: Path) -> None:
    """A declaration speaks of everything below its scope, and its own log says nothing of that."""
    group = "/providers/Microsoft.Management/managementGroups/g"
    windows: Any = [
        (group, group, day(1), UNTIL, "complete"),
        (SUB, SUB, day(5), UNTIL, "complete"),
        ("/", "/", day(1), day(20), "complete"),
    ]
    assert sorted(covered(run_of(tmp_path, windows))) == [("/", 5, 19), (group, 5, 19), (SUB, 5, 30)]
    windows.append(("/subscriptions/b", "/subscriptions/b", day(1), UNTIL, "refused"))
    assert covered(run_of(tmp_path / "b", windows)) == [(SUB, 5, 30)]


def since(
    folder: Path, question: CollectionRequest, stream: str = SUB, lateness: int = 0, oldest: dt.datetime | None = None
) -> dt.datetime:
    earlier = read_earlier(folder, asked(question))
    run = Run(folder, {})
    return RunKnown(run, question, earlier).since("activity_log", stream, dt.timedelta(minutes=lateness), oldest)


NEW = CollectionRequest(day(3, 10), 30)


def test_a_log_is_fetched_from_the_day_that_an_earlier_run_has_come_to(tmp_path: Path) -> None:
    run_of(tmp_path, [(SUB, SUB, day(1), UNTIL, "complete")])
    assert since(tmp_path, NEW) == UNTIL
    assert since(tmp_path, NEW, lateness=30) == day(30), "what came late is fetched again, with its whole day"
    assert since(tmp_path, NEW, stream="/subscriptions/new") == NEW.since


def test_a_longer_window_than_before_is_fetched_whole(tmp_path: Path) -> None:
    run_of(tmp_path, [(SUB, SUB, day(20), UNTIL, "complete")])
    assert since(tmp_path, NEW) == NEW.since
    assert since(tmp_path, NEW, oldest=day(21)) == UNTIL, "what the log has no more is no gap"


def test_runs_that_touch_are_one_window(tmp_path: Path) -> None:
    run_of(tmp_path, [(SUB, SUB, day(1), day(20), "complete")])
    run_of(tmp_path, [(SUB, SUB, day(19), UNTIL, "complete")])
    assert since(tmp_path, NEW) == UNTIL


def test_runs_with_a_gap_between_them_are_not(tmp_path: Path) -> None:
    run_of(tmp_path, [(SUB, SUB, day(1), day(10), "complete")])
    run_of(tmp_path, [(SUB, SUB, day(20), UNTIL, "complete")])
    assert since(tmp_path, NEW) == NEW.since


def test_an_incomplete_or_foreign_run_is_no_watermark(tmp_path: Path) -> None:
    run_of(tmp_path, [(SUB, SUB, day(1), day(11), "incomplete"), (SUB, SUB, day(11), UNTIL, "complete")])
    run_of(tmp_path, [(SUB, SUB, day(1), UNTIL, "complete")], finished=False)
    assert since(tmp_path, NEW) == NEW.since
    other = read_earlier(tmp_path, asked(NEW, tenant_id="other"))
    assert not other.watermarks


def test_a_watermark_before_the_window_does_not_widen_it(tmp_path: Path) -> None:
    run_of(tmp_path, [(SUB, SUB, day(1), day(2), "complete")])
    short = CollectionRequest(day(3, 10), 5)
    assert since(tmp_path, short) == short.since


def test_the_newest_run_that_was_cut_goes_on_where_the_same_is_asked(tmp_path: Path) -> None:
    question = CollectionRequest(UNTIL, 30)
    assert unfinished_run(tmp_path / "none", asked(question)) is None
    run = run_of(tmp_path, [], finished=False)
    assert unfinished_run(tmp_path, asked(CollectionRequest(LATER, 30))) == run.folder
    assert unfinished_run(tmp_path, asked(CollectionRequest(LATER, 31))) is None
    assert unfinished_run(tmp_path, asked(question, tenant_id="other")) is None


def test_a_finished_run_does_not_go_on(tmp_path: Path) -> None:
    run_of(tmp_path, [])
    assert unfinished_run(tmp_path, asked(CollectionRequest(UNTIL, 30))) is None


def test_two_runs_of_one_moment_have_folders_of_their_own(tmp_path: Path) -> None:
    first, second = run_of(tmp_path, []), run_of(tmp_path, [])
    assert [path.name for path in find_runs(tmp_path)] == ["20261001T000000Z", "20261001T000000Z-2"]
    assert first.folder != second.folder
    assert find_runs(first.folder) == [first.folder]
    assert find_runs(tmp_path / "absent") == []


def test_a_question_survives_its_manifest() -> None:
    question = CollectionRequest(UNTIL, 7, ("a",), ("b", "c"), ("w",), ("x/y",), True)
    assert read_question(question_answer(question)) == question


def test_pages_that_are_not_what_was_collected_are_not_loaded(tmp_path: Path) -> None:
    run = run_of(tmp_path, [])
    run.open_journal()
    at = run.progress("users", CollectionUnit("/", ()))
    run.write(at, b'{"value":[]}\n', rows=0, pages=1, pending=[], state="complete")
    run.close()
    assert open_loadable(run.folder, (), KNOWN).pages == (run.folder / "pages" / "users",)
    assert open_loadable(run.folder, ("users",), KNOWN).pages == ()
    path = run.unit_folder(at) / at.files[0].name
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match="was changed after it was collected"):
        open_loadable(run.folder, (), KNOWN)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        open_loadable(run.folder, (), KNOWN)
    with pytest.raises(InputError, match="`users`, which is no source"):
        open_loadable(run.folder, (), ())


def test_what_is_missing_is_told_when_it_is_loaded(tmp_path: Path) -> None:
    run = run_of(tmp_path, [(SUB, SUB, day(1), UNTIL, "incomplete")], finished=False)
    notes = open_loadable(run.folder, (), KNOWN).notes
    assert any("not finished" in note for note in notes)
    assert any(SUB in note for note in notes)
